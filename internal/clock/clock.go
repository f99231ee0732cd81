// Package clock is the only place that reads the time or waits for it. A run
// takes a Clock; a live run's is Wall. Nothing else in the program calls
// time.Now or time.Sleep, so that a rehearsal can bring a clock of its own.
package clock

import (
	"context"
	"time"
)

// Clock tells the time and waits. Both methods are safe for concurrent use.
type Clock interface {
	// Now returns the current time.
	Now() time.Time
	// Sleep waits for d, or until ctx ends, whose cause it then returns. A d of
	// zero or less returns at once.
	Sleep(ctx context.Context, d time.Duration) error
}

// Wall is the machine's own clock.
type Wall struct{}

// Now returns time.Now.
func (Wall) Now() time.Time { return time.Now() }

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
