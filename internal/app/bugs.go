package app

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	goruntime "runtime"
	"strings"

	"github.com/mepc/mepc-run/internal/clock"
	"github.com/mepc/mepc-run/internal/failure"
)

// keepBugs is the number of bug reports kept in the state directory.
const keepBugs = 20

// bug writes a report of err, when that is a bug of ours, and returns err with what
// to do about it. Where there is no room for a file, the report is in the error.
func (in *invocation) bug(err error) error {
	e := failure.As(err)
	if err == nil || e != nil && e.Kind != failure.Internal && e.Stack == "" {
		return err
	}
	if e == nil {
		e = failure.Wrap(failure.Internal, err, "unexpected")
	}
	told := *e
	told.Stack = ""
	var path string
	wrote := failure.Protect(func() (err error) {
		path, err = in.keepBug(in.bugText(e))
		return err
	})
	if wrote != nil {
		told.Hint, told.Details = "this is a bug in mepc-run: please report it with the lines above", strings.TrimSpace(e.Details+"\n"+e.Stack)
	} else {
		told.Hint = "this is a bug in mepc-run: please report it, with the file " + path
	}
	if e.Kind != failure.Internal && e.Hint != "" && !strings.HasPrefix(e.Hint, "this is a bug") {
		told.Hint = e.Hint + "\n" + told.Hint
	}
	return &told
}

// bugText renders what helps to fix the bug, without the secrets of the run.
func (in *invocation) bugText(e *failure.Error) string {
	var b strings.Builder
	line := func(name, text string) {
		if text != "" {
			fmt.Fprintf(&b, "%-9s%s\n", name, text)
		}
	}
	b.WriteString("A bug in mepc-run. The secrets of the run are not in here; look through it before you send it.\n\n")
	line("what", e.Error())
	line("kind", string(e.Kind))
	line("version", buildOf(in.env).String()+" "+goruntime.GOOS+"/"+goruntime.GOARCH)
	line("time", clock.Wall{}.Now().UTC().Format("2006-01-02T15:04:05Z"))
	line("recipe", in.recipe)
	if r := in.underway.Load(); r != nil {
		line("run", r.journal.ID())
	}
	line("where", e.Where)
	for _, part := range []struct{ name, text string }{
		{"the recipe", e.Excerpt}, {"Lua stack, innermost first", strings.Join(e.Trace, "\n")}, {"state", e.State}, {"details", e.Details}, {"Go stack", e.Stack},
	} {
		if part.text != "" {
			fmt.Fprintf(&b, "\n%s:\n%s\n", part.name, part.text)
		}
	}
	if r := in.underway.Load(); r != nil {
		return r.clean(b.String())
	}
	return b.String()
}

// keepBug writes a report to the state directory, or where the system keeps what is
// temporary.
func (in *invocation) keepBug(text string) (path string, err error) {
	dirs := []string{filepath.Join(os.TempDir(), fmt.Sprintf("mepc-run-bugs-%d", os.Getuid()))}
	if state, err := in.stateDir(); err == nil {
		dirs = append([]string{filepath.Join(state.Path(), "bugs")}, dirs...)
	}
	name := fmt.Sprintf("%s-%d.txt", clock.Wall{}.Now().UTC().Format("20060102T150405.000"), os.Getpid())
	var errs []error
	for _, dir := range dirs {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			errs = append(errs, err)
			continue
		}
		if old, _ := filepath.Glob(filepath.Join(dir, "*.txt")); len(old) >= keepBugs {
			for _, path := range old[:len(old)-keepBugs+1] { // by time, as they are named
				_ = os.Remove(path)
			}
		}
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			errs = append(errs, err)
			continue
		}
		return path, nil
	}
	return "", errors.Join(errs...)
}

// unshown tells its user of a bug that kept the end of a run from being shown.
func (in *invocation) unshown(err, bug error) error {
	bug = in.bug(bug)
	e := failure.As(bug)
	_ = failure.Protect(func() error {
		if err != nil {
			fmt.Fprintf(in.env.Stderr, "error: %s\n", cmp.Or(in.cleaned(err.Error()), "no message"))
		}
		_, err := fmt.Fprintf(in.env.Stderr, "error: %s\n  next: %s\n", in.cleaned(e.Error()), e.Hint)
		return err
	})
	return shown{bug}
}

// cleaned returns text without the secrets of the run.
func (in *invocation) cleaned(text string) string {
	if r := in.underway.Load(); r != nil {
		return r.clean(text)
	}
	return text
}
