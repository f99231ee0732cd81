package app_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/mepc/mepc-run/"

// floors maps each package to its floor: a package may import only packages of
// lower floors. ARCHITECTURE.md draws the same house.
var floors = map[string]int{
	"internal/clock": 0, "internal/failure": 0, "recipes": 0, "demo/sample": 0,
	"internal/effect": 1, "internal/watch": 1, "internal/registry": 1, "internal/ship": 1, "internal/sim": 2, "internal/engine": 3, "internal/report": 2, "internal/journal": 2, "internal/queue": 3, "internal/lock": 2,
	"internal/certificate": 1, "internal/keys": 1, "internal/router": 2, "internal/sandbox/pattern": 1, "internal/sandbox": 2,
	"internal/lab": 2, "internal/plan": 3,
	"runtime":            3,
	"internal/reference": 4, "internal/guard": 4, "internal/undo": 4, "internal/rehearsal": 4, "internal/prove": 4,
	"internal/lint": 4, "internal/doctor": 4, "internal/fixture": 4,
	"modules/approve": 4, "modules/docker": 4, "modules/redis": 4, "modules/http": 4, "modules/lock": 4, "modules/on": 4, "modules/std": 4,
	"internal/spec": 5, "internal/reload": 5, "internal/serve": 6, "internal/trigger": 6, "internal/app": 7, "cmd/mepc-run": 8,
}

// around are the trees around the house: programs and tests of their own, which
// may import anything.
var around = []string{"demo", "bench", "e2e", "modules/redis/gen"}

// The functions that read or wait for the time. Everything else takes a
// clock.Clock, so that a run can have a time of its own.
var timeUsers = map[string][]string{
	"internal/clock":   {"Now", "NewTimer"},
	"internal/lab":     {"NewTimer"},
	"internal/sandbox": {"NewTicker"}, // the heap's watchdog: real memory, real time
}

var timeNames = []string{"Now", "Sleep", "After", "AfterFunc", "Tick", "NewTimer", "NewTicker", "Since", "Until"}

// osUsers says what a package uses of os. The process (arguments, environment,
// standard streams, exit, signals) belongs to internal/app, which gets most of it
// from cmd/mepc-run; internal/lab starts processes.
var osUsers = map[string][]string{
	"cmd/mepc-run": {"*"}, "internal/app": {"*"}, "internal/lab": {"*"},
	// certificates, contexts, files that a recipe names
	"internal/engine": {"CreateTemp", "File", "Open", "OpenRoot", "PathError", "ReadFile", "Readlink", "Remove", "Rename", "Stat"},
	// the program that a fixture's containers run
	"internal/fixture": {"Getpid", "Hostname", "Interrupt", "ReadFile", "Signal", "Stderr", "Stdout"},
	// one file a run, and the directory they are in
	"internal/journal": {"CreateTemp", "File", "Link", "MkdirAll", "O_APPEND", "O_CREATE", "O_EXCL", "O_RDWR", "O_WRONLY", "Open", "OpenFile", "PathError", "ReadDir", "ReadFile", "Remove", "Rename", "Stat"},
	"internal/lock":    {"MkdirAll", "O_CREATE", "O_RDWR", "OpenFile", "ReadFile", "Rename", "WriteFile"}, // locks in files
	// requests, in files that are handed to processes
	"internal/queue": {
		"ErrProcessDone", "File", "MkdirAll", "O_APPEND", "O_CREATE", "O_RDWR", "O_TRUNC", "O_WRONLY", "Open", "OpenFile", "ReadDir", "ReadFile", "Remove", "Rename",
		"WriteFile",
	},
	"internal/reload":      {"ReadDir", "ReadFile", "SameFile", "Stat"},                                // a directory of recipes
	"internal/trigger":     {"MkdirAll", "Open", "ReadDir", "ReadFile", "Rename", "Stat", "WriteFile"}, // archives, and what was seen
	"internal/certificate": {"Stat"},                                                                   // files that change
	"internal/registry":    {"CreateTemp", "File", "Remove"},                                           // what is pushed, in files without a name
	"internal/sim":         {"NewSyscallError"},                                                        // errors as a real connection has them
	"modules/redis":        {"ErrDeadlineExceeded"},                                                    // a value, no call
	"runtime":              {"DirFS", "OpenRoot", "Stat"},                                              // a recipe and its tree
}

// importers says who may import what drives a process or a command line.
var importers = map[string][]string{
	"flag": nil, "os/user": nil,
	"os/exec":                {"internal/app", "internal/lab"}, // a secret's command; the lab's servers
	"os/signal":              {"internal/app", "internal/fixture", "internal/lab"},
	"github.com/spf13/cobra": {"internal/app"},
	"github.com/spf13/pflag": {"internal/app"},
}

func TestImportsOnlyPointToLowerFloors(t *testing.T) {
	t.Parallel()
	for _, p := range packages(t) {
		if isAround(p.name) {
			continue
		}
		floor, ok := floors[p.name]
		if !ok {
			t.Errorf("%s has no floor: give it one here and in ARCHITECTURE.md", p.name)
			continue
		}
		for _, imported := range p.imports {
			if users, limited := importers[imported]; limited && !slices.Contains(users, p.name) {
				t.Errorf("%s imports %s", p.name, imported)
			}
			ours, isOurs := strings.CutPrefix(imported, module)
			if below, ok := floors[ours]; isOurs && (!ok || below >= floor) {
				t.Errorf("%s (floor %d) imports %s (floor %d)", p.name, floor, ours, below)
			}
		}
	}
}

func TestTimeAndProcessAreReadInFewPlaces(t *testing.T) {
	t.Parallel()
	check := func(pkg, of string, used, allowed []string) {
		for _, name := range used {
			if !slices.Contains(allowed, name) && !slices.Contains(allowed, "*") {
				t.Errorf("%s uses %s.%s", pkg, of, name)
			}
		}
		for _, name := range allowed {
			if name != "*" && !slices.Contains(used, name) {
				t.Errorf("%s does not use %s.%s any more: take it out of the table", pkg, of, name)
			}
		}
	}
	for _, p := range packages(t) {
		if isAround(p.name) {
			continue
		}
		clock := slices.DeleteFunc(selected(t, p, "time"), func(name string) bool { return !slices.Contains(timeNames, name) })
		check(p.name, "time", clock, timeUsers[p.name])
		check(p.name, "os", selected(t, p, "os"), osUsers[p.name])
	}
}

// pkg is a package of this module, without its tests.
type pkg struct {
	name    string // below the module's path
	dir     string
	files   []string
	imports []string
}

func packages(t *testing.T) []pkg {
	t.Helper()
	const format = `{{.ImportPath}};{{.Dir}};{{join .GoFiles " "}};{{join .Imports " "}}`
	out, err := exec.Command("go", "list", "-f", format, module+"...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var all []pkg
	for line := range strings.Lines(string(out)) {
		parts := strings.Split(strings.TrimSpace(line), ";")
		all = append(all, pkg{
			name: strings.TrimPrefix(parts[0], module), dir: parts[1],
			files: strings.Fields(parts[2]), imports: strings.Fields(parts[3]),
		})
	}
	if len(all) < len(floors) {
		t.Fatalf("go list found %d packages", len(all))
	}
	return all
}

func isAround(name string) bool {
	return slices.ContainsFunc(around, func(tree string) bool { return name == tree || strings.HasPrefix(name, tree+"/") })
}

// selected returns the names that the package's files use of the imported one.
func selected(t *testing.T, p pkg, imported string) []string {
	t.Helper()
	var names []string
	for _, file := range p.files {
		f, err := parser.ParseFile(token.NewFileSet(), filepath.Join(p.dir, file), nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		local := ""
		for _, spec := range f.Imports {
			if spec.Path.Value == `"`+imported+`"` {
				if local = imported; spec.Name != nil {
					local = spec.Name.Name
				}
			}
		}
		ast.Inspect(f, func(n ast.Node) bool {
			if sel, ok := n.(*ast.SelectorExpr); ok && local != "" {
				if x, ok := sel.X.(*ast.Ident); ok && x.Name == local && !slices.Contains(names, sel.Sel.Name) {
					names = append(names, sel.Sel.Name)
				}
			}
			return true
		})
	}
	return names
}
