package spec

import (
	"fmt"
	"math"
	"strings"

	lua "github.com/yuin/gopher-lua"

	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/internal/sandbox/pattern"
	"github.com/mepc/mepc-run/runtime"
)

// assertions is the table of what assert can say.
func assertions() []assertion {
	all := []assertion{
		asserting(runtime.Func{
			Name: "equal", Doc: "Two values are equal, as == has it: two tables are only when they are the same one.",
			Example: `assert.are.equal(200, 200)`,
		}, (*file).equal),
		asserting(runtime.Func{
			Name: "same", Doc: "Two values are equal; tables are when all that is in them is.",
			Example: `assert.are.same({"app", "http://10.0.0.2:8080"}, {"app", "http://10.0.0.2:8080"})`,
		}, (*file).same),
		asserting(runtime.Func{
			Name: "truthy", Doc: "A value is neither nil nor false.", Example: `assert.is.truthy("yes")`,
		}, is("truthy", func(v lua.LValue) bool { return lua.LVAsBool(v) })),
		asserting(runtime.Func{
			Name: "falsy", Doc: "A value is nil or false.", Example: `assert.is.falsy(nil)`,
		}, is("nil or false", func(v lua.LValue) bool { return !lua.LVAsBool(v) })),
		asserting(runtime.Func{
			Name: "is_true", Doc: "A value is true.", Example: `assert.is_true(1 < 2)`,
		}, is("true", func(v lua.LValue) bool { return v == lua.LTrue })),
		asserting(runtime.Func{
			Name: "is_false", Doc: "A value is false.", Example: `assert.is_false(2 < 1)`,
		}, is("false", func(v lua.LValue) bool { return v == lua.LFalse })),
		asserting(runtime.Func{
			Name: "is_nil", Doc: "A value is nil.", Example: `assert.is_nil(nil)`,
		}, is("nil", func(v lua.LValue) bool { return v == lua.LNil })),
	}
	for _, typ := range []string{"string", "number", "boolean", "table", "function"} {
		article := "a "
		all = append(all, asserting(runtime.Func{
			Name: "is_" + typ, Doc: "A value is " + article + typ + ".", Example: `assert.is_not_` + typ + `(nil)`,
		}, is(article+typ, func(v lua.LValue) bool { return v.Type().String() == typ })))
	}
	return append(all,
		asserting(runtime.Func{
			Name: "near", Doc: "Two numbers differ by no more than a tolerance.", Example: `assert.is.near(0.3, 0.1 + 0.2, 0.001)`,
		}, (*file).near),
		asserting(runtime.Func{
			Name: "matches", Doc: "A string matches a Lua pattern.", Example: `assert.matches("^app%-1%.1", "app-1.1-4b864a9d")`,
		}, (*file).matches),
		asserting(runtime.Func{
			Name: "contains", Doc: "A string has a text in it, or a list an item that is the same.",
			Example: `assert.contains("http://10.0.0.2:8080", {"app", "http://10.0.0.2:8080"})`,
		}, (*file).contains),
		asserting(runtime.Func{
			Name: "has_error", Doc: "A function raises an error. expected is its message, a Lua pattern that the message matches, or a table " +
				"of fields of the error, such as {kind = \"conflict\"}.",
			Returns: "the error",
			Example: `assert.has_error(function() fail("no luck", {kind = "conflict"}) end, {kind = "conflict"})`,
		}, (*file).hasError),
	)
}

type plainArgs struct {
	Value   lua.LValue   `lua:"value,pos" doc:"what must not be nil or false"`
	Message lua.LValue   `lua:"message,pos" doc:"what is said when it is"`
	More    []lua.LValue `lua:"more,rest" doc:"returned as it is"`
}

func (f *file) assert(c *runtime.Call, a *plainArgs) (runtime.Results, error) {
	message, value := "assertion failed!", orNil(a.Value)
	if s, ok := a.Message.(lua.LString); ok {
		message = string(s)
	}
	out := runtime.Results{value, orNil(a.Message)}
	for _, v := range a.More {
		out = append(out, v)
	}
	return out, verdict{holds: lua.LVAsBool(value), unmet: message}.err(c, false)
}

type oneArgs struct {
	Value   lua.LValue `lua:"value,pos" doc:"what is looked at"`
	Message string     `lua:"message,pos" doc:"said before what is wrong"`
}

// is makes an assertion about one value.
func is(what string, holds func(lua.LValue) bool) func(*file, *runtime.Call, *oneArgs) (verdict, error) {
	return func(_ *file, _ *runtime.Call, a *oneArgs) (verdict, error) {
		v := orNil(a.Value)
		got := described(v)
		return verdict{holds: holds(v), unmet: "expected " + what + ", got " + got, met: "expected anything but " + what + ", got " + got, message: a.Message}, nil
	}
}

// described writes a value for a sentence. Of an error it says what an error says.
func described(v lua.LValue) string {
	t, ok := v.(*lua.LTable)
	if !ok || t.RawGetString("kind") == lua.LNil || t.RawGetString("message") == lua.LNil {
		return show(v)
	}
	text := "the error " + t.RawGetString("kind").String() + ": "
	for _, key := range []string{"op", "target"} {
		if s, ok := t.RawGetString(key).(lua.LString); ok {
			text += string(s) + " "
		}
	}
	text = strings.TrimSpace(text) + ": " + t.RawGetString("message").String()
	text = strings.Replace(text, ":: ", ": ", 1)
	for key, lead := range map[string]string{"where": "\n  at "} {
		if s, ok := t.RawGetString(key).(lua.LString); ok {
			text += lead + string(s)
		}
	}
	if s, ok := t.RawGetString("hint").(lua.LString); ok {
		text += "\n  next: " + string(s)
	}
	return text
}

type pairArgs struct {
	Expected lua.LValue `lua:"expected,pos" doc:"what it should be"`
	Actual   lua.LValue `lua:"actual,pos" doc:"what it is"`
	Message  string     `lua:"message,pos" doc:"said before what is wrong"`
}

func (a *pairArgs) both() (want, got lua.LValue) { return orNil(a.Expected), orNil(a.Actual) }

func (f *file) equal(_ *runtime.Call, a *pairArgs) (verdict, error) {
	want, got := a.both()
	v := compared(want, got, a.Message)
	v.holds = equal(want, got)
	if same(want, got) && !v.holds {
		v.unmet, v.details = "expected the same table, got another one with the same content: "+show(got), "assert.are.same compares what is in them"
	}
	return v, nil
}

func (f *file) same(_ *runtime.Call, a *pairArgs) (verdict, error) {
	want, got := a.both()
	v := compared(want, got, a.Message)
	v.holds = same(want, got)
	return v, nil
}

// compared words a difference: side by side what is short, line by line the rest.
func compared(want, got lua.LValue, message string) verdict {
	v := verdict{unmet: "expected " + show(want) + ", got " + described(got), met: "expected anything but " + show(want), message: message}
	if want.Type() != got.Type() && want.String() == got.String() {
		v.unmet += " (a " + got.Type().String() + " instead of a " + want.Type().String() + ")"
	}
	w, g := lines(want), lines(got)
	if s, ok := want.(lua.LString); ok && got.Type() == lua.LTString {
		w, g = strings.Split(string(s), "\n"), strings.Split(got.String(), "\n")
	}
	if want.Type() == got.Type() && len(w)+len(g) > 2 {
		v.unmet, v.details = "expected (-) and got (+) differ", diff(w, g)
	}
	return v
}

type nearArgs struct {
	Expected  float64 `lua:"expected,pos,required" doc:"what it should be"`
	Actual    float64 `lua:"actual,pos,required" doc:"what it is"`
	Tolerance float64 `lua:"tolerance,pos,required" min:"0" doc:"how far it may be off"`
	Message   string  `lua:"message,pos" doc:"said before what is wrong"`
}

func (f *file) near(_ *runtime.Call, a *nearArgs) (verdict, error) {
	text := fmt.Sprintf("%s within %s, got %s", number(a.Expected), number(a.Tolerance), number(a.Actual))
	return verdict{
		holds: math.Abs(a.Expected-a.Actual) <= a.Tolerance, message: a.Message,
		unmet: "expected " + text, met: "expected anything but " + text,
	}, nil
}

type matchArgs struct {
	Pattern string     `lua:"pattern,pos,required" doc:"a Lua pattern"`
	Actual  lua.LValue `lua:"actual,pos" doc:"the string"`
	Message string     `lua:"message,pos" doc:"said before what is wrong"`
}

func (f *file) matches(_ *runtime.Call, a *matchArgs) (verdict, error) {
	got := orNil(a.Actual)
	s, ok := got.(lua.LString)
	if ok {
		var err error
		if ok, err = matches(string(s), a.Pattern); err != nil {
			return verdict{}, err
		}
	}
	return verdict{
		holds: ok, message: a.Message,
		unmet: "expected a match of " + quote(a.Pattern) + ", got " + described(got),
		met:   "expected no match of " + quote(a.Pattern) + ", got " + described(got),
	}, nil
}

// maxMatch is how much work a match may be.
const maxMatch = 5_000_000

// matches reports whether pat, a Lua pattern, matches somewhere in s.
func matches(s, pat string) (found bool, err error) {
	steps := 0
	defer func() {
		if r := recover(); r != nil {
			if r != errTooMuch {
				panic(r)
			}
			err = errTooMuch
		}
	}()
	m := pattern.New(s, pat, func(n int) {
		if steps += n; steps > maxMatch {
			panic(errTooMuch)
		}
	})
	start := 0
	if m.Anchored() {
		start = 1
	}
	for i := 0; i <= len(s); i++ {
		end, err := m.Match(i, start)
		if err != nil {
			return false, failure.New(failure.Invalid, "pattern %s: %s", quote(pat), err)
		}
		if end >= 0 {
			return true, nil
		}
		if m.Anchored() {
			break
		}
	}
	return false, nil
}

var errTooMuch = failure.New(failure.Limit, "the pattern takes too many steps on this string")

type containsArgs struct {
	Item    lua.LValue `lua:"item,pos" doc:"the text or the item"`
	In      lua.LValue `lua:"in,pos" doc:"the string or the list"`
	Message string     `lua:"message,pos" doc:"said before what is wrong"`
}

func (f *file) contains(_ *runtime.Call, a *containsArgs) (verdict, error) {
	item, in := orNil(a.Item), orNil(a.In)
	v := verdict{
		unmet: "expected " + show(item) + " in " + described(in), met: "expected no " + show(item) + " in " + described(in), message: a.Message,
	}
	switch in := in.(type) {
	case lua.LString:
		v.holds = strings.Contains(string(in), item.String())
	case *lua.LTable:
		in.ForEach(func(_, x lua.LValue) { v.holds = v.holds || same(item, x) })
	}
	return v, nil
}

type errorArgs struct {
	Fn       *runtime.Function `lua:"fn,pos,required" doc:"what to call"`
	Expected lua.LValue        `lua:"expected,pos" doc:"its message, a pattern of it, or a table of the error's fields"`
	Message  string            `lua:"message,pos" doc:"said before what is wrong"`
}

func (f *file) hasError(c *runtime.Call, a *errorArgs) (verdict, error) {
	_, err := a.Fn.Call(c)
	e := runtime.Catch(err)
	if err != nil && e == nil {
		return verdict{}, err // a limit, an interrupt
	}
	v := verdict{holds: e != nil, unmet: "expected an error, got none", message: a.Message}
	if e == nil {
		return v, nil
	}
	v.met = "expected no error, got " + described(c.Value(e))
	v.returns = runtime.Results{e}
	switch want := orNil(a.Expected).(type) {
	case *lua.LNilType:
	case lua.LString:
		found, err := matches(e.Message, string(want))
		v.holds = e.Message == string(want) || err == nil && found
		v.unmet = "expected an error that says " + quote(string(want)) + ", got " + described(c.Value(e))
	case *lua.LTable:
		got, _ := c.Value(e).(*lua.LTable)
		for k, x := want.Next(lua.LNil); k != lua.LNil; k, x = want.Next(k) {
			v.holds = v.holds && same(x, got.RawGet(k))
		}
		v.unmet = "expected an error with " + show(want) + ", got " + described(got)
	default:
		return v, failure.New(failure.Invalid, "expected: a string or a table of fields expected, got %s", want.Type())
	}
	return v, nil
}
