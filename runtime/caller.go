package runtime

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"

	lua "github.com/yuin/gopher-lua"

	"github.com/mepc/mepc-run/internal/effect"
	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/internal/sandbox"
)

// Caller is a Go function as a recipe can call it. Effect and Inline make one.
type Caller interface {
	// signature returns the types of the receiver, of the arguments and of the
	// result.
	signature() (self, args, result reflect.Type)
	invoke(c *Call, self any, values []lua.LValue) (any, error)
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
// so it must not block.
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

func (f effectCaller[S, A, R]) invoke(c *Call, self any, values []lua.LValue) (any, error) {
	a := new(A)
	if err := c.decode(values, reflect.ValueOf(a).Elem()); err != nil {
		return nil, err
	}
	s := self.(S)
	op := c.op(self, reflect.ValueOf(a).Elem())
	var out R
	err := c.pass(op, func(ctx context.Context) (err error) {
		out, err = f(s, ctx, a)
		return err
	})
	return result(out), err
}

type inlineCaller[S, A, R any] func(S, *Call, *A) (R, error)

func (inlineCaller[S, A, R]) signature() (self, args, result reflect.Type) {
	return reflect.TypeFor[S](), reflect.TypeFor[A](), reflect.TypeFor[R]()
}

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
	d := decoder{call: c}
	if err := d.args(c.fn.fields, c.fn.named, values, dst); err != nil {
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

// clean makes op fit to be seen.
func (c *Call) clean(op *effect.Op) {
	op.Target = c.run.scrub.Clean(op.Target)
	for i, a := range op.Args {
		op.Args[i].Value = shorten(c.run.scrub.Clean(a.Value))
	}
}

func (c *Call) newOp(self any) *effect.Op {
	scope := scopeOf(c.Context())
	op := &effect.Op{
		Name: c.fn.name, Class: c.fn.Class, Where: c.Where(),
		Scope: scope.steps, Branch: c.run.vm.Branch(c.state), Timeout: c.fn.Timeout,
	}
	if e, ok := self.(interface{ Endpoint() string }); ok {
		op.Endpoint = c.run.scrub.Clean(e.Endpoint())
	}
	return op
}

// pass takes op through the gate with the baton given up.
func (c *Call) pass(op *effect.Op, f func(context.Context) error) error {
	if c.run.early {
		return c.run.tooEarly()
	}
	var err error
	c.run.vm.Block(c.state, func(ctx context.Context) {
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
