package sandbox

import (
	"bytes"
	"strings"

	lua "github.com/yuin/gopher-lua"
)

// VendorDir is the directory for libraries that were written for other programs.
const VendorDir = "vendor"

// pragma is the line that has a file taken for one of those wherever it is.
const pragma = "-- mepc-run: vendored"

// maxPragma limits how far into a file the pragma is looked for.
const maxPragma = 1 << 10

// VendoredBytes is the largest such library accepted.
const VendoredBytes = 256 << 10

// Vendored reports whether a file is a library that was written for other programs: it
// asks what its Lua has by reading globals, and may set some.
func Vendored(name string, src []byte) bool {
	if strings.HasPrefix(name, VendorDir+"/") || strings.Contains(name, "/"+VendorDir+"/") {
		return true
	}
	for line := range bytes.Lines(src[:min(len(src), maxPragma)]) {
		if string(bytes.TrimSpace(line)) == pragma {
			return true
		}
	}
	return false
}

// vendoredEnv returns the globals of vendored files: those of recipes, as a table like
// any other. A name that is not there is nil, and one that is set is seen by other
// vendored files and by no recipe.
func (vm *VM) vendoredEnv() *lua.LTable {
	if vm.vendored != nil {
		return vm.vendored
	}
	env := NewTable(0, 64)
	for k, v := vm.env.Next(lua.LNil); k != lua.LNil; k, v = vm.env.Next(k) {
		if t, ok := v.(*lua.LTable); ok && frozenOf(t) != nil { // string and the like: they may add to it
			v = copyOf(frozenOf(t))
		}
		env.RawSet(k, v)
	}
	for _, name := range []string{"_G", nameGlobals} {
		env.RawSetString(name, env)
	}
	pkg := NewTable(0, 6)
	for _, field := range [][2]string{{"config", "/\n;\n?\n!\n-\n"}, {"path", "./?.lua"}, {"cpath", ""}} {
		pkg.RawSetString(field[0], lua.LString(field[1]))
	}
	for _, name := range []string{"loaded", "preload", "loaders"} {
		pkg.RawSetString(name, NewTable(0, 0))
	}
	env.RawSetString("package", pkg)
	env.RawSetString("io", vm.vendoredIO())
	if debug, ok := env.RawGetString("debug").(*lua.LTable); ok {
		vm.fill(debug, entries{{"getmetatable", vm.getMetatable}, {"setmetatable", vm.setMetatable}, {"getinfo", noInfo}})
	}
	vm.vendored = env
	return env
}

// noInfo is a debug.getinfo that knows nothing but that somebody calls.
func noInfo(L *lua.LState) int {
	if n, ok := L.Get(1).(lua.LNumber); ok && n > 1 {
		L.Push(lua.LNil)
		return 1
	}
	t := NewTable(0, 4)
	for _, name := range []string{"source", "short_src", "what", "namewhat"} {
		t.RawSetString(name, lua.LString("?"))
	}
	t.RawSetString("currentline", lua.LNumber(-1))
	L.Push(t)
	return 1
}

func copyOf(t *lua.LTable) *lua.LTable {
	out := NewTable(0, 16)
	for k, v := t.Next(lua.LNil); k != lua.LNil; k, v = t.Next(k) {
		out.RawSet(k, v)
	}
	return out
}

// vendoredIO is an io that has no files: what is written to stdout and stderr is printed.
func (vm *VM) vendoredIO() *lua.LTable {
	write := vm.root.NewFunction(func(L *lua.LState) int { return vm.write(L, 2) })
	file := func() *lua.LTable {
		t := NewTable(0, 4)
		t.RawSetString("write", write)
		for _, name := range []string{"flush", "close", "setvbuf"} {
			t.RawSetString(name, vm.root.NewFunction(func(*lua.LState) int { return 0 }))
		}
		return t
	}
	io := NewTable(0, 6)
	io.RawSetString("stdout", file())
	io.RawSetString("stderr", file())
	io.RawSetString("write", vm.root.NewFunction(func(L *lua.LState) int { return vm.write(L, 1) }))
	io.RawSetString("type", vm.root.NewFunction(func(L *lua.LState) int {
		L.Push(lua.LNil)
		return 1
	}))
	io.RawSetString("open", vm.root.NewFunction(func(L *lua.LState) int {
		L.Push(lua.LNil)
		L.Push(lua.LString(vm.shortText(L, L.Get(1)) + ": there are no files here"))
		return 2
	}))
	return io
}

// write prints arguments from the first on, without the newline at their end: printing
// adds one.
func (vm *VM) write(L *lua.LState, first int) int {
	b := vm.builder(L)
	for i := first; i <= L.GetTop(); i++ {
		b.WriteString(vm.checkString(L, i))
	}
	if text := strings.TrimSuffix(b.String(), "\n"); text != "" && vm.opts.Print != nil {
		vm.opts.Print(text)
	}
	return 0
}
