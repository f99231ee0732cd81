package sandbox

import lua "github.com/yuin/gopher-lua"

// The VM's own pcall lets closures lose what their frames wrote, so a protected
// call here runs on a thread of its own and leaves the caller's frames alone.

// call is Entry.Call.
func (vm *VM) call(L *lua.LState, fn lua.LValue, args ...lua.LValue) ([]lua.LValue, error) {
	parent := threadOf(L)
	if !vm.callable(fn) {
		return nil, vm.raised(L, lua.LString("attempt to call a "+fn.Type().String()+" value"))
	}
	ts := vm.enter(parent)
	ts.L.Push(fn)
	for _, a := range args {
		ts.L.Push(a)
	}
	err := ts.call(len(args))
	parent.task.depth--
	if err != nil {
		if r, ok := err.(*RaisedError); ok {
			err = vm.fillMessage(parent, r)
		}
		vm.dropThread(ts, true)
		return nil, err
	}
	values := make([]lua.LValue, ts.L.GetTop())
	for i := range values {
		values[i] = ts.L.Get(i + 1)
	}
	vm.dropThread(ts, false)
	return values, nil
}

func (vm *VM) callable(v lua.LValue) bool {
	if _, ok := v.(*lua.LFunction); ok {
		return true
	}
	_, ok := vm.metaOf(v, "__call").(*lua.LFunction)
	return ok
}

// pcall is pcall(f, ...).
func (vm *VM) pcall(L *lua.LState) int {
	if L.GetTop() == 0 {
		vm.argError(L, 1, "value expected")
	}
	return vm.protected(L, L.GetTop(), nil)
}

// xpcall is xpcall(f, handler); like Lua 5.1 it passes f no arguments.
func (vm *VM) xpcall(L *lua.LState) int {
	if L.GetTop() < 2 {
		vm.argError(L, 2, "value expected")
	}
	return vm.protected(L, 1, L.Get(2))
}

// protected calls the function that is L's first argument, with the further
// ones up to n.
func (vm *VM) protected(L *lua.LState, n int, handler lua.LValue) int {
	parent := threadOf(L)
	fn := L.Get(1)
	if !vm.callable(fn) && handler == nil {
		L.Push(lua.LFalse)
		L.Push(lua.LString("attempt to call a " + fn.Type().String() + " value"))
		return 2
	}
	ts := vm.enter(parent)
	for i := 1; i <= n; i++ {
		ts.L.Push(L.Get(i))
	}
	err := ts.call(n - 1)
	parent.task.depth--
	if err == nil {
		L.Push(lua.LTrue)
		results := ts.L.GetTop()
		for i := 1; i <= results; i++ {
			L.Push(ts.L.Get(i))
		}
		vm.dropThread(ts, false)
		return results + 1
	}
	v := vm.catch(parent, err)
	if handler != nil {
		v = vm.handle(ts, handler, v)
	}
	vm.dropThread(ts, true)
	L.Push(lua.LFalse)
	L.Push(v)
	return 2
}

// catch returns the value of an error that may be caught, and unwinds further
// with any other. What was raised because the run is being stopped is not
// caught either.
func (vm *VM) catch(ts *thread, err error) lua.LValue {
	r, ok := err.(*RaisedError)
	if !ok {
		panic(&thrown{err})
	}
	if err := vm.checkStop(ts); err != nil {
		panic(&thrown{err})
	}
	return r.Value
}

// handle runs xpcall's handler on top of the failed thread, whose frames are
// still there to be looked at.
func (vm *VM) handle(failed *thread, handler, v lua.LValue) lua.LValue {
	if !vm.callable(handler) {
		return lua.LString("error in error handling")
	}
	// Not enter: its check of the stack's depth may be what v tells about.
	ts := vm.newThread(failed, failed.task)
	failed.task.depth++
	ts.L.Push(handler)
	ts.L.Push(v)
	err := ts.call(1)
	failed.task.depth--
	if err != nil {
		v = vm.catch(failed, err)
	} else {
		v = ts.L.Get(1) // nil when there is none
	}
	vm.dropThread(ts, err != nil)
	return v
}
