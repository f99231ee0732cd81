package sandbox

import (
	"math"
	"strings"

	lua "github.com/yuin/gopher-lua"
)

func (vm *VM) openBase() {
	next := vm.root.NewFunction(vm.next)
	step := vm.root.NewFunction(vm.ipairsStep)
	vm.SetGlobal("_VERSION", lua.LString("Lua 5.1"))
	vm.SetGlobal("next", next)
	for _, e := range []struct {
		name string
		fn   lua.LGFunction
	}{
		{"assert", vm.assert},
		{"error", vm.error},
		{"getmetatable", vm.getMetatable},
		{"ipairs", func(L *lua.LState) int {
			t := vm.checkTable(L, 1)
			return push(L, []lua.LValue{step, t, lua.LNumber(0)})
		}},
		{"load", vm.load},
		{"loadstring", vm.loadString},
		{"pairs", func(L *lua.LState) int {
			t := vm.checkTable(L, 1)
			return push(L, []lua.LValue{next, t, lua.LNil})
		}},
		{"pcall", vm.pcall},
		{"print", vm.print},
		{"rawequal", vm.rawEqual},
		{"rawget", vm.rawGet},
		{"rawset", vm.rawSet},
		{"select", vm.selectArgs},
		{"setmetatable", vm.setMetatable},
		{"tonumber", vm.toNumber},
		{"tostring", vm.toString},
		{"type", vm.typeOf},
		{"unpack", vm.unpack},
		{"xpcall", vm.xpcall},
	} {
		vm.SetGlobal(e.name, vm.root.NewFunction(e.fn))
	}
}

func (vm *VM) assert(L *lua.LState) int {
	if lua.LVAsBool(vm.checkAny(L, 1)) {
		return L.GetTop()
	}
	vm.errorf(L, "%s", vm.optString(L, 2, "assertion failed!"))
	return 0
}

func (vm *VM) error(L *lua.LState) int {
	v, level := L.Get(1), vm.optInt(L, 2, 1)
	if isStringOrNumber(v) && level > 0 {
		vm.takeIn(threadOf(L), textLen(v))
		vm.chargeBytes(threadOf(L), textLen(v))
		v = lua.LString(levelPosition(L, level) + plainString(v))
	}
	vm.raise(L, v)
	return 0
}

// metaOf returns the metamethod of v, ignoring __metatable.
func (vm *VM) metaOf(v lua.LValue, event string) lua.LValue {
	var mt lua.LValue
	switch v := v.(type) {
	case *lua.LTable:
		mt = v.Metatable
	case *lua.LUserData:
		mt = v.Metatable
	case lua.LString:
		mt = vm.stringMeta
	}
	if t, ok := mt.(*lua.LTable); ok {
		return t.RawGetString(event)
	}
	return lua.LNil
}

func (vm *VM) getMetatable(L *lua.LState) int {
	v := vm.checkAny(L, 1)
	var mt lua.LValue = lua.LNil
	switch v := v.(type) {
	case *lua.LTable:
		mt = v.Metatable
	case *lua.LUserData:
		mt = v.Metatable
	case lua.LString:
		mt = vm.stringMetaView
	}
	if t, ok := mt.(*lua.LTable); ok && t != vm.stringMetaView {
		if p := t.RawGetString("__metatable"); p != lua.LNil {
			mt = p
		}
	}
	if mt == nil {
		mt = lua.LNil
	}
	L.Push(mt)
	return 1
}

func (vm *VM) setMetatable(L *lua.LState) int {
	t := vm.checkTable(L, 1)
	mt := L.Get(2)
	if _, ok := mt.(*lua.LTable); !ok && (mt != lua.LNil || L.GetTop() < 2) {
		vm.argError(L, 2, "nil or table expected")
	}
	if old, ok := t.Metatable.(*lua.LTable); ok && old.RawGetString("__metatable") != lua.LNil {
		vm.errorf(L, "cannot change a protected metatable")
	}
	t.Metatable = mt
	L.Push(t)
	return 1
}

func (vm *VM) next(L *lua.LState) int {
	vm.chargeBytes(threadOf(L), textLen(L.Get(2)))
	t := readable(vm.checkTable(L, 1))
	k, v := t.Next(L.Get(2))
	L.Push(k)
	if k == lua.LNil {
		return 1
	}
	L.Push(v)
	return 2
}

func (vm *VM) ipairsStep(L *lua.LState) int {
	t := readable(vm.checkTable(L, 1))
	i := lua.LNumber(vm.checkInt(L, 2) + 1)
	v := t.RawGet(i)
	if v == lua.LNil {
		L.Push(lua.LNil)
		return 1
	}
	L.Push(i)
	L.Push(v)
	return 2
}

// maxSource bounds what load collects from its reader function.
func (vm *VM) load(L *lua.LState) int {
	var src string
	switch f := L.Get(1).(type) {
	case *lua.LFunction:
		var b strings.Builder
		for {
			vm.charge(threadOf(L), 1)
			L.Push(f)
			L.Call(0, 1)
			piece := L.Get(-1)
			L.Pop(1)
			if piece == lua.LNil || piece == lua.LString("") {
				break
			}
			if !isStringOrNumber(piece) {
				vm.errorf(L, "reader function must return a string")
			}
			b.WriteString(plainString(piece))
			if b.Len() > vm.lim.SourceBytes {
				break // Compile says why
			}
		}
		src = b.String()
	default:
		vm.typeError(L, 1, "function")
	}
	return vm.compileChunk(L, src, vm.optString(L, 2, "=(load)"))
}

func (vm *VM) loadString(L *lua.LState) int {
	src := vm.checkString(L, 1)
	return vm.compileChunk(L, src, vm.optString(L, 2, src))
}

func (vm *VM) compileChunk(L *lua.LState, src, name string) int {
	vm.charge(threadOf(L), 100+4*len(src))
	p, err := Compile(chunkID(name), []byte(src), vm.lim)
	if err != nil {
		L.Push(lua.LNil)
		L.Push(lua.LString(err.Error()))
		return 2
	}
	L.Push(vm.Load(p))
	return 1
}

// chunkID returns a chunk's name as C Lua shows it in positions.
func chunkID(name string) string {
	const size = 60
	if name == "" {
		return `[string ""]`
	}
	switch name[0] {
	case '=':
		return name[1:min(len(name), size)]
	case '@':
		name = name[1:]
		if len(name) > size-8 {
			name = "..." + name[len(name)-(size-8):]
		}
		return name
	}
	line, _, more := strings.Cut(name, "\n")
	if i := strings.IndexByte(line, '\r'); i >= 0 {
		line, more = line[:i], true
	}
	if room := size - len(`[string "..."]`) - 1; len(line) > room {
		line, more = line[:room], true
	}
	if more {
		line += "..."
	}
	return `[string "` + line + `"]`
}

func (vm *VM) print(L *lua.LState) int {
	b := vm.builder(L)
	for i := 1; i <= L.GetTop(); i++ {
		if i > 1 {
			b.WriteByte('\t')
		}
		b.WriteString(vm.text(L, L.Get(i)))
	}
	if vm.opts.Print != nil {
		vm.opts.Print(b.String())
	}
	return 0
}

func (vm *VM) rawEqual(L *lua.LState) int {
	a, b := vm.checkAny(L, 1), vm.checkAny(L, 2)
	vm.chargeBytes(threadOf(L), min(textLen(a), textLen(b)))
	L.Push(lua.LBool(L.RawEqual(a, b)))
	return 1
}

func (vm *VM) rawGet(L *lua.LState) int {
	vm.chargeBytes(threadOf(L), textLen(L.Get(2)))
	L.Push(readable(vm.checkTable(L, 1)).RawGet(vm.checkAny(L, 2)))
	return 1
}

func (vm *VM) rawSet(L *lua.LState) int {
	vm.chargeBytes(threadOf(L), textLen(L.Get(2)))
	t := vm.writable(L, 1)
	k, v := vm.checkAny(L, 2), vm.checkAny(L, 3)
	if n, ok := k.(lua.LNumber); ok && math.IsNaN(float64(n)) {
		vm.raise(L, lua.LString("table index is NaN"))
	}
	if k == lua.LNil {
		vm.raise(L, lua.LString("table index is nil"))
	}
	t.RawSet(k, v)
	L.Push(t)
	return 1
}

func (vm *VM) selectArgs(L *lua.LState) int {
	n := L.GetTop()
	if L.Get(1) == lua.LString("#") {
		L.Push(lua.LNumber(n - 1))
		return 1
	}
	i := vm.checkInt(L, 1)
	if i < 0 {
		i = n + i
	} else if i > n {
		i = n
	}
	if i < 1 {
		vm.argError(L, 1, "index out of range")
	}
	return n - i
}

func (vm *VM) toNumber(L *lua.LState) int {
	base := vm.optInt(L, 2, 10)
	vm.chargeBytes(threadOf(L), textLen(L.Get(1)))
	if base == 10 {
		if n, ok := toNumber(vm.checkAny(L, 1)); ok {
			L.Push(n)
			return 1
		}
	} else {
		s := vm.checkString(L, 1)
		if base < 2 || base > 36 {
			vm.argError(L, 2, "base out of range")
		}
		if n, ok := parseBase(s, base); ok {
			L.Push(n)
			return 1
		}
	}
	L.Push(lua.LNil)
	return 1
}

// text converts v as tostring does; it may call a __tostring metamethod.
func (vm *VM) text(L *lua.LState, v lua.LValue) string {
	if m, ok := vm.metaOf(v, "__tostring").(*lua.LFunction); ok {
		L.Push(m)
		L.Push(v)
		L.Call(1, 1)
		r := L.Get(-1)
		L.Pop(1)
		if !isStringOrNumber(r) {
			vm.errorf(L, "'tostring' must return a string to 'print'")
		}
		return plainString(r)
	}
	if isStringOrNumber(v) {
		return plainString(v)
	}
	return v.String()
}

func (vm *VM) toString(L *lua.LState) int {
	v := vm.checkAny(L, 1)
	if m, ok := vm.metaOf(v, "__tostring").(*lua.LFunction); ok {
		L.Push(m)
		L.Push(v)
		L.Call(1, 1)
		return 1
	}
	L.Push(lua.LString(vm.text(L, v)))
	return 1
}

func (vm *VM) typeOf(L *lua.LState) int {
	L.Push(lua.LString(vm.checkAny(L, 1).Type().String()))
	return 1
}

// maxResults bounds what one call may return, as C Lua's stack does.
const maxResults = 7900

func (vm *VM) unpack(L *lua.LState) int {
	t := readable(vm.checkTable(L, 1))
	i := vm.optInt(L, 2, 1)
	j := vm.length(L, t, 3)
	if i > j {
		return 0
	}
	n := j - i + 1
	if n <= 0 || n > maxResults {
		vm.errorf(L, "too many results to unpack")
	}
	for ; i <= j; i++ {
		L.Push(t.RawGet(lua.LNumber(i)))
	}
	return n
}

// length returns argument n, or by default the length of t.
func (vm *VM) length(L *lua.LState, t *lua.LTable, n int) int {
	if L.Get(n) == lua.LNil {
		return t.Len()
	}
	return vm.checkInt(L, n)
}

func (vm *VM) traceback(L *lua.LState) int {
	if coroutineOf(L.Get(1)) != nil {
		L.Remove(1)
	}
	message := L.Get(1)
	if message != lua.LNil && !isStringOrNumber(message) {
		L.Push(message)
		return 1
	}
	var b strings.Builder
	if message != lua.LNil {
		b.WriteString(plainString(message) + "\n")
	}
	b.WriteString("stack traceback:")
	frames := vm.stack(L)
	if skip := vm.optInt(L, 2, 1) - 1; skip > 0 {
		frames = frames[min(skip, len(frames)):]
	}
	for _, f := range frames {
		b.WriteString("\n\t" + f.String() + ": in ")
		if f.Func == "" {
			b.WriteString("function")
		} else {
			b.WriteString("function '" + f.Func + "'")
		}
	}
	L.Push(lua.LString(b.String()))
	return 1
}
