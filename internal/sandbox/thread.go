package sandbox

import (
	"context"
	"errors"
	"runtime/debug"
	"time"

	lua "github.com/yuin/gopher-lua"
)

// thread is what we know of one lua.LState. It is also the state's Context,
// because the VM asks L.ctx.Done() before each instruction: that is where steps
// are counted and where a stop takes effect. Nothing else may use it as a
// context; VM.Context gives the branch's real one.
type thread struct {
	vm     *VM
	L      *lua.LState
	parent *thread // the thread that waits for this one, nil at the bottom
	task   *task
	co     *coroutine // the coroutine it runs in, nil outside
	base   int        // frames below it in the threads that wait, but for the outermost few
}

// thrown is what unwinds the Go stack: a script's error, or a stop.
type thrown struct{ err error }

func threadOf(L *lua.LState) *thread {
	ts, _ := L.Context().(*thread)
	return ts
}

// Context returns the context of the branch that L runs in: for calls that
// block. (L.Context is the step counter.)
func (vm *VM) Context(L *lua.LState) context.Context { return threadOf(L).task.ctx }

// shallow is the nesting below which frames are not counted: looking at a
// frame costs as much as the rest of a pcall, and so few threads cannot hurt.
const shallow = 8

// newThread returns a thread that runs for parent, or at the bottom of task t.
func (vm *VM) newThread(parent *thread, t *task) *thread {
	var ts *thread
	if n := len(vm.free); n > 0 {
		ts = vm.free[n-1]
		vm.free[n-1] = nil
		vm.free = vm.free[:n-1]
	} else {
		L, _ := vm.root.NewThread()
		ts = &thread{vm: vm, L: L}
		L.SetContext(ts)
		L.Panic = vm.onPanic
	}
	ts.parent, ts.task, ts.co, ts.base = parent, t, nil, 0
	if parent != nil {
		ts.co = parent.co
		if t.depth >= shallow {
			ts.base = parent.base
			if f := topFrame(parent.L); f.ok() {
				ts.base += f.index() + 1
			}
		}
	}
	return ts
}

const (
	maxFree   = 64   // threads in the pool; one holds some 3 KB
	maxPooled = 4096 // registers of a thread that goes there: a deep recursion grows it to megabytes
)

// dropThread gives a thread back after its call has ended. Its results are
// gone with that.
func (vm *VM) dropThread(ts *thread, failed bool) {
	ts.parent, ts.task, ts.co = nil, nil, nil
	if len(vm.free) >= maxFree || registers(ts.L) > maxPooled {
		return
	}
	if failed {
		resetThread(ts.L)
	} else {
		ts.L.SetTop(0)
	}
	vm.free = append(vm.free, ts)
}

// enter is newThread for a call out of parent, within the limit of nesting.
func (vm *VM) enter(parent *thread) *thread {
	t := parent.task
	if t.depth >= vm.lim.Depth {
		vm.stop(parent, &LimitError{
			Limit: limitDepth, Max: int64(vm.lim.Depth),
			Hint: "a function calls itself through pcall, a coroutine or a callback",
		})
	}
	ts := vm.newThread(parent, t)
	if ts.base > vm.lim.CallDepth {
		vm.raiseString(parent.L, 1, "stack overflow")
	}
	t.depth++
	return ts
}

// call runs the function and the nargs arguments that were pushed on ts.L. Its
// results are left there; after an error its frames are, until dropThread.
func (ts *thread) call(nargs int) (err error) {
	done := false
	defer func() {
		if !done {
			err = ts.recovered(recover())
		}
	}()
	ts.L.Call(nargs, lua.MultRet)
	done = true
	return nil
}

// protect calls f and returns its error, or else what f raised.
func (ts *thread) protect(f func() error) (fnErr, raised error) {
	done := false
	defer func() {
		if !done {
			raised = ts.recovered(recover())
		}
	}()
	fnErr = f()
	done = true
	return fnErr, nil
}

// callStackOverflow is what the VM panics with when a thread's frames are used
// up (its own check for it never holds).
const callStackOverflow = "lua callstack overflow"

// recovered turns a recovered panic into the error it stands for.
func (ts *thread) recovered(r any) error {
	switch r := r.(type) {
	case *thrown:
		return r.err
	case *lua.ApiError:
		return ts.vm.raised(ts.L, r.Object)
	case string:
		if r == callStackOverflow {
			where := ts.vm.Where(ts.L, 0).String()
			return ts.vm.raised(ts.L, lua.LString(where+": stack overflow"))
		}
	case nil:
		r = errors.New("the goroutine was ended by runtime.Goexit")
	}
	where := ts.vm.Where(ts.L, 0)
	err := &PanicError{Value: r, Stack: debug.Stack(), File: where.File, Line: where.Line, Frames: ts.vm.Frames(ts.L)}
	ts.vm.stopErr = err
	return err
}

// Deadline, Done, Err and Value make a thread the context of its LState.

// Deadline is that of the branch.
func (ts *thread) Deadline() (time.Time, bool) { return ts.task.ctx.Deadline() }

// Done is called by the VM before each instruction. It counts the step and,
// where the run is to stop, unwinds.
func (ts *thread) Done() <-chan struct{} {
	if m := &ts.vm.meter; m.left > 0 && !ts.vm.attention.Load() {
		m.left--
		return nil
	}
	ts.vm.refill(ts, 1)
	if c := ts.vm.opts.Cover; c != nil {
		c.step(ts.L)
	}
	return nil
}

// Err never says more than the branch's context does.
func (ts *thread) Err() error { return ts.task.ctx.Err() }

// Value is that of the branch.
func (ts *thread) Value(key any) any { return ts.task.ctx.Value(key) }
