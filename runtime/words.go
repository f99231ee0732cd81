package runtime

import (
	lua "github.com/yuin/gopher-lua"

	"github.com/mepc/mepc-run/internal/failure"
)

// wordTable is Words in a run.
type wordTable struct {
	run *Run
	Words
	module *boundModule          // stands for Self
	known  map[string]lua.LValue // by path
}

func (r *Run) words(w Words) *wordTable {
	return &wordTable{run: r, Words: w, module: &boundModule{Module: Module{Name: w.Name, Self: w.Self}}}
}

// find returns the function of path, or a table of those that begin with it.
func (w *wordTable) find(L *lua.LState, path string) lua.LValue {
	if v := w.known[path]; v != nil {
		return v
	}
	f, err := w.Find(path)
	if err != nil {
		w.run.raise(L, w.Name, err)
	}
	v := lua.LValue(w.table(path))
	if f != nil {
		v = w.run.function(w.run.host.bind(qualified(w.Name, ".", path), *f, w.module, nil))
	}
	if w.known == nil {
		w.known = map[string]lua.LValue{}
	}
	w.known[path] = v
	return v
}

// table returns a table whose fields are found when they are read.
func (w *wordTable) table(path string) *lua.LTable {
	t, mt := newTable(0, 0), newTable(0, 3)
	mt.RawSetString("__index", w.run.vm.State().NewFunction(func(L *lua.LState) int {
		L.Push(w.find(L, qualified(path, ".", L.Get(2).String())))
		return 1
	}))
	mt.RawSetString("__newindex", w.run.vm.State().NewFunction(func(L *lua.LState) int {
		w.run.raise(L, w.Name, failure.New(failure.Invalid, "%s cannot be changed", qualified(w.Name, ".", path)))
		return 0
	}))
	mt.RawSetString("__metatable", lua.LString(w.Name))
	t.Metatable = mt
	return t
}
