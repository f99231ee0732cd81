package spec

import (
	"fmt"
	"math"

	lua "github.com/yuin/gopher-lua"

	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/runtime"
)

// Matcher says what a value must be, in place of one: among the arguments that
// called_with is given, say.
type Matcher struct {
	name  string
	holds func(c *runtime.Call, v lua.LValue) (bool, error)
	ref   bool // of the value itself, not of what it was when it was passed
}

// String names the object in messages.
func (m *Matcher) String() string { return "match." + m.name }

// matcherIn returns the matcher that v is, or nil.
func matcherIn(v lua.LValue) *Matcher {
	if ud, ok := v.(*lua.LUserData); ok {
		m, _ := ud.Value.(*Matcher)
		return m
	}
	return nil
}

// predicate is a matcher's test of a value.
type predicate func(c *runtime.Call, v lua.LValue) (bool, error)

// matching makes a word of match of a function that makes a test.
func matching[A any](f runtime.Func, makes func(f *file, c *runtime.Call, a *A) (predicate, error), aliases ...string) assertion {
	caller := func(how manner) runtime.Caller {
		return runtime.Inline(func(of *file, c *runtime.Call, a *A) (*Matcher, error) {
			holds, err := makes(of, c, a)
			if err != nil {
				return nil, err
			}
			m := &Matcher{name: f.Name, holds: holds, ref: f.Name == "is_ref"}
			if how.negated {
				m.name = "not_" + f.Name
				m.holds = func(c *runtime.Call, v lua.LValue) (bool, error) {
					ok, err := holds(c, v)
					return !ok, err
				}
			}
			return m, nil
		})
	}
	f.Returns, f.Call = "a matcher", caller(manner{})
	return assertion{f, caller, aliases}
}

// plainly is a matcher without arguments.
func plainly(name, what string, holds func(lua.LValue) bool, aliases ...string) assertion {
	return matching(runtime.Func{
		Name: name, Doc: "Any value that is " + what + ".", Example: "local m = match." + name + "()",
	}, func(*file, *runtime.Call, *runtime.None) (predicate, error) {
		return func(_ *runtime.Call, v lua.LValue) (bool, error) { return holds(v), nil }, nil
	}, aliases...)
}

// matchers is the table of what match can say.
func matchers() []assertion {
	all := []assertion{
		plainly("is_true", "true", func(v lua.LValue) bool { return v == lua.LTrue }),
		plainly("is_false", "false", func(v lua.LValue) bool { return v == lua.LFalse }),
		plainly("is_nil", "nil", func(v lua.LValue) bool { return v == lua.LNil }),
		plainly("is_truthy", "neither nil nor false", lua.LVAsBool),
		plainly("is_falsy", "nil or false", func(v lua.LValue) bool { return !lua.LVAsBool(v) }, "falsey"),
	}
	for _, typ := range []string{"string", "number", "boolean", "table", "function", "userdata", "thread"} {
		all = append(all, plainly("is_"+typ, "a "+typ, func(v lua.LValue) bool { return v.Type().String() == typ }))
	}
	comparing := func(name, doc, example string, of func(q *comparison, want, got lua.LValue) bool, aliases ...string) assertion {
		return matching(runtime.Func{Name: name, Doc: doc, Example: example}, func(_ *file, _ *runtime.Call, a *matchedArgs) (predicate, error) {
			return func(c *runtime.Call, v lua.LValue) (bool, error) {
				q := &comparison{call: c}
				return of(q, orNil(a.Value), v), q.err
			}, nil
		}, aliases...)
	}
	return append(all,
		comparing("is_equal", "Any value that is equal by ==.", `assert.is_true(match.is_equal(1)(1))`, (*comparison).equal, "equals"),
		comparing("is_same", "Any value that is the same, as assert.same has it.", `assert.is_true(match.is_same({1})({1}))`, (*comparison).same, "sames"),
		comparing("is_ref", "The same table or function, whatever its contents were when it was passed.", `local t = {}
assert.is_true(match.is_ref(t)(t))`, func(_ *comparison, want, got lua.LValue) bool { return want == got }),
		matching(runtime.Func{
			Name: "matches", Doc: "Any string that matches a Lua pattern.", Example: `assert.is_true(match.matches("^app")("app-1"))`,
		}, (*file).matchText, "match"),
		matching(runtime.Func{
			Name: "is_near", Doc: "Any number that differs by no more than a tolerance.", Example: `assert.is_true(match.is_near(1, 0.1)(1.05))`,
		}, (*file).matchNear),
		matching(runtime.Func{
			Name: "is_unique", Doc: "Any table whose items are all different.", Example: `assert.is_false(match.is_unique()({1, 1}))`,
		}, (*file).matchUnique),
		composite("is_all_of", "Any value that all of these matchers accept.", true, true, "all_of"),
		composite("is_any_of", "Any value that one of these matchers accepts.", false, true, "any_of"),
		composite("is_none_of", "Any value that none of these matchers accepts.", true, false, "none_of"),
	)
}

type matchedArgs struct {
	Value lua.LValue `lua:"value,pos,asis" doc:"what it is compared with"`
}

type matchTextArgs struct {
	Pattern string `lua:"pattern,pos,required" doc:"a Lua pattern"`
	Init    int    `lua:"init,pos" default:"1" doc:"where to begin"`
	Plain   bool   `lua:"plain,pos" doc:"the pattern is plain text"`
}

func (f *file) matchText(_ *runtime.Call, a *matchTextArgs) (predicate, error) {
	return func(_ *runtime.Call, v lua.LValue) (bool, error) {
		s, ok := asText(v)
		if !ok {
			return false, nil
		}
		found, err := match(s, a.Pattern, a.Init, a.Plain)
		return found != nil, err
	}, nil
}

type matchNearArgs struct {
	Expected  float64 `lua:"expected,pos,required" doc:"what it should be"`
	Tolerance float64 `lua:"tolerance,pos,required" min:"0" doc:"how far it may be off"`
}

func (f *file) matchNear(_ *runtime.Call, a *matchNearArgs) (predicate, error) {
	return func(_ *runtime.Call, v lua.LValue) (bool, error) {
		n, ok := v.(lua.LNumber)
		return ok && math.Abs(float64(n)-a.Expected) <= a.Tolerance, nil
	}, nil
}

type matchUniqueArgs struct {
	Deep bool `lua:"deep,pos" doc:"compare tables by their contents"`
}

func (f *file) matchUnique(_ *runtime.Call, a *matchUniqueArgs) (predicate, error) {
	return func(c *runtime.Call, v lua.LValue) (bool, error) {
		t, ok := v.(*lua.LTable)
		if !ok {
			return false, nil
		}
		twice, err := repeated(c, t, a.Deep)
		return twice == nil, err
	}, nil
}

type compositeArgs struct {
	Matchers []lua.LValue `lua:"matchers,rest,asis" doc:"the matchers"`
}

// composite makes a matcher of others: every one of them says wanted, or one does.
func composite(name, doc string, every, wanted bool, alias string) assertion {
	example := fmt.Sprintf("assert.is_true(match.%s(match.is_string(), match.is_equal(1))(%s))", alias, map[string]string{"all_of": `"" or 1`, "any_of": "1", "none_of": "2"}[alias])
	if alias == "all_of" {
		example = `assert.is_true(match.all_of(match.is_string(), match.matches("a"))("abc"))`
	}
	return matching(runtime.Func{Name: name, Doc: doc, Example: example}, func(_ *file, _ *runtime.Call, a *compositeArgs) (predicate, error) {
		var list []*Matcher
		for i, v := range a.Matchers {
			m := matcherIn(v)
			if m == nil {
				return nil, failure.New(failure.Invalid, "argument %d: a matcher expected, got %s", i+1, v.Type()).WithHint("match.is_string(), match.is_equal(1) and the like make one")
			}
			list = append(list, m)
		}
		return func(c *runtime.Call, v lua.LValue) (bool, error) {
			for _, m := range list {
				ok, err := m.holds(c, v)
				if err != nil {
					return false, err
				}
				if (ok == wanted) != every {
					return !every, nil
				}
			}
			return every, nil
		}, nil
	}, alias)
}

func (f *file) matchModule() runtime.Module {
	m := runtime.Module{
		Name: "match", Self: f, Requires: []string{"luassert.match"},
		Doc: "Says what a value must be, where called_with, returned_with and on_call_with take one: " +
			"assert.spy(s).was.called_with(match.is_string(), match._). Words such as is, has and not may be put before each: match.is_not_nil().",
		Words: f.matched,
		Types: []runtime.Type{{
			Name: "matcher", Of: (*Matcher)(nil), Doc: "What a value must be. Called with one it says whether it is so.",
			Funcs: []runtime.Func{{
				Name: "", Doc: "Says whether the value is so.", Returns: "true or false", Example: `assert.is_true(match.is_string()("a"))`,
				Call: runtime.Inline(func(m *Matcher, c *runtime.Call, a *matchedArgs) (bool, error) { return m.holds(c, orNil(a.Value)) }),
			}},
		}},
		Funcs: matchFuncs(),
	}
	for _, a := range matchers() {
		m.Funcs = append(m.Funcs, a.Func)
	}
	return m
}

// matched finds a word of match.
func (f *file) matched(path string) (*runtime.Func, error) {
	for _, own := range matchFuncs() {
		if own.Name == path {
			return &own, nil
		}
	}
	return find("match", append(f.ownMatchers(), matchers()...), path, manner{})
}

func matchFuncs() []runtime.Func {
	return []runtime.Func{
		{
			Name: "_", Value: true, Doc: "Any value, nil as well. It is a matcher already: match._ is not called.", Returns: "a matcher",
			Example: `local s = spy.new() s(1, nil)
assert.spy(s).was.called_with(1, match._)`,
			Call: runtime.Inline(func(*file, *runtime.Call, *runtime.None) (*Matcher, error) {
				return &Matcher{name: "_", holds: func(*runtime.Call, lua.LValue) (bool, error) { return true, nil }}, nil
			}),
		},
		{
			Name: "is_matcher", Doc: "Says whether a value is a matcher.", Returns: "true or false", Example: `assert.is_true(match.is_matcher(match._))`,
			Call: runtime.Inline(func(_ *file, _ *runtime.Call, a *matchedArgs) (bool, error) { return matcherIn(a.Value) != nil, nil }),
		},
		{
			Name: "is_ref_matcher", Doc: "Says whether a value is a matcher that match.is_ref made.", Returns: "true or false",
			Example: `assert.is_false(match.is_ref_matcher(match._))`,
			Call: runtime.Inline(func(_ *file, _ *runtime.Call, a *matchedArgs) (bool, error) {
				m := matcherIn(a.Value)
				return m != nil && m.ref, nil
			}),
		},
	}
}
