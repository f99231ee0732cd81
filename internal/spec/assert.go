package spec

import (
	"errors"
	"strings"

	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/runtime"
)

// errAssertion is the cause of an error that says an assertion does not hold.
var errAssertion = errors.New("assertion")

// verdict is what an assertion finds.
type verdict struct {
	holds   bool
	unmet   string // said when it does not hold
	met     string // said when it holds, and must not
	details string // with unmet: a comparison, say
	message string // the spec's own words
	returns runtime.Results
}

// assertion is a word of assert with its opposite.
type assertion struct {
	runtime.Func
	opposite runtime.Caller
}

// asserting makes an assertion of a function that finds a verdict.
func asserting[A any](f runtime.Func, check func(f *file, c *runtime.Call, a *A) (verdict, error)) assertion {
	caller := func(negated bool) runtime.Caller {
		return runtime.Inline(func(f *file, c *runtime.Call, a *A) (runtime.Results, error) {
			v, err := check(f, c, a)
			if err != nil {
				return nil, err
			}
			return v.returns, v.err(c, negated)
		})
	}
	f.Raises = []runtime.Kind{failure.Script}
	if f.Returns == "" {
		f.Returns = "nothing"
	}
	f.Call = caller(false)
	return assertion{f, caller(true)}
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

// find finds the function of assert.is_not.equal and the like: fillers are left
// out, no and not make the opposite.
func find(list []assertion, path string) (*runtime.Func, error) {
	words := strings.FieldsFunc(strings.ToLower(path), func(r rune) bool { return r == '.' || r == '_' })
	negated := false
	for len(words) > 0 {
		for i := range list {
			if names(&list[i], words) {
				f := list[i].Func
				if negated {
					f.Call = list[i].opposite
				}
				return &f, nil
			}
		}
		switch w := words[0]; {
		case w == "no" || w == "not":
			negated = !negated
		case !fillers[w]:
			var known []string
			for _, a := range list {
				known = append(known, a.Name)
			}
			return nil, failure.New(failure.Invalid, "assert has no %q%s", path, runtime.DidYouMean(strings.Join(words, "_"), known))
		}
		words = words[1:]
	}
	return nil, nil
}

// names reports whether the words are the assertion's name, without its fillers.
func names(a *assertion, words []string) bool {
	for _, name := range append([]string{a.Name}, aliases[a.Name]...) {
		if strings.Join(words, "_") == name || strings.Join(words, "_") == strings.TrimPrefix(name, "is_") {
			return true
		}
	}
	return false
}

// aliases are further names, most of them luassert's.
var aliases = map[string][]string{
	"equal": {"equals"}, "same": {"sames"}, "has_error": {"error", "errors", "error_matches"}, "matches": {"match"}, "near": {"close"},
	"truthy": {}, "falsy": {"falsey"}, "contains": {"contain"}, "is_nil": {}, "is_true": {}, "is_false": {},
}

func (f *file) asserts() runtime.Module {
	list := assertions()
	m := runtime.Module{
		Name: "assert", Self: f,
		Doc: "Says what must be true. Words such as is, are, has and not may be put before each: " +
			"assert.are.equal, assert.is_not.equal, assert.are_not.same, assert.has_no.error.",
		Words: func(path string) (*runtime.Func, error) { return find(list, path) },
		Funcs: []runtime.Func{{
			Name: "", Doc: "Is Lua's assert: ends the test when the value is nil or false, and returns its arguments.",
			Returns: "its arguments", Raises: []runtime.Kind{failure.Script},
			Example: `local n = assert(tonumber("42"), "not a number")`,
			Call:    runtime.Inline((*file).assert),
		}},
	}
	for _, a := range list {
		m.Funcs = append(m.Funcs, a.Func)
	}
	m.Funcs = append(m.Funcs, runtime.Func{
		Name: "spy", Doc: "Is about the calls of a spy: .was.called(), .was.called(2), .was_not.called(), .was.called_with(...).",
		Returns: "an object with these words", Raises: []runtime.Kind{failure.Invalid, failure.Script},
		Example: `local s = spy.new(function() end)
s("a")
assert.spy(s).was.called(1)
assert.spy(s).was_not.called_with("b")`,
		Call: runtime.Inline((*file).spyAssert),
	})
	return m
}
