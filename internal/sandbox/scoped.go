package sandbox

import (
	"context"
	"strconv"

	lua "github.com/yuin/gopher-lua"
)

// callContext is Entry.CallContext.
func (vm *VM) callContext(L *lua.LState, ctx context.Context, fn lua.LValue, args ...lua.LValue) ([]lua.LValue, error) {
	t := threadOf(L).task
	outer := t.ctx
	t.ctx = ctx
	defer func() { t.ctx = outer }()
	return vm.call(L, fn, args...)
}

// branch is Entry.Branch.
func (vm *VM) branch(L *lua.LState) string {
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
