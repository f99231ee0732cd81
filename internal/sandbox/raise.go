package sandbox

import (
	"fmt"

	"github.com/mepc/mepc-run/internal/sandbox/show"
	lua "github.com/yuin/gopher-lua"
)

// onPanic is called by the VM to raise the value on top of L's stack, for its
// own errors as well as for L.Error and L.RaiseError.
func (vm *VM) onPanic(L *lua.LState) {
	v := L.Get(-1)
	if f := topFrame(L); f.ok() && f.isLua() { // not by a host function: by an instruction
		if s, ok := v.(lua.LString); ok {
			v = lua.LString(translate(L, f, string(s)))
		}
	}
	panic(&thrown{vm.raised(L, v)})
}

// raised returns the error of raising v where L is now.
func (vm *VM) raised(L *lua.LState, v lua.LValue) *RaisedError {
	e := &RaisedError{Value: v}
	e.Frames, e.Branch = vm.frames(L)
	switch v.(type) {
	case lua.LString, lua.LNumber:
		e.Message = show.Text(plainString(v), maxMessage)
	}
	return e
}

// raise raises v as it is: no position is put before a string. It does not
// return.
func (vm *VM) raise(L *lua.LState, v lua.LValue) { panic(&thrown{vm.raised(L, v)}) }

// errorf raises a string that starts with the position of the host function's
// caller. It does not return.
func (vm *VM) errorf(L *lua.LState, format string, args ...any) {
	vm.raiseString(L, 1, fmt.Sprintf(format, args...))
}

// raiseString raises text with the position of a level before it.
func (vm *VM) raiseString(L *lua.LState, level int, text string) {
	vm.raise(L, lua.LString(levelPosition(L, level)+text))
}

// throw is Entry.Throw.
func (vm *VM) throw(L *lua.LState, err error) {
	switch err.(type) {
	case *RaisedError, *LimitError, *PanicError, *StoppedError, *killedError:
		panic(&thrown{err})
	}
	vm.errorf(L, "%s", err)
}

// argError raises "bad argument #n to 'f' (text)", as luaL_argerror does.
func (vm *VM) argError(L *lua.LState, n int, text string) {
	kind, name := topFrame(L).calledName()
	if kind == "method" {
		n--
		if n == 0 {
			vm.errorf(L, "calling '%s' on bad self (%s)", name, text)
		}
	}
	if name == "" {
		name = "?"
	}
	vm.errorf(L, "bad argument #%d to '%s' (%s)", n, name, text)
}

func (vm *VM) typeError(L *lua.LState, n int, want string) {
	got := "no value"
	if n <= L.GetTop() {
		got = L.Get(n).Type().String()
	}
	vm.argError(L, n, want+" expected, got "+got)
}

// attempt words an error as Lua does.
func attempt(what, name, typ string) string {
	if name == "" {
		return "attempt to " + what + " a " + typ + " value"
	}
	return "attempt to " + what + " " + name + " (a " + typ + " value)"
}

func quoteName(kind, name string) string {
	if name == "" {
		return ""
	}
	return kind + " '" + name + "'"
}
