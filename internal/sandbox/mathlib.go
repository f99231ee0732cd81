package sandbox

import (
	"math"
	"math/rand/v2"

	lua "github.com/yuin/gopher-lua"
)

func (vm *VM) openMath() {
	t := vm.library("math", nil)
	one := func(f func(float64) float64) lua.LGFunction {
		return func(L *lua.LState) int {
			L.Push(lua.LNumber(f(float64(vm.checkNumber(L, 1)))))
			return 1
		}
	}
	two := func(f func(a, b float64) float64) lua.LGFunction {
		return func(L *lua.LState) int {
			L.Push(lua.LNumber(f(float64(vm.checkNumber(L, 1)), float64(vm.checkNumber(L, 2)))))
			return 1
		}
	}
	vm.fill(t, entries{
		{"abs", one(math.Abs)},
		{"acos", one(math.Acos)},
		{"asin", one(math.Asin)},
		{"atan", one(math.Atan)},
		{"atan2", two(math.Atan2)},
		{"ceil", one(math.Ceil)},
		{"cos", one(math.Cos)},
		{"cosh", one(math.Cosh)},
		{"deg", one(func(x float64) float64 { return x / (math.Pi / 180) })},
		{"exp", one(math.Exp)},
		{"floor", one(math.Floor)},
		{"fmod", two(math.Mod)},
		{"frexp", vm.frexp},
		{"ldexp", two(func(x, e float64) float64 { return math.Ldexp(x, int(toInteger(lua.LNumber(e)))) })},
		{"log", one(math.Log)},
		{"log10", one(math.Log10)},
		{"max", func(L *lua.LState) int { return vm.extreme(L, func(a, b lua.LNumber) bool { return a > b }) }},
		{"min", func(L *lua.LState) int { return vm.extreme(L, func(a, b lua.LNumber) bool { return a < b }) }},
		{"mod", two(math.Mod)},
		{"modf", vm.modf},
		{"pow", two(math.Pow)},
		{"rad", one(func(x float64) float64 { return x * (math.Pi / 180) })},
		{"random", vm.random},
		{"randomseed", vm.randomSeed},
		{"sin", one(math.Sin)},
		{"sinh", one(math.Sinh)},
		{"sqrt", one(math.Sqrt)},
		{"tan", one(math.Tan)},
		{"tanh", one(math.Tanh)},
	})
	t.RawSetString("pi", lua.LNumber(math.Pi))
	t.RawSetString("huge", lua.LNumber(math.Inf(1)))
}

func (vm *VM) frexp(L *lua.LState) int {
	f, e := math.Frexp(float64(vm.checkNumber(L, 1)))
	L.Push(lua.LNumber(f))
	L.Push(lua.LNumber(e))
	return 2
}

func (vm *VM) modf(L *lua.LState) int {
	n := float64(vm.checkNumber(L, 1))
	whole, frac := math.Modf(n)
	if math.IsInf(n, 0) {
		frac = math.Copysign(0, n)
	}
	L.Push(lua.LNumber(whole))
	L.Push(lua.LNumber(frac))
	return 2
}

func (vm *VM) extreme(L *lua.LState, better func(a, b lua.LNumber) bool) int {
	best := vm.checkNumber(L, 1)
	for i := 2; i <= L.GetTop(); i++ {
		if n := vm.checkNumber(L, i); better(n, best) {
			best = n
		}
	}
	L.Push(best)
	return 1
}

// random draws from the VM's own generator, which Options.Seed seeds.
func (vm *VM) random(L *lua.LState) int {
	r := threadOf(L).life.rng.Float64()
	switch L.GetTop() {
	case 0:
		L.Push(lua.LNumber(r))
	case 1:
		n := vm.checkInt(L, 1)
		if n < 1 {
			vm.argError(L, 1, "interval is empty")
		}
		L.Push(lua.LNumber(math.Floor(r*float64(n)) + 1))
	case 2:
		lo, hi := vm.checkInt(L, 1), vm.checkInt(L, 2)
		if lo > hi {
			vm.argError(L, 2, "interval is empty")
		}
		L.Push(lua.LNumber(math.Floor(r*float64(hi-lo+1)) + float64(lo)))
	default:
		vm.errorf(L, "wrong number of arguments")
	}
	return 1
}

func (vm *VM) randomSeed(L *lua.LState) int {
	threadOf(L).life.rng = rand.New(rand.NewPCG(uint64(vm.checkInt(L, 1)), 0x6d657063))
	return 0
}
