package spec

import (
	"errors"
	"slices"
	"strings"

	lua "github.com/yuin/gopher-lua"

	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/runtime"
)

// errAssertion is the cause of an error that says an assertion does not hold.
var errAssertion = errors.New("assertion")

// verdict is the result of an assertion.
type verdict struct {
	holds   bool
	unmet   string // said when it does not hold
	met     string // said when it holds, and must not
	details string // with unmet: a comparison, say
	message string // the spec's own words
	returns runtime.Results
}

// assertion is a word of assert.
type assertion struct {
	runtime.Func
	caller  func(manner) runtime.Caller
	aliases []string
}

// manner is the form of an assertion: assert.message("text").is_not.equal.
type manner struct {
	negated bool
	message string
}

// asserting makes an assertion of a function that finds a verdict. It returns what it
// was given, unless the verdict has something better.
func asserting[A any](f runtime.Func, check func(f *file, c *runtime.Call, a *A) (verdict, error), aliases ...string) assertion {
	caller := func(how manner) runtime.Caller {
		return runtime.Inline(func(f *file, c *runtime.Call, a *A) (runtime.Results, error) {
			v, err := check(f, c, a)
			if err != nil {
				return nil, err
			}
			if v.message == "" {
				v.message = how.message
			}
			if v.returns == nil {
				v.returns = results(c.Passed())
			}
			return v.returns, v.err(c, how.negated)
		})
	}
	f.Raises = []runtime.Kind{failure.Script}
	if f.Returns == "" {
		f.Returns = "its arguments"
	}
	f.Call = caller(manner{})
	return assertion{f, caller, aliases}
}

func results(values []lua.LValue) runtime.Results {
	out := make(runtime.Results, len(values))
	for i, v := range values {
		out[i] = v
	}
	return out
}

// in returns the function for a manner.
func (a *assertion) in(how manner) *runtime.Func {
	f := a.Func
	if how != (manner{}) {
		f.Call = a.caller(how)
	}
	return &f
}

// err returns the error that ends the test, or nil.
func (v verdict) err(c *runtime.Call, negated bool) error {
	if v.holds != negated {
		return nil
	}
	e := &runtime.Error{Kind: failure.Script, Message: v.unmet, Details: v.details, Where: c.Where(), Cause: errAssertion}
	if negated {
		e.Message, e.Details = v.met, ""
	}
	if v.message != "" {
		e.Message = v.message + ": " + e.Message
	}
	return e
}

// fillers are words that only make a sentence of an assertion.
var fillers = map[string]bool{
	"is": true, "are": true, "has": true, "have": true, "does": true, "do": true, "was": true, "were": true, "be": true,
	"to": true, "a": true, "an": true, "the": true, "all": true,
}

// find finds the function of is_not.equal and the like: fillers are left out, no and
// not make the opposite.
func find(of string, list []assertion, path string, how manner) (*runtime.Func, error) {
	words := strings.FieldsFunc(strings.ToLower(path), func(r rune) bool { return r == '.' || r == '_' })
	for len(words) > 0 {
		name := strings.Join(words, "_")
		for i := range list {
			if list[i].named(name) {
				return list[i].in(how), nil
			}
		}
		switch w := words[0]; {
		case w == "no" || w == "not":
			how.negated = !how.negated
		case !fillers[w] && !begins(list, name):
			var known []string
			for _, a := range list {
				known = append(known, strings.TrimPrefix(a.Name, "is_"))
			}
			return nil, failure.New(failure.Invalid, "%s has no %q%s", of, path, runtime.DidYouMean(name, known))
		case !fillers[w]:
			return nil, nil
		}
		words = words[1:]
	}
	return nil, nil
}

// named reports whether name is the assertion's, or one of its further names, with or
// without an is.
func (a *assertion) named(name string) bool {
	return name == a.Name || name == strings.TrimPrefix(a.Name, "is_") || slices.Contains(a.aliases, name)
}

// begins reports whether words are the first ones of a name that has more.
func begins(list []assertion, words string) bool {
	return slices.ContainsFunc(list, func(a assertion) bool {
		return slices.ContainsFunc(append([]string{a.Name}, a.aliases...), func(name string) bool { return strings.HasPrefix(name, words+"_") })
	})
}

// asserted finds a word of assert.
func (f *file) asserted(path string, how manner) (*runtime.Func, error) {
	for _, own := range f.assertFuncs() {
		if own.Name == path {
			return &own, nil
		}
	}
	return find("assert", append(f.registered(), assertions()...), path, how)
}

func (f *file) asserts() runtime.Module {
	m := runtime.Module{
		Name: "assert", Self: f, Requires: []string{"luassert", "luassert.assert"}, Types: []runtime.Type{snapshotType()},
		Doc: "Checks that something is true. Words such as is, are, has and not may come before each: " +
			"assert.are.equal, assert.is_not.equal, assert.are_not.same, assert.has_no.error.",
		Words: func(path string) (*runtime.Func, error) { return f.asserted(path, manner{}) },
		Funcs: []runtime.Func{{
			Name: "", Doc: "Is Lua's assert: ends the test when the value is nil or false, and returns its arguments.",
			Returns: "its arguments", Raises: []runtime.Kind{failure.Script},
			Example: `local n = assert(tonumber("42"), "not a number")`,
			Call:    runtime.Inline((*file).assert),
		}},
	}
	for _, a := range assertions() {
		m.Funcs = append(m.Funcs, a.Func)
	}
	m.Funcs = append(m.Funcs, f.assertFuncs()...)
	return m
}

// assertFuncs are the functions of assert that are no assertions.
func (f *file) assertFuncs() []runtime.Func {
	return append([]runtime.Func{
		{
			Name: "spy", Doc: "Checks the calls of a spy: .was.called(), .was.called(2), .was.called_at_least(1), .was_not.called(), " +
				".was.called_with(...), .returned_with(...). Expected arguments may be matchers. assert.stub is the same word.",
			Returns: "an object with these words", Raises: []runtime.Kind{failure.Invalid, failure.Script},
			Example: `local s = spy.new(function() end)
s("a")
assert.spy(s).was.called(1)
assert.spy(s).was.called_with(match.is_string())
assert.spy(s).was_not.called_with("b")`,
			Call: runtime.Inline((*file).spyAssert),
		},
		{
			Name: "stub", Doc: "The same as assert.spy, so that sentences read well.",
			Returns: "an object with these words", Raises: []runtime.Kind{failure.Invalid, failure.Script},
			Example: `local t = {}
assert.stub(stub(t, "go")).was_not.called()`,
			Call: runtime.Inline((*file).spyAssert),
		},
		{
			Name: "message", Doc: "Gives the message before the assertion instead of after it.",
			Returns: "assert, with these words",
			Example: `assert.message("one backend").are.equal(1, #{"app"})`,
			Call:    runtime.Inline((*file).withMessage),
		},
	}, registerFuncs()...)
}

type messageArgs struct {
	Message lua.LValue `lua:"message,pos,asis" doc:"a message put before the failure"`
}

func (f *file) withMessage(_ *runtime.Call, a *messageArgs) (*runtime.Words, error) {
	how := manner{message: text(a.Message)}
	return &runtime.Words{Name: "assert", Self: f, Find: func(path string) (*runtime.Func, error) { return f.asserted(path, how) }}, nil
}

// text is a message that a spec gives: any value.
func text(v lua.LValue) string {
	switch v := orNil(v).(type) {
	case *lua.LNilType:
		return ""
	case lua.LString:
		return string(v)
	default:
		return described(v)
	}
}
