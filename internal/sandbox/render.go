package sandbox

import (
	"context"

	"github.com/mepc/mepc-run/internal/sandbox/show"
	lua "github.com/yuin/gopher-lua"
)

// An error that leaves Lua is written as text here, inside the VM: its __tostring
// is code of the script, which may raise, loop, sleep or call a server. It gets a
// budget of its own, cannot wait, and is not stopped by what stopped the run; what
// it used is the run's all the same.

const (
	renderSteps = 100_000
	maxMessage  = 4 << 10 // of an error
	maxShown    = 300     // of a value in an error
)

// fillMessage sets the message of an error that leaves Lua. It returns another
// error when that is a bug of ours.
func (vm *VM) fillMessage(ts *thread, e *RaisedError) error {
	if e.Message != "" || e.Value == lua.LString("") {
		return e
	}
	m, ok := vm.metaOf(e.Value, "__tostring").(*lua.LFunction)
	if !ok || ts.task.rendering {
		e.Message = "(error object is a " + e.Value.Type().String() + " value)"
		return e
	}
	text, err := vm.render(ts, m, e.Value)
	switch err := err.(type) {
	case nil:
		e.Message = text
	case *PanicError:
		return err
	default:
		e.Message = "__tostring failed: " + err.Error() + "; the error is " + show.Line(e.Value, maxShown)
	}
	return e
}

// render calls a __tostring on a thread of its own.
func (vm *VM) render(ts *thread, m *lua.LFunction, v lua.LValue) (text string, err error) {
	outer := ts.task
	t := &task{
		ctx: context.WithoutCancel(outer.ctx), cancel: func(error) {}, wake: make(chan struct{}, 1),
		life: outer.life, depth: outer.depth, rendering: true,
	}
	defer outer.life.allow(renderSteps)()
	th := vm.newThread(nil, t)
	th.L.Push(m)
	th.L.Push(v)
	if err = th.call(1); err == nil {
		if r := th.L.Get(1); isStringOrNumber(r) {
			text = show.Text(plainString(r), maxMessage)
		} else {
			err = &RaisedError{Message: "it returned a " + r.Type().String() + " value"}
		}
	} else if r, ok := err.(*RaisedError); ok {
		err = vm.fillMessage(th, r)
	}
	vm.dropThread(th, err != nil)
	return text, err
}

// allow gives what follows an allowance of steps of its own, until the returned
// function is called: what stopped the run before does not stop it, and what stops
// it does not stop the run.
func (l *life) allow(steps int64) (restore func()) {
	m := &l.meter
	m.settle()
	budget, began, stop := m.budget, m.began, l.stopErr
	m.budget, m.began = m.used+steps, m.used
	l.stopErr = nil
	return func() {
		m.settle()
		m.budget, m.began = budget, began
		l.stopErr = stop
	}
}

// mustNotRender raises in a __tostring that is about to wait.
func (vm *VM) mustNotRender(L *lua.LState) {
	if threadOf(L).task.rendering {
		vm.errorf(L, "a __tostring that writes an error cannot wait or call a server")
	}
}

// Meta returns the metamethod of v, whatever its __metatable says. It runs no code.
func (vm *VM) Meta(v lua.LValue, event string) lua.LValue { return vm.metaOf(v, event) }
