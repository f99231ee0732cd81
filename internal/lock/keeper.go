package lock

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/mepc/mepc-run/internal/clock"
	"github.com/mepc/mepc-run/internal/effect"
	"github.com/mepc/mepc-run/internal/failure"
)

// Keeper has one app's lock for one run. It is a guard of the run's effects.
type Keeper struct {
	place Place
	app   string
	clock clock.Clock

	mu      sync.Mutex
	holder  Holder
	renewed time.Time // when the last renewal that worked was asked for
	lost    bool
	stop    func()
	// stretch is by how much the lock's times are longer: 1, except under a virtual
	// clock that runs for long.
	stretch time.Duration
	count   int // of renewals
}

// Request says who wants a lock, and how long it may take.
type Request struct {
	App    string
	Holder Holder                  // Token and times are filled in
	Wait   time.Duration           // how long to wait for a holder that lives
	Floor  int64                   // the token is above it
	Dead   func(owner string) bool // knows of holders that are no more; may be nil
	Clock  clock.Clock
}

const (
	// A lock that is held is looked at again after this time, and then less often.
	firstPoll, lastPoll = 100 * time.Millisecond, time.Second
	// patience is the longest time a dead holder can keep a lock.
	patience = TTL + 2*time.Second
	// lostReplies is the number of retries when Redis does not answer.
	lostReplies = 3
	// again is the delay before a failed renewal is repeated.
	again = time.Second
)

// Take waits for the lock and takes it. A holder that is seen to renew it lives:
// it is waited for as long as Wait says, and then the error names it. One that
// does not is taken over when its time is up, or at once when it is known to be
// dead; from says whose it was. A clock that is set makes nobody's time be up, nor go
// on: what counts is how long the lock was seen unrenewed.
func Take(ctx context.Context, place Place, q Request) (k *Keeper, from string, err error) {
	begun := q.Clock.Now()
	var first, last *Holder
	var still time.Time // since when last is as it is
	var over *Holder    // to be taken over, as it was seen
	for failed, poll := 0, firstPoll; ; poll = min(2*poll, lastPoll) {
		asked := q.Clock.Now()
		got, err := place.Take(ctx, q.App, q.Holder, over, q.Floor)
		switch {
		case err != nil:
			if failed++; failed > lostReplies || failure.KindOf(err) != failure.Unavailable || ctx.Err() != nil {
				return nil, "", err
			}
		case got.Owner == q.Holder.Owner:
			if last != nil && (over != nil || asked.Sub(begun) > Renewal && last.Renewed.Equal(first.Renewed)) {
				from = last.String()
			}
			return keep(place, q, *got, asked), from, nil
		default:
			failed, over = 0, nil
			if first == nil || first.Owner != got.Owner {
				first = got
			}
			if last == nil || last.Owner != got.Owner || !last.Renewed.Equal(got.Renewed) {
				still = asked
			}
			last = got
			quiet := asked.Sub(still)
			lives := got.Manual() || !got.Renewed.Equal(first.Renewed)
			waited := asked.Sub(begun)
			switch {
			case !got.Manual() && q.Dead != nil && q.Dead(got.Owner):
				over = got
				continue
			case !got.Manual() && (got.late && quiet > Renewal+time.Second || quiet > got.life()):
				over = got // seen on this process's clock, whatever those of others show
				continue
			case lives && waited >= q.Wait, waited >= max(q.Wait, patience):
				return nil, "", busy(q.App, got)
			}
		}
		if err := q.Clock.Sleep(ctx, poll); err != nil {
			return nil, "", err
		}
	}
}

func busy(app string, h *Holder) error {
	e := failure.New(failure.Conflict, "%s is locked by %s", app, h)
	if h.Manual() {
		return e.WithHint("mepc-run lock release %s releases it when that is over", app)
	}
	return e.WithHint("wait until that is done, then run again; --lock-wait 10m waits for it")
}

func keep(place Place, q Request, h Holder, asked time.Time) *Keeper {
	k := &Keeper{place: place, app: q.App, clock: q.Clock, holder: h, renewed: asked, stretch: 1}
	if v, ok := q.Clock.(*clock.Virtual); ok {
		k.renewVirtually(v, Renewal)
		return k
	}
	ctx, stop := context.WithCancel(context.Background())
	done := failure.Go(func() error {
		for k.clock.Sleep(ctx, Renewal) == nil {
			for k.renew(ctx) != nil && !k.isLost() {
				if k.clock.Sleep(ctx, again) != nil {
					return nil
				}
			}
		}
		return nil
	})
	k.stop = func() { stop(); <-done }
	return k
}

// steady is the number of renewals on a virtual clock before they become rarer: a
// day must not take longer than the minutes that matter.
const steady = 60

// renewVirtually renews when a clock that nobody waits for gets that far, and so
// on.
func (k *Keeper) renewVirtually(v *clock.Virtual, after time.Duration) {
	cancel := v.After(after, func() {
		switch err := k.renew(context.Background()); {
		case err == nil:
			k.renewVirtually(v, k.pause())
		case !k.isLost():
			k.renewVirtually(v, again)
		}
	})
	k.mu.Lock()
	k.stop = cancel
	k.mu.Unlock()
}

// pause returns how long the lock need not be renewed.
func (k *Keeper) pause() time.Duration {
	k.mu.Lock()
	defer k.mu.Unlock()
	pause := Renewal * k.stretch
	if k.count++; k.count > steady {
		k.stretch *= 2 // the next renewal makes the lock last as long
	}
	k.holder.Life = TTL * k.stretch
	return pause
}

// Token returns the lock's.
func (k *Keeper) Token() int64 { return k.holder.Token }

// App returns whose lock it is.
func (k *Keeper) App() string { return k.app }

func (k *Keeper) isLost() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.lost
}

// renew asks for the lock once more.
func (k *Keeper) renew(ctx context.Context) error {
	asked := k.clock.Now()
	k.mu.Lock()
	gone, h := asked.Sub(k.renewed) >= TTL*k.stretch, k.holder
	k.mu.Unlock()
	err := failure.Protect(func() error { return k.place.Renew(ctx, k.app, h, gone) })
	k.mu.Lock()
	defer k.mu.Unlock()
	if err == nil && asked.After(k.renewed) {
		k.renewed = asked
	}
	if errors.Is(err, ErrLost) {
		k.lost = true
	}
	return err
}

// show renews the lock now. A connection that broke costs a question, not the answer.
func (k *Keeper) show(ctx context.Context) (err error) {
	for range lostReplies {
		if err = k.renew(ctx); err == nil || k.isLost() || ctx.Err() != nil {
			break
		}
	}
	return err
}

// Allow implements effect.Guard: without the lock nothing is changed. An undo step asks
// once more for a lock that was not renewed in time. Where it ends something, it asks each
// time: a Redis that came back with old data has forgotten the lock, and another run may
// have adopted what this one started. Renewed, the lock keeps others away until the step
// is done.
func (k *Keeper) Allow(ctx context.Context, op *effect.Op) error {
	if !op.Class.Mutates() {
		return nil
	}
	if op.Class == effect.Destructive && effect.Undoing(ctx) && !k.isLost() {
		if err := k.show(ctx); err != nil && !k.isLost() {
			return failure.New(failure.Conflict, "cannot tell whether this run still holds the lock of %s; another run may be changing %s: %s", k.app, op.Target, err.Error()).
				WithHint("does %s answer? run again when it does", k.place)
		}
	}
	k.mu.Lock()
	age, lost, limit := k.clock.Now().Sub(k.renewed), k.lost, Limit*k.stretch
	k.mu.Unlock()
	if !lost && age < limit {
		return nil
	}
	if !lost && effect.Undoing(ctx) && k.show(ctx) == nil {
		return nil
	}
	if k.isLost() {
		return failure.New(failure.Conflict, "the lock of %s is lost: it expired or someone else has taken it", k.app).
			WithHint("mepc-run lock status %s shows who holds it; run again when it is released", k.app)
	}
	return failure.New(failure.Conflict, "the lock of %s was not renewed for %s: someone else may take it at any time", k.app, age.Round(time.Second)).
		WithHint("does %s answer? run again when it does", k.place)
}

// Release gives the lock back.
func (k *Keeper) Release(ctx context.Context) error {
	k.mu.Lock()
	stop := k.stop
	k.mu.Unlock()
	stop()
	if k.isLost() {
		return nil
	}
	return k.place.Release(ctx, k.app, k.holder.Owner)
}

// Leave keeps the lock as it is, and ends its renewal.
func (k *Keeper) Leave() {
	k.mu.Lock()
	stop := k.stop
	k.mu.Unlock()
	stop()
}
