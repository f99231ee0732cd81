package runtime

import (
	"reflect"
	"slices"

	lua "github.com/yuin/gopher-lua"

	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/internal/sandbox"
	"github.com/mepc/mepc-run/internal/sandbox/show"
)

// install puts a module's functions into the run's globals.
func (r *Run) install(m *boundModule) {
	if m.Name == "" {
		for _, f := range m.funcs {
			r.vm.SetGlobal(f.Name, r.function(f))
		}
		return
	}
	t := sandbox.NewTable(0, 0) // stays empty, so that setting a field asks __newindex
	names := make([]string, len(m.funcs))
	funcs := map[string]*lua.LFunction{}
	mt := sandbox.NewTable(0, 4)
	for i, f := range m.funcs {
		names[i] = f.Name
		if f.Name == "" {
			mt.RawSetString("__call", r.function(f))
		}
	}
	words := r.words(Words{Name: m.Name, Self: m.Self, Find: m.Words})
	mt.RawSetString("__index", r.vm.NewFunction(func(e sandbox.Entry) int {
		name := keyName(e)
		if m.Words != nil {
			e.Push(words.find(e, name))
			return 1
		}
		f := funcs[name]
		if i := slices.Index(names, name); f == nil && i >= 0 && name != "" {
			f = r.function(m.funcs[i]) // most runs use few of them
			funcs[name] = f
		}
		if f != nil {
			e.Push(f)
			return 1
		}
		r.raise(e, m.Name, m.NoFunction(name))
		return 0
	}))
	mt.RawSetString("__newindex", r.vm.NewFunction(func(e sandbox.Entry) int {
		r.raise(e, m.Name, failure.New(failure.Invalid, "%s cannot be changed", m.Name))
		return 0
	}))
	mt.RawSetString("__metatable", lua.LString(m.Name))
	t.Metatable = mt
	r.vm.SetGlobal(m.Name, t)
}

// keyName is the name that is looked up, no longer than a message may have it.
func keyName(e sandbox.Entry) string {
	name := e.Arg(2).String()
	if len(name) > maxName {
		e.ChargeBytes(len(name))
		name = show.Text(name, maxName)
	}
	return name
}

// raise raises err at the line that runs in L.
func (r *Run) raise(e sandbox.Entry, op string, err error) {
	r.fail(&Call{run: r, entry: e, fn: &boundFunc{name: op}}, err)
}

// function makes the Lua function of f.
func (r *Run) function(f *boundFunc) *lua.LFunction {
	return r.vm.NewFunction(func(e sandbox.Entry) int {
		c := &Call{run: r, entry: e, fn: f, passed: e.Args()}
		if f.typ == nil && (f.Name == "" || f.Colon || f.word) && len(c.passed) > 0 {
			c.passed = c.passed[1:] // the module, or the word that was called
		}
		values := c.passed
		var self any
		var err error
		if _, isTable := e.Arg(1).(*lua.LTable); f.Colon && !isTable {
			r.fail(c, failure.New(failure.Invalid, "called without its module").WithHint("write a colon: %s(...)", f.name))
		}
		if f.typ != nil {
			self, values, err = f.receiver(values)
		} else {
			self, err = r.self(f.module)
		}
		if err != nil {
			r.fail(c, err)
		}
		out, err := f.Call.invoke(c, self, values)
		e.Returned()
		if err != nil {
			r.fail(c, err)
		}
		return (&encoder{run: r, entry: e, op: f.name, most: f.Call.most()}).push(out)
	})
}

// receiver takes the object that a method is called on off the arguments.
func (f *boundFunc) receiver(values []lua.LValue) (any, []lua.LValue, error) {
	if len(values) > 0 {
		if ud, ok := values[0].(*lua.LUserData); ok && reflect.TypeOf(ud.Value) == f.typ.goType() {
			return ud.Value, values[1:], nil
		}
	}
	return nil, nil, failure.New(failure.Invalid, "called without its %s", f.typ.Name).
		WithHint("write a colon: x:%s(...)", f.Name)
}

func (e *encoder) push(out any) int {
	if many, ok := out.(Results); ok {
		e.entry.Charge(len(many))
		for _, v := range many {
			e.entry.Push(e.value(v))
		}
		return len(many)
	}
	e.entry.Push(e.value(out))
	return 1
}

// metatable returns typ's metatable in this run.
func (t *boundType) metatable(r *Run) *lua.LTable {
	if mt := r.metatables[t]; mt != nil {
		return mt
	}
	mt := sandbox.NewTable(0, 4)
	r.metatables[t] = mt
	methods := map[string]*lua.LFunction{}
	mt.RawSetString("__index", r.vm.NewFunction(func(e sandbox.Entry) int {
		name := keyName(e)
		if fn := methods[name]; fn != nil {
			e.Push(fn)
			return 1
		}
		if i := slices.IndexFunc(t.fields, func(f Field) bool { return f.Name == name }); i >= 0 {
			v := reflect.ValueOf(e.Arg(1).(*lua.LUserData).Value).Elem()
			e.Push((&encoder{run: r, entry: e}).value(v.FieldByIndex(t.fields[i].index).Interface()))
			return 1
		}
		f, err := r.host.method(t, name)
		if err != nil {
			r.raise(e, t.Name, err)
		}
		methods[name] = r.function(f)
		e.Push(methods[name])
		return 1
	}))
	if call := t.funcs[""]; call != nil {
		mt.RawSetString("__call", r.function(call))
	}
	mt.RawSetString("__newindex", r.vm.NewFunction(func(e sandbox.Entry) int {
		r.raise(e, t.Name, failure.New(failure.Invalid, "%s objects have no fields to set", t.Name))
		return 0
	}))
	mt.RawSetString("__tostring", r.vm.NewFunction(func(e sandbox.Entry) int {
		text := t.Name
		if s, ok := e.Arg(1).(*lua.LUserData).Value.(interface{ String() string }); ok {
			text = r.scrub.Clean(s.String())
		}
		e.Push(lua.LString(text))
		return 1
	}))
	mt.RawSetString("__metatable", lua.LString(t.Name))
	return mt
}

// maxMade is how many methods that a Type made up are remembered.
const maxMade = 1000

// method returns t's method name, the same for all runs.
func (h *Host) method(t *boundType, name string) (*boundFunc, error) {
	if f := t.funcs[name]; f != nil {
		return f, nil
	}
	if t.Method != nil {
		t.mu.Lock()
		defer t.mu.Unlock()
		if f := t.made[name]; f != nil {
			return f, nil
		}
		f, err := t.Method(name)
		if err != nil {
			return nil, err
		}
		b := h.bind(qualified(t.module, ".", name), *f, nil, t)
		if t.made == nil || len(t.made) >= maxMade {
			t.made = map[string]*boundFunc{}
		}
		t.made[name] = b
		return b, nil
	}
	names := make([]string, 0, len(t.funcs))
	for n := range t.funcs {
		names = append(names, n)
	}
	for _, f := range t.fields {
		names = append(names, f.Name)
	}
	return nil, failure.New(failure.Invalid, "%s has no method %q%s", t.Name, name, DidYouMean(name, names))
}
