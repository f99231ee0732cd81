package runtime

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	lua "github.com/yuin/gopher-lua"

	"github.com/mepc/mepc-run/internal/clock"
	"github.com/mepc/mepc-run/internal/effect"
	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/internal/sandbox"
	"github.com/mepc/mepc-run/internal/sandbox/show"
)

// Caller is a Go function as a recipe can call it. Effect and Inline make one.
type Caller interface {
	// signature returns the types of the receiver, of the arguments and of the
	// result.
	signature() (self, args, result reflect.Type)
	invoke(c *Call, self any, values []lua.LValue) (any, error)
	// most returns how many bytes the result may have; 0: as many as a run may hold.
	most() int
}

// Effect makes a Caller of a function that does something to the world, or
// looks at it. It passes the gate, runs without the baton (other branches go on
// meanwhile) and must not keep a past its return. The context carries the run's
// deadline and that of the call. A method expression such as (*Engine).start
// fits: the receiver comes first.
func Effect[S, A, R any](f func(self S, ctx context.Context, a *A) (R, error)) Caller {
	return effectCaller[S, A, R](f)
}

// Inline makes a Caller of a function that stays within the program: it
// computes, or calls Lua functions it was given. It runs with the baton held,
// so it must not block. Before the call its arguments are charged to the run, by
// nodes and bytes, and after it its result, which has a bound: work in proportion to
// them needs nothing more. What makes more of them, or takes longer, asks its Call
// first: Charge, TakeIn, Room, Builder. A Lua value that is only passed on is tagged
// asis: it is not charged, and not to be looked into.
func Inline[S, A, R any](f func(self S, c *Call, a *A) (R, error)) Caller {
	return inlineCaller[S, A, R](f)
}

// None is the argument struct of functions that take nothing, and the result of
// those that return nothing.
type None struct{}

type effectCaller[S, A, R any] func(S, context.Context, *A) (R, error)

func (effectCaller[S, A, R]) signature() (self, args, result reflect.Type) {
	return reflect.TypeFor[S](), reflect.TypeFor[A](), reflect.TypeFor[R]()
}

// most: what a server answered is not refused after it did what was asked.
func (effectCaller[S, A, R]) most() int { return 0 }

func (f effectCaller[S, A, R]) invoke(c *Call, self any, values []lua.LValue) (any, error) {
	a := new(A)
	if err := c.decode(values, reflect.ValueOf(a).Elem()); err != nil {
		return nil, err
	}
	s := self.(S)
	op := c.op(self, reflect.ValueOf(a).Elem())
	var out R
	err := c.pass(op, func(ctx context.Context) (err error) {
		if err := c.reachesOnlyTheWorld(); err != nil {
			return err
		}
		out, err = f(s, ctx, a)
		return err
	})
	return result(out), err
}

// reachesOnlyTheWorld refuses, in a world where nothing real is reached, what does not
// act through that world: it would really be done.
func (c *Call) reachesOnlyTheWorld() error {
	w, ok := c.run.opts.World.(interface{ Rehearsed() bool })
	if !ok || !w.Rehearsed() || c.fn.perRun() || c.fn.Class == effect.Pure {
		return nil
	}
	return failure.New(failure.NotModelled, "%s does not act through the run's servers: in a rehearsal it would really be done", c.fn.name).
		WithHint("its module takes its connections from servers.Access: Self: runtime.PerRun(func(a servers.Access) ...)")
}

type inlineCaller[S, A, R any] func(S, *Call, *A) (R, error)

func (inlineCaller[S, A, R]) signature() (self, args, result reflect.Type) {
	return reflect.TypeFor[S](), reflect.TypeFor[A](), reflect.TypeFor[R]()
}

func (inlineCaller[S, A, R]) most() int { return maxConverted }

func (f inlineCaller[S, A, R]) invoke(c *Call, self any, values []lua.LValue) (any, error) {
	a := new(A)
	if err := c.decode(values, reflect.ValueOf(a).Elem()); err != nil {
		return nil, err
	}
	out, err := f(self.(S), c, a)
	return result(out), err
}

func result(out any) any {
	if _, none := out.(None); none {
		return nil
	}
	return out
}

// decode fills dst, the function's argument struct, from the Lua values.
func (c *Call) decode(values []lua.LValue, dst reflect.Value) error {
	d := decoder{call: c, tally: tally{entry: &c.entry}}
	if err := d.args(c.fn.fields, c.fn.named, values, dst); err != nil {
		if errors.Is(err, errConverted) {
			return failure.New(failure.Limit, "%s", err.Error())
		}
		return failure.New(failure.Invalid, "%s", err.Error()).WithHint("%s", c.fn.usage())
	}
	if v, ok := dst.Addr().Interface().(interface{ Validate() error }); ok {
		if err := v.Validate(); err != nil {
			if e := failure.As(err); e != nil {
				return e // it has a kind of its own
			}
			return failure.New(failure.Invalid, "%s", err.Error()).WithHint("%s", c.fn.usage())
		}
	}
	return nil
}

// op describes the call to the gate.
func (c *Call) op(self any, args reflect.Value) *effect.Op {
	op := c.newOp(self)
	h := c.run.host
	for i := range c.fn.fields {
		f := &c.fn.fields[i]
		v := args.FieldByIndex(f.index)
		if v.IsZero() {
			continue
		}
		if f.Target && op.Target == "" {
			op.Target = h.display(v)
			continue
		}
		op.Args = append(op.Args, effect.Arg{Name: f.Name, Value: h.display(v)})
	}
	if d, ok := args.Addr().Interface().(interface{ Op(*effect.Op) }); ok {
		d.Op(op)
	}
	c.clean(op)
	return op
}

// maxTarget is how much of a target's name is shown.
const maxTarget = 1 << 10

// clean makes op fit to be seen.
func (c *Call) clean(op *effect.Op) {
	op.Target = show.Text(c.run.scrub.Clean(op.Target), maxTarget)
	for i, a := range op.Args {
		op.Args[i].Value = shorten(c.run.scrub.Clean(a.Value))
	}
}

func (c *Call) newOp(self any) *effect.Op {
	scope := scopeOf(c.Context())
	op := &effect.Op{
		Name: c.fn.name, Class: c.fn.Class, Where: c.Where(),
		Scope: scope.steps, Branch: c.entry.Branch(), Timeout: c.fn.Timeout,
	}
	if e, ok := self.(interface{ Endpoint() string }); ok {
		op.Endpoint = c.run.scrub.Clean(e.Endpoint())
	}
	if s, ok := self.(interface{ Clock() clock.Clock }); ok {
		op.Clock = s.Clock()
	}
	return op
}

// pass takes op through the gate with the baton given up.
func (c *Call) pass(op *effect.Op, f func(context.Context) error) error {
	if c.run.early {
		return c.run.tooEarly()
	}
	c.entry.Charge(eventSteps)
	var err error
	c.entry.Block(func(ctx context.Context) {
		err = c.run.gate.Do(ctx, op, f)
	})
	if e := failure.As(err); e != nil && e.Target == "" {
		e.Target = op.Target
	}
	return err
}

func (r *Run) tooEarly() error {
	if r.trying {
		return &sandbox.StoppedError{Cause: errDescribed} // that is as far as it goes
	}
	return failure.New(failure.Denied, "it comes before params{}: a recipe says what it takes before it does anything")
}

// Gate passes a call that an Inline function makes up as it goes, such as a
// transaction collected by a Lua function, through the gate. target and args
// are what people will see of it.
func (c *Call) Gate(self any, class Class, target string, args []effect.Arg, f func(context.Context) error) error {
	op := c.newOp(self)
	op.Class, op.Target, op.Args = class, target, slices.Clone(args)
	c.clean(op)
	return c.pass(op, f)
}

// maxUsage is how long a usage may be and still be read.
const maxUsage = 120

// maxOptions is how many names of options can be read as well.
const maxOptions = 16

// usage returns how the function is called, in one line. Of many options it has
// the names of the first.
func (b *boundFunc) usage() string {
	text := Signature(b.name, b.fields)
	if len(text) <= maxUsage {
		return "usage: " + text
	}
	var first []Field
	var options []string
	for _, f := range b.fields {
		if f.Pos || f.Required {
			first = append(first, f)
		} else {
			options = append(options, f.Name)
		}
	}
	if more := len(options) - maxOptions; more > 0 {
		options = append(options[:maxOptions], fmt.Sprintf("and %d more", more))
	}
	return fmt.Sprintf("usage: %s; options: %s", Signature(b.name, first), strings.Join(options, ", "))
}
