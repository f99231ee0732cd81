package reload_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/mepc/mepc-run/internal/reload"
)

// dying serves jobs as a process that some files end.
func dying(ends func(item reload.Item, job *reload.Job) bool) func(context.Context, *reload.Job, io.Writer, *reload.Loader) error {
	return func(ctx context.Context, job *reload.Job, out io.Writer, l *reload.Loader) error {
		for i, item := range job.Items {
			one := *job
			one.Items = job.Items[i : i+1]
			if ends(item, job) {
				return errors.New("it was killed")
			}
			if err := l.Serve(ctx, &one, out); err != nil {
				return err
			}
		}
		return nil
	}
}

// What ends the process that loads recipes is trouble of the recipe that did it: it is
// tried once more, in a process of its own, and all others are loaded.
func TestWhatEndsTheLoaderIsTroubleOfItsRecipeAlone(t *testing.T) {
	deadly := func(item reload.Item, job *reload.Job) bool { return strings.Contains(job.Files[item.File], "deadly") }
	g := &garden{t: t, dir: t.TempDir(), load: dying(deadly)}
	files := map[string]string{}
	for i := range 9 {
		files[fmt.Sprintf("r%d.lua", i)] = recipe("v0")
	}
	files["r4.lua"] += "-- deadly"
	g.open(files)
	for _, r := range g.tree.Recipes() {
		if (r.Trouble != "") != (r.Name == "r4") || r.Trouble != "" && r.Trouble != "it was killed" {
			t.Errorf("%s: %q", r.Name, r.Trouble)
		}
	}
	if n := g.jobs.Load(); n > 5 { // it is read, and it is loaded: a process more for each, and one to be sure
		t.Errorf("%d processes were started", n)
	}
	g.watch()
	g.write("r4.lua", recipe("v1"))
	g.when("r4", has("v1"))
	g.write("r4.lua", "-- deadly")
	if r := g.when("r4", troubled("killed")); r.Version == nil || r.Version.Params[0].Name != "v1" {
		t.Errorf("the last good version is gone: %+v", r)
	}
	before := g.jobs.Load()
	g.write("r5.lua", recipe("v1"))
	g.when("r5", has("v1"))
	if n := g.jobs.Load() - before; n != 1 {
		t.Errorf("%d processes for one file: what was found out about others is forgotten", n)
	}
}

// A recipe whose library ends the process is tried again when the library changes.
func TestARecipeThatDiedOfItsLibraryIsTriedAgainWithIt(t *testing.T) {
	g := &garden{t: t, dir: t.TempDir(), load: dying(func(item reload.Item, job *reload.Job) bool {
		return item.Load && strings.Contains(job.Files["lib/x.lua"], "deadly")
	})}
	g.open(map[string]string{"a.lua": `params{one = {}} require("lib.x")`, "lib/x.lua": "return {} -- deadly"})
	g.watch()
	g.when("a", troubled("killed"))
	g.write("lib/x.lua", "return {}")
	g.when("a", has("one"))
}

// Where no process can be started nothing is blamed, and it is tried again.
func TestWithoutALoaderTheDirectoryIsInTrouble(t *testing.T) {
	tries := 0
	g := &garden{t: t, dir: t.TempDir()}
	g.load = func(ctx context.Context, job *reload.Job, out io.Writer, l *reload.Loader) error {
		if tries++; tries == 1 {
			return fmt.Errorf("%w: too many processes", reload.ErrNoLoader)
		}
		return l.Serve(ctx, job, out)
	}
	g.open(map[string]string{"a.lua": recipe("one")})
	if trouble := g.tree.Trouble(); len(trouble) != 1 || !strings.Contains(trouble[0], "too many processes") {
		t.Errorf("trouble: %q", trouble)
	}
	g.watch()
	g.when("a", has("one"))
	g.when("a", func(*reload.Recipe) bool { return len(g.tree.Trouble()) == 0 })
}

// Whatever is put into the directory is its own trouble: what is beside it is loaded.
func TestNothingInTheDirectoryStopsTheRest(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	for name, make := range map[string]func() error{
		"huge":     func() error { return os.Truncate(touch(t, at("huge.lua")), 1<<40) },
		"binary":   func() error { return os.WriteFile(at("binary.lua"), []byte("\x7fELF\xff\xfe\x00"), 0o600) },
		"pipe":     func() error { return syscall.Mkfifo(at("pipe.lua"), 0o600) },
		"nowhere":  func() error { return os.Symlink("/nonexistent/x", at("nowhere.lua")) },
		"itself":   func() error { return os.Symlink("itself.lua", at("itself.lua")) },
		"endless":  func() error { return os.Symlink("/dev/zero", at("endless.lua")) },
		"messages": func() error { return os.Symlink("/proc/self/pagemap", at("messages.lua")) },
		"all":      func() error { return os.Symlink("/", at("all")) },
		"system":   func() error { return os.Symlink("/usr", at("system")) },
		"proc":     func() error { return os.Symlink("/proc", at("proc")) },
		"again":    func() error { return os.Symlink(dir, at("again")) },
		"name":     func() error { return os.WriteFile(at("bad\xff\n.lua"), []byte("params{}"), 0o600) },
		"folder":   func() error { return os.MkdirAll(at("folder.lua/deep"), 0o700) },
		"dashed":   func() error { return os.WriteFile(at("-rf *.lua"), []byte("params{}"), 0o600) },
	} {
		if err := make(); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	g := open(t, dir, map[string]string{
		"good.lua": `params{one = {}} require("lib.x")`, "lib/x.lua": "return {}",
		"infinite.lua": "params{n = {type = 'number', min = -math.huge, max = math.huge}}", "nan.lua": "params{n = {type = 'number', max = 0/0}}",
		"loud.lua": `error(("x"):rep(2^20)) params{}`, "large.lua": `params{n = {default = ("x"):rep(2^21)}}`,
		"odd.lua": `params{n = {default = math.huge}}`,
	})
	if r := g.tree.Recipe("good"); !has("one")(r) {
		t.Errorf("good: %+v", r)
	}
	for name, says := range map[string]string{
		"huge": "larger than 1 MiB", "binary": "not UTF-8", "infinite": "", "nan": "not a number", "loud": "xxx", "large": "declares more than", "odd": "cannot be taken", "-rf *": "",
	} {
		r := g.tree.Recipe(name)
		if r == nil || !strings.Contains(r.Trouble, says) || (says == "") != (r.Trouble == "") || len(r.Trouble) > 5<<10 {
			t.Errorf("%s: %+v", name, r)
		}
	}
	if n := len(g.tree.Trouble()); n > 30 {
		t.Errorf("%d lines of trouble", n)
	}
	trouble := strings.Join(g.tree.Trouble(), "\n")
	for _, says := range []string{"all: the link leads to a directory that the recipes are in", "again: the link", "system: more than 200 directories"} {
		if !strings.Contains(trouble, says) {
			t.Errorf("trouble lacks %q: %s", says, trouble)
		}
	}
	if _, err := json.Marshal(g.tree.Recipes()); err != nil {
		t.Errorf("what the recipes declare cannot be shown: %v", err)
	}
	g.watch()
	g.write("good.lua", recipe("two"))
	g.when("good", has("two"))
}

func touch(t *testing.T, name string) string {
	t.Helper()
	if err := os.WriteFile(name, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// When a server starts, what is good is there before what is hostile has been tried
// to the end.
func TestTheFirstLoadDoesNotWaitForWhatEndsIt(t *testing.T) {
	g := &garden{t: t, dir: t.TempDir()}
	early := false
	g.load = func(ctx context.Context, job *reload.Job, out io.Writer, l *reload.Loader) error {
		early = early || g.tree.Recipe("a") != nil
		select {
		case <-g.tree.Loaded():
			t.Error("all are loaded, it says, and it is asked for more")
		default:
		}
		return dying(func(item reload.Item, _ *reload.Job) bool { return item.Load && item.File == "b.lua" })(ctx, job, out, l)
	}
	g.open(map[string]string{"a.lua": recipe("one"), "b.lua": recipe("one"), "c.lua": recipe("one")})
	if !early {
		t.Error("a waits for b")
	}
	<-g.tree.Loaded()
	if !has("one")(g.tree.Recipe("c")) {
		t.Errorf("%+v", g.tree.Recipe("c"))
	}
}
