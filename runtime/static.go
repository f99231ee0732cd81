package runtime

import (
	"context"
	"errors"
	"reflect"

	lua "github.com/yuin/gopher-lua"

	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/internal/sandbox"
)

// What is asked by those who read recipes and do not run them.

// Standard returns Lua's own globals that recipes have, each with the names of
// its members when it is a library.
func (h *Host) Standard() map[string][]string {
	vm := sandbox.New(sandbox.Options{Limits: h.opts.Limits})
	defer vm.Close()
	return vm.Members()
}

// Declaration is what a recipe says of itself before it does anything.
type Declaration struct {
	Params []Param // nil: it has no params{}
	Notes  []any   // what Call.Declare was given, in the order of the calls
}

// Inspect runs recipe up to its params{} or to its first call to a server or wait,
// whichever comes first, and returns what it has declared until then, or what goes
// wrong. Nothing reaches a server.
func (h *Host) Inspect(ctx context.Context, recipe *Recipe, world any) (*Declaration, error) {
	r := h.newRun(recipe, RunOptions{World: world})
	defer r.vm.Close()
	r.early, r.describing, r.trying = true, true, !recipe.Declares()
	_, err := r.vm.Run(ctx, recipe.program)
	declared := &Declaration{r.declared, r.notes}
	if errors.Is(err, errDescribed) {
		return declared, nil
	}
	err = r.finish(err)
	if err == nil || r.trying && failure.KindOf(err) == failure.Denied {
		return declared, nil // only the operator of a run knows what it may see
	}
	return nil, err
}

// Try is Inspect for those who ask only what goes wrong.
func (h *Host) Try(ctx context.Context, recipe *Recipe, world any) error {
	_, err := h.Inspect(ctx, recipe, world)
	return err
}

// Check returns what the decoder would say to v, a literal, as the value of f.
// path is what it calls the field.
func (f *Field) Check(path string, v lua.LValue) error {
	d := decoder{}
	if v == lua.LNil {
		if f.Required && f.Default == "" {
			return errMissing(path, f)
		}
		return nil
	}
	if f.Rest {
		return d.value(f, path, v, reflect.New(f.goT.Elem()).Elem())
	}
	return d.value(f, path, v, reflect.New(f.goT).Elem())
}

// Check returns what is wrong with a call whose arguments are all literals.
func (f *Func) Check(values []lua.LValue) error {
	_, args, _ := f.Call.signature()
	dst := reflect.New(args)
	d := decoder{}
	fields := fieldsOf(args)
	if err := d.args(fields, namedFields(fields), values, dst.Elem()); err != nil {
		return err
	}
	if v, ok := dst.Interface().(interface{ Validate() error }); ok {
		return v.Validate()
	}
	return nil
}

// Gives reports whether what f returns is an object of type t.
func (f *Func) Gives(t *Type) bool {
	_, _, result := f.Call.signature()
	return t.Of != nil && result == t.goType()
}

// Collection reports whether f takes a list or a table of values, rather than
// one.
func (f *Field) Collection() bool {
	t := f.goT
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return t.Kind() == reflect.Slice || t.Kind() == reflect.Map
}
