// Package clock is the only place that reads the time or waits for it. A run
// takes a Clock; a live run's is Wall. Nothing else in the program calls
// time.Now or time.Sleep, so that a rehearsal can bring a clock of its own.
package clock

import (
	"context"
	"errors"
	"time"
)

// Clock tells the time and waits. Its methods are safe for concurrent use.
type Clock interface {
	// Now returns the current time.
	Now() time.Time
	// Sleep waits for d, or until ctx ends, whose cause it then returns. A d of
	// zero or less returns at once.
	Sleep(ctx context.Context, d time.Duration) error
	// WithTimeout is context.WithTimeoutCause on this clock: the context ends, with
	// cause, when d has passed here. A nil cause is context.DeadlineExceeded.
	WithTimeout(ctx context.Context, d time.Duration, cause error) (context.Context, context.CancelFunc)
}

// TimedOut reports whether ctx ended because its time was up, on whichever clock.
func TimedOut(ctx context.Context) bool {
	return ctx.Err() != nil && (errors.Is(ctx.Err(), context.DeadlineExceeded) || errors.Is(context.Cause(ctx), context.DeadlineExceeded))
}

// Wall is the machine's own clock.
type Wall struct{}

// Now returns time.Now.
func (Wall) Now() time.Time { return time.Now() }

// WithTimeout is context.WithTimeoutCause.
func (Wall) WithTimeout(ctx context.Context, d time.Duration, cause error) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, d, cause)
}

// Sleep waits on a timer.
func (Wall) Sleep(ctx context.Context, d time.Duration) error {
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	if d <= 0 {
		return nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
