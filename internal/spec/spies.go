package spec

import (
	"fmt"

	lua "github.com/yuin/gopher-lua"

	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/runtime"
)

// Spy is a function that remembers its calls. A stub is one that answers by itself.
type Spy struct {
	Calls    *lua.LTable    `lua:"calls" doc:"its calls, in order: each has vals, the arguments as they were, and refs, the arguments themselves, with their number in n"`
	Returned *lua.LTable    `lua:"returnvals" doc:"what it returned, in the same form"`
	Callback lua.LValue     `lua:"callback" type:"function" doc:"the function behind it; nil for a stub"`
	Returns  *runtime.Words `lua:"returns" type:"function" doc:"of a stub: stub.returns(...) says what it returns from now on"`
	Invokes  *runtime.Words `lua:"invokes" type:"function" doc:"of a stub: stub.invokes(fn) says what it calls from now on"`
	Default  *runtime.Words `lua:"by_default" doc:"of a stub: has returns and invokes, so that sentences read well"`
	OnCall   *runtime.Words `lua:"on_call_with" type:"function" doc:"of a stub: stub.on_call_with(...).returns(...), or .invokes(fn), is for calls with such arguments"`

	reaction reaction
	special  []special // tried before it
	calls    []record
	returns  []record

	home  *block      // the insulated block that it was placed for
	table *lua.LTable // where it stands in place of was; nil: nowhere
	key   lua.LValue
	was   lua.LValue
}

// reaction is the result of a call of a spy.
type reaction struct {
	fn     *runtime.Function // what is called; nil: nothing
	values []lua.LValue      // returned without fn
}

func (a reaction) to(c *runtime.Call, args []lua.LValue) (runtime.Results, error) {
	if a.fn == nil {
		return results(a.values), nil
	}
	return a.fn.Call(c, results(args)...)
}

// special is the reaction to calls with certain arguments.
type special struct {
	args []lua.LValue
	reaction
}

// record holds what a spy was called with, or has returned: as it was then, and the values
// themselves.
type record struct{ vals, refs []lua.LValue }

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
			Name: "spy", Doc: "Functions that remember their calls.", Self: f, Requires: []string{"luassert.spy"},
			Types: []runtime.Type{spyType()},
			Funcs: []runtime.Func{
				{
					Name: "", Doc: "Is spy.new.", Returns: "the spy", Example: `local ask = spy(function() return "up" end)`,
					Call: runtime.Inline((*file).spyNew),
				},
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
				{
					Name: "is_spy", Doc: "Says whether a value is a spy or a stub.", Returns: "true or false", Example: `assert.is_true(spy.is_spy(spy.new()))`,
					Call: runtime.Inline(func(_ *file, _ *runtime.Call, a *matchedArgs) (bool, error) { return spyIn(a.Value) != nil, nil }),
				},
			},
		},
		f.stubs(), f.mocks(),
	}
}

// spyIn returns the spy that v is, or nil.
func spyIn(v lua.LValue) *Spy {
	if ud, ok := v.(*lua.LUserData); ok {
		s, _ := ud.Value.(*Spy)
		return s
	}
	return nil
}

func spyType() runtime.Type {
	simple := func(name, doc, example string, f func(s *Spy)) runtime.Func {
		return runtime.Func{
			Name: name, Doc: doc, Returns: "the spy", Example: example,
			Call: runtime.Inline(func(s *Spy, _ *runtime.Call, _ *runtime.None) (*Spy, error) {
				f(s)
				return s, nil
			}),
		}
	}
	return runtime.Type{
		Name: "spy", Of: (*Spy)(nil), Doc: "A spy or a stub. It is called as a function is.",
		Funcs: []runtime.Func{
			{
				Name: "", Doc: "Calls the function behind the spy.", Returns: "what that returns",
				Example: `local s = spy.new(function(n) return n end)
assert(s(1) == 1)`,
				Call: runtime.Inline((*Spy).call),
			},
			simple("clear", "Forgets the calls.", `spy.new():clear()`, (*Spy).clear),
			simple("revert", "Puts the function back that it stands for.", `spy.new():revert()`, (*Spy).revert),
		},
	}
}

func newSpy(a reaction) *Spy {
	s := &Spy{reaction: a, Callback: lua.LNil}
	s.clear()
	return s
}

func (s *Spy) clear() {
	s.calls, s.returns, s.Calls, s.Returned = nil, nil, newTable(), newTable()
}

type spyNewArgs struct {
	Fn *runtime.Function `lua:"fn,pos" doc:"what it calls; nothing when it is not given"`
}

func (f *file) spyNew(c *runtime.Call, a *spyNewArgs) (*Spy, error) {
	s := newSpy(reaction{fn: a.Fn})
	if a.Fn != nil {
		s.Callback = c.Passed()[0]
	}
	return s, nil
}

type spyOnArgs struct {
	Table *lua.LTable `lua:"table,pos,required,asis" doc:"the table"`
	Key   lua.LValue  `lua:"key,pos,required,asis" doc:"the function's name in it"`
}

func (f *file) spyOn(c *runtime.Call, a *spyOnArgs) (*Spy, error) {
	was, err := member(c, a.Table, a.Key)
	if err != nil {
		return nil, err
	}
	s := newSpy(reaction{fn: c.Callable(was)})
	if s.Callback = was; s.reaction.fn == nil {
		return nil, failure.New(failure.Invalid, "the table's %s is not a function but a %s", described(a.Key), was.Type()).WithHint(notModules)
	}
	return s, f.replace(c, s, a.Table, a.Key)
}

const notModules = "a module such as docker cannot be changed: w:fail(...) makes its calls fail"

// member is t[key], also where t's metatable has it.
func member(c *runtime.Call, t *lua.LTable, key lua.LValue) (lua.LValue, error) {
	for range 100 { // as long as Lua follows __index
		if v := t.RawGet(key); v != lua.LNil {
			return v, nil
		}
		mt, ok := t.Metatable.(*lua.LTable)
		if !ok {
			return lua.LNil, nil
		}
		switch index := mt.RawGetString("__index").(type) {
		case *lua.LTable:
			t = index
		case *lua.LFunction:
			out, err := c.Callable(index).Call(c, t, key)
			if err != nil || len(out) == 0 {
				return lua.LNil, err
			}
			return out[0].(lua.LValue), nil
		default:
			return lua.LNil, nil
		}
	}
	return lua.LNil, nil
}

// replace puts a spy in the place of a field of a table, until the test is over.
func (f *file) replace(c *runtime.Call, s *Spy, t *lua.LTable, key lua.LValue) error {
	if mt, ok := t.Metatable.(*lua.LTable); ok && mt.RawGetString("__metatable") != lua.LNil && mt.RawGetString("__newindex") != lua.LNil {
		return failure.New(failure.Invalid, "the table cannot be changed").WithHint(notModules)
	}
	s.table, s.key, s.was, s.home = t, key, t.RawGet(key), f.home
	t.RawSet(key, c.Value(s))
	f.placed = append(f.placed, s)
	return nil
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
	f.placed = f.placed[:min(n, len(f.placed))]
}

type callArgs struct {
	Args []lua.LValue `lua:"args,rest,asis" doc:"its arguments"`
}

func (s *Spy) call(c *runtime.Call, a *callArgs) (runtime.Results, error) {
	s.calls = append(s.calls, remember(c, s.Calls, a.Args))
	what := s.reaction
	for _, special := range s.special {
		q := &comparison{call: c}
		fits := q.arguments(special.args, record{a.Args, a.Args})
		if q.err != nil {
			return nil, q.err
		}
		if fits {
			what = special.reaction
			break
		}
	}
	out, err := what.to(c, a.Args)
	if err != nil {
		return nil, err
	}
	values := make([]lua.LValue, len(out))
	for i, v := range out {
		values[i] = v.(lua.LValue)
	}
	s.returns = append(s.returns, remember(c, s.Returned, values))
	return out, nil
}

// remember makes a record of values, and appends it to a list that the spec can read.
func remember(c *runtime.Call, list *lua.LTable, values []lua.LValue) record {
	vals := make([]lua.LValue, len(values))
	for i, v := range values {
		vals[i] = copied(c, v)
	}
	entry := newTable()
	c.TakeIn(64 * (2*len(values) + 4))
	entry.RawSetString("vals", listOf(vals))
	entry.RawSetString("refs", listOf(values))
	list.Append(entry)
	return record{vals, values}
}

// copied is a copy of a table, with those that are in it.
func copied(c *runtime.Call, v lua.LValue) lua.LValue {
	t, ok := v.(*lua.LTable)
	if !ok {
		return v
	}
	known, todo := map[*lua.LTable]*lua.LTable{}, []*lua.LTable(nil)
	of := func(t *lua.LTable) *lua.LTable {
		if known[t] == nil {
			known[t] = &lua.LTable{Metatable: t.Metatable}
			todo = append(todo, t)
		}
		return known[t]
	}
	out := of(t)
	for len(todo) > 0 {
		from := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		for k, v := from.Next(lua.LNil); k != lua.LNil; k, v = from.Next(k) {
			c.Charge(1)
			c.TakeIn(64)
			if inner, ok := v.(*lua.LTable); ok {
				v = of(inner)
			}
			known[from].RawSet(k, v)
		}
	}
	return out
}

// arguments reports whether arguments, or results, were as wanted, where matchers may
// stand for some.
func (q *comparison) arguments(want []lua.LValue, got record) bool {
	if len(want) != len(got.vals) {
		return false
	}
	for i, w := range want {
		m := matcherIn(w)
		if m == nil {
			if !q.same(w, got.vals[i]) {
				return false
			}
			continue
		}
		v := got.vals[i]
		if m.ref {
			v = got.refs[i]
		}
		ok, err := m.holds(q.call, v)
		if err != nil && q.err == nil {
			q.err = err
		}
		if !ok || err != nil {
			return false
		}
	}
	return true
}
