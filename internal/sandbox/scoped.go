package sandbox

import (
	"context"
	"strconv"

	lua "github.com/yuin/gopher-lua"
)

// CallContext is Call with ctx, which must be derived from vm.Context(L), in
// place of the branch's context: within fn, Context returns it, and its end
// stops fn with a StoppedError that fn cannot catch. The caller can, unless the
// branch's own context has ended as well.
func (vm *VM) CallContext(L *lua.LState, ctx context.Context, fn lua.LValue, args ...lua.LValue) ([]lua.LValue, error) {
	t := threadOf(L).task
	outer := t.ctx
	t.ctx = ctx
	defer func() { t.ctx = outer }()
	return vm.Call(L, fn, args...)
}

// Branch returns the path of the parallel branch that L runs in, such as "2.1",
// or "" outside of any.
func (vm *VM) Branch(L *lua.LState) string {
	path, last := "", (*task)(nil)
	for ts := threadOf(L); ts != nil; ts = ts.parent {
		if ts.task == last || ts.task.branch == 0 {
			continue
		}
		last = ts.task
		number := strconv.Itoa(last.branch)
		if path == "" {
			path = number
		} else {
			path = number + "." + path
		}
	}
	return path
}
