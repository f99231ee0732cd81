package clock

import (
	"container/heap"
	"context"
	"sync"
	"time"
)

// Virtual is a clock that nobody waits for. Sleep advances it at once, and
// whatever was registered for the time in between fires in order on the way.
//
// A scheduler of several branches (the Lua VM) puts a Sleeper in the context
// of each, so that their sleeps overlap: it parks the branch, lets the others
// go on, and calls Step only when none of them can.
//
// All methods are safe for concurrent use.
type Virtual struct {
	mu     sync.Mutex
	now    time.Time
	seq    int
	events eventHeap
}

// NewVirtual returns a clock that stands at start.
func NewVirtual(start time.Time) *Virtual { return &Virtual{now: start} }

// Now returns the virtual time.
func (v *Virtual) Now() time.Time {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.now
}

// Sleep lets d pass. With a Sleeper in ctx it leaves that to the Sleeper.
// Without one it fires the events that are due within d and then stands at
// now+d. An ended ctx returns its cause at once and no time passes; nor does any
// pass after the end of a WithTimeout.
func (v *Virtual) Sleep(ctx context.Context, d time.Duration) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if at, ok := v.deadline(ctx); ok {
		d = min(d, at.Sub(v.Now()))
	}
	if d <= 0 {
		return nil
	}
	if s, ok := ctx.Value(sleeperKey{}).(Sleeper); ok {
		return s.SleepVirtual(ctx, v, d)
	}
	v.Advance(d)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return nil
}

// WithTimeout returns a context that ends when d has passed on the clock, and not
// before: no other clock knows of it. Its cause is an error that is both cause and
// context.DeadlineExceeded.
func (v *Virtual) WithTimeout(ctx context.Context, d time.Duration, cause error) (context.Context, context.CancelFunc) {
	if cause == nil {
		cause = context.DeadlineExceeded
	}
	outer, bounded := v.deadline(ctx)
	ctx, end := context.WithCancelCause(ctx)
	at := v.Now().Add(d)
	if d <= 0 {
		end(&expired{cause})
		return ctx, func() {}
	}
	remove := v.At(at, func() { end(&expired{cause}) })
	if !bounded || at.Before(outer) {
		ctx = context.WithValue(ctx, deadlineKey{v}, at)
	}
	return ctx, func() {
		remove()
		end(nil)
	}
}

// deadlineKey is the context key of the earliest deadline that v set.
type deadlineKey struct{ v *Virtual }

func (v *Virtual) deadline(ctx context.Context) (at time.Time, bounded bool) {
	at, bounded = ctx.Value(deadlineKey{v}).(time.Time)
	return at, bounded
}

// expired is the cause of a context whose time is up.
type expired struct{ cause error }

func (e *expired) Error() string { return e.cause.Error() }

// Unwrap makes errors.Is find both.
func (e *expired) Unwrap() []error { return []error{e.cause, context.DeadlineExceeded} }

// Advance fires the events due within d, in order, and then stands at now+d.
func (v *Virtual) Advance(d time.Duration) {
	v.mu.Lock()
	until := v.now.Add(d)
	for len(v.events) > 0 && !v.events[0].at.After(until) {
		v.fire()
	}
	if v.now.Before(until) {
		v.now = until
	}
	v.mu.Unlock()
}

// Step advances to the earliest event and fires it. It returns false when no
// event is left.
func (v *Virtual) Step() bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.events) == 0 {
		return false
	}
	v.fire()
	return true
}

// fire takes the earliest event and runs it without the lock, so that it may
// register others.
func (v *Virtual) fire() {
	e := heap.Pop(&v.events).(*event)
	if e.at.After(v.now) {
		v.now = e.at
	}
	v.mu.Unlock()
	defer v.mu.Lock()
	e.f()
}

// At calls f when the clock gets to t, or with the next step when it is past t
// already. Events of the same time fire in the order in which they were
// registered. f runs on the goroutine that lets the time pass; it may register
// further events and must not sleep. The returned function removes the event.
func (v *Virtual) At(t time.Time, f func()) (cancel func()) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.seq++
	e := &event{at: t, seq: v.seq, f: f}
	heap.Push(&v.events, e)
	return func() {
		v.mu.Lock()
		defer v.mu.Unlock()
		if e.index >= 0 {
			heap.Remove(&v.events, e.index)
		}
	}
}

// After is At(Now().Add(d), f).
func (v *Virtual) After(d time.Duration, f func()) (cancel func()) {
	return v.At(v.Now().Add(d), f)
}

// Sleeper sleeps in place of a branch.
type Sleeper interface {
	// SleepVirtual returns when d has passed on v, or when ctx ended, whose
	// cause it then returns.
	SleepVirtual(ctx context.Context, v *Virtual, d time.Duration) error
}

type sleeperKey struct{}

// WithSleeper returns a context whose virtual sleeps s takes over.
func WithSleeper(ctx context.Context, s Sleeper) context.Context {
	return context.WithValue(ctx, sleeperKey{}, s)
}

type event struct {
	at    time.Time
	seq   int
	index int // in the heap, -1 when out of it
	f     func()
}

type eventHeap []*event

func (h eventHeap) Len() int { return len(h) }

func (h eventHeap) Less(i, j int) bool {
	if !h[i].at.Equal(h[j].at) {
		return h[i].at.Before(h[j].at)
	}
	return h[i].seq < h[j].seq
}

func (h eventHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}

func (h *eventHeap) Push(x any) {
	e := x.(*event)
	e.index = len(*h)
	*h = append(*h, e)
}

func (h *eventHeap) Pop() any {
	old := *h
	e := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	e.index = -1
	return e
}
