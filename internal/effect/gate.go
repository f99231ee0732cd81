package effect

import (
	"context"
	"errors"
	"maps"
	"sync"

	"github.com/mepc/mepc-run/internal/clock"
	"github.com/mepc/mepc-run/internal/failure"
)

// Guard looks at an Op before it is done. An error stops it: nothing is sent,
// and the recipe gets the error.
type Guard interface {
	Allow(ctx context.Context, op *Op) error
}

// Gate is the point that all calls of a run pass. It numbers them, shows them to its guards
// and sinks, bounds them in time, and decides what an error means: refused, or
// not known. It is safe for concurrent use.
type Gate struct {
	clock clock.Clock

	mu      sync.Mutex
	guards  []Guard
	sinks   []Sink
	labels  map[string]string
	seq     int
	changed int
	bug     error // the first panic of a sink
}

// NewGate returns a gate that stamps events with clk.
func NewGate(clk clock.Clock, guards []Guard, sinks ...Sink) *Gate {
	return &Gate{clock: clk, guards: guards, sinks: sinks}
}

// AddGuard puts guard before those that there are.
func (g *Gate) AddGuard(guard Guard) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.guards = append([]Guard{guard}, g.guards...)
}

// SetLabel makes Labels return value under name from now on.
func (g *Gate) SetLabel(name, value string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	labels := maps.Clone(g.labels)
	if labels == nil {
		labels = map[string]string{}
	}
	labels[name] = value
	g.labels = labels
}

// Emit shows ev to the sinks, stamped with the time. Steps and log lines come
// this way; calls are emitted by Do. What is wrong with one sink keeps nothing from
// the others: see Bug.
func (g *Gate) Emit(ev Event) {
	ev.Time = g.clock.Now()
	bug := ev.render()
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.bug == nil {
		g.bug = bug
	}
	for _, s := range g.sinks {
		err := failure.Protect(func() error { s.Event(ev); return nil })
		if g.bug == nil {
			g.bug = err
		}
	}
}

// Bug returns the first panic of a sink, or nil. From then on only what undoes a run
// passes.
func (g *Gate) Bug() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.bug
}

// Effects returns how many calls changed, or may have changed, the world.
func (g *Gate) Effects() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.changed
}

// Calls returns how many calls have reached the gate.
func (g *Gate) Calls() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.seq
}

// Do passes op through the gate: call is run unless a guard objects, under
// op.Timeout. call reports progress and its outcome through its context: see
// Report, Note and Unaltered.
func (g *Gate) Do(ctx context.Context, op *Op, call func(context.Context) error) error {
	g.mu.Lock()
	g.seq++
	op.Seq = g.seq
	g.mu.Unlock()
	op.Start = g.clock.Now()
	g.Emit(Event{Type: OpStart, Op: op})

	tr := &track{gate: g, op: op}
	err := g.allow(ctx, op)
	if err == nil {
		err = tr.run(ctx, call)
	} else {
		tr.result.Outcome = Refused
	}
	tr.result.Err = err
	tr.result.Duration = g.clock.Now().Sub(op.Start)
	if tr.result.Changed(op) {
		g.mu.Lock()
		g.changed++
		g.mu.Unlock()
	}
	g.Emit(Event{Type: OpEnd, Op: op, Result: &tr.result})
	return err
}

func (g *Gate) allow(ctx context.Context, op *Op) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	g.mu.Lock()
	guards, bug := g.guards, g.bug
	g.mu.Unlock()
	if bug != nil && !Undoing(ctx) {
		return bug
	}
	for _, guard := range guards {
		if err := guard.Allow(ctx, op); err != nil {
			return err
		}
	}
	return nil
}

// track is the gate's record of one call under way.
type track struct {
	gate   *Gate
	op     *Op
	result Result
}

type trackKey struct{}

func (t *track) run(ctx context.Context, call func(context.Context) error) error {
	t.result.Outcome = OK
	callCtx := context.WithValue(ctx, trackKey{}, t)
	if t.op.Timeout > 0 {
		var cancel context.CancelFunc
		clk := t.op.Clock
		if clk == nil {
			clk = t.gate.clock
		}
		callCtx, cancel = clk.WithTimeout(callCtx, t.op.Timeout,
			failure.New(failure.Timeout, "no answer within %s", t.op.Timeout))
		defer cancel()
	}
	err := call(callCtx)
	if err == nil {
		return nil
	}
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		if cause := context.Cause(callCtx); cause != nil {
			err = cause
		}
	}
	t.result.Outcome = Refused
	if !t.op.Class.Mutates() {
		return err
	}
	if failure.As(err) == nil { // it has no kind: nobody says that nothing was done
		err = failure.Wrap(failure.Unknown, err, "it may have taken effect")
	}
	if lostReply(err) {
		t.result.Outcome = Unknown
	}
	return err
}

// lostReply reports whether err leaves open if the call took effect: the
// request may have been sent, and no answer came.
func lostReply(err error) bool {
	switch failure.KindOf(err) {
	case failure.Unknown, failure.Timeout, failure.Cancelled:
		return true
	}
	return false
}

// Current returns the call that is under way under ctx, or nil outside of one.
func Current(ctx context.Context) *Op {
	if t, ok := ctx.Value(trackKey{}).(*track); ok {
		return t.op
	}
	return nil
}

// Report shows how far the call under ctx has come. Outside of a call it does
// nothing.
func Report(ctx context.Context, p Progress) {
	if t, ok := ctx.Value(trackKey{}).(*track); ok {
		t.gate.Emit(Event{Type: OpProgress, Op: t.op, Progress: &p})
	}
}

// Note describes in a few words the result of the call under ctx.
func Note(ctx context.Context, summary string) {
	if t, ok := ctx.Value(trackKey{}).(*track); ok {
		t.result.Summary = summary
	}
}

// Unaltered says that the call under ctx found the world as wanted and changed
// nothing, as the engine's 304 does.
func Unaltered(ctx context.Context) {
	if t, ok := ctx.Value(trackKey{}).(*track); ok {
		t.result.Outcome = Unchanged
	}
}

// Labels returns what a call under ctx marks as its run's what it creates. The
// map is not to be changed.
func Labels(ctx context.Context) map[string]string {
	t, ok := ctx.Value(trackKey{}).(*track)
	if !ok {
		return nil
	}
	t.gate.mu.Lock()
	defer t.gate.mu.Unlock()
	return t.gate.labels
}

type undoKey struct{}

// Undo marks the context of undo steps of a failed run.
func Undo(ctx context.Context) context.Context { return context.WithValue(ctx, undoKey{}, true) }

// Undoing reports whether ctx is one of Undo.
func Undoing(ctx context.Context) bool { return ctx.Value(undoKey{}) != nil }
