package sandbox

import (
	"regexp"
	"strings"
	"sync"

	lua "github.com/yuin/gopher-lua"
)

// Prompt compiles what was typed at a prompt, as an expression where it is one. Its
// globals are those of scripts, and may be set: they last from one line to the next, as
// does a local at the beginning of a line. more says that src is no Lua yet, and may
// become some with further lines.
func (e Entry) Prompt(name, src string) (fn *lua.LFunction, more bool, err error) {
	vm := e.vm
	vm.charge(threadOf(e.state()), 100+8*len(src))
	p, err := Compile(name, []byte("return "+src), vm.lim)
	if err != nil {
		p, err = Compile(name, []byte(atBeginning().ReplaceAllString(src, "${1}${2}")), vm.lim)
	}
	if err != nil {
		syntax, _ := err.(*SyntaxError)
		return nil, syntax != nil && (syntax.Near == "<eof>" || strings.Contains(syntax.Message, "<eof>")), err
	}
	fn = vm.Load(p)
	fn.Env = vm.promptEnv()
	return fn, false, nil
}

// atBeginning finds a local at the beginning of a line: a function, or one that is given
// a value.
var atBeginning = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^\s*local\s+(?:(function\b)|([A-Za-z_][\w, \t]*=))`)
})

// promptEnv returns the globals of a prompt.
func (vm *VM) promptEnv() *lua.LTable {
	if vm.prompt == nil {
		vm.prompt = NewTable(0, 64)
		for k, v := vm.env.Next(lua.LNil); k != lua.LNil; k, v = vm.env.Next(k) {
			vm.prompt.RawSet(k, v)
		}
		vm.prompt.RawSetString(nameGlobals, vm.prompt)
		vm.prompt.Metatable = vm.env.Metatable // what is not there is an error
	}
	return vm.prompt
}
