package runtime

import (
	lua "github.com/yuin/gopher-lua"

	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/internal/sandbox"
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

// root is the table itself, which can be called when Find has a function for "".
func (w *wordTable) root(e sandbox.Entry) lua.LValue { return w.find(e, "") }

// find returns the function of path, or a table of those that begin with it.
func (w *wordTable) find(e sandbox.Entry, path string) lua.LValue {
	if v := w.known[path]; v != nil {
		return v
	}
	f, err := w.Find(path)
	if err != nil {
		w.run.raise(e, w.Name, err)
	}
	v := w.value(e, path, f)
	if w.known == nil {
		w.known = map[string]lua.LValue{}
	}
	w.known[path] = v
	return v
}

// value is what stands for a path: a table in which words may follow, and which can
// be called when f is not nil.
func (w *wordTable) value(e sandbox.Entry, path string, f *Func) lua.LValue {
	if f == nil {
		return w.table(path, nil)
	}
	b := w.run.host.bind(qualified(w.Name, f.sep(), path), *f, w.module, nil)
	switch {
	case f.Colon:
		return w.run.function(b)
	case f.Value:
		out, err := f.Call.invoke(&Call{run: w.run, entry: e, fn: b}, w.Self, nil)
		if err != nil {
			w.run.raise(e, w.Name, err)
		}
		return (&encoder{run: w.run, entry: e, op: b.name, most: f.Call.most()}).value(out)
	}
	b.word = true
	return w.table(path, w.run.function(b))
}

// table returns a table whose fields are found when they are read.
func (w *wordTable) table(path string, call *lua.LFunction) *lua.LTable {
	t, mt := sandbox.NewTable(0, 0), sandbox.NewTable(0, 4)
	mt.RawSetString("__index", w.run.vm.NewFunction(func(e sandbox.Entry) int {
		e.Push(w.find(e, qualified(path, ".", keyName(e))))
		return 1
	}))
	mt.RawSetString("__newindex", w.run.vm.NewFunction(func(e sandbox.Entry) int {
		w.run.raise(e, w.Name, failure.New(failure.Invalid, "%s cannot be changed", qualified(w.Name, ".", path)))
		return 0
	}))
	if call != nil {
		mt.RawSetString("__call", call)
	}
	mt.RawSetString("__metatable", lua.LString(w.Name))
	t.Metatable = mt
	return t
}
