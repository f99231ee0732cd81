package spec

import (
	"fmt"

	lua "github.com/yuin/gopher-lua"

	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/runtime"
)

// Spy is a function that remembers its calls.
type Spy struct {
	fn    *runtime.Function // what it calls; nil: nothing
	value []lua.LValue      // what it returns without fn
	calls [][]lua.LValue

	home  *block      // the insulated block that it was placed for
	table *lua.LTable // where it stands in place of was; nil: nowhere
	key   lua.LValue
	was   lua.LValue
}

// String names the object in messages.
func (s *Spy) String() string { return fmt.Sprintf("spy, called %s", times(len(s.calls))) }

func times(n int) string {
	switch n {
	case 0:
		return "never"
	case 1:
		return "once"
	}
	return fmt.Sprintf("%d times", n)
}

func (f *file) spies() []runtime.Module {
	return []runtime.Module{
		{
			Name: "spy", Doc: "Functions that remember their calls.", Self: f,
			Types: []runtime.Type{spyType()},
			Funcs: []runtime.Func{
				{
					Name: "new", Doc: "Makes a spy of a function: it can be called as that can.", Returns: "the spy",
					Example: `local ask = spy.new(function() return "up" end)`,
					Call:    runtime.Inline((*file).spyNew),
				},
				{
					Name:    "on",
					Doc:     "Puts a spy in place of a function of a table. When the test is over the function is put back.",
					Returns: "the spy", Raises: []runtime.Kind{failure.Invalid},
					Example: `local t = {go = function() end}
local s = spy.on(t, "go")`,
					Call: runtime.Inline((*file).spyOn),
				},
			},
		},
		{
			Name: "stub", Doc: "A function that does nothing, and remembers its calls.", Self: f,
			Funcs: []runtime.Func{{
				Name: "", Doc: "Puts a stub in place of a function of a table: it does nothing and returns the values given. When the " +
					"test is over the function is put back.",
				Returns: "the stub, which is a spy", Raises: []runtime.Kind{failure.Invalid},
				Example: `local t = {ask = function() return "down" end}
stub(t, "ask", "up")
assert(t.ask() == "up")`,
				Call: runtime.Inline((*file).stub),
			}},
		},
	}
}

func spyType() runtime.Type {
	return runtime.Type{
		Name: "spy", Of: (*Spy)(nil), Doc: "A spy or a stub. It is called as a function is.",
		Funcs: []runtime.Func{
			{
				Name: "", Doc: "Calls the function behind the spy.", Returns: "what that returns",
				Example: `local s = spy.new(function(n) return n end)
assert(s(1) == 1)`,
				Call: runtime.Inline((*Spy).call),
			},
			{
				Name: "calls", Doc: "Tells with which arguments it was called.", Returns: "a list of lists of arguments",
				Example: `assert(#spy.new():calls() == 0)`,
				Call:    runtime.Inline((*Spy).list),
			},
			{
				Name: "clear", Doc: "Forgets the calls.", Example: `spy.new():clear()`,
				Call: runtime.Inline(func(s *Spy, _ *runtime.Call, _ *runtime.None) (runtime.None, error) {
					s.calls = nil
					return runtime.None{}, nil
				}),
			},
			{
				Name: "revert", Doc: "Puts the function back that it stands for.", Example: `spy.new():revert()`,
				Call: runtime.Inline(func(s *Spy, _ *runtime.Call, _ *runtime.None) (runtime.None, error) {
					s.revert()
					return runtime.None{}, nil
				}),
			},
		},
	}
}

type spyNewArgs struct {
	Fn *runtime.Function `lua:"fn,pos" doc:"what it calls; nothing when it is not given"`
}

func (f *file) spyNew(_ *runtime.Call, a *spyNewArgs) (*Spy, error) { return &Spy{fn: a.Fn}, nil }

type spyOnArgs struct {
	Table *lua.LTable `lua:"table,pos,required" doc:"the table"`
	Key   string      `lua:"key,pos,required" doc:"the function's name in it"`
}

func (f *file) spyOn(c *runtime.Call, a *spyOnArgs) (*Spy, error) {
	s := &Spy{}
	was, err := f.replace(c, s, a.Table, a.Key)
	if err != nil {
		return nil, err
	}
	s.fn = c.Function(was)
	return s, nil
}

type stubArgs struct {
	Table  *lua.LTable  `lua:"table,pos,required" doc:"the table"`
	Key    string       `lua:"key,pos,required" doc:"the function's name in it"`
	Values []lua.LValue `lua:"values,rest" doc:"what the stub returns"`
}

func (f *file) stub(c *runtime.Call, a *stubArgs) (*Spy, error) {
	s := &Spy{value: a.Values}
	_, err := f.replace(c, s, a.Table, a.Key)
	return s, err
}

// replace puts a spy in the place of a function of a table, until the test is over.
func (f *file) replace(c *runtime.Call, s *Spy, t *lua.LTable, key string) (*lua.LFunction, error) {
	was := t.RawGetString(key)
	fn, ok := was.(*lua.LFunction)
	if !ok {
		return nil, failure.New(failure.Invalid, "the table's %q is no function, but a %s", key, was.Type()).
			WithHint("a module such as docker cannot be changed: w:fail(...) makes its calls fail")
	}
	s.table, s.key, s.was, s.home = t, lua.LString(key), was, f.home
	t.RawSetString(key, c.Value(s))
	f.placed = append(f.placed, s)
	return fn, nil
}

func (s *Spy) revert() {
	if s.table != nil {
		s.table.RawSet(s.key, s.was)
		s.table = nil
	}
}

// revertSpies puts back what spies stand for that were placed since there were n.
func (f *file) revertSpies(n int) {
	for i := len(f.placed) - 1; i >= n; i-- {
		f.placed[i].revert()
	}
	f.placed = f.placed[:n]
}

type callArgs struct {
	Args []lua.LValue `lua:"args,rest" doc:"its arguments"`
}

func (s *Spy) call(c *runtime.Call, a *callArgs) (runtime.Results, error) {
	s.calls = append(s.calls, a.Args)
	if s.fn == nil {
		out := make(runtime.Results, len(s.value))
		for i, v := range s.value {
			out[i] = v
		}
		return out, nil
	}
	args := make([]any, len(a.Args))
	for i, v := range a.Args {
		args[i] = v
	}
	return s.fn.Call(c, args...)
}

func (s *Spy) list(_ *runtime.Call, _ *runtime.None) ([][]lua.LValue, error) {
	out := make([][]lua.LValue, len(s.calls)) // a list, also when it is empty
	copy(out, s.calls)
	return out, nil
}

type spyArgs struct {
	Spy lua.LValue `lua:"spy,pos,required" doc:"the spy or stub"`
}

// spyAssert is assert.spy(s): assertions about its calls.
func (f *file) spyAssert(_ *runtime.Call, a *spyArgs) (*runtime.Words, error) {
	ud, ok := a.Spy.(*lua.LUserData)
	if !ok {
		return nil, failure.New(failure.Invalid, "spy: a spy expected, got %s", a.Spy.Type()).WithHint("spy.new(fn), spy.on(t, name) and stub(t, name) make one")
	}
	s, ok := ud.Value.(*Spy)
	if !ok {
		return nil, failure.New(failure.Invalid, "spy: a spy expected, got another object")
	}
	list := spyAssertions(s)
	return &runtime.Words{Name: "assert.spy", Self: f, Find: func(path string) (*runtime.Func, error) { return find(list, path) }}, nil
}

type calledArgs struct {
	Times *int `lua:"times,pos" min:"0" doc:"how often; default: at least once"`
}

func spyAssertions(s *Spy) []assertion {
	return []assertion{
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
		asserting(runtime.Func{Name: "called_with"}, func(_ *file, _ *runtime.Call, a *callArgs) (verdict, error) {
			want := &lua.LTable{Metatable: lua.LNil}
			for i, v := range a.Args {
				want.RawSetInt(i+1, v)
			}
			v := verdict{unmet: "expected a call with " + arguments(a.Args) + ", was called " + times(len(s.calls)), met: "expected no call with " + arguments(a.Args)}
			for _, call := range s.calls {
				got := &lua.LTable{Metatable: lua.LNil}
				for i, x := range call {
					got.RawSetInt(i+1, x)
				}
				v.holds = v.holds || same(want, got)
				v.details += "called with " + arguments(call) + "\n"
			}
			return v, nil
		}),
	}
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
		text += write(v, -1, 0)
	}
	return "(" + text + ")"
}
