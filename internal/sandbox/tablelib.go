package sandbox

import lua "github.com/yuin/gopher-lua"

func (vm *VM) openTable() {
	vm.library("table", entries{
		{"concat", vm.tabConcat},
		{"getn", func(L *lua.LState) int {
			L.Push(lua.LNumber(readable(vm.checkTable(L, 1)).Len()))
			return 1
		}},
		{"insert", vm.tabInsert},
		{"maxn", vm.tabMaxn},
		{"remove", vm.tabRemove},
		{"sort", vm.tabSort},
	})
}

// at is a raw read by index that, unlike RawGetInt, sees the hash part too.
func at(t *lua.LTable, i int) lua.LValue { return t.RawGet(lua.LNumber(i)) }

func (vm *VM) tabConcat(L *lua.LState) int {
	t := readable(vm.checkTable(L, 1))
	sep := vm.optString(L, 2, "")
	i, j := vm.optInt(L, 3, 1), vm.length(L, t, 4)
	b := vm.builder(L)
	for first := i; i <= j; i++ {
		if i > first {
			b.WriteString(sep)
		}
		v := at(t, i)
		if !isStringOrNumber(v) {
			vm.errorf(L, "invalid value (%s) at index %d in table for 'concat'", v.Type().String(), i)
		}
		b.WriteString(plainString(v))
		vm.charge(threadOf(L), 1)
	}
	L.Push(lua.LString(b.String()))
	return 1
}

func (vm *VM) tabInsert(L *lua.LState) int {
	t := vm.writable(L, 1)
	end := t.Len() + 1
	switch L.GetTop() {
	case 2:
		vm.setIndex(t, end, L.Get(2))
	case 3:
		pos := vm.checkInt(L, 2)
		if pos >= 1 && pos < end && end < maxArrayIndex {
			vm.charge(threadOf(L), 1+(end-pos)/8)
			t.Insert(pos, L.Get(3))
			break
		}
		for i := end; i > pos; i-- {
			vm.charge(threadOf(L), 1)
			vm.setIndex(t, i, at(t, i-1))
		}
		vm.setIndex(t, pos, L.Get(3))
	default:
		vm.errorf(L, "wrong number of arguments to 'insert'")
	}
	return 0
}

func (vm *VM) setIndex(t *lua.LTable, i int, v lua.LValue) { t.RawSet(lua.LNumber(i), v) }

func (vm *VM) tabMaxn(L *lua.LState) int {
	t := readable(vm.checkTable(L, 1))
	var largest lua.LNumber
	for k, _ := t.Next(lua.LNil); k != lua.LNil; k, _ = t.Next(k) {
		vm.charge(threadOf(L), 1)
		if n, ok := k.(lua.LNumber); ok && n > largest {
			largest = n
		}
	}
	L.Push(largest)
	return 1
}

func (vm *VM) tabRemove(L *lua.LState) int {
	t := vm.writable(L, 1)
	end := t.Len()
	pos := vm.optInt(L, 2, end)
	if pos < 1 || pos > end {
		return 0
	}
	vm.charge(threadOf(L), 1+(end-pos)/8)
	L.Push(t.Remove(pos))
	return 1
}

// tabSort is C Lua's quicksort, step by step, so that an order function is
// called with the same pairs and an invalid one fails in the same way.
func (vm *VM) tabSort(L *lua.LState) int {
	t := vm.writable(L, 1)
	s := &sorter{vm: vm, L: L, t: t}
	if L.Get(2) != lua.LNil {
		s.order = vm.checkFunction(L, 2)
	}
	s.sort(1, t.Len())
	return 0
}

type sorter struct {
	vm    *VM
	L     *lua.LState
	t     *lua.LTable
	order *lua.LFunction
}

func (s *sorter) at(i int) lua.LValue { return at(s.t, i) }

func (s *sorter) set(i int, a lua.LValue, j int, b lua.LValue) {
	s.vm.setIndex(s.t, i, a)
	s.vm.setIndex(s.t, j, b)
}

func (s *sorter) less(a, b lua.LValue) bool {
	s.vm.charge(threadOf(s.L), 1)
	if s.order == nil {
		return s.vm.less(s.L, a, b)
	}
	s.L.Push(s.order)
	s.L.Push(a)
	s.L.Push(b)
	s.L.Call(2, 1)
	v := s.L.Get(-1)
	s.L.Pop(1)
	return lua.LVAsBool(v)
}

func (s *sorter) sort(lo, up int) {
	for lo < up {
		a, b := s.at(lo), s.at(up)
		if s.less(b, a) {
			s.set(lo, b, up, a)
		}
		if up-lo == 1 {
			return
		}
		i := (lo + up) / 2
		a, b = s.at(i), s.at(lo)
		if s.less(a, b) {
			s.set(i, b, lo, a)
		} else if b = s.at(up); s.less(b, a) {
			s.set(i, b, up, a)
		}
		if up-lo == 2 {
			return
		}
		pivot := s.at(i)
		s.set(i, s.at(up-1), up-1, pivot)
		i = lo
		j := up - 1
		for {
			for i++; s.less(s.at(i), pivot); i++ {
				if i > up {
					s.vm.errorf(s.L, "invalid order function for sorting")
				}
			}
			for j--; s.less(pivot, s.at(j)); j-- {
				if j < lo {
					s.vm.errorf(s.L, "invalid order function for sorting")
				}
			}
			if j < i {
				break
			}
			s.set(i, s.at(j), j, s.at(i))
		}
		s.set(up-1, s.at(i), i, s.at(up-1))
		if i-lo < up-i { // the smaller half by recursion, the larger by the loop
			s.sort(lo, i-1)
			lo = i + 1
		} else {
			s.sort(i+1, up)
			up = i - 1
		}
	}
}

// less is the < operator, called from a library function.
func (vm *VM) less(L *lua.LState, a, b lua.LValue) bool {
	switch x := a.(type) {
	case lua.LNumber:
		if y, ok := b.(lua.LNumber); ok {
			return x < y
		}
	case lua.LString:
		if y, ok := b.(lua.LString); ok {
			vm.chargeBytes(threadOf(L), min(len(x), len(y)))
			return x < y
		}
	default:
		m, ok := vm.metaOf(a, "__lt").(*lua.LFunction)
		if other, _ := vm.metaOf(b, "__lt").(*lua.LFunction); ok && a.Type() == b.Type() && m == other {
			L.Push(m)
			L.Push(a)
			L.Push(b)
			L.Call(2, 1)
			v := L.Get(-1)
			L.Pop(1)
			return lua.LVAsBool(v)
		}
	}
	ta, tb := a.Type().String(), b.Type().String()
	text := "attempt to compare " + ta + " with " + tb
	if ta == tb {
		text = "attempt to compare two " + ta + " values"
	}
	vm.raise(L, lua.LString(text)) // without a position, as C Lua has it
	return false
}
