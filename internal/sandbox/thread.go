package sandbox

import (
	"context"
	"errors"
	"runtime/debug"
	"time"

	lua "github.com/yuin/gopher-lua"
)

// thread holds what we know about one lua.LState. It is also the state's Context,
// because the VM asks L.ctx.Done() before each instruction: that is where steps
// are counted and where a stop takes effect. Nothing else may use it as a
// context; VM.Context gives the branch's real one.
type thread struct {
	vm     *VM
	L      *lua.LState
	parent *thread // the thread that waits for this one, nil at the bottom
	task   *task
	life   *life
	co     *coroutine // the coroutine it runs in, nil outside
	base   int        // frames below it in the threads that wait, but for the outermost few
}

// thrown unwinds the Go stack: a script's error, or a stop.
type thrown struct{ err error }

func threadOf(L *lua.LState) *thread {
	ts, _ := L.Context().(*thread)
	return ts
}

// contextOf returns the context of the branch that L runs in: for calls that
// block. (L.Context is the step counter.)
func (vm *VM) contextOf(L *lua.LState) context.Context { return threadOf(L).task.ctx }

// shallow is the nesting below which frames are not counted: looking at a
// frame costs as much as the rest of a pcall, and so few threads cannot hurt.
const shallow = 8

// newThread returns a thread that runs for parent, or at the bottom of task t.
func (vm *VM) newThread(parent *thread, t *task) *thread {
	var ts *thread
	l := t.life
	if n := len(l.free); n > 0 {
		ts = l.free[n-1]
		l.free[n-1] = nil
		l.free = l.free[:n-1]
	} else {
		L, _ := vm.root.NewThread()
		ts = &thread{vm: vm, L: L}
		L.SetContext(ts)
		L.Panic = vm.onPanic
	}
	ts.parent, ts.task, ts.life, ts.co, ts.base = parent, t, l, nil, 0
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
	if len(ts.life.free) >= maxFree || registers(ts.L) > maxPooled {
		return
	}
	if failed {
		resetThread(ts.L)
	} else {
		ts.L.SetTop(0)
	}
	ts.life.free = append(ts.life.free, ts)
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

// callStackOverflow is the VM's panic value when a thread's frames are used
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
			where := ts.vm.where(ts.L, 0).String()
			return ts.vm.raised(ts.L, lua.LString(where+": stack overflow"))
		}
	case nil:
		r = errors.New("the goroutine was ended by runtime.Goexit")
	}
	where := ts.vm.where(ts.L, 0)
	err := &PanicError{Value: r, Stack: debug.Stack(), File: where.File, Line: where.Line, Frames: ts.vm.stack(ts.L)}
	ts.life.stopErr = err
	return err
}

// Deadline, Done, Err and Value make a thread the context of its LState.

// Deadline returns the branch's deadline.
func (ts *thread) Deadline() (time.Time, bool) { return ts.task.ctx.Deadline() }

// Done is called by the VM before each instruction. It counts the step and,
// where the run is to stop, unwinds.
func (ts *thread) Done() <-chan struct{} {
	l := ts.life
	if m := &l.meter; m.left > 0 && !l.attention.Load() {
		m.left--
		if l.long {
			ts.weigh()
		}
		return nil
	}
	ts.vm.refill(ts, 1)
	if l.long {
		ts.weigh()
	}
	if c := ts.vm.opts.Cover; c != nil {
		c.step(ts.L)
	}
	return nil
}

// Err never says more than the branch's context does.
func (ts *thread) Err() error { return ts.task.ctx.Err() }

// Value returns the branch's value.
func (ts *thread) Value(key any) any { return ts.task.ctx.Value(key) }
