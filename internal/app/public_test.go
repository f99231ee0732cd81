package app_test

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"go/importer"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// listed is a package as go list says it.
type listed struct {
	ImportPath, Name, Export string
}

// public are the packages that other programs import.
func public(all []listed) []listed {
	return slices.DeleteFunc(slices.Clone(all), func(p listed) bool {
		below, ours := strings.CutPrefix(p.ImportPath, module)
		return !ours || p.Name == "main" || isAround(below) || isInternal(p.ImportPath)
	})
}

func isInternal(path string) bool { return slices.Contains(strings.Split(path, "/"), "internal") }

// What is exported names no type that another program cannot name: neither a function,
// a method nor a field has an internal type that no public package gives a name.
func TestWhatIsExportedCanBeNamed(t *testing.T) {
	t.Parallel()
	all := exported(t)
	load := importer.ForCompiler(token.NewFileSet(), "gc", func(path string) (io.ReadCloser, error) {
		i := slices.IndexFunc(all, func(p listed) bool { return p.ImportPath == path })
		if i < 0 || all[i].Export == "" {
			return nil, fmt.Errorf("no export data of %s", path)
		}
		return os.Open(all[i].Export)
	})
	o := &outsider{names: map[*types.TypeName]bool{}, seen: map[types.Type]bool{}}
	var scopes []*types.Scope
	for _, p := range public(all) {
		pkg, err := load.Import(p.ImportPath)
		if err != nil {
			t.Fatal(err)
		}
		scopes = append(scopes, pkg.Scope())
		o.learn(pkg.Scope())
	}
	if len(scopes) < 8 {
		t.Fatalf("go list found %d public packages", len(scopes))
	}
	for _, s := range scopes {
		o.look(s)
	}
	slices.Sort(o.found)
	for _, f := range slices.Compact(o.found) {
		t.Error(f)
	}
}

func exported(t *testing.T) []listed {
	t.Helper()
	cmd := exec.Command("go", "list", "-export", "-deps", "-trimpath", "-json=ImportPath,Name,Export", module+"...")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var all []listed
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p listed
		err := dec.Decode(&p)
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}

// outsider is a program that imports public packages.
type outsider struct {
	names map[*types.TypeName]bool // that it can write
	seen  map[types.Type]bool
	found []string
}

// learn notes the types that a public package names.
func (o *outsider) learn(s *types.Scope) {
	for _, name := range s.Names() {
		obj, ok := s.Lookup(name).(*types.TypeName)
		if !ok || !obj.Exported() {
			continue
		}
		o.names[obj] = true
		if named, ok := types.Unalias(obj.Type()).(*types.Named); ok {
			o.names[named.Origin().Obj()] = true
		}
	}
}

func (o *outsider) look(s *types.Scope) {
	for _, name := range s.Names() {
		if obj := s.Lookup(name); obj.Exported() {
			where := obj.Pkg().Name() + "." + name
			if _, isType := obj.(*types.TypeName); isType {
				o.inside(where, types.Unalias(obj.Type()))
			} else {
				o.walk(where, obj.Type())
			}
		}
	}
}

// inside looks at the fields and methods of a type that can be named.
func (o *outsider) inside(where string, t types.Type) {
	if o.seen[t] {
		return
	}
	o.seen[t] = true
	named, ok := t.(*types.Named)
	if !ok {
		o.walk(where, t)
		return
	}
	o.walk(where, named.Underlying())
	for m := range named.Methods() {
		if m.Exported() {
			o.walk(where+"."+m.Name(), m.Type())
		}
	}
}

// walk looks for types in a signature.
func (o *outsider) walk(where string, t types.Type) {
	switch t := types.Unalias(t).(type) {
	case *types.Named:
		obj := t.Obj()
		switch {
		case obj.Pkg() == nil, o.names[t.Origin().Obj()]:
		case isInternal(obj.Pkg().Path()), !obj.Exported():
			o.found = append(o.found, where+" names "+cmp.Or(obj.Pkg().Path(), "?")+"."+obj.Name())
		}
		for a := range t.TypeArgs().Types() {
			o.walk(where, a)
		}
	case interface{ Elem() types.Type }: // pointer, slice, array, map, channel
		if m, ok := t.(*types.Map); ok {
			o.walk(where, m.Key())
		}
		o.walk(where, t.Elem())
	case *types.Signature:
		for v := range t.Params().Variables() {
			o.walk(where, v.Type())
		}
		for v := range t.Results().Variables() {
			o.walk(where, v.Type())
		}
	case *types.Struct:
		for f := range t.Fields() {
			if f.Exported() {
				o.walk(where+"."+f.Name(), f.Type())
			}
		}
	case *types.Interface:
		for m := range t.Methods() {
			if m.Exported() {
				o.walk(where+"."+m.Name(), m.Type())
			}
		}
	}
}

// A program that runs recipes with our modules pays for no simulator, no command line
// and no test tool.
func TestAProgramThatRunsRecipesLinksNoMore(t *testing.T) {
	t.Parallel()
	args := []string{"list", "-deps"}
	for _, p := range []string{"runtime", "servers", "modules/std", "modules/docker", "modules/redis", "modules/http", "modules/lock"} {
		args = append(args, module+p)
	}
	out, err := exec.Command("go", args...).Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, dep := range strings.Fields(string(out)) {
		for _, no := range []string{
			module + "internal/sim", module + "internal/lab", module + "internal/rehearsal", module + "internal/app",
			"github.com/alicebob/", "github.com/spf13/", "github.com/vbauerster/", "github.com/chromedp/", "github.com/google/go-cmp", "github.com/rogpeppe/",
			"testing", "net/http/httptest",
		} {
			if dep == no || strings.HasPrefix(dep, no+"/") || strings.HasSuffix(no, "/") && strings.HasPrefix(dep, no) {
				t.Errorf("it links %s", dep)
			}
		}
	}
}
