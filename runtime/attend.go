package runtime

import (
	"context"
	"fmt"
	"time"

	"github.com/mepc/mepc-run/internal/clock"
	"github.com/mepc/mepc-run/internal/failure"
)

// What a run consists of (the recipe, the guards' last look, each compensation)
// ends, whatever happens in it: a panic is an error, and Go code that goes on
// although its context has ended is abandoned. So what comes after is always done.

// A function that looks whether a call took effect whose reply was lost does so for
// lookPatience at most after the run's end: what takes longer is stuck.
const (
	maxPatience  = 10 * time.Second
	lookPatience = 3 * time.Second
	minPatience  = 500 * time.Millisecond
	minGrace     = time.Second
)

// patience is what the recipe gets of the grace after its end: half, within bounds.
func (r *Run) patience() time.Duration {
	return min(max(r.opts.Grace/2, min(lookPatience, r.opts.Grace)), maxPatience)
}

// grace is what is left for undoing. Where the clock is the machine's, what the
// recipe took after its end is gone from it.
func (r *Run) grace() time.Duration {
	if _, virtual := r.opts.Clock.(*clock.Virtual); virtual {
		return r.opts.Grace
	}
	return max(r.opts.Grace-r.waited.Round(time.Second), min(minGrace, r.opts.Grace))
}

// attend calls f and returns its error. When ctx has ended, f has some patience
// more, by the machine's clock, for what it still looks up; none when the undoing is
// to end, too. Then f is abandoned, and Lua taken from it.
func (r *Run) attend(ctx context.Context, patience time.Duration, f func(context.Context) error) error {
	done := failure.Go(func() error { return f(ctx) })
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	ended := clock.Wall{}.Now()
	defer func() { r.waited += clock.Wall{}.Now().Sub(ended) }()
	wait, stop := context.WithCancel(context.Background())
	defer stop()
	over := failure.Go(func() error {
		first, end := context.WithCancel(r.opts.Abort)
		defer end()
		defer failure.After(wait, end)()
		_ = clock.Wall{}.Sleep(first, patience-minPatience)
		return clock.Wall{}.Sleep(wait, minPatience)
	})
	select {
	case err := <-done:
		return err
	case <-over:
	}
	r.vm.Abandon()
	return &stuckError{cause: context.Cause(ctx), stacks: failure.Stacks()}
}

// stuckError says that Go code did not return in time.
type stuckError struct {
	cause  error
	stacks string // of all goroutines
}

func (e *stuckError) Error() string {
	return fmt.Sprintf("%s; a function of mepc-run did not stop then, and was abandoned", e.cause)
}

func (e *stuckError) Unwrap() error { return e.cause }
