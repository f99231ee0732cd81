package app_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/mepc/mepc-run/"

// floors maps each package to its floor: a package may import only packages of
// lower floors. ARCHITECTURE.md draws the same house.
var floors = map[string]int{
	"internal/state": 0, "internal/state/engineapi": 1, "internal/snapshot": 2,
	"internal/address": 0, "internal/disk": 0, "internal/clock": 0, "internal/failure": 0, "internal/say": 0, "recipes": 0, "demo/sample": 0,
	"internal/effect": 1, "internal/watch": 1, "internal/ship": 1, "internal/sim": 2, "servers": 1, "internal/report/lines": 2, "internal/report": 3, "internal/journal": 2, "internal/queue": 3, "internal/lock": 2,
	"internal/certificate": 1, "internal/router": 2, "internal/sandbox/pattern": 1, "internal/sandbox/show": 1, "internal/sandbox/syntax": 1, "internal/sandbox": 2,
	"internal/lab": 2, "internal/plan": 3,
	"runtime":            3,
	"internal/reference": 4, "internal/guard": 4, "internal/undo": 4, "internal/rehearsal": 4,
	"internal/lint": 4, "internal/doctor": 4, "internal/standing": 4, "internal/fixture": 4,
	"modules/approve": 4, "modules/docker": 4, "modules/redis": 4, "modules/http": 4, "modules/lock": 4, "modules/on": 4, "modules/std": 4,
	"internal/prove": 5, "internal/spec": 6, "internal/reload": 5, "internal/serve": 6, "internal/trigger": 6, "rehearsal": 7, "internal/app": 8, "cli": 9, "cmd/mepc-run": 10,
}

// rooms are packages inside of another, which is the only door to them; each may
// import those before it.
var rooms = map[string][]string{
	"internal/sim": {"wire", "timeline", "redis", "engine", "traffic"},
}

// around are the trees around the house: programs and tests of their own, which
// may import anything.
var around = []string{"demo", "bench", "e2e", "modules/redis/gen"}

// The functions that read or wait for the time. Everything else takes a
// clock.Clock, so that a run can have a time of its own.
var timeUsers = map[string][]string{
	"internal/clock":   {"Now", "NewTimer"},
	"internal/lab":     {"NewTimer"},
	"internal/router":  {"AfterFunc"}, // how long a backend may take, started with each write
	"internal/sandbox": {"NewTicker"}, // the heap's watchdog: real memory, real time
}

var timeNames = []string{"Now", "Sleep", "After", "AfterFunc", "Tick", "NewTimer", "NewTicker", "Since", "Until"}

// realLimits are the packages that bound something in real time. Nothing of them runs
// in a simulated world: there limits are those of its clock (clock.Clock.WithTimeout),
// so that a busy machine changes nothing.
var realLimits = []string{
	"internal/app", "internal/clock", "internal/doctor", "internal/lab", "internal/rehearsal", "internal/reload", "internal/router",
	"internal/serve", "internal/ship", "internal/spec", "internal/trigger", "internal/watch", "servers",
}

var limitNames = []string{"WithTimeout", "WithTimeoutCause", "WithDeadline", "WithDeadlineCause"}

// osUsers says what a package uses of os. The process (arguments, environment,
// standard streams, exit, signals) belongs to internal/app, which gets most of it
// from cli; internal/lab starts processes.
var osUsers = map[string][]string{
	"cli": {"Args", "Exit", "Getenv", "Stderr", "Stdout"}, "internal/app": {"*"}, "internal/lab": {"*"},
	"internal/disk": {"CreateTemp", "File", "Open", "Remove", "Rename"}, // files, written whole or not at all
	// certificates, contexts, files that a recipe names
	"servers": {"Open", "OpenRoot", "PathError", "ReadFile", "Readlink", "Remove", "Stat"},
	// the program that a fixture's containers run
	"internal/fixture": {"Getpid", "Hostname", "Interrupt", "ReadFile", "Signal", "Stderr", "Stdout"},
	// one file a run, and the directory they are in
	"internal/journal": {
		"Chtimes", "CreateTemp", "File", "Link", "Lstat", "MkdirAll", "O_APPEND", "O_CREATE", "O_EXCL", "O_RDWR", "O_WRONLY", "Open", "OpenFile", "PathError", "ReadFile", "Remove",
		"Rename", "SameFile", "Stat",
	},
	"internal/lock": {"MkdirAll", "O_CREATE", "O_RDWR", "OpenFile", "ReadFile", "Rename", "WriteFile"}, // locks in files
	// requests, in files that are handed to processes
	"internal/queue": {
		"ErrProcessDone", "File", "MkdirAll", "O_APPEND", "O_CREATE", "O_RDWR", "OpenFile", "ReadDir", "ReadFile", "Remove",
		"WriteFile",
	},
	"internal/reload":      {"ReadDir", "SameFile", "Stat"},                     // a directory of recipes
	"internal/trigger":     {"MkdirAll", "Open", "ReadDir", "ReadFile", "Stat"}, // archives, and what was seen
	"internal/router":      {"NewFile"},                                         // a socket that another router hands over
	"internal/certificate": {"Stat"},                                            // files that change
	"internal/ship":        {"CreateTemp", "File", "Remove"},                    // what is pushed, in files without a name
	"internal/sim/redis":   {"ErrDeadlineExceeded"},                             // a value, no call
	"internal/sim/wire":    {"NewSyscallError"},                                 // errors as a real connection has them
	"modules/docker":       {"Readlink", "SameFile", "Stat"},                    // what a mount's source is, where the engine is here
	"modules/redis":        {"ErrDeadlineExceeded"},                             // a value, no call
	"rehearsal":            {"OpenRoot"},                                        // the project of specs
	"internal/rehearsal":   {"PathError", "Stat"},                               // files that a rehearsal only seems to write
	"runtime":              {"DirFS", "OpenRoot", "Stat"},                       // a recipe and its tree
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
		house, room := inside(p.name)
		floor, ok := floors[house]
		if !ok {
			t.Errorf("%s has no floor: give it one here and in ARCHITECTURE.md", p.name)
			continue
		}
		for _, imported := range p.imports {
			if users, limited := importers[imported]; limited && !slices.Contains(users, p.name) {
				t.Errorf("%s imports %s", p.name, imported)
			}
			ours, isOurs := strings.CutPrefix(imported, module)
			if its, below := inside(ours); isOurs && its != ours {
				if its != house || below >= room {
					t.Errorf("%s imports %s, a room of %s", p.name, ours, its)
				}
				continue
			}
			if below, ok := floors[ours]; isOurs && (!ok || below >= floor) {
				t.Errorf("%s (floor %d) imports %s (floor %d)", p.name, floor, ours, below)
			}
		}
	}
}

// inside returns the house that a package is a room of, or itself, and where it
// stands there; a house is above all of its rooms.
func inside(name string) (house string, room int) {
	for house, all := range rooms {
		if rest, below := strings.CutPrefix(name, house+"/"); below && slices.Contains(all, rest) {
			return house, slices.Index(all, rest)
		}
	}
	return name, len(floors)
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
		limits := slices.DeleteFunc(selected(t, p, "context"), func(name string) bool { return !slices.Contains(limitNames, name) })
		if real := slices.Contains(realLimits, p.name); real != (len(limits) > 0) {
			t.Errorf("%s uses context.%s, and is in realLimits: %v", p.name, strings.Join(limits, ", context."), real)
		}
		check(p.name, "os", selected(t, p, "os"), osUsers[p.name])
	}
}

// starters may start a goroutine as Go has it, each in its own ways, and see to its
// panics themselves: what ends with the process, and what protects what it runs.
var starters = map[string][]string{
	"internal/failure": {"go", "errgroup", "WaitGroup", "AfterFunc"}, // protects what others run
	"internal/fixture": {"go"},                                       // a container's program: it is to end
	"internal/lab":     {"go", "WaitGroup"},                          // of the tests
	"internal/router":  {"AfterFunc"},                                // a timer that ends a context
	"internal/sandbox": {"go", "AfterFunc"},                          // branches of a script, and a watch over its memory
}

// TestGoroutinesArePanicProof: a panic in a goroutine ends the process, be it a run with
// things to undo or a server. So others start theirs with internal/failure.
func TestGoroutinesArePanicProof(t *testing.T) {
	t.Parallel()
	for _, p := range packages(t) {
		if isAround(p.name) {
			continue
		}
		found := starts(t, p)
		for how, where := range found {
			if !slices.Contains(starters[p.name], how) {
				t.Errorf("%s starts goroutines with %s at %v", p.name, how, where)
			}
		}
		for _, how := range starters[p.name] {
			if found[how] == nil {
				t.Errorf("%s does not start goroutines with %s any more: take it out of the table", p.name, how)
			}
		}
	}
}

// starts returns where the package starts what nothing protects, by how.
func starts(t *testing.T, p pkg) map[string][]string {
	t.Helper()
	found := map[string][]string{}
	for _, file := range p.files {
		files := token.NewFileSet()
		f, err := parser.ParseFile(files, filepath.Join(p.dir, file), nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			how := ""
			switch n := n.(type) {
			case *ast.GoStmt:
				how = "go"
			case *ast.ImportSpec:
				if n.Path.Value == `"golang.org/x/sync/errgroup"` {
					how = "errgroup"
				}
			case *ast.SelectorExpr:
				if n.Sel.Name == "WaitGroup" || n.Sel.Name == "AfterFunc" {
					how = n.Sel.Name
				}
			}
			if how != "" {
				found[how] = append(found[how], file+":"+strconv.Itoa(files.Position(n.Pos()).Line))
			}
			return true
		})
	}
	return found
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
