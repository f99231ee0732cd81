package runtime

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"

	lua "github.com/yuin/gopher-lua"

	"github.com/mepc/mepc-run/internal/clock"
	"github.com/mepc/mepc-run/internal/effect"
	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/internal/sandbox"
	"github.com/mepc/mepc-run/internal/sandbox/show"
	"github.com/mepc/mepc-run/internal/say"
)

// RunOptions is what one run is given.
type RunOptions struct {
	// World is what modules with a Receiver act on, such as docker and redis. It
	// outlives the run.
	World any
	// Params are the recipe's parameters by name: text as from a command line,
	// or plain values.
	Params map[string]any
	// Sinks get the run's events: see Event.
	Sinks []Sink
	// Guards are asked before each call to a server.
	Guards []Guard
	// Clock is the time that the recipe sees; nil: the machine's.
	Clock clock.Clock
	// Seed makes random numbers repeatable.
	Seed int64
	// Shuffle, when not zero and under a virtual clock, draws in which order
	// parallel branches go on.
	Shuffle int64
	// Timeout ends the run with kind timeout, on Clock; 0: none.
	Timeout time.Duration
	// Grace bounds the compensations after a run that failed; 0: one minute.
	Grace time.Duration
	// Abort, when it ends, ends the compensations, too; nil: nothing does but Grace.
	Abort context.Context
	// Scrub learns the run's secrets; nil: one of the run's own.
	Scrub *Scrubber
	// ID names the run, in labels of what it creates and to whoever finds its lock;
	// empty: it has no name.
	ID string
	// Loaded is told of each file of the recipe before it runs; it may be nil.
	Loaded func(file string, source []byte)
	// Memo keeps what steps with once=true returned; nil: nothing is kept.
	Memo Memo
	// Cover counts which lines are executed; nil: nothing does.
	Cover *Cover
	// Print gets the lines that the recipe prints; nil: they are dropped.
	Print func(line string)
}

// Memo remembers, beyond the run, what is not to be done twice.
type Memo interface {
	// Recall returns the value that was kept under name, if any.
	Recall(name string) (value Value, ok bool)
	// Keep keeps a plain value. When it returns, the value is durable.
	Keep(name string, value Value) error
}

// Cover counts what is executed of a recipe and of the files that it requires.
type Cover = sandbox.Cover

// Covered is what was executed of one file, and Callsite a call in it.
type (
	Covered  = sandbox.Covered
	Callsite = sandbox.Callsite
	Program  = sandbox.Program
	Ref      = sandbox.Ref
)

// Event is one thing that happened in a run, as its Sinks see it.
type Event = effect.Event

// Sink receives events.
type Sink = effect.Sink

// Guard may stop a call before it is sent.
type Guard = effect.Guard

// Ender is a Guard that looks at a run once more when its recipe has come to its end.
// An error makes the run fail, and undo what it deferred.
type Ender interface {
	End(ctx context.Context) error
}

// Result is how a run ended.
type Result struct {
	Value    any           // what the recipe returned, as a plain value without secrets; a list of several
	Effects  int           // how many calls changed, or may have changed, the world
	Duration time.Duration // by the run's clock
	Declared []Param       // the parameters that the recipe declares
}

// Run is one run's state.
type Run struct {
	host   *Host
	recipe *Recipe
	opts   RunOptions
	vm     *sandbox.VM
	gate   *effect.Gate
	scrub  *Scrubber
	loader *loader

	early      bool // params{} is still to come: nothing may be done before
	shapes     map[shape]*lua.LTable
	random     *rand.Rand // made when it is first asked for
	describing bool       // it is only asked for what params{} declares
	trying     bool       // a call before params{} is no error: the run ends there
	declared   []Param
	notes      []any // what Call.Declare was given
	declaredAt string
	unknown    error // a parameter was given that is not declared: no fault of a line
	deferred   []*Compensation
	registered int // how many there were so far
	ends       []ending
	waited     time.Duration // for what went on after its context had ended, by the machine's clock
	sources    map[string][]byte
	metatables map[*boundType]*lua.LTable
	selves     map[*boundModule]any // what Receivers have made

	errorText, errorConcat, errorIndex *lua.LFunction
}

// runLabel marks what a run creates.
const runLabel = "mepc.run"

// graceSteps is the instruction budget of each compensation.
const graceSteps = 10_000_000

// errDescribed ends the run that asks a recipe for its parameters.
var errDescribed = errors.New("parameters described")

// Describe returns the parameters that recipe declares. It runs the recipe in
// world up to its params{}; a call to a server or a wait before that is an error.
// A recipe whose text has no params is not run.
func (h *Host) Describe(ctx context.Context, recipe *Recipe, world any) ([]Param, error) {
	if !recipe.Declares() {
		return nil, nil
	}
	r := h.newRun(recipe, RunOptions{World: world})
	defer r.vm.Close()
	r.describing = true
	_, err := r.vm.Run(ctx, recipe.program)
	if r.declared != nil && errors.Is(err, errDescribed) {
		return r.declared, nil
	}
	return nil, r.finish(err)
}

// Check returns the parameters that recipe declares, as Describe does, and an
// error when given has others.
func (h *Host) Check(ctx context.Context, recipe *Recipe, given map[string]any, world any) ([]Param, error) {
	declared, err := h.Describe(ctx, recipe, world)
	if err == nil {
		err = checkNames(declared, given)
	}
	return declared, err
}

// Run runs recipe. Parameters are checked before anything is done to the world: a
// recipe that declares any cannot call a server, or wait, before its params{}. When
// the run fails, what it deferred is run, newest first, before the error is
// returned; the error is always an *Error.
func (h *Host) Run(ctx context.Context, recipe *Recipe, opts RunOptions) (*Result, error) {
	if !recipe.Declares() {
		if err := checkNames(nil, opts.Params); err != nil {
			return &Result{}, err
		}
	}
	r := h.newRun(recipe, opts)
	defer r.vm.Close()
	ctx, cancel := r.opts.bound(ctx, opts.Timeout, "the run")
	defer cancel()
	start := r.opts.Clock.Now()
	r.loaded(recipe.program.Name, recipe.program.Source)
	value, err := r.main(ctx)
	if r.early {
		if err == nil { // it went around its params{}
			err = checkNames(nil, opts.Params)
		}
		if r.unknown != nil {
			err = r.unknown
		}
		if err != nil {
			r.deferred = nil // nothing was done that could be undone
		}
		r.early = false
	}
	for _, g := range opts.Guards {
		if e, ok := g.(Ender); ok && err == nil {
			err = r.finish(r.attend(ctx, r.patience(), e.End))
		}
	}
	if err == nil {
		err = r.finish(r.gate.Bug())
	}
	undo, done := r.opts.bound(effect.Undo(r.opts.Abort), r.grace(), "undoing")
	defer done()
	err = r.compensate(undo, err)
	r.end(undo)
	err = r.bug(err)
	res := &Result{Effects: r.gate.Effects(), Duration: r.opts.Clock.Now().Sub(start), Declared: r.declared}
	if err == nil {
		res.Value = value
	}
	return res, err
}

// bug returns the error of a run that ended with err: of a bug in what shows or keeps
// it, if there was one.
func (r *Run) bug(err error) error {
	bug := failure.As(r.finish(r.gate.Bug()))
	was := failure.As(err)
	if bug == nil || was != nil && was.Stack != "" {
		return err
	}
	if was != nil {
		bug.Message += "; the run had failed: " + was.Error()
		bug.State, bug.Where, bug.Excerpt, bug.Trace, bug.Library = was.State, was.Where, was.Excerpt, was.Trace, was.Library
	}
	return bug
}

// hangs is how long, by the machine's clock, a part of a run may take in a simulated
// world: far longer than any does that goes on.
const hangs = 5 * time.Minute

// bound bounds a part of the run by d on the run's clock; 0: by nothing. In a
// simulated world the machine's clock ends it, too, but only when it hangs: however
// slow the machine is, the run is the same.
func (o *RunOptions) bound(ctx context.Context, d time.Duration, what string) (context.Context, context.CancelFunc) {
	end, cancel := func() {}, func() {}
	if _, virtual := o.Clock.(*clock.Virtual); virtual {
		real := hangs
		if d > 0 {
			real = min(real, max(10*d, 10*time.Second))
		}
		ctx, end = clock.Wall{}.WithTimeout(ctx, real, failure.New(failure.Timeout, "%s has not ended after %s of real time", what, real))
	}
	if d > 0 {
		ctx, cancel = o.Clock.WithTimeout(ctx, d, failure.New(failure.Timeout, "%s took longer than %s", what, d))
	}
	return ctx, func() { cancel(); end() }
}

// main runs the recipe and returns what it returned, as a plain value.
func (r *Run) main(ctx context.Context) (value Value, err error) {
	out := make(chan Value, 1) // not a variable: the recipe may be abandoned
	err = r.attend(ctx, r.patience(), func(ctx context.Context) error {
		return r.vm.Do(ctx, func(e sandbox.Entry) error {
			values, err := e.Call(r.vm.Load(r.recipe.program))
			if err == nil && len(values) > 0 {
				out <- r.returned(e, values)
			}
			return err
		})
	})
	select {
	case value = <-out:
	default:
	}
	return value, r.finish(err)
}

func (h *Host) newRun(recipe *Recipe, opts RunOptions) *Run {
	if opts.Clock == nil {
		opts.Clock = clock.Wall{}
	}
	if opts.Scrub == nil {
		opts.Scrub = &Scrubber{}
	}
	if opts.Abort == nil {
		opts.Abort = context.Background()
	}
	if opts.Grace == 0 {
		opts.Grace = time.Minute
	}
	r := &Run{
		early: recipe.Declares(),
		host:  h, recipe: recipe, opts: opts, scrub: opts.Scrub,
		gate:       effect.NewGate(opts.Clock, opts.Guards, scrubbed{opts.Scrub, opts.Sinks}),
		sources:    map[string][]byte{recipe.program.Name: recipe.program.Source},
		metatables: map[*boundType]*lua.LTable{}, selves: map[*boundModule]any{},
	}
	if opts.ID != "" {
		r.gate.SetLabel(runLabel, opts.ID)
	}
	r.loader = &loader{run: r, files: &Files{map[string]*required{}}}
	r.vm = sandbox.New(sandbox.Options{
		Limits: h.opts.Limits, Clock: opts.Clock, Seed: opts.Seed, Shuffle: opts.Shuffle, Cover: opts.Cover,
		Print: func(line string) {
			if opts.Print != nil {
				opts.Print(r.scrub.Clean(line))
			}
		},
		Absent: Absent,
	})
	r.errorFuncs()
	for _, m := range h.modules {
		r.install(m)
	}
	return r
}

// Recipe returns what is being run.
func (r *Run) Recipe() *Recipe { return r.recipe }

// Clock returns the run's clock.
func (r *Run) Clock() clock.Clock { return r.opts.Clock }

// Seed returns the seed of the run's random numbers.
func (r *Run) Seed() int64 { return r.opts.Seed }

// Random returns the random numbers of the run's Go functions, which follow from
// its seed. It is for Inline functions: they hold the baton.
func (r *Run) Random() *rand.Rand {
	if r.random == nil {
		r.random = rand.New(rand.NewPCG(uint64(r.opts.Seed), 0))
	}
	return r.random
}

// ID returns the run's name, or "".
func (r *Run) ID() string { return r.opts.ID }

// AddGuard puts guard before the run's others, from the next call on.
func (r *Run) AddGuard(guard Guard) { r.gate.AddGuard(guard) }

// SetLabel makes the run mark what it creates from now on with a label.
func (r *Run) SetLabel(name, value string) { r.gate.SetLabel(name, value) }

// AtEnd makes f be called when all else is over, however the run ended, and what
// was to be undone is. The last one given is called first. It passes the gate as
// a call that only looks, named op: it gives back what the run had for itself.
func (r *Run) AtEnd(op string, f func(context.Context) error) {
	r.ends = append(r.ends, ending{op, f})
}

// ending is a function of AtEnd.
type ending struct {
	op string
	f  func(context.Context) error
}

// endTime bounds each function of AtEnd; when the time for undoing is over,
// minPatience does.
const endTime = 10 * time.Second

func (r *Run) end(undo context.Context) {
	for _, e := range slices.Backward(r.ends) {
		d := endTime
		if undo.Err() != nil {
			d = minPatience
		}
		ctx, done := r.opts.bound(effect.Undo(context.Background()), d, e.op)
		_ = r.attend(ctx, 0, func(ctx context.Context) error { // the sinks are told of its error
			return r.gate.Do(ctx, &effect.Op{Name: e.op, Class: effect.Read, Timeout: d}, e.f)
		})
		done()
	}
}

func (r *Run) loaded(file string, source []byte) {
	if r.opts.Loaded != nil {
		r.opts.Loaded(file, source)
	}
}

// compensate runs what was deferred, newest first, with what a compensation defers
// in its turn, and returns err, with what
// came of that after what its State said before.
func (r *Run) compensate(ctx context.Context, err error) error {
	failedRun := failure.As(err)
	var state, undone []string // all of it, and what is not as it should be
	left := false              // something is not undone
	for len(r.deferred) > 0 {  // a compensation may add to them
		d := r.deferred[len(r.deferred)-1]
		r.deferred = r.deferred[:len(r.deferred)-1]
		if d.off || err == nil && !d.always {
			continue
		}
		begun := ctx.Err() == nil
		text, undoErr := r.undo(ctx, d, failedRun)
		ended := d.event()
		ended.Said, ended.Err = text, undoErr
		r.gate.Emit(effect.Event{Type: effect.Undone, Undo: ended})
		switch {
		case undoErr != nil:
			left = true
			undone = append(undone, d.name+" "+unfinished(ctx, begun)+": "+undoErr.Error())
			state = append(state, undone[len(undone)-1])
			if err == nil {
				err = undoErr
			}
		case text != "":
			state = append(state, text)
		default:
			state = append(state, d.name+": done")
		}
	}
	if e := failure.As(err); e != nil && len(state) > 0 {
		copied := *e
		if e.State != "" { // older than what was undone since
			state = append([]string{"when it failed: " + e.State}, state...)
		}
		if copied.State = strings.Join(state, "\n"); len(copied.State) > maxDetails {
			copied.State = show.Text(strings.Join(append(undone, fmt.Sprintf("of %d in all", len(state))), "\n"), maxDetails)
		}
		if left {
			copied.Hint = strings.Join(append(say.NonEmpty(e.Hint), "see to what FAILED, is NOT FINISHED or NOT DONE: it is as the run left it"), "\n")
		}
		return &copied
	}
	return err
}

// unfinished says how far a compensation came that returned an error.
func unfinished(ctx context.Context, begun bool) string {
	switch {
	case !begun:
		return "NOT DONE"
	case ctx.Err() != nil:
		return "NOT FINISHED"
	}
	return "FAILED"
}

// undo runs one compensation as a step of its own.
func (r *Run) undo(ctx context.Context, d *Compensation, cause *Error) (string, error) {
	if ctx.Err() != nil {
		return "", r.finish(context.Cause(ctx))
	}
	said := make(chan string, 1) // not a variable: it may be abandoned
	err := r.attend(ctx, 0, func(ctx context.Context) error { return r.undoing(ctx, d, cause, said) })
	select {
	case text := <-said:
		return text, r.finish(err)
	default:
		return "", r.finish(err)
	}
}

func (r *Run) undoing(ctx context.Context, d *Compensation, cause *Error, said chan<- string) error {
	return r.vm.Grace(ctx, graceSteps, func(e sandbox.Entry) error {
		c := &Call{run: r, entry: e, fn: &boundFunc{name: "defer"}, where: d.where}
		fn := &Function{call: c, fn: d.fn}
		out, err := c.step(c.Context(), d.name, func(ctx context.Context) ([]any, error) {
			if cause == nil {
				return fn.CallContext(c, ctx)
			}
			return fn.CallContext(c, ctx, cause)
		})
		if err == nil && len(out) > 0 {
			if s, ok := out[0].(lua.LString); ok {
				said <- show.Text(r.scrub.Clean(string(s)), maxText)
			}
		}
		return err
	})
}

// excerpt returns the lines around a position such as "lib/health.lua:12".
func (r *Run) excerpt(where string) string {
	file, line, ok := strings.Cut(where, ":")
	if !ok {
		return ""
	}
	n, err := strconv.Atoi(line)
	if err != nil {
		return ""
	}
	return excerptOf(r.sources[file], n)
}
