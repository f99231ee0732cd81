package sandbox

import lua "github.com/yuin/gopher-lua"

// Argument checks with C Lua's conversions and words; gopher-lua's own accept
// and say something else.

func (vm *VM) checkAny(L *lua.LState, n int) lua.LValue {
	if n > L.GetTop() {
		vm.argError(L, n, "value expected")
	}
	return L.Get(n)
}

func (vm *VM) checkTable(L *lua.LState, n int) *lua.LTable {
	t, ok := L.Get(n).(*lua.LTable)
	if !ok {
		vm.typeError(L, n, "table")
	}
	return t
}

func (vm *VM) checkFunction(L *lua.LState, n int) *lua.LFunction {
	f, ok := L.Get(n).(*lua.LFunction)
	if !ok {
		vm.typeError(L, n, "function")
	}
	return f
}

func (vm *VM) checkNumber(L *lua.LState, n int) lua.LNumber {
	vm.chargeBytes(threadOf(L), textLen(L.Get(n)))
	f, ok := toNumber(L.Get(n))
	if !ok {
		vm.typeError(L, n, "number")
	}
	return f
}

func (vm *VM) checkInt(L *lua.LState, n int) int { return int(toInteger(vm.checkNumber(L, n))) }

func (vm *VM) optInt(L *lua.LState, n, def int) int {
	if L.Get(n) == lua.LNil {
		return def
	}
	return vm.checkInt(L, n)
}

func (vm *VM) checkString(L *lua.LState, n int) string {
	switch v := L.Get(n).(type) {
	case lua.LString:
		return string(v)
	case lua.LNumber:
		return FormatNumber(v)
	}
	vm.typeError(L, n, "string")
	return ""
}

func (vm *VM) optString(L *lua.LState, n int, def string) string {
	if L.Get(n) == lua.LNil {
		return def
	}
	return vm.checkString(L, n)
}

// toNumber converts as arithmetic does: numbers and strings that read as one.
func toNumber(v lua.LValue) (lua.LNumber, bool) {
	switch v := v.(type) {
	case lua.LNumber:
		return v, true
	case lua.LString:
		return ParseNumber(string(v))
	}
	return 0, false
}

// plainString is a string or a number as a string, and "" for anything else.
func plainString(v lua.LValue) string {
	switch v := v.(type) {
	case lua.LString:
		return string(v)
	case lua.LNumber:
		return FormatNumber(v)
	}
	return ""
}

// textLen returns the length of a string, and 0 for anything else.
func textLen(v lua.LValue) int {
	s, _ := v.(lua.LString)
	return len(s)
}

func isStringOrNumber(v lua.LValue) bool {
	t := v.Type()
	return t == lua.LTString || t == lua.LTNumber
}

// arguments returns L's arguments from the first on.
func arguments(L *lua.LState, first int) []lua.LValue {
	n := L.GetTop()
	if n < first {
		return nil
	}
	out := make([]lua.LValue, 0, n-first+1)
	for i := first; i <= n; i++ {
		out = append(out, L.Get(i))
	}
	return out
}

// push pushes values and returns how many there are.
func push(L *lua.LState, values []lua.LValue) int {
	for _, v := range values {
		L.Push(v)
	}
	return len(values)
}
