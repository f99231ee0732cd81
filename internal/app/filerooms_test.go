package app_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// fileRooms are rooms of files inside of a package, told by how their names begin, and
// their doors: what other files use of them. What a room is made of is too much of the
// package's own to be a package.
var fileRooms = []struct {
	dir, prefix string
	doors       []string
}{
	{"modules/docker", "swarm", []string{"swarmFuncs"}},
	{"internal/sim/engine", "swarm", []string{"clone", "cluster", "dueTimes", "ingress", "orchestrate", "restoreSwarm", "swarmInfo", "swarmRoutes", "swarmState"}},
}

// TestRoomsOfFilesAreEnteredByTheirDoors goes by names: one that is declared on both
// sides, as a method of some type, tells nothing.
func TestRoomsOfFilesAreEnteredByTheirDoors(t *testing.T) {
	t.Parallel()
	for _, room := range fileRooms {
		declared := map[bool]map[string]bool{true: {}, false: {}} // by whether it is in the room
		used := map[string]string{}                               // outside, and where
		names, err := filepath.Glob(filepath.Join("../..", room.dir, "*.go"))
		if err != nil || len(names) == 0 {
			t.Fatal(names, err)
		}
		for _, name := range names {
			if strings.HasSuffix(name, "_test.go") {
				continue
			}
			f, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
			if err != nil {
				t.Fatal(err)
			}
			inside := strings.HasPrefix(filepath.Base(name), room.prefix)
			for _, id := range declarations(f, !inside) {
				declared[inside][id.Name] = true
			}
			if !inside {
				ast.Inspect(f, func(n ast.Node) bool {
					if id, ok := n.(*ast.Ident); ok {
						used[id.Name] = filepath.Base(name)
					}
					return true
				})
			}
		}
		for name := range declared[true] {
			if file := used[name]; file != "" && !declared[false][name] && !slices.Contains(room.doors, name) {
				t.Errorf("%s/%s uses %s, which is in the room %s*.go and no door of it", room.dir, file, name, room.prefix)
			}
		}
		for _, name := range room.doors {
			if !declared[true][name] || used[name] == "" {
				t.Errorf("%s is no door of %s/%s*.go any more", name, room.dir, room.prefix)
			}
		}
	}
}

// declarations returns what a file declares: functions, methods, types, values, and with
// inner also fields and what is inside of functions.
func declarations(f *ast.File, inner bool) (names []*ast.Ident) {
	ast.Inspect(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncDecl:
			names = append(names, n.Name)
			return inner
		case *ast.TypeSpec:
			names = append(names, n.Name)
			return inner
		case *ast.ValueSpec:
			names = append(names, n.Names...)
			return inner
		case *ast.Field:
			names = append(names, n.Names...)
		case *ast.AssignStmt:
			for _, to := range n.Lhs {
				if id, ok := to.(*ast.Ident); ok {
					names = append(names, id)
				}
			}
		}
		return true
	})
	return names
}
