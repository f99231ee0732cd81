package sandbox

import (
	"fmt"

	"github.com/agext/levenshtein"
	"github.com/mepc/mepc-run/internal/sandbox/show"
	lua "github.com/yuin/gopher-lua"
)

// The environment is built from nothing; what is not named here or set by the
// host does not exist. There is no io, package, module, setfenv, getfenv,
// dofile, loadfile, newproxy, collectgarbage, string.dump, nor any of debug but
// traceback.
func (vm *VM) openLibraries() {
	vm.env, vm.public = vm.root.G.Global, vm.root.CreateTable(0, 64)
	vm.openBase()
	vm.openString()
	vm.openTable()
	vm.openMath()
	vm.openOS()
	vm.library("coroutine", entries{
		{"create", vm.coCreate},
		{"resume", vm.coResume},
		{"running", vm.coRunning},
		{"status", vm.coStatus},
		{"wrap", vm.coWrap},
		{"yield", vm.coYield},
	})
	vm.library("debug", entries{{"traceback", vm.traceback}})

	strict := vm.root.CreateTable(0, 1)
	strict.RawSetString("__index", vm.root.NewFunction(vm.undefinedGlobal))
	vm.env.Metatable = strict
	vm.public.Metatable = strict

	g := vm.Frozen(vm.public)
	g.Metatable.(*lua.LTable).RawSetString("__newindex", vm.root.NewFunction(vm.assignGlobal))
	vm.SetGlobal("_G", g)
	vm.env.RawSetString(nameGlobals, g)
}

type entries []struct {
	name string
	fn   lua.LGFunction
}

func (vm *VM) fill(t *lua.LTable, list entries) {
	for _, e := range list {
		t.RawSetString(e.name, vm.root.NewFunction(e.fn))
	}
}

// library defines a global table of functions that scripts cannot change, and
// returns the table behind it.
func (vm *VM) library(name string, list entries) *lua.LTable {
	t := vm.root.CreateTable(0, len(list))
	vm.fill(t, list)
	vm.SetGlobal(name, vm.Frozen(t))
	return t
}

// keyFrozen is the key under which a frozen table's metatable keeps the table it shows. No
// script can spell it, nor get hold of the metatable.
const keyFrozen = "\x00frozen"

// Frozen returns a read-only view of t: reading, pairs, next, ipairs, # and
// unpack show t, and writing raises. Tables inside t are not frozen.
func (vm *VM) Frozen(t *lua.LTable) *lua.LTable {
	view, mt := vm.root.CreateTable(0, 0), vm.root.CreateTable(0, 5)
	mt.RawSetString("__index", t)
	mt.RawSetString("__newindex", vm.root.NewFunction(vm.readOnly))
	mt.RawSetString("__len", vm.root.NewFunction(func(L *lua.LState) int {
		L.Push(lua.LNumber(t.Len()))
		return 1
	}))
	mt.RawSetString("__metatable", lua.LString("read-only"))
	mt.RawSetString(keyFrozen, t)
	view.Metatable = mt
	return view
}

// frozenOf returns the table that t shows, or nil when t is an ordinary one.
func frozenOf(t *lua.LTable) *lua.LTable {
	if mt, ok := t.Metatable.(*lua.LTable); ok {
		if r, ok := mt.RawGetString(keyFrozen).(*lua.LTable); ok {
			return r
		}
	}
	return nil
}

// readable returns t, or what it shows when it is frozen.
func readable(t *lua.LTable) *lua.LTable {
	if r := frozenOf(t); r != nil {
		return r
	}
	return t
}

func (vm *VM) readOnly(L *lua.LState) int {
	vm.errorf(L, "attempt to change field '%s' of a read-only table", vm.shortText(L, L.Get(2)))
	return 0
}

// writable returns argument n, a table that is not frozen.
func (vm *VM) writable(L *lua.LState, n int) *lua.LTable {
	t := vm.checkTable(L, n)
	if frozenOf(t) != nil {
		vm.errorf(L, "attempt to change a read-only table")
	}
	return t
}

func (vm *VM) undefinedGlobal(L *lua.LState) int {
	name := vm.shortText(L, L.Get(2))
	vm.charge(threadOf(L), 500+50*len(name)) // it is compared with all of them
	if vm.opts.Absent != nil {
		if instead := vm.opts.Absent(name); instead != "" {
			vm.errorf(L, "there is no %s here: %s", name, instead)
		}
	}
	vm.errorf(L, "global '%s' is not defined%s", name, vm.didYouMean(name))
	return 0
}

func (vm *VM) assignGlobal(L *lua.LState) int {
	name := vm.shortText(L, L.Get(2))
	switch {
	case vm.public.RawGetString(name) != lua.LNil:
		vm.errorf(L, "global '%s' is part of the environment and cannot be assigned; choose another name and make it local", name)
	case L.Get(3).Type() == lua.LTFunction:
		vm.errorf(L, "global '%s' is not defined; write local function %s(...)", name, name)
	default:
		vm.errorf(L, "global '%s' is not defined; write local %s = ...", name, name)
	}
	return 0
}

// shortText is a name for a message.
func (vm *VM) shortText(L *lua.LState, v lua.LValue) string {
	vm.chargeBytes(threadOf(L), textLen(v))
	return show.Text(vm.text(L, v), maxName)
}

// maxName limits how much of a name a message shows, and how long one may be to be
// compared with others.
const maxName = 100

// didYouMean returns "; did you mean 'x'?" for the closest global, or "".
func (vm *VM) didYouMean(name string) string {
	if len(name) > maxName {
		return ""
	}
	best, distance := "", max(1, len(name)/3)+1
	for _, g := range vm.Globals() {
		if d := levenshtein.Distance(name, g, nil); d < distance {
			best, distance = g, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf("; did you mean '%s'?", best)
}
