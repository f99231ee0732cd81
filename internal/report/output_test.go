package report

import (
	"bytes"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mepc/mepc-run/internal/effect"
	"github.com/mepc/mepc-run/internal/failure"
)

// gated is a writer that waits to be let go.
type gated struct {
	bytes.Buffer
	open chan struct{}
}

func (g *gated) Write(p []byte) (int, error) {
	<-g.open
	return g.Buffer.Write(p)
}

func TestAStoppedReaderHoldsUpARunOnlyBeyondTheBacklog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &gated{open: make(chan struct{})}
		r := New(Options{Mode: Plain, Out: w, Err: w})
		line := strings.Repeat("x", 1<<20)
		var printed int
		var mu sync.Mutex
		go func() {
			for range 8 {
				r.Print(line)
				mu.Lock()
				printed++
				mu.Unlock()
			}
			r.Finish(nil, 0, 0, nil)
		}()
		synctest.Wait()
		mu.Lock()
		if want := backlog / len(line); printed != want {
			t.Errorf("%d lines before the run waited, want %d", printed, want)
		}
		mu.Unlock()
		close(w.open)
		synctest.Wait()
		if err := r.Close(); err != nil {
			t.Error(err)
		}
		if n := strings.Count(w.String(), "\n"); n != 9 {
			t.Errorf("%d lines were written, want 8 and the last one", n)
		}
	})
}

type full struct{ writes int }

var errFull = errors.New("no space left on device")

func (f *full) Write([]byte) (int, error) {
	f.writes++
	return 0, errFull
}

func TestAStreamThatFailedIsLeftAlone(t *testing.T) {
	var w full
	s := stream{w: &w}
	s.write([]byte("a"))
	s.write([]byte("b"))
	if w.writes != 1 || !errors.Is(s.failed, errFull) {
		t.Errorf("%d writes, %v", w.writes, s.failed)
	}
}

func TestCloseReturnsWhyResultsWereLost(t *testing.T) {
	var stderr bytes.Buffer
	r := New(Options{Mode: JSON, Out: &full{}, Err: &stderr})
	r.Finish(failure.New(failure.Script, "no"), 0, 0, nil)
	if err := r.Close(); !errors.Is(err, errFull) {
		t.Errorf("Close returned %v", err)
	}
	if !strings.Contains(stderr.String(), "error: no") {
		t.Errorf("stderr was lost with stdout: %q", stderr.String())
	}
	if err := r.Close(); !errors.Is(err, errFull) {
		t.Errorf("the second Close returned %v", err)
	}
}

func TestCloseWithoutFinishAndAfterIsHarmless(t *testing.T) {
	for _, mode := range []Mode{Live, Plain, JSON} {
		var out, stderr bytes.Buffer
		r := New(Options{Mode: mode, Out: &out, Err: &stderr})
		if err := r.Close(); err != nil {
			t.Error(err)
		}
		r.Event(effect.Event{Type: effect.LogLine, Time: time.Time{}, Log: &effect.Log{Level: "info", Text: "late"}})
		r.Print("late")
		r.Finish(nil, 1, 0, "late")
		if got := out.String() + stderr.String(); got != "" {
			t.Errorf("mode %d wrote %q", mode, got)
		}
	}
}
