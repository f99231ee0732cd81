package sandbox

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"

	lua "github.com/yuin/gopher-lua"
)

// TestNothingOutsideReachesALuaState reads the whole source: the VM's state is
// nowhere named outside of this package, and no exported function of it takes one
// or gives one away. So whatever runs Lua has an Entry, and with it the budget, the
// context and the recover.
func TestNothingOutsideReachesALuaState(t *testing.T) {
	t.Parallel()
	files := 0
	err := filepath.WalkDir("../..", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == ".git" || d.Name() == "testdata") {
			return fs.SkipDir
		}
		if !strings.HasSuffix(name, ".go") {
			return nil
		}
		inside := filepath.Dir(name) == "../../internal/sandbox"
		if inside && strings.HasSuffix(name, "_test.go") {
			return nil
		}
		files++
		set := token.NewFileSet()
		file, err := parser.ParseFile(set, name, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		for _, d := range file.Decls {
			f, isFunc := d.(*ast.FuncDecl)
			if inside && (!isFunc || !f.Name.IsExported()) {
				continue
			}
			var look ast.Node = d
			if inside {
				look = f.Type
			}
			ast.Inspect(look, func(n ast.Node) bool {
				if s, ok := n.(*ast.SelectorExpr); ok && (s.Sel.Name == "LState" || s.Sel.Name == "NewState" || s.Sel.Name == "LGFunction") {
					t.Errorf("%s: %s", set.Position(s.Pos()), s.Sel.Name)
				}
				return true
			})
		}
		return nil
	})
	if err != nil || files < 300 {
		t.Errorf("%d files: %v", files, err)
	}
}

// TestAnEntryEndsWithItsCall keeps one and uses it.
func TestAnEntryEndsWithItsCall(t *testing.T) {
	t.Parallel()
	vm := newVM(t, Options{})
	var kept Entry
	vm.SetGlobal("keep", vm.NewFunction(func(e Entry) int { kept = e; return 0 }))
	if _, err := run(t, vm, `keep()`); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if r := recover(); r == nil || !strings.Contains(r.(string), "after its call was over") {
			t.Errorf("%v", r)
		}
	}()
	kept.Raise(lua.LTrue)
}
