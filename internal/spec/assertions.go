package spec

import (
	"fmt"
	"math"
	"strings"

	lua "github.com/yuin/gopher-lua"

	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/internal/sandbox/pattern"
	"github.com/mepc/mepc-run/internal/sandbox/show"
	"github.com/mepc/mepc-run/internal/say"
	"github.com/mepc/mepc-run/runtime"
)

// assertions is the table of what assert can say.
func assertions() []assertion {
	all := []assertion{
		asserting(runtime.Func{
			Name: "equal", Doc: "Two values are equal by ==: two tables are equal only if they are the same one.",
			Example: `assert.are.equal(200, 200)`,
		}, (*file).equal, "equals"),
		asserting(runtime.Func{
			Name: "same", Doc: "Two values are equal; tables are equal if their contents are.",
			Example: `assert.are.same({"app", "http://10.0.0.2:8080"}, {"app", "http://10.0.0.2:8080"})`,
		}, (*file).same, "sames"),
		asserting(runtime.Func{
			Name: "truthy", Doc: "A value is neither nil nor false.", Example: `assert.is.truthy("yes")`,
		}, is("truthy", func(v lua.LValue) bool { return lua.LVAsBool(v) })),
		asserting(runtime.Func{
			Name: "falsy", Doc: "A value is nil or false.", Example: `assert.is.falsy(nil)`,
		}, is("nil or false", func(v lua.LValue) bool { return !lua.LVAsBool(v) }), "falsey"),
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
	for _, typ := range []string{"string", "number", "boolean", "table", "function", "userdata", "thread"} {
		article := "a "
		all = append(all, asserting(runtime.Func{
			Name: "is_" + typ, Doc: "A value is " + article + typ + ".", Example: `assert.is_not_` + typ + `(nil)`,
		}, is(article+typ, func(v lua.LValue) bool { return v.Type().String() == typ })))
	}
	return append(all,
		asserting(runtime.Func{
			Name: "near", Doc: "Two numbers differ by no more than a tolerance.", Example: `assert.is.near(0.3, 0.1 + 0.2, 0.001)`,
		}, (*file).near, "close"),
		asserting(runtime.Func{
			Name: "matches", Doc: "A string matches a Lua pattern.", Returns: "what the pattern captures",
			Example: `assert.matches("^app%-1%.1", "app-1.1-4b864a9d")`,
		}, (*file).matches, "match"),
		asserting(runtime.Func{
			Name: "contains", Doc: "A string contains a text, or a list an item that is the same.",
			Example: `assert.contains("http://10.0.0.2:8080", {"app", "http://10.0.0.2:8080"})`,
		}, (*file).contains, "contain"),
		asserting(runtime.Func{
			Name: "unique", Doc: "No two items of a table are equal, or with deep no two are the same.",
			Example: `assert.is.unique({"http://10.0.0.1", "http://10.0.0.2"})`,
		}, (*file).unique),
		asserting(runtime.Func{
			Name: "has_error", Doc: "A function raises an error. expected is its message, a Lua pattern that the message matches, or a table " +
				"of fields of the error, such as {kind = \"conflict\"}.",
			Returns: "the error",
			Example: `assert.has_error(function() fail("no luck", {kind = "conflict"}) end, {kind = "conflict"})`,
		}, (*file).hasError, "error", "errors"),
		asserting(runtime.Func{
			Name: "error_matches", Doc: "A function raises an error whose message matches a Lua pattern. assert.has_error.matches is the same word.",
			Returns: "the error",
			Example: `assert.error_matches(function() error("port 80 is taken") end, "port %d+")`,
		}, (*file).errorMatches, "error_match", "matches_error", "match_error"),
		asserting(runtime.Func{
			Name: "returned_arguments", Doc: "A function returned this many values.", Example: `assert.returned_arguments(2, 1, nil)`,
		}, (*file).returnedArguments),
	)
}

type plainArgs struct {
	Value   lua.LValue   `lua:"value,pos,asis" doc:"what must not be nil or false"`
	Message lua.LValue   `lua:"message,pos,asis" doc:"the message if it is"`
	More    []lua.LValue `lua:"more,rest,asis" doc:"returned as it is"`
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
	Value   lua.LValue `lua:"value,pos,asis" doc:"the value to check"`
	Message lua.LValue `lua:"message,pos,asis" doc:"a message put before the failure"`
}

// is makes an assertion about one value.
func is(what string, holds func(lua.LValue) bool) func(*file, *runtime.Call, *oneArgs) (verdict, error) {
	return func(_ *file, _ *runtime.Call, a *oneArgs) (verdict, error) {
		v := orNil(a.Value)
		got := described(v)
		return verdict{holds: holds(v), unmet: "expected " + what + ", got " + got, met: "expected anything but " + what + ", got " + got, message: text(a.Message)}, nil
	}
}

// described writes a value for a sentence. Of an error it says what an error says.
func described(v lua.LValue) string {
	t, ok := v.(*lua.LTable)
	if !ok || t.RawGetString("kind") == lua.LNil || t.RawGetString("message") == lua.LNil {
		return shown(v)
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
	Expected lua.LValue `lua:"expected,pos,asis" doc:"what it should be"`
	Actual   lua.LValue `lua:"actual,pos,asis" doc:"what it is"`
	Message  lua.LValue `lua:"message,pos,asis" doc:"a message put before the failure"`
}

func (a *pairArgs) both() (want, got lua.LValue) { return orNil(a.Expected), orNil(a.Actual) }

func (f *file) equal(c *runtime.Call, a *pairArgs) (verdict, error) {
	want, got := a.both()
	v, q := compared(want, got, text(a.Message)), &comparison{call: c}
	v.holds = q.equal(want, got)
	if plain := (&comparison{}); !v.holds && plain.same(want, got) {
		v.unmet, v.details = "expected the same table, got another one with the same content: "+shown(got), "assert.are.same compares what is in them"
	}
	return v, q.err
}

func (f *file) same(c *runtime.Call, a *pairArgs) (verdict, error) {
	want, got := a.both()
	v, q := compared(want, got, text(a.Message)), &comparison{call: c}
	v.holds = q.same(want, got)
	return v, q.err
}

// compared words a difference: side by side what is short, line by line the rest.
func compared(want, got lua.LValue, message string) verdict {
	v := verdict{unmet: "expected " + shown(want) + ", got " + described(got), met: "expected anything but " + shown(want), message: message}
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
	Expected  float64    `lua:"expected,pos,required" doc:"what it should be"`
	Actual    float64    `lua:"actual,pos,required" doc:"what it is"`
	Tolerance float64    `lua:"tolerance,pos,required" min:"0" doc:"how far it may be off"`
	Message   lua.LValue `lua:"message,pos,asis" doc:"a message put before the failure"`
}

func (f *file) near(_ *runtime.Call, a *nearArgs) (verdict, error) {
	words := fmt.Sprintf("%s within %s, got %s", show.Number(a.Expected), show.Number(a.Tolerance), show.Number(a.Actual))
	return verdict{
		holds: math.Abs(a.Expected-a.Actual) <= a.Tolerance, message: text(a.Message),
		unmet: "expected " + words, met: "expected anything but " + words,
	}, nil
}

type matchArgs struct {
	Pattern string       `lua:"pattern,pos,required" doc:"a Lua pattern"`
	Actual  lua.LValue   `lua:"actual,pos,asis" doc:"the string"`
	More    []lua.LValue `lua:"more,rest,asis" doc:"where to begin, a number; whether the pattern is plain text, a boolean; a message put before the failure, a string"`
}

// rest sorts out what stands after the pattern and the string: luassert takes the
// message at any place.
func rest(values []lua.LValue) (init int, plain bool, message string) {
	init = 1
	for _, v := range values {
		switch v := v.(type) {
		case lua.LNumber:
			init = int(v)
		case lua.LBool:
			plain = bool(v)
		case *lua.LNilType:
		default:
			message = text(v)
		}
	}
	return init, plain, message
}

func (f *file) matches(_ *runtime.Call, a *matchArgs) (verdict, error) {
	got := orNil(a.Actual)
	init, plain, message := rest(a.More)
	v := verdict{
		message: message,
		unmet:   "expected a match of " + show.Quote(a.Pattern) + ", got " + described(got),
		met:     "expected no match of " + show.Quote(a.Pattern) + ", got " + described(got),
	}
	s, ok := asText(got)
	if !ok {
		return v, nil
	}
	captures, err := match(s, a.Pattern, init, plain)
	v.holds, v.returns = captures != nil, captures
	return v, err
}

// asText is a string, or a number as one.
func asText(v lua.LValue) (string, bool) {
	switch v := v.(type) {
	case lua.LString:
		return string(v), true
	case lua.LNumber:
		return show.Number(float64(v)), true
	}
	return "", false
}

// maxMatch limits the work of a match.
const maxMatch = 5_000_000

// match returns what pat, a Lua pattern, captures in s from init on, the whole match
// when it has no captures; nil when it does not match.
func match(s, pat string, init int, plain bool) (captures runtime.Results, err error) {
	if init < 0 {
		init = max(len(s)+init+1, 1)
	}
	if init = max(init, 1); init > len(s)+1 {
		return nil, nil
	}
	if plain {
		if !strings.Contains(s[init-1:], pat) {
			return nil, nil
		}
		return runtime.Results{pat}, nil
	}
	steps := 0
	defer func() {
		if r := recover(); r != nil {
			if r != errTooMuch {
				panic(r)
			}
			captures, err = nil, errTooMuch
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
	for i := init - 1; i <= len(s); i++ {
		end, err := m.Match(i, start)
		if err != nil {
			return nil, failure.New(failure.Invalid, "pattern %s: %s", show.Quote(pat), err)
		}
		if end >= 0 {
			return captured(m, i, end)
		}
		if m.Anchored() {
			break
		}
	}
	return nil, nil
}

// captured returns the captures of the match from i to end.
func captured(m *pattern.Matcher, i, end int) (runtime.Results, error) {
	var out runtime.Results
	for n := range max(m.Captures(), 1) {
		text, pos, isPos, err := m.Capture(n, i, end)
		switch {
		case err != nil:
			return nil, failure.New(failure.Invalid, "pattern: %s", err)
		case isPos:
			out = append(out, pos)
		default:
			out = append(out, text)
		}
	}
	return out, nil
}

var errTooMuch = failure.New(failure.Limit, "the pattern takes too many steps on this string")

type containsArgs struct {
	Item    lua.LValue `lua:"item,pos,asis" doc:"the text or the item"`
	In      lua.LValue `lua:"in,pos,asis" doc:"the string or the list"`
	Message lua.LValue `lua:"message,pos,asis" doc:"a message put before the failure"`
}

func (f *file) contains(c *runtime.Call, a *containsArgs) (verdict, error) {
	item, in, q := orNil(a.Item), orNil(a.In), &comparison{call: c}
	v := verdict{
		unmet: "expected " + shown(item) + " in " + described(in), met: "expected no " + shown(item) + " in " + described(in), message: text(a.Message),
	}
	switch in := in.(type) {
	case lua.LString:
		v.holds = strings.Contains(string(in), item.String())
	case *lua.LTable:
		in.ForEach(func(_, x lua.LValue) { v.holds = v.holds || q.same(item, x) })
	}
	return v, q.err
}

type uniqueArgs struct {
	List    *lua.LTable `lua:"list,pos,required,asis" doc:"the table"`
	Deep    lua.LValue  `lua:"deep,pos,asis" doc:"true: compare tables by their contents"`
	Message lua.LValue  `lua:"message,pos,asis" doc:"a message put before the failure"`
}

func (f *file) unique(c *runtime.Call, a *uniqueArgs) (verdict, error) {
	deep, message := orNil(a.Deep), a.Message
	if _, ok := deep.(lua.LBool); !ok && deep != lua.LNil { // luassert takes them in either order
		deep, message = orNil(a.Message), a.Deep
	}
	twice, err := repeated(c, a.List, deep == lua.LTrue)
	return verdict{
		holds: twice == nil, unmet: "expected every item once, got " + described(orNil(twice)) + " twice in " + described(a.List),
		met: "expected an item that is there twice in " + described(a.List), message: text(message),
	}, err
}

// repeated returns an item that is in the list twice, or nil.
func repeated(c *runtime.Call, list *lua.LTable, deep bool) (lua.LValue, error) {
	q, before := &comparison{call: c}, []lua.LValue(nil)
	for k, v := list.Next(lua.LNil); k != lua.LNil; k, v = list.Next(k) {
		c.Charge(len(before))
		for _, other := range before {
			if deep && q.same(v, other) || !deep && q.equal(v, other) {
				return v, q.err
			}
		}
		before = append(before, v)
	}
	return nil, q.err
}

type returnedArgs struct {
	Count  int          `lua:"count,pos,required" min:"0" doc:"how many there should be"`
	Values []lua.LValue `lua:"values,rest,asis" doc:"what the function returned"`
}

func (f *file) returnedArguments(_ *runtime.Call, a *returnedArgs) (verdict, error) {
	return verdict{
		holds: len(a.Values) == a.Count,
		unmet: fmt.Sprintf("expected %s, got %d", say.Count(a.Count, "value"), len(a.Values)), met: "expected another number of values than " + fmt.Sprint(a.Count),
	}, nil
}

type errorArgs struct {
	Fn       *runtime.Function `lua:"fn,pos,required" doc:"what to call"`
	Expected lua.LValue        `lua:"expected,pos,asis" doc:"its message, a pattern of it, or a table of the error's fields"`
	Message  lua.LValue        `lua:"message,pos,asis" doc:"a message put before the failure"`
}

// raised calls a function and returns the error that it raises, and the value that it
// is made of, with a verdict that it does.
func raised(c *runtime.Call, fn *runtime.Function, message string) (*runtime.Error, lua.LValue, verdict, error) {
	value, e, err := fn.Raised(c)
	if err != nil {
		return nil, nil, verdict{}, err // a limit, an interrupt
	}
	v := verdict{holds: e != nil, unmet: "expected an error, got none", message: message}
	if e != nil {
		v.met, v.returns = "expected no error, got "+described(c.Value(e)), runtime.Results{e}
	}
	return e, value, v, nil
}

func (f *file) hasError(c *runtime.Call, a *errorArgs) (verdict, error) {
	e, value, v, err := raised(c, a.Fn, text(a.Message))
	if e == nil {
		return v, err
	}
	switch want := orNil(a.Expected).(type) {
	case *lua.LNilType:
	case lua.LString:
		found, err := match(e.Message, string(want), 1, false)
		v.holds = e.Message == string(want) || err == nil && found != nil
		v.unmet = "expected an error that says " + show.Quote(string(want)) + ", got " + described(c.Value(e))
	case *lua.LTable:
		got, ok := c.Value(e).(*lua.LTable)
		q := &comparison{call: c}
		for k, x := want.Next(lua.LNil); ok && k != lua.LNil; k, x = want.Next(k) {
			v.holds = v.holds && q.same(x, got.RawGet(k))
		}
		v.holds = v.holds && ok || q.same(want, value)
		v.unmet = "expected an error with " + shown(want) + ", got " + described(c.Value(e))
		return v, q.err
	default:
		v.holds = (&comparison{call: c}).equal(want, value)
		v.unmet = "expected the error " + shown(want) + ", got " + described(c.Value(e))
	}
	return v, nil
}

type errorMatchesArgs struct {
	Fn      *runtime.Function `lua:"fn,pos,required" doc:"what to call"`
	Pattern string            `lua:"pattern,pos,required" doc:"a Lua pattern"`
	More    []lua.LValue      `lua:"more,rest,asis" doc:"as in matches"`
}

func (f *file) errorMatches(c *runtime.Call, a *errorMatchesArgs) (verdict, error) {
	init, plain, message := rest(a.More)
	e, _, v, err := raised(c, a.Fn, message)
	if e == nil {
		return v, err
	}
	found, err := match(e.Message, a.Pattern, init, plain)
	v.holds = found != nil
	v.unmet = "expected an error that matches " + show.Quote(a.Pattern) + ", got " + described(c.Value(e))
	return v, err
}
