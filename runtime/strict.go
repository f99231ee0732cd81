package runtime

import (
	"reflect"
	"slices"
	"strings"

	lua "github.com/yuin/gopher-lua"

	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/internal/sandbox"
)

// Partial is a result that may have a part of its fields only: those with a tag `with`, which
// names an option, are there when Asked returns true.
type Partial interface {
	Asked(option string) bool
}

// shape is a table that a Go value becomes: its type, and whether it has all fields.
type shape struct {
	t     reflect.Type
	whole bool
}

// shapeOf returns v's shape.
func shapeOf(v reflect.Value, fields []Field) shape {
	s := shape{v.Type(), true}
	if !slices.ContainsFunc(fields, func(f Field) bool { return f.With != "" }) {
		return s
	}
	if p, ok := v.Interface().(Partial); ok {
		s.whole = !slices.ContainsFunc(fields, func(f Field) bool { return f.With != "" && !p.Asked(f.With) })
	}
	return s
}

// strict returns the metatable of such tables: to read a field that they do not have is an
// error, as it is with a global. One that is nil at times reads as nil.
func (r *Run) strict(s shape, fields []Field) *lua.LTable {
	if mt := r.shapes[s]; mt != nil {
		return mt
	}
	mt := sandbox.NewTable(0, 1)
	mt.RawSetString("__index", r.strictIndex("this result", s, fields))
	if r.shapes == nil {
		r.shapes = map[shape]*lua.LTable{}
	}
	r.shapes[s] = mt
	return mt
}

// strictIndex returns the __index of a table that is called what in messages.
func (r *Run) strictIndex(what string, s shape, fields []Field) *lua.LFunction {
	return r.vm.NewFunction(func(e sandbox.Entry) int {
		name := keyName(e)
		var names []string
		for _, f := range fields {
			missing := f.With != "" && !s.whole
			switch {
			case f.Name == name && missing:
				r.raise(e, "", failure.New(failure.Invalid, "the field %q is not in %s", name, what).
					WithHint("ask for it with %s = true", f.With))
			case f.Name == name:
				e.Push(lua.LNil)
				return 1
			case !missing:
				names = append(names, f.Name)
			}
		}
		r.raise(e, "", failure.New(failure.Invalid, "%s has no field %q%s", what, name, meant(name, fields, names)).
			WithHint("it has %s; rawget(t, %q) reads what may not be there", strings.Join(names, ", "), name))
		return 0
	})
}

// meant is DidYouMean with the names that others have for a field.
func meant(wrong string, fields []Field, names []string) string {
	for _, f := range fields {
		if slices.Contains(f.Alias, strings.ToLower(wrong)) && slices.Contains(names, f.Name) {
			return DidYouMean(f.Name, []string{f.Name})
		}
	}
	return DidYouMean(wrong, names)
}
