package failure_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/mepc/mepc-run/internal/failure"
)

func TestAPanicInAGoroutineIsAnError(t *testing.T) {
	t.Parallel()
	panics := func() error { panic("a planted bug") }
	g, ctx := failure.NewGroup(t.Context(), 2)
	g.Go(panics)
	done := failure.Go(panics)
	for _, err := range []error{g.Wait(), <-done} {
		if f := failure.As(err); f == nil || f.Kind != failure.Internal || !strings.Contains(f.Message, "a planted bug") || f.Stack == "" {
			t.Errorf("got %v", err)
		}
	}
	if ctx.Err() == nil {
		t.Error("the group's context goes on")
	}
	if _, open := <-done; open {
		t.Error("the channel is open")
	}
}

func TestACrewHandsOverPanicsAndWaits(t *testing.T) {
	t.Parallel()
	var crew failure.Crew
	var bugs, done atomic.Int32
	for range 10 {
		crew.Go(func() { defer done.Add(1); panic("a planted bug") }, func(err error) {
			if failure.As(err).Stack != "" {
				bugs.Add(1)
			}
		})
		crew.Go(func() { done.Add(1) }, func(error) { bugs.Add(100) })
	}
	release := crew.Hold()
	var released atomic.Bool
	waited := failure.Go(func() error {
		crew.Wait()
		if !released.Load() {
			t.Error("it did not wait for what holds it")
		}
		return nil
	})
	released.Store(true)
	release()
	<-waited
	if bugs.Load() != 10 || done.Load() != 20 {
		t.Errorf("%d bugs, %d done", bugs.Load(), done.Load())
	}
}

func TestWhatLastsIsCalledAgainAfterAPanic(t *testing.T) {
	t.Parallel()
	calls, told := 0, 0
	failure.Lasting(func() {
		if calls++; calls < 4 {
			panic(errors.New("a planted bug"))
		}
	}, func(error) bool { told++; return true })
	if calls != 4 || told != 3 {
		t.Errorf("%d calls, %d told", calls, told)
	}
	failure.Lasting(func() { calls++; panic("again") }, func(error) bool { return false })
	if calls != 5 {
		t.Error("it was called though it was not to be")
	}
}

func TestAPanicAfterAContextGoesNoFurther(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	called := make(chan struct{})
	failure.After(ctx, func() { defer close(called); panic("a planted bug") })
	cancel()
	<-called
}
