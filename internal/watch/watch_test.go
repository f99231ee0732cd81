package watch

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fsnotify/fsnotify"
	"github.com/google/go-cmp/cmp"

	"github.com/mepc/mepc-run/internal/clock"
)

// faked returns a watcher of /p whose events come from the channel.
func faked() (*Watcher, chan fsnotify.Event) {
	events := make(chan fsnotify.Event)
	return &Watcher{root: "/p", clock: clock.Wall{}, events: events, errors: make(chan error), follow: func(string) error { return nil }}, events
}

func TestChangesAreToldAfterTheLastOfThem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, events := faked()
		go func() {
			for range 5 {
				events <- fsnotify.Event{Name: "/p/spec/a_spec.lua", Op: fsnotify.Write}
				time.Sleep(Delay / 2) // the bubble's time
			}
			events <- fsnotify.Event{Name: "/p/recipes/b.lua", Op: fsnotify.Create}
		}()
		began := time.Now()
		got, err := w.Next(t.Context())
		if d := cmp.Diff([]string{"recipes/b.lua", "spec/a_spec.lua"}, got); d != "" || err != nil {
			t.Error(d, err)
		}
		if took := time.Since(began); took != 5*Delay/2+Delay {
			t.Errorf("told after %s", took)
		}
	})
}

func TestWhatIsNobodysIsNotTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, events := faked()
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Hour, errors.New("nothing was told"))
		defer cancel()
		go func() {
			for _, e := range []fsnotify.Event{
				{Name: "/p/.git/index", Op: fsnotify.Write},
				{Name: "/p/a.lua~", Op: fsnotify.Write},
				{Name: "/p/.a.lua.swp", Op: fsnotify.Create},
				{Name: "/p/a.lua", Op: fsnotify.Chmod},
				{Name: "/p/4913", Op: fsnotify.Create},
			} {
				events <- e
			}
		}()
		if got, err := w.Next(ctx); err == nil || err.Error() != "nothing was told" {
			t.Error(got, err)
		}
	})
}

func TestABrokenWatchIsAnError(t *testing.T) {
	w, events := faked()
	close(events)
	if _, err := w.Next(t.Context()); !errors.Is(err, fsnotify.ErrClosed) {
		t.Error(err)
	}
}

// TestFilesAreWatched saves as editors do, in a directory that is new.
func TestFilesAreWatched(t *testing.T) {
	dir := t.TempDir()
	w, err := New(dir, clock.Wall{})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	next := func(want ...string) {
		t.Helper()
		got, err := w.Next(t.Context())
		if d := cmp.Diff(want, got); d != "" || err != nil {
			t.Fatal(d, err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "spec"), 0o755); err != nil {
		t.Fatal(err)
	}
	next("spec")
	name := filepath.Join(dir, "spec", "a_spec.lua")
	if err := os.WriteFile(filepath.Join(dir, ".new"), []byte("it()"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(dir, ".new"), name); err != nil {
		t.Fatal(err)
	}
	next("spec/a_spec.lua")
	if err := os.WriteFile(name, []byte("it() "), 0o644); err != nil {
		t.Fatal(err)
	}
	next("spec/a_spec.lua")
	if err := os.Remove(name); err != nil {
		t.Fatal(err)
	}
	next("spec/a_spec.lua")
}
