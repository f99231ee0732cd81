package on

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/runtime"
)

// Trigger is one declaration of a recipe.
type Trigger struct {
	Source
	Where string // the recipe's line, such as "deploy.lua:3"
}

// Coalesces reports whether a later event may take the place of one that waits.
func (t *Trigger) Coalesces() bool { return t.given().Coalesce }

// Triggers returns those of what a recipe has declared. The error is that of one
// that would give parameters which the recipe does not take.
func Triggers(d *runtime.Declaration) ([]*Trigger, error) {
	var all []*Trigger
	for _, note := range d.Notes {
		t, ok := note.(*Trigger)
		if !ok {
			continue
		}
		if err := t.check(d.Params); err != nil {
			e := failure.New(failure.Invalid, "on.%s: %s", t.Kind(), err)
			e.Where = t.Where
			return nil, e
		}
		all = append(all, t)
	}
	return all, nil
}

// mapping returns which field becomes which parameter of those declared.
func (t *Trigger) mapping(declared []runtime.Param) map[string]string {
	given := t.given()
	if given.Fields != nil {
		return given.Fields
	}
	out := map[string]string{}
	usual := t.usual()
	if usual == nil {
		for _, p := range declared {
			usual = append(usual, p.Name)
		}
	}
	for _, name := range usual {
		if _, fixed := given.Params[name]; !fixed {
			out[name] = name
		}
	}
	return out
}

// check compares what the trigger gives with what the recipe takes.
func (t *Trigger) check(declared []runtime.Param) error {
	names := make([]string, len(declared))
	for i, p := range declared {
		names[i] = p.Name
	}
	mapping, fixed := t.mapping(declared), t.given().Params
	for _, name := range slices.Sorted(maps.Keys(mapping)) {
		if !slices.Contains(names, name) {
			return failure.New(failure.Invalid, "it gives the parameter %s, which params{} does not declare%s", name, runtime.DidYouMean(name, names))
		}
		field := mapping[name]
		if known := t.fields(); known != nil && !slices.Contains(known, field) {
			return failure.New(failure.Invalid, "fields.%s: its events have no field %s: they have %s", name, field, strings.Join(known, ", "))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(fixed)) {
		i := slices.Index(names, name)
		if i < 0 {
			return failure.New(failure.Invalid, "params.%s: params{} does not declare it%s", name, runtime.DidYouMean(name, names))
		}
		if err := declared[i].Check(fixed[name]); err != nil {
			return failure.New(failure.Invalid, "params.%s: %s", name, err)
		}
	}
	for _, p := range declared {
		_, fromField := mapping[p.Name]
		_, isFixed := fixed[p.Name]
		if p.Required && !fromField && !isFixed {
			return failure.New(failure.Invalid, "the recipe needs the parameter %s, and nothing gives it: add it to params or fields", p.Name)
		}
	}
	return nil
}

// Params returns the parameters that an event gives a recipe which declares those.
// A field that the event does not have is left out.
func (t *Trigger) Params(event map[string]any, declared []runtime.Param) map[string]any {
	out := map[string]any{}
	for name, field := range t.mapping(declared) {
		if v := at(event, field); v != nil {
			out[name] = v
		}
	}
	maps.Copy(out, t.given().Params)
	return out
}

// at returns what stands in v under a name, or from below by dots.
func at(v any, field string) any {
	switch m := v.(type) {
	case map[string]any:
		if found, ok := m[field]; ok {
			return found
		}
		for i, r := range field {
			if below, ok := m[field[:i]]; r == '.' && ok {
				return at(below, field[i+1:])
			}
		}
	case []any:
		first, rest, deeper := strings.Cut(field, ".")
		if i, err := strconv.Atoi(first); err == nil && i >= 0 && i < len(m) {
			if !deeper {
				return m[i]
			}
			return at(m[i], rest)
		}
	}
	return nil
}
