package spec

import (
	lua "github.com/yuin/gopher-lua"

	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/runtime"
)

func (f *file) stubs() runtime.Module {
	return runtime.Module{
		Name: "stub", Doc: "A function that does nothing, and remembers its calls.", Self: f, Requires: []string{"luassert.stub"},
		Funcs: []runtime.Func{
			{
				Name: "", Doc: "Puts a stub in place of a function of a table, or where there is none: it does nothing and returns the values given; " +
					"one function among them is called. What it does can be said later, too: stub(t, \"ask\").returns(\"up\"). When the test is over " +
					"the function is put back.",
				Returns: "the stub, which is a spy", Raises: []runtime.Kind{failure.Invalid},
				Example: `local t = {ask = function() return "down" end}
stub(t, "ask", "up")
assert(t.ask() == "up")
t.ask.on_call_with("twice").returns("up", "up")
t.ask.by_default.invokes(function(name) return name .. " is up" end)
assert(t.ask("db") == "db is up")`,
				Call: runtime.Inline((*file).stub),
			},
			{
				Name: "new", Doc: "The same as stub. Without a table it makes a stub that replaces nothing.", Returns: "the stub", Example: `local s = stub.new()
s.returns(1)
assert(s() == 1)`,
				Call: runtime.Inline((*file).stub),
			},
		},
	}
}

type stubArgs struct {
	Table  *lua.LTable  `lua:"table,pos,asis" doc:"the table"`
	Key    lua.LValue   `lua:"key,pos,asis" doc:"the function's name in it"`
	Values []lua.LValue `lua:"values,rest,asis" doc:"what the stub returns; or a function that it calls"`
}

func (f *file) stub(c *runtime.Call, a *stubArgs) (*Spy, error) {
	s := newStub(reactionOf(c, a.Values))
	if a.Table == nil {
		return s, nil
	}
	if orNil(a.Key) == lua.LNil {
		return nil, failure.New(failure.Invalid, "key is missing: stub(t, \"name\")")
	}
	was, err := member(c, a.Table, a.Key)
	if err != nil {
		return nil, err
	}
	if was != lua.LNil && c.Callable(was) == nil {
		return nil, failure.New(failure.Invalid, "the table's %s is not a function but a %s", described(a.Key), was.Type()).WithHint(notModules)
	}
	return s, f.replace(c, s, a.Table, a.Key)
}

// reactionOf makes a reaction of values: of a single function, a call of it.
func reactionOf(c *runtime.Call, values []lua.LValue) reaction {
	if len(values) == 1 {
		if fn := c.Callable(values[0]); fn != nil {
			return reaction{fn: fn}
		}
	}
	return reaction{values: values}
}

func newStub(a reaction) *Spy {
	s := newSpy(a)
	to := func(a reaction) { s.reaction = a }
	s.Returns, s.Invokes = stubWord(s, "returns", to), stubWord(s, "invokes", to)
	s.Default = stubWords(s, to)
	s.OnCall = &runtime.Words{Name: "stub.on_call_with", Self: s, Find: only("on_call_with", &runtime.Func{
		Call: runtime.Inline(func(s *Spy, _ *runtime.Call, a *callArgs) (*runtime.Words, error) {
			return stubWords(s, func(what reaction) { s.special = append(s.special, special{a.Args, what}) }), nil
		}),
	})}
	return s
}

type invokesArgs struct {
	Fn *runtime.Function `lua:"fn,pos,required" doc:"what is called"`
}

// stubFuncs are returns and invokes, which hand a reaction to to.
func stubFuncs(to func(reaction)) map[string]*runtime.Func {
	return map[string]*runtime.Func{
		"returns": {Call: runtime.Inline(func(s *Spy, _ *runtime.Call, a *callArgs) (*Spy, error) {
			to(reaction{values: a.Args})
			return s, nil
		})},
		"invokes": {Call: runtime.Inline(func(s *Spy, _ *runtime.Call, a *invokesArgs) (*Spy, error) {
			to(reaction{fn: a.Fn})
			return s, nil
		})},
	}
}

// stubWord is one of them, to be called.
func stubWord(s *Spy, name string, to func(reaction)) *runtime.Words {
	return &runtime.Words{Name: "stub." + name, Self: s, Find: only(name, stubFuncs(to)[name])}
}

// stubWords are both, by their names.
func stubWords(s *Spy, to func(reaction)) *runtime.Words {
	funcs := stubFuncs(to)
	return &runtime.Words{Name: "stub", Self: s, Find: func(path string) (*runtime.Func, error) {
		if path == "" || funcs[path] != nil {
			return funcs[path], nil
		}
		return nil, failure.New(failure.Invalid, "a stub has no %q%s", path, runtime.DidYouMean(path, []string{"returns", "invokes"}))
	}}
}

// only finds fn, which is called without a further word.
func only(name string, fn *runtime.Func) func(string) (*runtime.Func, error) {
	return func(path string) (*runtime.Func, error) {
		if path == "" {
			return fn, nil
		}
		return nil, failure.New(failure.Invalid, "%s has no %q: it is called", name, path)
	}
}

func (f *file) mocks() runtime.Module {
	return runtime.Module{
		Name: "mock", Doc: "Spies or stubs in place of all functions of a table.", Self: f, Requires: []string{"luassert.mock"},
		Funcs: []runtime.Func{
			{
				Name: "", Doc: "Puts spies in place of all functions of a table and of the tables in it; with true, stubs. When the test is over the functions are put back.",
				Returns: "the table", Raises: []runtime.Kind{failure.Invalid},
				Example: `local t = mock({go = function() return 1 end}, true)
t.go()
assert.spy(t.go).was.called(1)`,
				Call: runtime.Inline((*file).mock),
			},
			{
				Name: "new", Doc: "Is mock.", Returns: "the table", Example: `mock.new({go = function() end})`,
				Call: runtime.Inline((*file).mock),
			},
			{
				Name: "clear", Doc: "Makes all spies of a table forget their calls.", Returns: "the table", Example: `mock.clear(mock({}))`,
				Call: runtime.Inline(onSpies((*Spy).clear)),
			},
			{
				Name: "revert", Doc: "Puts all functions of a table back.", Returns: "the table", Example: `mock.revert(mock({}))`,
				Call: runtime.Inline(onSpies((*Spy).revert)),
			},
		},
	}
}

type mockArgs struct {
	Table *lua.LTable `lua:"table,pos,required,asis" doc:"the table"`
	Stub  bool        `lua:"stub,pos" doc:"the functions are not called"`
	Value lua.LValue  `lua:"value,pos,asis" doc:"with stub: what they return, or a function that is called"`
}

func (f *file) mock(c *runtime.Call, a *mockArgs) (*lua.LTable, error) {
	var values []lua.LValue
	if a.Value != nil {
		values = []lua.LValue{a.Value}
	}
	err := within(c, a.Table, func(t *lua.LTable, k, v lua.LValue) error {
		fn, ok := v.(*lua.LFunction)
		switch {
		case !ok:
			return nil
		case a.Stub:
			return f.replace(c, newStub(reactionOf(c, values)), t, k)
		}
		s := newSpy(reaction{fn: c.Callable(fn)})
		s.Callback = fn
		return f.replace(c, s, t, k)
	})
	return a.Table, err
}

type mockedArgs struct {
	Table *lua.LTable `lua:"table,pos,required,asis" doc:"the table"`
}

func onSpies(do func(*Spy)) func(*file, *runtime.Call, *mockedArgs) (*lua.LTable, error) {
	return func(_ *file, c *runtime.Call, a *mockedArgs) (*lua.LTable, error) {
		return a.Table, within(c, a.Table, func(_ *lua.LTable, _, v lua.LValue) error {
			if s := spyIn(v); s != nil {
				do(s)
			}
			return nil
		})
	}
}

// within visits each value of a table and of those in it, each table once. do may
// change the values.
func within(c *runtime.Call, t *lua.LTable, do func(t *lua.LTable, k, v lua.LValue) error) error {
	seen := map[*lua.LTable]bool{t: true}
	for todo := []*lua.LTable{t}; len(todo) > 0; {
		t := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		var pairs [][2]lua.LValue
		for k, v := t.Next(lua.LNil); k != lua.LNil; k, v = t.Next(k) {
			pairs = append(pairs, [2]lua.LValue{k, v})
		}
		c.Charge(2 * len(pairs))
		for _, p := range pairs {
			if inner, ok := p[1].(*lua.LTable); ok && !seen[inner] {
				seen[inner] = true
				todo = append(todo, inner)
			}
			if err := do(t, p[0], p[1]); err != nil {
				return err
			}
		}
	}
	return nil
}
