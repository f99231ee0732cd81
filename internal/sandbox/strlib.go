package sandbox

import (
	"strings"

	lua "github.com/yuin/gopher-lua"
)

func (vm *VM) openString() {
	methods := vm.library("string", entries{
		{"byte", vm.strByte},
		{"char", vm.strChar},
		{"find", func(L *lua.LState) int { return vm.strFind(L, true) }},
		{"format", vm.strFormat},
		{"gmatch", vm.strGmatch},
		{"gsub", vm.strGsub},
		{"len", func(L *lua.LState) int {
			L.Push(lua.LNumber(len(vm.checkString(L, 1))))
			return 1
		}},
		{"lower", func(L *lua.LState) int { return vm.mapBytes(L, 'A', 'Z') }},
		{"match", func(L *lua.LState) int { return vm.strFind(L, false) }},
		{"rep", vm.strRep},
		{"reverse", vm.strReverse},
		{"sub", vm.strSub},
		{"upper", func(L *lua.LState) int { return vm.mapBytes(L, 'a', 'z') }},
	})
	view := vm.public.RawGetString("string").(*lua.LTable)
	vm.openStringMeta(methods, view)
	vm.env.RawSetString(nameConcat, vm.root.NewFunction(vm.concat))
	vm.env.RawSetString(nameFields, vm.root.NewFunction(vm.fields))
	vm.env.RawSetString(nameMod, vm.root.NewFunction(vm.mod))
}

// relative turns a position that may count from the end into one from the
// start, as C Lua's posrelat.
func relative(pos, length int) int {
	if pos < 0 {
		pos += length + 1
	}
	return max(pos, 0)
}

func (vm *VM) strByte(L *lua.LState) int {
	s := vm.checkString(L, 1)
	i := relative(vm.optInt(L, 2, 1), len(s))
	j := relative(vm.optInt(L, 3, i), len(s))
	i, j = max(i, 1), min(j, len(s))
	if i > j {
		return 0
	}
	if j-i+1 > maxResults {
		vm.errorf(L, "string slice too long")
	}
	for k := i; k <= j; k++ {
		L.Push(lua.LNumber(s[k-1]))
	}
	return j - i + 1
}

func (vm *VM) strChar(L *lua.LState) int {
	b := make([]byte, L.GetTop())
	for i := range b {
		c := vm.checkInt(L, i+1)
		if c < 0 || c > 255 {
			vm.argError(L, i+1, "invalid value")
		}
		b[i] = byte(c)
	}
	L.Push(lua.LString(b))
	return 1
}

// mapBytes flips the case of the ASCII letters from first to last.
func (vm *VM) mapBytes(L *lua.LState, first, last byte) int {
	s := vm.checkString(L, 1)
	vm.checkLength(L, len(s))
	vm.chargeBytes(threadOf(L), len(s))
	b := []byte(s)
	for i, c := range b {
		if c >= first && c <= last {
			b[i] = c ^ 0x20
		}
	}
	L.Push(lua.LString(b))
	return 1
}

func (vm *VM) strRep(L *lua.LState) int {
	s, n := vm.checkString(L, 1), vm.checkInt(L, 2)
	if n <= 0 || s == "" {
		L.Push(lua.LString(""))
		return 1
	}
	if n > vm.lim.StringBytes {
		vm.checkLength(L, n)
	}
	vm.checkLength(L, len(s)*n)
	vm.chargeBytes(threadOf(L), len(s)*n)
	L.Push(lua.LString(strings.Repeat(s, n)))
	return 1
}

func (vm *VM) strReverse(L *lua.LState) int {
	s := vm.checkString(L, 1)
	vm.checkLength(L, len(s))
	vm.chargeBytes(threadOf(L), len(s))
	b := make([]byte, len(s))
	for i := range len(s) {
		b[len(s)-1-i] = s[i]
	}
	L.Push(lua.LString(b))
	return 1
}

func (vm *VM) strSub(L *lua.LState) int {
	s := vm.checkString(L, 1)
	i := relative(vm.checkInt(L, 2), len(s))
	j := relative(vm.optInt(L, 3, -1), len(s))
	i, j = max(i, 1), min(j, len(s))
	if i > j {
		L.Push(lua.LString(""))
		return 1
	}
	L.Push(lua.LString(s[i-1 : j]))
	return 1
}
