package failure_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/mepc/mepc-run/internal/failure"
)

func TestExitCodesAreDistinctAndSurviveWrapping(t *testing.T) {
	seen := map[int]failure.Kind{}
	for _, k := range failure.Kinds() {
		if other, ok := seen[k.Exit]; ok {
			t.Errorf("%s and %s share exit code %d", k.Kind, other, k.Exit)
		}
		seen[k.Exit] = k.Kind
		err := fmt.Errorf("while deploying: %w", failure.New(k.Kind, "x"))
		if got := failure.ExitCode(err); got != k.Exit {
			t.Errorf("%s: exit code %d, want %d", k.Kind, got, k.Exit)
		}
		if k.Doc == "" {
			t.Errorf("%s has no doc", k.Kind)
		}
	}
	if got := failure.ExitCode(nil); got != 0 {
		t.Errorf("no error: exit code %d", got)
	}
	if got := failure.ExitCode(errors.New("x")); got != 70 {
		t.Errorf("an error of no kind: exit code %d, want that of a bug", got)
	}
}

func TestErrorTextNamesTheCallAndItsTarget(t *testing.T) {
	e := failure.Wrap(failure.NotFound, errors.New("No such container: app"), "inspect")
	e.Op, e.Target = "docker.start", "app"
	if got, want := e.Error(), "docker.start app: inspect: No such container: app"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestCallersLeaveTheLibraryOut(t *testing.T) {
	trace := []string{"lib/a.lua:7: in start", "lib/a.lua:9", "lib/a.lua.lua:9", "deploy.lua:3: in again (2 times)", "deploy.lua:5"}
	for _, c := range []struct {
		where   string
		library []string
		all     bool
		want    string
		hidden  int
	}{
		{"lib/a.lua:7", []string{"lib/a.lua"}, false, "lib/a.lua.lua:9, deploy.lua:3: in again (2 times), deploy.lua:5", 1},
		{"lib/a.lua:70", []string{"lib/a.lua"}, false, "lib/a.lua.lua:9, deploy.lua:3: in again (2 times), deploy.lua:5", 2},
		{"lib/a.lua:7", []string{"lib/a.lua", "lib/a.lua.lua", "deploy.lua"}, false, "", 4},
		{"lib/a.lua:7", []string{"lib/a.lua"}, true, strings.Join(trace[1:], ", "), 0},
		{"", nil, false, strings.Join(trace, ", "), 0},
	} {
		e := &failure.Error{Where: c.where, Trace: trace, Library: c.library}
		if lines, hidden := e.Callers(c.all); strings.Join(lines, ", ") != c.want || hidden != c.hidden {
			t.Errorf("%+v: %q, %d", c, lines, hidden)
		}
	}
}
