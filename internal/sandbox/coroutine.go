package sandbox

import (
	"context"
	"iter"
	"runtime"
	"weak"

	"github.com/mepc/mepc-run/internal/sandbox/show"
	lua "github.com/yuin/gopher-lua"
)

// A coroutine is a goroutine that iter.Pull switches to and from, not the VM's
// own kind: those escape the step counter, and a yield across pcall or a
// metamethod corrupts them. Here it simply works, which is more than Lua 5.1
// allows.
//
// Scripts hold a handle: an empty LState that runs nothing. When it becomes
// unreachable the coroutine is unwound, at the next coroutine operation.

type coroutine struct {
	fn     lua.LValue
	status coStatus
	handle weak.Pointer[lua.LState]
	holder *lua.LState // the handle while it runs, so that it stays

	ts        *thread // its bottom
	innermost *thread // the one that yielded: its pcalls have threads of their own

	next  func() (struct{}, bool)
	halt  func()
	yield func(struct{}) bool

	transfer []lua.LValue // arguments in, results or yielded values out
	err      error
	inner    int // nesting inside, kept while it is suspended
	outer    int // nesting at the resume
}

type coStatus string

const (
	coSuspended coStatus = "suspended"
	coRunning   coStatus = "running"
	coNormal    coStatus = "normal"
	coDead      coStatus = "dead"
)

// handleContext leads from a handle, which is an LState, to its coroutine.
type handleContext struct {
	context.Context
	co *coroutine
}

// killedError unwinds a coroutine that nobody can resume any more.
type killedError struct{}

func (*killedError) Error() string { return "the coroutine was never resumed again" }

func (vm *VM) newCoroutine(l *life, fn lua.LValue) *lua.LState {
	l.reapCoroutines()
	co := &coroutine{fn: fn, status: coSuspended}
	handle := &lua.LState{G: vm.root.G, Env: vm.env}
	handle.SetContext(&handleContext{context.Background(), co})
	co.handle = weak.Make(handle)
	return handle
}

func coroutineOf(v lua.LValue) *coroutine {
	th, ok := v.(*lua.LState)
	if !ok {
		return nil
	}
	if h, ok := th.Context().(*handleContext); ok {
		return h.co
	}
	return nil
}

// resume runs co until it yields or ends. A *RaisedError of it is returned; what
// cannot be caught unwinds the resumer too.
func (vm *VM) resume(L *lua.LState, handle *lua.LState, args []lua.LValue) ([]lua.LValue, error) {
	from := threadOf(L)
	from.life.reapCoroutines()
	co, l := coroutineOf(handle), from.life
	if co.status != coSuspended {
		return nil, &RaisedError{Value: lua.LString("cannot resume " + string(co.status) + " coroutine")}
	}
	t := from.task
	if t.depth+1+co.inner > vm.lim.Depth {
		vm.stop(from, &LimitError{Limit: limitDepth, Max: int64(vm.lim.Depth), Hint: "coroutines resume each other too deeply"})
	}
	first := co.next == nil
	if first {
		if len(l.suspended) >= vm.lim.Coroutines {
			vm.stop(from, &LimitError{
				Limit: limitCoroutines, Max: int64(vm.lim.Coroutines),
				Hint: "coroutines are started and never resumed to their end",
			})
		}
		co.ts = vm.newThread(from, t)
		co.ts.co, co.innermost = co, co.ts
		co.next, co.halt = iter.Pull(co.run)
		runtime.AddCleanup(handle, l.unreachable, co)
	}
	co.ts.parent = from
	co.retask(t)
	co.outer = t.depth
	t.depth += 1 + co.inner
	co.transfer, co.holder = args, handle
	if from.co != nil {
		from.co.status = coNormal
	}
	co.status = coRunning
	delete(l.suspended, co)
	_, alive := co.next()
	if from.co != nil {
		from.co.status = coRunning
	}
	co.inner = t.depth - co.outer - 1
	t.depth = co.outer
	values := co.transfer
	co.transfer, co.holder = nil, nil
	if alive {
		co.status = coSuspended
		co.ts.parent = nil
		l.suspended[co] = struct{}{}
		return values, nil
	}
	co.status = coDead
	err := co.err
	co.fn, co.err, co.next, co.yield, co.innermost = nil, nil, nil, nil, nil
	vm.dropThread(co.ts, err != nil)
	co.ts = nil
	if err == nil {
		return values, nil
	}
	if _, ok := err.(*RaisedError); !ok {
		panic(&thrown{err})
	}
	if err := vm.checkStop(from); err != nil {
		panic(&thrown{err})
	}
	return nil, err
}

// run is the body of the goroutine.
func (co *coroutine) run(yield func(struct{}) bool) {
	co.yield = yield
	L := co.ts.L
	L.Push(co.fn)
	for _, v := range co.transfer {
		L.Push(v)
	}
	n := len(co.transfer)
	co.transfer = nil
	if co.err = co.ts.call(n); co.err != nil {
		return
	}
	for i := 1; i <= L.GetTop(); i++ {
		co.transfer = append(co.transfer, L.Get(i))
	}
}

// retask moves the threads that are suspended inside co to the branch that
// resumes it now.
func (co *coroutine) retask(t *task) {
	for ts := co.innermost; ts != co.ts; ts = ts.parent {
		ts.task, ts.life = t, t.life
	}
	co.ts.task, co.ts.life = t, t.life
}

// kill unwinds a suspended coroutine.
func (l *life) kill(co *coroutine) {
	if co.status == coSuspended && co.next != nil {
		co.status = coDead
		co.halt()
	}
	delete(l.suspended, co)
}

// unreachable is called by the garbage collector when a handle is.
func (l *life) unreachable(co *coroutine) {
	l.reapMu.Lock()
	l.reap = append(l.reap, co)
	l.reapMu.Unlock()
}

func (l *life) reapCoroutines() {
	l.reapMu.Lock()
	list := l.reap
	l.reap = nil
	l.reapMu.Unlock()
	for _, co := range list {
		l.kill(co)
	}
}

func (vm *VM) coCreate(L *lua.LState) int {
	fn, ok := L.Get(1).(*lua.LFunction)
	if !ok || fn.IsG {
		vm.argError(L, 1, "Lua function expected")
	}
	L.Push(vm.newCoroutine(threadOf(L).life, fn))
	return 1
}

func (vm *VM) coWrap(L *lua.LState) int {
	vm.coCreate(L)
	handle := L.Get(-1).(*lua.LState)
	L.Push(L.NewFunction(func(L *lua.LState) int {
		values, err := vm.resume(L, handle, arguments(L, 1))
		if err != nil {
			r := err.(*RaisedError)
			if s, ok := r.Value.(lua.LString); ok { // as C Lua does
				r.Value = lua.LString(levelPosition(L, 1)) + s
				r.Message = show.Text(string(r.Value.(lua.LString)), maxMessage)
			}
			if r.Frames == nil {
				r.Frames, r.Branch = vm.frames(L)
			}
			panic(&thrown{r})
		}
		return push(L, values)
	}))
	return 1
}

func (vm *VM) coResume(L *lua.LState) int {
	if coroutineOf(L.Get(1)) == nil {
		vm.argError(L, 1, "coroutine expected")
	}
	values, err := vm.resume(L, L.Get(1).(*lua.LState), arguments(L, 2))
	if err != nil {
		L.Push(lua.LFalse)
		L.Push(err.(*RaisedError).Value)
		return 2
	}
	L.Push(lua.LTrue)
	return 1 + push(L, values)
}

func (vm *VM) coYield(L *lua.LState) int {
	co := threadOf(L).co
	if co == nil {
		vm.errorf(L, "attempt to yield across metamethod/C-call boundary")
	}
	co.transfer, co.innermost = arguments(L, 1), threadOf(L)
	if !co.yield(struct{}{}) {
		panic(&thrown{&killedError{}})
	}
	values := co.transfer
	co.transfer = nil
	return push(L, values)
}

func (vm *VM) coRunning(L *lua.LState) int {
	if co := threadOf(L).co; co != nil {
		L.Push(co.holder)
		return 1
	}
	L.Push(lua.LNil)
	return 1
}

func (vm *VM) coStatus(L *lua.LState) int {
	co := coroutineOf(L.Get(1))
	if co == nil {
		vm.argError(L, 1, "coroutine expected")
	}
	L.Push(lua.LString(co.status))
	return 1
}
