package sim

import (
	"context"
	"errors"
	"time"

	"github.com/mepc/mepc-run/internal/clock"
)

// patience is how much time passes on the clock before a call without a deadline
// that waits for something gives up: nothing that is due will bring it about.
const patience = 30 * 24 * time.Hour

var errNever = errors.New("it was waited for 30 days on the rehearsal's clock: what is waited for never happens")

// await sleeps on the clock until done, which is called with the lock held,
// returns true. When that cannot be before ctx's deadline it lets the time up to
// the deadline pass and returns context.DeadlineExceeded: the clock's time is
// not that of the deadline, and no one should wait for real.
func (w *World) await(ctx context.Context, done func(now time.Time) bool) error {
	left, bounded := remaining(ctx)
	if !bounded {
		left = patience
	}
	for step := 10 * time.Millisecond; ; step = min(2*step, 10*time.Second) {
		now := w.lock()
		ok := done(now)
		next := w.nextDue()
		w.unlock()
		if ok {
			return nil
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if left <= 0 {
			if bounded {
				return context.DeadlineExceeded
			}
			return errNever
		}
		d := min(step, left)
		if until := next.Sub(now); !next.IsZero() && until > 0 && until < d {
			d = until
		}
		if err := w.clock.Sleep(ctx, d); err != nil {
			return err
		}
		left -= d
	}
}

// sleep lets d pass on the clock; like await it does not outlive the deadline.
func (w *World) sleep(ctx context.Context, d time.Duration) error {
	if left, bounded := remaining(ctx); bounded && left < d {
		if err := w.clock.Sleep(ctx, left); err != nil {
			return err
		}
		return context.DeadlineExceeded
	}
	return w.clock.Sleep(ctx, d)
}

// remaining returns how long ctx's deadline is away, rounded up so that a run
// does not depend on the machine's speed.
func remaining(ctx context.Context) (time.Duration, bool) {
	deadline, ok := ctx.Deadline()
	if !ok {
		return 0, false
	}
	const grain = 100 * time.Millisecond
	left := deadline.Sub(clock.Wall{}.Now())
	return (left + grain - 1) / grain * grain, true
}

// nextDue returns when the next thing happens by itself; zero: nothing will.
func (w *World) nextDue() time.Time {
	var next time.Time
	for _, e := range w.engines {
		if t := e.due; !t.IsZero() && (next.IsZero() || t.Before(next)) {
			next = t
		}
	}
	return next
}
