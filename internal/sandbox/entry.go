package sandbox

import (
	"context"
	"time"

	lua "github.com/yuin/gopher-lua"
)

// Entry is the only way to Lua: what a host function is given by its call, and
// what Do gives to Go code outside. It has the step budget, the context and the
// recover of that call, so whatever is done by it is counted, stopped and caught.
// The Lua state behind it cannot be reached. An Entry ends with the call that it
// was given to; one that is kept and used later panics.
type Entry struct {
	vm *VM
	l  *lua.LState
}

// state returns the Lua state, for as long as the entry lives.
func (e Entry) state() *lua.LState {
	ts := threadOf(e.l)
	if ts.task == nil {
		panic("sandbox: an Entry was used after its call was over")
	}
	ts.life.park()
	return e.l
}

// Returned is called when Go code of the host has returned, before anything is made
// of what it did: what was abandoned meanwhile does not go on.
func (e Entry) Returned() { e.state() }

// NewFunction returns a Lua function that calls f. f pushes its results and
// returns how many they are. It runs no code.
func (vm *VM) NewFunction(f func(e Entry) int) *lua.LFunction {
	return vm.root.NewFunction(func(L *lua.LState) int {
		threadOf(L).life.entered.Store(true)
		return f(Entry{vm, L})
	})
}

// NewTable returns a table with room for list items and named fields: without
// being told, the VM makes room for 32 of each in a table of one.
func NewTable(items, fields int) *lua.LTable { return (*lua.LState)(nil).CreateTable(items, fields) }

// Arg returns the argument at place n, from 1; nil when there is none.
func (e Entry) Arg(n int) lua.LValue { return e.l.Get(n) }

// Args returns all arguments.
func (e Entry) Args() []lua.LValue {
	values := make([]lua.LValue, e.l.GetTop())
	for i := range values {
		values[i] = e.l.Get(i + 1)
	}
	return values
}

// Push adds a result.
func (e Entry) Push(v lua.LValue) { e.l.Push(v) }

// Context returns the context of the branch: for calls that block.
func (e Entry) Context() context.Context { return e.vm.contextOf(e.state()) }

// Block gives the baton up, calls f with the branch's context, and takes it
// back. f must not touch Lua values. When the context ended meanwhile, the
// script stops at its next instruction.
func (e Entry) Block(f func(ctx context.Context)) { e.vm.block(e.state(), f) }

// Sleep lets d pass on the VM's clock without the baton. Its error is the
// cause of the branch's context.
func (e Entry) Sleep(d time.Duration) error { return e.vm.sleep(e.state(), d) }

// Call calls fn. Its error is a *RaisedError, or one that is not Catchable,
// which the host function should pass to Throw; should it go on all the same,
// the script stops at its next instruction.
func (e Entry) Call(fn lua.LValue, args ...lua.LValue) ([]lua.LValue, error) {
	return e.vm.call(e.state(), fn, args...)
}

// CallContext is Call with ctx, which must be derived from Context, in place of
// the branch's context: within fn, Context returns it, and its end stops fn with
// a StoppedError that fn cannot catch. The caller can, unless the branch's own
// context has ended as well.
func (e Entry) CallContext(ctx context.Context, fn lua.LValue, args ...lua.LValue) ([]lua.LValue, error) {
	return e.vm.callContext(e.state(), ctx, fn, args...)
}

// Parallel runs the branches, each on a thread of its own, and returns when all
// of them have ended: children never outlive their parent. Results are in the
// order of the branches.
//
// Unless opt.Collect, the first branch to fail cancels the contexts of the
// others, and its error is returned; one that only stopped because of that is
// not. A limit, a panic or the end of the parent's context is returned in either
// case. The error is meant for Throw.
func (e Entry) Parallel(branches []Branch, opt ParallelOptions) ([]Result, error) {
	return e.vm.parallel(e.state(), branches, opt)
}

// Raise raises v as it is: no position is put before a string. It does not
// return.
func (e Entry) Raise(v lua.LValue) { e.vm.raise(e.state(), v) }

// Errorf raises a string that starts with the position of the host function's
// caller. It does not return.
func (e Entry) Errorf(format string, args ...any) { e.vm.errorf(e.state(), format, args...) }

// Throw continues an error that Call, Parallel or Do returned: it keeps its
// value and frames, and a stop stays a stop. Any other error is raised as a
// string. It does not return.
func (e Entry) Throw(err error) { e.vm.throw(e.state(), err) }

// Text converts v as tostring does; it may call a __tostring metamethod.
func (e Entry) Text(v lua.LValue) string { return e.vm.text(e.state(), v) }

// Where returns the Lua position: for level 0 the innermost one, which is where
// the host function being called was called from; for level 1 the one that called
// that function, and so on. It is the zero Frame when there is none. It costs
// some 100 ns.
func (e Entry) Where(level int) Frame { return e.vm.where(e.state(), level) }

// Branch returns the path of the parallel branch, such as "2.1", or "" outside
// of any.
func (e Entry) Branch() string { return e.vm.branch(e.state()) }
