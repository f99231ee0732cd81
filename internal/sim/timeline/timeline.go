// Package timeline is the time of a simulated world and its one lock: taking the
// lock carries out whatever is due, and waiting lets time pass on the clock.
package timeline

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/mepc/mepc-run/internal/clock"
)

// Timeline is a world's time, and the one lock around all that is true at a time.
// Its holder must not sleep on the clock or do I/O.
type Timeline struct {
	clock clock.Clock
	mu    sync.Mutex
	parts []Part
}

// Part is something to which things happen by themselves. Both methods are called
// with the lock held.
type Part interface {
	Settle(now time.Time) // brings about what is due
	Due() time.Time       // when the next thing happens; zero: nothing will
}

// New makes a world's time of a clock.
func New(c clock.Clock) *Timeline { return &Timeline{clock: c} }

// Add adds a part, before anyone else knows the timeline.
func (t *Timeline) Add(p Part) { t.parts = append(t.parts, p) }

// Clock returns the clock.
func (t *Timeline) Clock() clock.Clock { return t.clock }

// Now returns the time.
func (t *Timeline) Now() time.Time { return t.clock.Now() }

// Lock takes the lock and brings about what is due. It returns the time.
func (t *Timeline) Lock() time.Time {
	now := t.clock.Now()
	t.mu.Lock()
	settled := false
	defer func() {
		if !settled { // a bug, which is to be told and not to be waited for
			t.mu.Unlock()
		}
	}()
	for _, p := range t.parts {
		p.Settle(now)
	}
	settled = true
	return now
}

// Hold takes the lock and brings nothing about.
func (t *Timeline) Hold() { t.mu.Lock() }

// Unlock gives the lock back.
func (t *Timeline) Unlock() { t.mu.Unlock() }

// Patience is the time that passes on the clock before a call without a deadline
// that waits for something gives up: nothing that is due will bring it about.
const Patience = 30 * 24 * time.Hour

var errNever = errors.New("30 days of waiting passed on the rehearsal's clock: what is waited for never happens")

// Await sleeps on the clock until done, which is called with the lock held,
// returns true, or ctx ends. What a call may take is to be a limit on that clock
// (clock.Clock.WithTimeout): a deadline of another one says nothing here.
func (t *Timeline) Await(ctx context.Context, done func(now time.Time) bool) error {
	left := Patience
	for step := 10 * time.Millisecond; ; step = min(2*step, 10*time.Second) {
		now := t.Lock()
		ok := done(now)
		next := t.nextDue()
		t.Unlock()
		if ok {
			return nil
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if left <= 0 {
			return errNever
		}
		d := min(step, left)
		if until := next.Sub(now); !next.IsZero() && until > 0 && until < d {
			d = until
		}
		if err := t.clock.Sleep(ctx, d); err != nil {
			return err
		}
		left -= d
	}
}

// Sleep lets d pass on the clock, or until ctx ends.
func (t *Timeline) Sleep(ctx context.Context, d time.Duration) error { return t.clock.Sleep(ctx, d) }

// nextDue returns when the next thing happens by itself; zero: nothing will.
func (t *Timeline) nextDue() time.Time {
	var next time.Time
	for _, p := range t.parts {
		if due := p.Due(); !due.IsZero() && (next.IsZero() || due.Before(next)) {
			next = due
		}
	}
	return next
}
