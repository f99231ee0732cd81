package runtime

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	lua "github.com/yuin/gopher-lua"

	"github.com/mepc/mepc-run/internal/clock"
	"github.com/mepc/mepc-run/internal/effect"
	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/internal/sandbox"
)

// Call is one call of a Go function by a recipe. It lives until the function
// returns.
type Call struct {
	run   *Run
	entry sandbox.Entry
	fn    *boundFunc
	where string

	passed []lua.LValue
}

// Passed returns the arguments as they were given, before they were decoded.
func (c *Call) Passed() []lua.LValue { return c.passed }

// Context returns the context of the branch, step and deadline the call is in.
func (c *Call) Context() context.Context { return c.entry.Context() }

// Clock returns the run's clock.
func (c *Call) Clock() clock.Clock { return c.run.opts.Clock }

// Run returns the run that the call is part of.
func (c *Call) Run() *Run { return c.run }

// Where returns the recipe's line, such as "bluegreen.lua:12".
func (c *Call) Where() string {
	if c.where == "" {
		c.where = c.entry.Where(0).String()
	}
	return c.where
}

// Excerpt returns the lines around a position such as "lib/health.lua:12".
func (c *Call) Excerpt(where string) string { return c.run.excerpt(where) }

// Charge counts n steps of work beyond what the arguments and the result are charged
// for. It does not return when the budget is used up.
func (c *Call) Charge(n int) { c.entry.Charge(n) }

// TakeIn counts n bytes that the function is about to make for Lua. It does not
// return when the recipe would hold more than it may.
func (c *Call) TakeIn(n int) { c.entry.TakeIn(n) }

// Room checks that a text of n bytes may be made. It does not return when it may not.
func (c *Call) Room(n int) { c.entry.Room(n) }

// Builder is a text that is being made.
type Builder = sandbox.Builder

// Builder returns an empty text, which cannot become longer than a recipe's may be.
func (c *Call) Builder() *Builder { return c.entry.Builder() }

// eventSteps is what an event costs that a recipe makes: it is shown, and kept.
const eventSteps = 1000

func (c *Call) emit(ev effect.Event) {
	c.entry.Charge(eventSteps)
	c.run.gate.Emit(ev)
}

// Sleep waits on the run's clock while other branches go on.
func (c *Call) Sleep(d time.Duration) error {
	if c.run.early {
		return c.run.tooEarly()
	}
	var err error
	c.entry.Block(func(ctx context.Context) { err = c.run.opts.Clock.Sleep(ctx, d) })
	return err
}

// Block runs f, which must not touch Lua values, while other branches go on.
func (c *Call) Block(f func(ctx context.Context)) { c.entry.Block(f) }

// Function is a Lua function that was passed to a Go function.
type Function struct {
	call *Call
	fn   *lua.LFunction
}

// Callable returns v as a function that was passed to this call; nil when it can not
// be called.
func (c *Call) Callable(v lua.LValue) *Function {
	fn, ok := v.(*lua.LFunction)
	if !ok {
		fn, ok = c.callable(v)
	}
	if !ok {
		return nil
	}
	return &Function{call: c, fn: fn}
}

// callable returns a function that calls v, a table or an object with __call.
func (c *Call) callable(v lua.LValue) (*lua.LFunction, bool) {
	var mt lua.LValue
	switch v := v.(type) {
	case *lua.LTable:
		mt = v.Metatable
	case *lua.LUserData:
		mt = v.Metatable
	}
	t, ok := mt.(*lua.LTable)
	if !ok || c == nil {
		return nil, false
	}
	if _, ok = t.RawGetString("__call").(*lua.LFunction); !ok {
		return nil, false
	}
	return c.run.vm.NewFunction(func(e sandbox.Entry) int {
		out, err := e.Call(v, e.Args()...)
		if err != nil {
			e.Throw(err)
		}
		for _, x := range out {
			e.Push(x)
		}
		return len(out)
	}), true
}

// Call calls the function and returns what it returns, as Lua values that can
// be returned to the recipe as they are. An error that it raises is returned.
func (f *Function) Call(c *Call, args ...any) ([]any, error) {
	return f.CallContext(c, c.Context(), args...)
}

// CallContext is Call with a context of its own, which must be derived from
// c.Context(): everything the function does is bound by it.
func (f *Function) CallContext(c *Call, ctx context.Context, args ...any) ([]any, error) {
	in := make([]lua.LValue, len(args))
	for i, a := range args {
		in[i] = c.toLua(a)
	}
	values, err := c.entry.CallContext(ctx, f.fn, in...)
	if err != nil {
		return nil, c.run.toError(err)
	}
	out := make([]any, len(values))
	for i, v := range values {
		out[i] = v
	}
	return out, nil
}

// Raised calls the function and returns what it raises: the value, and the error that is
// made of it; nil when it raises nothing. What cannot be caught is err.
func (f *Function) Raised(c *Call) (v lua.LValue, e *Error, err error) {
	_, err = c.entry.Call(f.fn)
	if err == nil {
		return nil, nil, nil
	}
	var raised *sandbox.RaisedError
	if e = Catch(c.run.toError(err)); e == nil || !errors.As(err, &raised) {
		return nil, nil, c.run.toError(err)
	}
	return raised.Value, e, nil
}

// Results is what a Go function returns to hand several values to the recipe.
type Results []any

// scope is what a context knows of the steps around a call.
type scope struct{ steps []string }

type scopeKey struct{}

func scopeOf(ctx context.Context) scope {
	s, _ := ctx.Value(scopeKey{}).(scope)
	return s
}

// Step runs f as a named step: the calls within carry its name, and its start,
// end and duration are shown.
func (c *Call) Step(name string, f *Function) ([]any, error) {
	return c.step(c.Context(), name, func(ctx context.Context) ([]any, error) { return f.CallContext(c, ctx) })
}

func (c *Call) step(ctx context.Context, name string, f func(context.Context) ([]any, error)) ([]any, error) {
	outer := scopeOf(ctx).steps
	path := append(outer[:len(outer):len(outer)], c.run.named(name))
	step := effect.Step{Name: path[len(path)-1], Path: path, Branch: c.entry.Branch(), Where: c.Where()}
	start := c.Clock().Now()
	c.emit(effect.Event{Type: effect.StepStart, Step: &step})
	out, err := f(context.WithValue(ctx, scopeKey{}, scope{path}))
	done := step
	done.Duration, done.Err = c.Clock().Now().Sub(start), err
	c.run.gate.Emit(effect.Event{Type: effect.StepEnd, Step: &done}) // also when the budget is used up
	return out, err
}

// maxName is how long the name of a step or a compensation may be.
const maxName = 200

// named returns name as people and journals may see it. Of a long one the end is a
// digest, so that two do not become one.
func (r *Run) named(name string) string {
	clean := r.scrub.Clean(name)
	if len(clean) <= maxName {
		return clean
	}
	return fmt.Sprintf("%s... (%x)", strings.ToValidUTF8(clean[:maxName-20], ""), sha256.Sum256([]byte(clean)))[:maxName]
}

// Once runs f as a named step, unless the run, or the one that it resumes, has a
// value of that name already: then that is returned. The first result is kept; it
// must be a plain value. Without a Memo it is Step.
func (c *Call) Once(name string, f *Function) ([]any, error) {
	memo := c.run.opts.Memo
	if memo == nil {
		return c.Step(name, f)
	}
	key := strings.Join(append(slices.Clone(scopeOf(c.Context()).steps), c.run.named(name)), " > ")
	if v, ok := memo.Recall(key); ok {
		c.Log("info", name+": done before, not done again", nil)
		return []any{c.toLua(v)}, nil
	}
	out, err := c.Step(name, f)
	if err != nil {
		return nil, err
	}
	var plain Value
	if len(out) > 0 {
		lv, _ := out[0].(lua.LValue)
		if plain, err = toGo(&tally{entry: &c.entry}, lv); err != nil {
			return nil, failure.New(failure.Invalid, "%s: once=true keeps what the function returns, which must be a plain value: %s", name, err)
		}
	}
	c.Block(func(context.Context) { err = memo.Keep(key, plain) })
	return out, err
}

// Value converts v as a result would be, for functions that build tables.
func (c *Call) Value(v any) lua.LValue { return c.toLua(v) }

// Log shows a line that the recipe wrote.
func (c *Call) Log(level, text string, fields []effect.Arg) {
	c.emit(effect.Event{Type: effect.LogLine, Log: &effect.Log{
		Level: level, Text: text, Fields: fields, Where: c.Where(),
		Path: scopeOf(c.Context()).steps, Branch: c.entry.Branch(),
	}})
}

// Compensation is a function that undoes something, to be run when the run does
// not succeed.
type Compensation struct {
	run    *Run
	number int
	name   string
	fn     *lua.LFunction
	always bool
	off    bool
	where  string
}

// Cancel makes the compensation not run: what it would undo is wanted now.
func (d *Compensation) Cancel() {
	if !d.off {
		d.off = true
		d.run.gate.Emit(effect.Event{Type: effect.Withdrawn, Undo: d.event()})
	}
}

func (d *Compensation) event() *effect.Compensation {
	return &effect.Compensation{Number: d.number, Name: d.name, Where: d.where, Always: d.always}
}

// maxDeferred bounds the compensations of a run, for one may register the next.
const maxDeferred = 10_000

// Defer registers fn to be run when the run ends without success, or, with
// always, however it ends. The last registered runs first. fn gets the error,
// or nil.
func (c *Call) Defer(name string, fn *Function, always bool) *Compensation {
	if c.run.registered >= maxDeferred {
		c.run.fail(c, failure.New(failure.Limit, "more than %d compensations", maxDeferred))
	}
	c.run.registered++
	d := &Compensation{
		run: c.run, number: c.run.registered,
		name: c.run.named(name), fn: fn.fn, always: always, where: c.Where(),
	}
	c.run.deferred = append(c.run.deferred, d)
	c.emit(effect.Event{Type: effect.Deferred, Undo: d.event()})
	return d
}

// Parallel calls fns in branches, at most limit at once (0: all), and returns
// each branch's first result by index. The first error ends the other branches
// and is returned; with collect, each branch ends by itself and the errors are
// returned by index.
func (c *Call) Parallel(fns []*Function, args [][]any, limit int, collect bool) ([]any, []error, error) {
	branches := make([]sandbox.Branch, len(fns))
	for i, f := range fns {
		branches[i].Fn = f.fn
		if args != nil {
			for _, a := range args[i] {
				branches[i].Args = append(branches[i].Args, c.toLua(a))
			}
		}
	}
	results, err := c.entry.Parallel(branches, sandbox.ParallelOptions{Limit: limit, Collect: collect})
	if err != nil {
		return nil, nil, c.run.toError(err)
	}
	values, errs := make([]any, len(results)), make([]error, len(results))
	for i, r := range results {
		if r.Err != nil {
			errs[i] = c.run.toError(r.Err)
		} else if len(r.Values) > 0 {
			values[i] = r.Values[0]
		}
	}
	return values, errs, nil
}

// Param returns the parameters the recipe declares, decoded. See Params.
func (c *Call) Params(decl *lua.LTable) (any, error) { return c.run.params(c, decl) }

// Declare notes what the recipe says of itself, for Host.Inspect to return; a run
// does nothing with it. It is refused where Inspect would not come to it: after
// params{} or a call to a server.
func (c *Call) Declare(note any) error {
	switch r := c.run; {
	case r.declared != nil:
		return failed("it comes after params{}: what a recipe says of itself comes before")
	case r.gate.Calls() > 0:
		return failed("it comes after a call to a server: what a recipe says of itself comes first")
	default:
		r.notes = append(r.notes, note)
		return nil
	}
}

// Secret makes raw known to the run's scrubber and returns it as a Secret.
func (c *Call) Secret(raw string) Secret {
	c.run.scrub.Add(raw)
	return Secret{raw}
}

// failed returns an error of kind Script raised by the recipe itself.
func failed(format string, args ...any) *Error { return failure.New(failure.Script, format, args...) }
