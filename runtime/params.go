package runtime

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	lua "github.com/yuin/gopher-lua"

	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/internal/sandbox"
)

// Param is one parameter that a recipe declares with params{}.
type Param struct {
	Name     string
	Type     string // one of paramTypes
	Doc      string
	Required bool
	Default  any // nil: none
	Min, Max *float64
	Values   []string // of an enum
}

// paramDecl is what stands behind a name in params{}.
type paramDecl struct {
	Type     string     `lua:"type" default:"string" enum:"string|integer|number|boolean|duration|size|enum|list|map|secret" doc:"what is taken"`
	Required bool       `lua:"required" doc:"whether it must be given"`
	Default  lua.LValue `lua:"default" doc:"the value when it is not given"`
	Doc      string     `lua:"doc" doc:"one line for --help"`
	Min      *float64   `lua:"min" doc:"the least value, of an integer, number, duration (seconds) or size (bytes)"`
	Max      *float64   `lua:"max" doc:"the greatest value"`
	Values   []string   `lua:"values" doc:"what an enum can be"`
}

// Params reads the declarations, takes what the run was given, and returns the
// values by name. It can be called once, before any effect.
func (r *Run) params(c *Call, decl *lua.LTable) (any, error) {
	if r.declared != nil {
		return nil, failed("params{} is called a second time; the first was at %s", r.declaredAt)
	}
	if r.gate.Calls() > 0 {
		return nil, failed("params{} comes after a call to a server: it must come first")
	}
	r.declared, r.declaredAt = []Param{}, c.Where()
	for k, v := decl.Next(lua.LNil); k != lua.LNil; k, v = decl.Next(k) {
		p, err := r.declare(c, k, v)
		if err != nil {
			return nil, failure.New(failure.Invalid, "%s", err)
		}
		r.declared = append(r.declared, p)
	}
	if r.describing {
		return nil, &sandbox.StoppedError{Cause: errDescribed} // no pcall holds it up
	}
	if r.unknown = checkNames(r.declared, r.opts.Params); r.unknown != nil {
		return nil, &sandbox.StoppedError{Cause: r.unknown}
	}
	r.early = false
	return r.takeParams()
}

func (r *Run) declare(c *Call, k, v lua.LValue) (Param, error) {
	name, ok := k.(lua.LString)
	t, isTable := v.(*lua.LTable)
	if !ok || !isTable {
		return Param{}, fmt.Errorf("params{} takes name = {type=..., ...}, got %s = %s", brief(k.String()), typeName(v))
	}
	decl := paramDecl{}
	d := decoder{call: c, tally: tally{entry: &c.entry}}
	if err := d.decl(string(name), t, &decl); err != nil {
		return Param{}, err
	}
	p := Param{
		Name: string(name), Type: decl.Type, Doc: decl.Doc, Required: decl.Required,
		Min: decl.Min, Max: decl.Max, Values: decl.Values,
	}
	if (p.Type == "enum") != (len(p.Values) > 0) {
		return Param{}, fmt.Errorf("%s: values={...} belongs to type=\"enum\", and the other way round", name)
	}
	if decl.Default != nil && decl.Default != lua.LNil {
		plain, err := toGo(&d.tally, decl.Default)
		if err != nil {
			return Param{}, fmt.Errorf("%s: default: %w", name, err)
		}
		if _, err := p.check(plain); err != nil {
			return Param{}, fmt.Errorf("%s: default: %w", name, err)
		}
		p.Default = plain
	}
	return p, nil
}

// takeParams checks what was given against what is declared.
func (r *Run) takeParams() (any, error) {
	values := map[string]any{}
	for _, p := range r.declared {
		given, ok := r.opts.Params[p.Name]
		switch {
		case !ok && p.Default != nil:
			given = p.Default
		case !ok && p.Required:
			return nil, failure.New(failure.Invalid, "the parameter %s is missing", p.Name).
				WithHint("add %s=... (%s)", p.Name, strings.TrimSuffix(p.Type+": "+p.Doc, ": "))
		case !ok:
			continue
		}
		v, err := p.check(given)
		if err != nil {
			e := failure.New(failure.Invalid, "the parameter %s: %s", p.Name, err)
			if p.Doc != "" {
				e.Hint = p.Name + " is " + p.Doc
			}
			return nil, e
		}
		values[p.Name] = v
	}
	return values, nil
}

// checkNames refuses parameters that are not declared.
func checkNames(declared []Param, given map[string]any) error {
	names := make([]string, len(declared))
	for i, p := range declared {
		names[i] = p.Name
	}
	var unknown []string
	for name := range given {
		if !slices.Contains(names, name) {
			unknown = append(unknown, name)
		}
	}
	if len(unknown) == 0 {
		return nil
	}
	slices.Sort(unknown)
	e := failure.New(failure.Invalid, "the recipe takes no parameter %q%s", unknown[0], DidYouMean(unknown[0], names))
	if len(names) == 0 {
		return e.WithHint("it takes none")
	}
	return e.WithHint("it takes %s", strings.Join(names, ", "))
}

// Check says why p does not take a value, text or a plain one; nil: it does.
func (p *Param) Check(given any) error {
	_, err := p.check(given)
	return err
}

// check converts a given value, text from the command line or a plain value, to
// p's type.
func (p *Param) check(given any) (any, error) {
	if many, ok := given.([]Value); ok && p.Type != "list" && p.Type != "map" {
		return nil, fmt.Errorf("%s expected, got %d values", p.Type, len(many))
	}
	switch p.Type {
	case "string", "secret":
		s, ok := textOf(given)
		if !ok {
			return nil, fmt.Errorf("%s expected, got %v", p.Type, given)
		}
		if p.Type == "secret" {
			return Secret{s}, nil
		}
		return s, nil
	case "enum":
		s, _ := textOf(given)
		if !slices.Contains(p.Values, s) {
			return nil, fmt.Errorf("%q is not one of %s%s", s, strings.Join(p.Values, ", "), DidYouMean(s, p.Values))
		}
		return s, nil
	case "boolean":
		return boolean(given)
	case "list":
		return listOf(given)
	case "map":
		return mapOf(given)
	case "duration":
		s, _ := textOf(given)
		d, err := ParseDuration(s)
		if err != nil {
			return nil, err
		}
		return d, p.inRange(d.Seconds(), s)
	case "size":
		s, _ := textOf(given)
		n, err := ParseSize(s)
		if err != nil {
			return nil, err
		}
		return int64(n), p.inRange(float64(n), s)
	}
	s, _ := textOf(given)
	n, err := strconv.ParseFloat(s, 64)
	if err != nil || math.IsNaN(n) || math.IsInf(n, 0) {
		return nil, fmt.Errorf("%s expected, got %q", p.Type, s)
	}
	if p.Type == "integer" && n != math.Trunc(n) {
		return nil, fmt.Errorf("integer expected, got %q", s)
	}
	return n, p.inRange(n, s)
}

func (p *Param) inRange(n float64, given string) error {
	if p.Min != nil && n < *p.Min {
		return fmt.Errorf("%s is below the least allowed, %v", given, *p.Min)
	}
	if p.Max != nil && n > *p.Max {
		return fmt.Errorf("%s is above the most allowed, %v", given, *p.Max)
	}
	return nil
}

func textOf(v any) (string, bool) {
	switch v := v.(type) {
	case string:
		return v, true
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64), true
	case Secret:
		return v.raw, true
	case time.Duration:
		return v.String(), true
	}
	return "", false
}

func boolean(v any) (any, error) {
	if b, ok := v.(bool); ok {
		return b, nil
	}
	switch s, _ := textOf(v); s {
	case "true", "yes", "on", "1":
		return true, nil
	case "false", "no", "off", "0":
		return false, nil
	default:
		return nil, fmt.Errorf("boolean expected (true or false), got %q", s)
	}
}

// listOf takes a list, or text whose items are separated by commas.
func listOf(v any) (any, error) {
	switch v := v.(type) {
	case []Value:
		items := make([]string, len(v))
		for i, item := range v {
			s, ok := textOf(item)
			if !ok {
				return nil, fmt.Errorf("list of strings expected, item %d is %v", i+1, item)
			}
			items[i] = s
		}
		return items, nil
	case map[string]Value:
		if len(v) == 0 {
			return []string{}, nil
		}
	case string:
		items := []string{}
		for item := range strings.SplitSeq(v, ",") {
			if item = strings.TrimSpace(item); item != "" {
				items = append(items, item)
			}
		}
		return items, nil
	}
	return nil, fmt.Errorf("list expected (items separated by commas), got %v", v)
}

// mapOf takes a table, one NAME=value, or a list of such. Values keep their commas, and
// stand in no error: they may be passwords.
func mapOf(v any) (any, error) {
	pairs := map[string]string{}
	switch v := v.(type) {
	case string:
		if v == "" {
			return pairs, nil
		}
		return mapOf([]Value{v})
	case map[string]Value:
		for name, value := range v {
			text, ok := textOf(value)
			if !ok {
				return nil, fmt.Errorf("the value of %s is not text", name)
			}
			pairs[name] = text
		}
		return pairs, nil
	case []Value:
		for i, item := range v {
			text, _ := textOf(item)
			name, value, ok := strings.Cut(text, "=")
			name = strings.TrimSpace(name)
			if _, twice := pairs[name]; twice {
				return nil, fmt.Errorf("%s is given twice", name)
			}
			if !ok || name == "" {
				return nil, fmt.Errorf("item %d is not NAME=value", i+1)
			}
			pairs[name] = value
		}
		return pairs, nil
	}
	return nil, fmt.Errorf("NAME=value expected")
}

// CheckParams refuses what a run of a recipe that declares those parameters would
// refuse of given: unknown names, missing values, values of another type.
func CheckParams(declared []Param, given map[string]any) error {
	if err := checkNames(declared, given); err != nil {
		return err
	}
	r := &Run{declared: declared, opts: RunOptions{Params: given}}
	_, err := r.takeParams()
	return err
}

// AppOf returns what a run of the recipe name is for: its parameter app, given or
// by default, else the recipe itself.
func AppOf(name string, declared []Param, given map[string]any) string {
	for _, p := range declared {
		if p.Name != "app" || p.Type == "secret" {
			continue
		}
		if v, ok := given["app"].(string); ok && v != "" {
			return v
		}
		if v, ok := p.Default.(string); ok && v != "" {
			return v
		}
	}
	return strings.TrimSuffix(name, ".lua")
}
