package failure_test

import (
	"errors"
	"fmt"
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
