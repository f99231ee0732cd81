package reload_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mepc/mepc-run/internal/clock"
	"github.com/mepc/mepc-run/internal/lint"
	"github.com/mepc/mepc-run/internal/reload"
	"github.com/mepc/mepc-run/modules/on"
	"github.com/mepc/mepc-run/modules/std"
	"github.com/mepc/mepc-run/runtime"
)

// garden is a directory of recipes that is kept loaded.
type garden struct {
	t     testing.TB
	dir   string
	tree  *reload.Tree
	specs func(files fs.FS, name string) error
	load  func(ctx context.Context, job *reload.Job, out io.Writer, l *reload.Loader) error // instead of l.Serve
	jobs  atomic.Int64

	mu   sync.Mutex
	told []string
	more chan struct{} // closed when something is told
}

func open(t testing.TB, dir string, files map[string]string) *garden {
	t.Helper()
	return (&garden{t: t, dir: dir}).open(files)
}

func (g *garden) open(files map[string]string) *garden {
	t, dir := g.t, g.dir
	t.Helper()
	g.more = make(chan struct{})
	for name, text := range files {
		g.write(name, text)
	}
	host := runtime.New(runtime.Options{
		Modules: append(std.Modules(std.Options{}), on.New()), Limits: runtime.Limits{Steps: 1_000_000}, Cache: &runtime.Cache{},
	})
	loader := &reload.Loader{
		Host: host, Linter: lint.New(host, runtime.Limits{}), Library: reload.Files{},
		Specs: func(_ context.Context, files fs.FS, name string) ([]string, error) {
			if g.specs == nil {
				return nil, nil
			}
			return nil, g.specs(files, name)
		},
	}
	var err error
	g.tree, err = reload.Open(reload.Options{
		Dir: dir, Load: g.through(loader), Library: reload.Files{}, Clock: clock.Wall{},
		Told: func(r *reload.Recipe, err error) {
			g.mu.Lock()
			defer g.mu.Unlock()
			close(g.more)
			g.more = make(chan struct{})
			if r == nil {
				g.told = append(g.told, err.Error())
			} else {
				g.told = append(g.told, r.Name+": "+r.Trouble)
			}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	g.tree.Load(t.Context())
	return g
}

// through has jobs done by a loader as a process would do them: all that they say
// goes through JSON.
func (g *garden) through(loader *reload.Loader) func(context.Context, *reload.Job, func(*reload.Facts)) error {
	return func(ctx context.Context, job *reload.Job, told func(*reload.Facts)) error {
		g.jobs.Add(1)
		data, err := json.Marshal(job)
		if err != nil {
			return err
		}
		var sent reload.Job
		if err := json.Unmarshal(data, &sent); err != nil {
			return err
		}
		answers := &reload.Answers{Told: told}
		if g.load != nil {
			return g.load(ctx, &sent, answers, loader)
		}
		return loader.Serve(ctx, &sent, answers)
	}
}

// watch begins to watch.
func (g *garden) watch() {
	ctx, stop := context.WithCancel(g.t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		g.tree.Watch(ctx)
	}()
	g.t.Cleanup(func() { stop(); <-done })
}

func (g *garden) write(name, text string) {
	g.t.Helper()
	p := filepath.Join(g.dir, name)
	if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
		g.t.Fatal(err)
	}
	// As editors do it.
	if err := os.WriteFile(p+"~", []byte(text), 0o644); err != nil {
		g.t.Fatal(err)
	}
	if err := os.Rename(p+"~", p); err != nil {
		g.t.Fatal(err)
	}
}

// when waits until a recipe is as ok wants it.
func (g *garden) when(name string, ok func(*reload.Recipe) bool) *reload.Recipe {
	g.t.Helper()
	late := time.After(30 * time.Second)
	for {
		changed := g.tree.Changed()
		r := g.tree.Recipe(name)
		if ok(r) {
			return r
		}
		select {
		case <-changed:
		case <-late:
			g.t.Fatalf("%s stays %+v; told: %q", name, r, g.said())
		}
	}
}

func (g *garden) said() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.told)
}

// tells waits until all of want was told: a change is in force before it is told.
func (g *garden) tells(want ...string) {
	g.t.Helper()
	late := time.After(30 * time.Second)
	for {
		g.mu.Lock()
		told, more := slices.Clone(g.told), g.more
		g.mu.Unlock()
		if len(told) >= len(want) {
			if !slices.Equal(told, want) {
				g.t.Errorf("told %q, want %q", told, want)
			}
			return
		}
		select {
		case <-more:
		case <-late:
			g.t.Fatalf("told %q, want %q", told, want)
		}
	}
}

func recipe(param string) string { return "params{" + param + " = {required = true}}\n" }

func has(param string) func(*reload.Recipe) bool {
	return func(r *reload.Recipe) bool {
		return r != nil && r.Version != nil && len(r.Version.Params) == 1 && r.Version.Params[0].Name == param && r.Trouble == ""
	}
}

func troubled(text string) func(*reload.Recipe) bool {
	return func(r *reload.Recipe) bool { return r != nil && strings.Contains(r.Trouble, text) }
}

func TestWhatIsSavedIsTakenAndWhatIsBrokenIsNot(t *testing.T) {
	g := open(t, t.TempDir(), map[string]string{"a.lua": recipe("one"), "b.lua": recipe("b")})
	g.watch()
	first := g.when("a", has("one"))
	b := g.tree.Recipe("b")
	g.write("a.lua", recipe("two"))
	g.when("a", has("two"))
	if first.Version.Params[0].Name != "one" || first.Version.Files["a.lua"] != recipe("one") {
		t.Error("a version that someone has was changed")
	}
	if g.tree.Recipe("b") != b {
		t.Error("b was loaded again, and nothing of it has changed")
	}
	for text, says := range map[string]string{
		"params{":                    "a.lua",
		"params{} undefined_thing()": "E",
		"while true do end":          "1000000",
		"docker_or_so = 1":           "",
		"error('no')":                "no",
		"on.schedule{cron = 'x'}":    "cron",
		" ":                          "empty",
	} {
		g.write("a.lua", text)
		if says == "" {
			continue
		}
		r := g.when("a", troubled(says))
		if r.Version == nil || r.Version.Params[0].Name != "two" {
			t.Errorf("%q: the last good version is gone: %+v", text, r)
		}
	}
	g.write("a.lua", recipe("two"))
	g.when("a", has("two"))

	g.write("new.lua", recipe("n"))
	g.when("new", has("n"))
	if err := os.Rename(filepath.Join(g.dir, "new.lua"), filepath.Join(g.dir, "newer.lua")); err != nil {
		t.Fatal(err)
	}
	g.when("newer", has("n"))
	g.when("new", func(r *reload.Recipe) bool { return r == nil })
}

func TestARecipeIsLoadedAgainWithWhatItRequires(t *testing.T) {
	g := open(t, t.TempDir(), map[string]string{
		"a.lua": `params{} require("lib.x")`, "lib/x.lua": `return require("lib.y")`, "lib/y.lua": "return {}",
		"b.lua": `params{} require("lib.late")`, "part.lua": "return {}", "c.lua": `params{} require("part")`,
	})
	if r := g.tree.Recipe("part"); r != nil {
		t.Errorf("a part of recipes is one: %+v", r)
	}
	if r := g.tree.Recipe("b"); r == nil || !strings.Contains(r.Trouble, "no file lib/late.lua") {
		t.Errorf("what it requires is not there: %+v", r)
	}
	g.watch()
	hash := func(name string) string { return g.tree.Recipe(name).Version.Hash }
	a, c := hash("a"), hash("c")
	g.write("lib/y.lua", "return {y = 1}")
	g.when("a", func(r *reload.Recipe) bool {
		return r.Version.Hash != a && r.Version.Files["lib/y.lua"] == "return {y = 1}"
	})
	g.write("lib/late.lua", "return {}")
	g.when("b", func(r *reload.Recipe) bool { return r.Version != nil && r.Trouble == "" })
	if hash("c") != c {
		t.Error("c was loaded again")
	}
	g.write("lib/y.lua", "return {")
	g.when("a", troubled("lib/y.lua"))
}

func TestManyFilesAreOneChange(t *testing.T) {
	files := map[string]string{}
	for i := range 50 {
		files[fmt.Sprintf("r%d.lua", i)] = `params{} require("lib.v")`
	}
	files["lib/v.lua"] = "return 0"
	at := t.TempDir()
	for v := range 2 { // as Kubernetes lays a ConfigMap out
		dir := filepath.Join(at, fmt.Sprintf("..v%d", v))
		for name := range files {
			text := strings.Replace(files[name], "params{}", "params{v"+strconv.Itoa(v)+" = {}}", 1)
			p := filepath.Join(dir, name)
			if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(p, []byte(strings.Replace(text, "0", strconv.Itoa(v), 1)), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	link := func(to, name string) {
		if err := os.Symlink(to, filepath.Join(at, name+".new")); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(filepath.Join(at, name+".new"), filepath.Join(at, name)); err != nil {
			t.Fatal(err)
		}
	}
	link("..v0", "..data")
	for name := range files {
		if !strings.Contains(name, "/") {
			link("..data/"+name, name)
		}
	}
	link("..data/lib", "lib")
	g := open(t, at, nil)
	g.watch()
	g.when("r7", has("v0"))
	states := 0
	link("..v1", "..data")
	g.when("r7", func(r *reload.Recipe) bool {
		states++
		for _, r := range g.tree.Recipes() {
			v := r.Version.Params[0].Name[1:]
			if r.Version.Files["lib/v.lua"] != "return "+v {
				t.Errorf("%s is mixed: %q", r.Name, r.Version.Files)
			}
		}
		return has("v1")(r)
	})
	if states > 3 {
		t.Errorf("the change was taken in %d parts", states)
	}
}

func TestSpecsDecide(t *testing.T) {
	g := open(t, t.TempDir(), map[string]string{"a.lua": recipe("one")})
	g.specs = func(files fs.FS, name string) error {
		text, err := fs.ReadFile(files, name)
		if err != nil {
			return err
		}
		if strings.Contains(string(text), "fails") {
			return fmt.Errorf("%s: a test failed", name)
		}
		return nil
	}
	g.watch()
	g.write("spec/a_spec.lua", "-- fails")
	r := g.when("a", troubled("a test failed"))
	if r.Version == nil {
		t.Error("the last good version is gone")
	}
	g.write("spec/a_spec.lua", "-- passes")
	g.when("a", has("one"))
	g.tells("a: ", "a: spec/a_spec.lua: a test failed", "a: ")
}

func TestADirectoryThatIsRemovedAndComesBack(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "recipes")
	g := open(t, dir, map[string]string{"a.lua": recipe("one")})
	g.watch()
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	g.when("a", func(r *reload.Recipe) bool { return r == nil || len(g.said()) > 1 || has("one")(r) })
	g.write("a.lua", recipe("two"))
	g.when("a", has("two"))
}
