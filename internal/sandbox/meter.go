package sandbox

import "context"

// slice is the number of steps between two checks whether the run is to stop.
const slice = 64

// meter counts steps for all branches of a VM; who holds the baton owns it. The
// count is handed out in slices, so that a step costs one decrement.
type meter struct {
	budget int64
	began  int64 // what was used when the allowance began; see VM.Grace
	used   int64 // including the whole of the current slice
	left   int64 // of the slice
}

func (m *meter) total() int64 { return m.used - m.left }

// settle ends the slice, so that the next step looks at the state of the world.
func (m *meter) settle() {
	m.used -= m.left
	m.left = 0
}

// refill takes n steps and a new slice, or unwinds when the run is to stop.
func (vm *VM) refill(ts *thread, n int64) {
	m := &ts.life.meter
	m.settle()
	ts.life.attention.Store(false) // before the look: what is set after it is seen next time
	ts.life.park()
	if err := vm.checkStop(ts); err != nil {
		panic(&thrown{err})
	}
	if n > m.budget-m.used {
		m.used = m.budget
		vm.stop(ts, &LimitError{
			Limit: limitSteps, Max: m.budget - m.began,
			Hint: "a loop may not end; --max-steps raises the budget",
		})
	}
	m.used += n
	if vm.opts.Cover != nil {
		return // each step comes here, to be counted
	}
	m.left = min(slice, m.budget-m.used)
	m.used += m.left
}

// charge counts n steps of work done in Go on the script's behalf. When the
// budget is used up it does not return.
func (vm *VM) charge(ts *thread, n int) {
	if m := &ts.life.meter; int64(n) <= m.left && !ts.life.attention.Load() {
		m.left -= int64(n)
		return
	}
	vm.refill(ts, int64(n))
}

// chargeBytes counts the work of copying n bytes of strings.
func (vm *VM) chargeBytes(ts *thread, n int) {
	if n >= 64 {
		vm.charge(ts, n/64)
	}
}

// checkStop returns why ts must not go on, or nil.
func (vm *VM) checkStop(ts *thread) error {
	l := ts.life
	if l.stopErr != nil {
		return l.stopErr
	}
	if l.heap.suspect.Swap(false) && l.heap.tooMuch(0) {
		l.heap.over.Store(true)
	}
	if l.heap.over.Load() {
		return vm.located(ts, &LimitError{
			Limit: limitHeap, Max: int64(vm.lim.HeapBytes),
			Hint: "a table or a string grows without end; --max-heap raises the limit",
		})
	}
	if ts.task.ctx.Err() != nil {
		where := vm.where(ts.L, 0)
		return &StoppedError{
			Cause: context.Cause(ts.task.ctx), File: where.File, Line: where.Line, Frames: vm.stack(ts.L),
		}
	}
	return nil
}

// located puts the script's position into err and remembers it as what ended
// the VM.
func (vm *VM) located(ts *thread, err *LimitError) error {
	where := vm.where(ts.L, 0)
	err.File, err.Line, err.Frames = where.File, where.Line, vm.stack(ts.L)
	ts.life.stopErr = err
	return err
}

// stop ends the VM with a limit and unwinds.
func (vm *VM) stop(ts *thread, err *LimitError) { panic(&thrown{vm.located(ts, err)}) }
