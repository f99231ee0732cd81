package sandbox

import (
	"math"
	"strings"

	lua "github.com/yuin/gopher-lua"
)

// The metatable of strings. Scripts see a read-only view of it. Its arithmetic
// metamethods make "10" + 1 use Lua's rules for numbers in strings:
// the VM asks for a metamethod before it converts by its own.
func (vm *VM) openStringMeta(methods, view *lua.LTable) {
	vm.stringMeta = vm.root.CreateTable(0, 7)
	vm.stringMeta.RawSetString("__index", methods)
	for event, op := range map[string]func(a, b float64) float64{
		"__add": func(a, b float64) float64 { return a + b },
		"__sub": func(a, b float64) float64 { return a - b },
		"__mul": func(a, b float64) float64 { return a * b },
		"__div": func(a, b float64) float64 { return a / b },
		"__pow": math.Pow,
	} {
		vm.stringMeta.RawSetString(event, vm.root.NewFunction(vm.stringArithmetic(event, op)))
	}
	vm.stringMeta.RawSetString("__unm", vm.root.NewFunction(vm.stringMinus))
	vm.root.SetMetatable(lua.LString(""), vm.stringMeta)

	shown := vm.root.CreateTable(0, 1)
	shown.RawSetString("__index", view)
	vm.stringMetaView = vm.Frozen(shown)
}

func (vm *VM) stringArithmetic(event string, op func(a, b float64) float64) lua.LGFunction {
	return func(L *lua.LState) int {
		return vm.arithmetic(L, event, op, func(operand int) (p *lua.FunctionProto, register, pc int) {
			p, pc, i := callerInstruction(L)
			if operand == 2 {
				return p, i.c(), pc
			}
			return p, i.b(), pc
		})
	}
}

// mod computes a % b for rewritten code, with Lua 5.1's own formula.
func (vm *VM) mod(L *lua.LState) int {
	a, okA := L.Get(1).(lua.LNumber)
	b, okB := L.Get(2).(lua.LNumber)
	if okA && okB {
		L.Push(lua.LNumber(modulo(float64(a), float64(b))))
		return 1
	}
	return vm.arithmetic(L, "__mod", modulo, func(operand int) (*lua.FunctionProto, int, int) {
		p, pc, i := callerInstruction(L)
		return p, i.a() + operand, pc // the operands are the call's arguments
	})
}

func modulo(a, b float64) float64 { return a - math.Floor(a/b)*b }

// arithmetic applies op to L's two arguments: numbers, strings that read as
// such, or whatever has a metamethod. operand tells where the running
// instruction has its first and second operand.
func (vm *VM) arithmetic(
	L *lua.LState, event string, op func(a, b float64) float64, operand func(int) (*lua.FunctionProto, int, int),
) int {
	a, b := L.Get(1), L.Get(2)
	vm.chargeBytes(threadOf(L), textLen(a)+textLen(b))
	x, okA := toNumber(a)
	y, okB := toNumber(b)
	if okA && okB {
		L.Push(lua.LNumber(op(float64(x), float64(y))))
		return 1
	}
	// Not the metamethod of strings, which may be what is running.
	for _, v := range []lua.LValue{a, b} {
		if m, ok := vm.metaOf(v, event).(*lua.LFunction); ok && v.Type() != lua.LTString {
			L.Push(m)
			L.Push(a)
			L.Push(b)
			L.Call(2, 1)
			return 1
		}
	}
	bad, which := a, 1
	if okA {
		bad, which = b, 2
	}
	name := ""
	if p, register, pc := operand(which); p != nil {
		name = quoteName(describeOperand(p, register, pc))
	}
	vm.errorf(L, "%s", attempt("perform arithmetic on", name, bad.Type().String()))
	return 0
}

// callerInstruction returns the instruction that called the running host
// function, and a nil prototype when it was not called from Lua.
func callerInstruction(L *lua.LState) (p *lua.FunctionProto, pc int, i instruction) {
	f := topFrame(L).parent()
	if !f.ok() || !f.isLua() {
		return nil, 0, 0
	}
	p, pc = f.fn().Proto, f.pc()
	return p, pc, instruction(p.Code[pc])
}

func (vm *VM) stringMinus(L *lua.LState) int {
	vm.chargeBytes(threadOf(L), textLen(L.Get(1)))
	n, ok := toNumber(L.Get(1))
	if !ok {
		name := ""
		if p, pc, i := callerInstruction(L); p != nil {
			name = quoteName(describeOperand(p, i.b(), pc))
		}
		vm.errorf(L, "%s", attempt("perform arithmetic on", name, "string"))
	}
	L.Push(-n)
	return 1
}

// checkLength stops the VM when a string of n bytes is more than a script may
// build.
func (vm *VM) checkLength(L *lua.LState, n int) {
	if n > vm.lim.StringBytes || n < 0 {
		vm.stop(threadOf(L), &LimitError{Limit: limitString, Max: int64(vm.lim.StringBytes)})
	}
	if n >= longString {
		vm.takeIn(threadOf(L), n)
	}
}

// concat computes a .. b .. c for rewritten code.
func (vm *VM) concat(L *lua.LState) int {
	n := L.GetTop()
	size := 0
	for i := 1; i <= n; i++ {
		switch v := L.Get(i).(type) {
		case lua.LString:
			size += len(v)
		case lua.LNumber:
			size += 24
		default:
			return vm.concatSlow(L, n)
		}
	}
	vm.checkLength(L, size)
	vm.chargeBytes(threadOf(L), size)
	var b strings.Builder
	b.Grow(size)
	for i := 1; i <= n; i++ {
		b.WriteString(plainString(L.Get(i)))
	}
	L.Push(lua.LString(b.String()))
	return 1
}

// fields adds to a table, which is the first argument and has so many values without a
// key as the second says, what the third names by a letter each: values, and keys with
// their values. What comes beyond those are values.
func (vm *VM) fields(L *lua.LState) int {
	t, at, how := L.Get(1).(*lua.LTable), int(L.Get(2).(lua.LNumber)), string(L.Get(3).(lua.LString))
	var values []lua.LValue
	i := 4
	for _, c := range how {
		if c == 'v' {
			values = append(values, L.Get(i))
			i++
			continue
		}
		switch key := L.Get(i).(type) {
		case *lua.LNilType:
			vm.errorf(L, "table index is nil")
		case lua.LNumber:
			if math.IsNaN(float64(key)) {
				vm.errorf(L, "table index is NaN")
			}
		}
		t.RawSet(L.Get(i), L.Get(i+1))
		i += 2
	}
	for ; i <= L.GetTop(); i++ {
		values = append(values, L.Get(i))
	}
	if how[len(how)-1] == 'v' && L.GetTop() < 3+len(how)+strings.Count(how, "k") { // the last one gave none
		values = values[:len(values)-1]
	}
	vm.chargeBytes(threadOf(L), 16*len(values))
	for k, v := range values {
		t.RawSetInt(at+k+1, v)
	}
	L.Push(t)
	return 1
}

// concatSlow joins from the right, an operand at a time, with metamethods.
func (vm *VM) concatSlow(L *lua.LState, n int) int {
	right := L.Get(n)
	for i := n - 1; i >= 1; i-- {
		left := L.Get(i)
		if isStringOrNumber(left) && isStringOrNumber(right) {
			l, r := plainString(left), plainString(right)
			vm.checkLength(L, len(l)+len(r))
			vm.chargeBytes(threadOf(L), len(l)+len(r))
			right = lua.LString(l + r)
			continue
		}
		m := vm.metaOf(left, "__concat")
		if m == lua.LNil {
			m = vm.metaOf(right, "__concat")
		}
		if m.Type() != lua.LTFunction {
			bad, at := left, i
			if isStringOrNumber(left) {
				bad, at = right, i+1
			}
			name := ""
			if p, pc, call := callerInstruction(L); p != nil && (at == i || at == n) {
				name = quoteName(describeRegister(p, call.a()+at, pc))
			}
			vm.errorf(L, "%s", attempt("concatenate", name, bad.Type().String()))
		}
		L.Push(m)
		L.Push(left)
		L.Push(right)
		L.Call(2, 1)
		right = L.Get(-1)
		L.Pop(1)
	}
	L.Push(right)
	return 1
}
