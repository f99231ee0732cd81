package sandbox

import (
	"strings"

	"github.com/mepc/mepc-run/internal/sandbox/pattern"
	lua "github.com/yuin/gopher-lua"
)

// matcher returns a matcher whose work is charged to L's script.
func (vm *VM) matcher(L *lua.LState, s, p string) *pattern.Matcher {
	vm.chargeBytes(threadOf(L), len(p))
	return pattern.New(s, p, func(n int) { vm.charge(threadOf(L), n) })
}

// matchAt matches at offset s and raises what is wrong with the pattern.
func (vm *VM) matchAt(L *lua.LState, m *pattern.Matcher, s, p int) int {
	end, err := m.Match(s, p)
	if err != nil {
		vm.errorf(L, "%s", err)
	}
	return end
}

// capture returns a capture as a Lua value.
func (vm *VM) capture(L *lua.LState, m *pattern.Matcher, i, s, e int) lua.LValue {
	text, pos, isPos, err := m.Capture(i, s, e)
	if err != nil {
		vm.errorf(L, "%s", err)
	}
	if isPos {
		return lua.LNumber(pos)
	}
	return lua.LString(text)
}

// pushCaptures pushes all captures, or with none and whole the whole match.
func (vm *VM) pushCaptures(L *lua.LState, m *pattern.Matcher, s, e int, whole bool) int {
	n := m.Captures()
	if n == 0 && whole {
		n = 1
	}
	for i := range n {
		L.Push(vm.capture(L, m, i, s, e))
	}
	return n
}

// strFind is string.find, and string.match when find is false.
func (vm *VM) strFind(L *lua.LState, find bool) int {
	s, p := vm.checkString(L, 1), vm.checkString(L, 2)
	init := min(max(relative(vm.optInt(L, 3, 1), len(s))-1, 0), len(s))
	if find && (lua.LVAsBool(L.Get(4)) || pattern.Plain(p)) {
		vm.chargeBytes(threadOf(L), len(s)-init)
		i := strings.Index(s[init:], p)
		if i < 0 {
			L.Push(lua.LNil)
			return 1
		}
		L.Push(lua.LNumber(init + i + 1))
		L.Push(lua.LNumber(init + i + len(p)))
		return 2
	}
	m := vm.matcher(L, s, p)
	skip := 0
	if m.Anchored() {
		skip = 1
	}
	for at := init; at <= len(s); at++ {
		if e := vm.matchAt(L, m, at, skip); e >= 0 {
			m.Flush()
			if find {
				L.Push(lua.LNumber(at + 1))
				L.Push(lua.LNumber(e))
				return 2 + vm.pushCaptures(L, m, at, e, false)
			}
			return vm.pushCaptures(L, m, at, e, true)
		}
		if skip == 1 {
			break
		}
	}
	m.Flush()
	L.Push(lua.LNil)
	return 1
}

func (vm *VM) strGmatch(L *lua.LState) int {
	s, p := vm.checkString(L, 1), vm.checkString(L, 2)
	at := 0
	L.Push(L.NewFunction(func(L *lua.LState) int {
		m := vm.matcher(L, s, p)
		for ; at <= len(s); at++ {
			if e := vm.matchAt(L, m, at, 0); e >= 0 {
				m.Flush()
				start := at
				at = e
				if e == start {
					at++
				}
				return vm.pushCaptures(L, m, start, e, true)
			}
		}
		m.Flush()
		return 0
	}))
	return 1
}

func (vm *VM) strGsub(L *lua.LState) int {
	s, p, repl := vm.checkString(L, 1), vm.checkString(L, 2), L.Get(3)
	switch repl.(type) {
	case lua.LString, lua.LNumber, *lua.LTable, *lua.LFunction:
	default:
		vm.argError(L, 3, "string/function/table expected")
	}
	limit := vm.optInt(L, 4, len(s)+1)
	m := vm.matcher(L, s, p)
	skip := 0
	if m.Anchored() {
		skip = 1
	}
	b := vm.builder(L)
	at, n := 0, 0
	for n < limit {
		e := vm.matchAt(L, m, at, skip)
		if e >= 0 {
			n++
			vm.replace(L, m, b, repl, s, at, e)
		}
		switch {
		case e > at:
			at = e
		case at < len(s):
			b.WriteByte(s[at])
			at++
		default:
			at = len(s) + 1
		}
		if at > len(s) || skip == 1 {
			break
		}
	}
	m.Flush()
	if at < len(s) {
		b.WriteString(s[at:])
	}
	L.Push(lua.LString(b.String()))
	L.Push(lua.LNumber(n))
	return 2
}

// replace writes what takes the place of the match from at to e.
func (vm *VM) replace(L *lua.LState, m *pattern.Matcher, b *Builder, repl lua.LValue, s string, at, e int) {
	var v lua.LValue
	switch r := repl.(type) {
	case lua.LString, lua.LNumber:
		vm.expand(L, m, b, plainString(r), s, at, e)
		return
	case *lua.LTable:
		v = L.GetTable(r, vm.capture(L, m, 0, at, e))
	case *lua.LFunction:
		// The match is over before the function may use the matcher again.
		L.Push(r)
		n := vm.pushCaptures(L, m, at, e, true)
		L.Call(n, 1)
		v = L.Get(-1)
		L.Pop(1)
	}
	switch {
	case !lua.LVAsBool(v):
		b.WriteString(s[at:e])
	case isStringOrNumber(v):
		b.WriteString(plainString(v))
	default:
		vm.errorf(L, "invalid replacement value (a %s)", v.Type().String())
	}
}

// expand writes a replacement string with its %0 to %9.
func (vm *VM) expand(L *lua.LState, m *pattern.Matcher, b *Builder, r, s string, at, e int) {
	for i := 0; i < len(r); i++ {
		c := r[i]
		if c != '%' {
			b.WriteByte(c)
			continue
		}
		i++
		switch {
		case i >= len(r):
			b.WriteByte(0) // C Lua copies the string's terminator
		case r[i] == '0':
			b.WriteString(s[at:e])
		case r[i] >= '1' && r[i] <= '9':
			b.WriteString(plainString(vm.capture(L, m, int(r[i]-'1'), at, e)))
		default:
			b.WriteByte(r[i])
		}
	}
}
