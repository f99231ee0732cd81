package spec

import (
	"fmt"

	lua "github.com/yuin/gopher-lua"

	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/internal/sandbox/show"
	"github.com/mepc/mepc-run/runtime"
)

type spyArgs struct {
	Spy     lua.LValue `lua:"spy,pos,required,asis" doc:"the spy or stub"`
	Message lua.LValue `lua:"message,pos,asis" doc:"a message put before the failure"`
}

// spyAssert is assert.spy(s): assertions about its calls.
func (f *file) spyAssert(_ *runtime.Call, a *spyArgs) (*runtime.Words, error) {
	s := spyIn(a.Spy)
	if s == nil {
		return nil, failure.New(failure.Invalid, "a spy expected, got %s", a.Spy.Type()).WithHint("spy.new(fn), spy.on(t, name) and stub(t, name) make one")
	}
	list, how := spyAssertions(s), manner{message: text(a.Message)}
	return &runtime.Words{Name: "assert.spy", Self: f, Find: func(path string) (*runtime.Func, error) { return find("assert.spy", list, path, how) }}, nil
}

type calledArgs struct {
	Times *int `lua:"times,pos" min:"0" doc:"how often; default: at least once"`
}

type boundArgs struct {
	Times int `lua:"times,pos,required" min:"0" doc:"how often"`
}

// bounds are the words for how often a spy was called.
var bounds = []struct {
	name, words string
	holds       func(n, bound int) bool
}{
	{"called_at_least", "at least ", func(n, bound int) bool { return n >= bound }},
	{"called_at_most", "at most ", func(n, bound int) bool { return n <= bound }},
	{"called_more_than", "more than ", func(n, bound int) bool { return n > bound }},
	{"called_less_than", "less than ", func(n, bound int) bool { return n < bound }},
}

func spyAssertions(s *Spy) []assertion {
	all := []assertion{
		asserting(runtime.Func{Name: "called"}, func(_ *file, _ *runtime.Call, a *calledArgs) (verdict, error) {
			n := len(s.calls)
			if a.Times != nil {
				return verdict{
					holds: n == *a.Times, unmet: fmt.Sprintf("expected %s, was called %s", callsWord(*a.Times), times(n)),
					met: "expected another number of calls than " + fmt.Sprint(n),
				}, nil
			}
			return verdict{holds: n > 0, unmet: "expected a call, got none", met: "expected no call, was called " + times(n)}, nil
		}),
		records("called_with", "a call with ", "called", "called with ", func() []record { return s.calls }),
		records("returned_with", "a call that returns ", "called", "returned ", func() []record { return s.returns }),
	}
	for _, b := range bounds {
		all = append(all, asserting(runtime.Func{Name: b.name}, func(_ *file, _ *runtime.Call, a *boundArgs) (verdict, error) {
			n := len(s.calls)
			text := fmt.Sprintf("%s%s, was called %s", b.words, callsWord(a.Times), times(n))
			return verdict{holds: b.holds(n, a.Times), unmet: "expected " + text, met: "expected not " + text}, nil
		}))
	}
	return all
}

// records makes an assertion that one of a spy's records is as wanted.
func records(name, wanted, what, did string, of func() []record) assertion {
	return asserting(runtime.Func{Name: name}, func(_ *file, c *runtime.Call, a *callArgs) (verdict, error) {
		q, all := &comparison{call: c}, of()
		v := verdict{unmet: "expected " + wanted + arguments(a.Args) + ", was " + what + " " + times(len(all)), met: "expected no " + wanted[2:] + arguments(a.Args)}
		for _, r := range all {
			v.holds = v.holds || q.arguments(a.Args, r)
			v.details += did + arguments(r.vals) + "\n"
		}
		return v, q.err
	})
}

func callsWord(n int) string {
	if n == 1 {
		return "1 call"
	}
	return fmt.Sprintf("%d calls", n)
}

func arguments(values []lua.LValue) string {
	text := ""
	for i, v := range values {
		if i > 0 {
			text += ", "
		}
		if m := matcherIn(v); m != nil {
			text += m.String()
		} else {
			text += show.Line(v, maxShown)
		}
	}
	return "(" + text + ")"
}
