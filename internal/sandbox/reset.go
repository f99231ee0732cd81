package sandbox

import (
	"reflect"
	"unsafe"

	lua "github.com/yuin/gopher-lua"
)

// A thread that raised keeps its frames, and the VM resets them only in its own
// PCall, which also replaces the panic function and formats a traceback. A new
// thread costs ten times the rest of a failing pcall, so the few fields are
// cleared here instead: by name, and checked when the program starts.

type stateLayout struct{ stack, currentFrame, uvcache, reg, array, next int }

var state = func() (l stateLayout) {
	field := func(t reflect.Type, name string) int {
		f, ok := t.FieldByName(name)
		if !ok {
			panic("sandbox: gopher-lua has no field " + t.String() + "." + name)
		}
		return f.Index[0]
	}
	t := reflect.TypeFor[lua.LState]()
	l.stack, l.currentFrame = field(t, "stack"), field(t, "currentFrame")
	l.uvcache, l.reg = field(t, "uvcache"), field(t, "reg")
	l.array = field(t.Field(l.reg).Type.Elem(), "array")
	l.next = field(reflect.TypeFor[lua.Upvalue](), "next")
	if _, ok := t.Field(l.stack).Type.MethodByName("SetSp"); !ok {
		panic("sandbox: gopher-lua's call frame stack has no SetSp")
	}
	return l
}()

// settable returns field i of the struct that v holds, ready to be changed.
func settable(v reflect.Value, i int) reflect.Value {
	f := v.Field(i)
	return reflect.NewAt(f.Type(), unsafe.Pointer(f.UnsafeAddr())).Elem()
}

// resetThread empties a thread whose call ended with an error. Closures that
// share its local variables keep them: open upvalues are closed first.
func resetThread(L *lua.LState) {
	v := reflect.ValueOf(L).Elem()
	cache := settable(v, state.uvcache)
	for uv := cache.Interface().(*lua.Upvalue); uv != nil; {
		uv.Close()
		uv = settable(reflect.ValueOf(uv).Elem(), state.next).Interface().(*lua.Upvalue)
	}
	cache.SetZero()
	settable(v, state.stack).Interface().(interface{ SetSp(int) }).SetSp(0)
	settable(v, state.currentFrame).SetZero()
	L.SetTop(0)
}

// registers returns the number of values L has room for.
func registers(L *lua.LState) int {
	return reflect.ValueOf(L).Elem().Field(state.reg).Elem().Field(state.array).Len()
}
