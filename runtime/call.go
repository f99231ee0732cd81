package runtime

import (
	"context"
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
	state *lua.LState
	fn    *boundFunc
	where string
}

// Context returns the context of the branch, step and deadline the call is in.
func (c *Call) Context() context.Context { return c.run.vm.Context(c.state) }

// Clock returns the run's clock.
func (c *Call) Clock() clock.Clock { return c.run.opts.Clock }

// Run returns the run that the call is part of.
func (c *Call) Run() *Run { return c.run }

// Where returns the recipe's line, such as "bluegreen.lua:12".
func (c *Call) Where() string {
	if c.where == "" {
		c.where = c.run.vm.Where(c.state, 0).String()
	}
	return c.where
}

// Excerpt returns the lines around a position such as "lib/health.lua:12".
func (c *Call) Excerpt(where string) string { return c.run.excerpt(where) }

// Sleep waits on the run's clock while other branches go on.
func (c *Call) Sleep(d time.Duration) error {
	if c.run.early {
		return c.run.tooEarly()
	}
	var err error
	c.run.vm.Block(c.state, func(ctx context.Context) { err = c.run.opts.Clock.Sleep(ctx, d) })
	return err
}

// Block runs f, which must not touch Lua values, while other branches go on.
func (c *Call) Block(f func(ctx context.Context)) { c.run.vm.Block(c.state, f) }

// Function is a Lua function that was passed to a Go function.
type Function struct {
	call *Call
	fn   *lua.LFunction
}

// Function returns fn as one that was passed to this call.
func (c *Call) Function(fn *lua.LFunction) *Function { return &Function{call: c, fn: fn} }

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
		in[i] = c.run.toLua(a)
	}
	values, err := c.run.vm.CallContext(c.state, ctx, f.fn, in...)
	if err != nil {
		return nil, c.run.toError(err)
	}
	out := make([]any, len(values))
	for i, v := range values {
		out[i] = v
	}
	return out, nil
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
	path := append(outer[:len(outer):len(outer)], c.run.scrub.Clean(name))
	step := effect.Step{Name: path[len(path)-1], Path: path, Branch: c.run.vm.Branch(c.state), Where: c.Where()}
	start := c.Clock().Now()
	c.run.gate.Emit(effect.Event{Type: effect.StepStart, Step: &step})
	out, err := f(context.WithValue(ctx, scopeKey{}, scope{path}))
	done := step
	done.Duration, done.Err = c.Clock().Now().Sub(start), err
	c.run.gate.Emit(effect.Event{Type: effect.StepEnd, Step: &done})
	return out, err
}

// Once runs f as a named step, unless the run, or the one that it resumes, has a
// value of that name already: then that is returned. The first result is kept; it
// must be a plain value. Without a Memo it is Step.
func (c *Call) Once(name string, f *Function) ([]any, error) {
	memo := c.run.opts.Memo
	if memo == nil {
		return c.Step(name, f)
	}
	key := c.run.scrub.Clean(strings.Join(append(slices.Clone(scopeOf(c.Context()).steps), name), " > "))
	if v, ok := memo.Recall(key); ok {
		c.Log("info", name+": done before, not done again", nil)
		return []any{c.run.toLua(v)}, nil
	}
	out, err := c.Step(name, f)
	if err != nil {
		return nil, err
	}
	var plain Value
	if len(out) > 0 {
		lv, _ := out[0].(lua.LValue)
		if plain, err = toGo(lv); err != nil {
			return nil, failure.New(failure.Invalid, "%s: once=true keeps what the function returns, which must be a plain value: %s", name, err)
		}
	}
	c.Block(func(context.Context) { err = memo.Keep(key, plain) })
	return out, err
}

// Value converts v as a result would be, for functions that build tables.
func (c *Call) Value(v any) lua.LValue { return c.run.toLua(v) }

// Log shows a line that the recipe wrote.
func (c *Call) Log(level, text string, fields []effect.Arg) {
	c.run.gate.Emit(effect.Event{Type: effect.LogLine, Log: &effect.Log{
		Level: level, Text: text, Fields: fields, Where: c.Where(),
		Path: scopeOf(c.Context()).steps, Branch: c.run.vm.Branch(c.state),
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

// Defer registers fn to be run when the run ends without success, or, with
// always, however it ends. The last registered runs first. fn gets the error,
// or nil.
func (c *Call) Defer(name string, fn *Function, always bool) *Compensation {
	d := &Compensation{
		run: c.run, number: len(c.run.deferred) + 1,
		name: c.run.scrub.Clean(name), fn: fn.fn, always: always, where: c.Where(),
	}
	c.run.deferred = append(c.run.deferred, d)
	c.run.gate.Emit(effect.Event{Type: effect.Deferred, Undo: d.event()})
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
				branches[i].Args = append(branches[i].Args, c.run.toLua(a))
			}
		}
	}
	results, err := c.run.vm.Parallel(c.state, branches, sandbox.ParallelOptions{Limit: limit, Collect: collect})
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
