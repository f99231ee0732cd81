package sandbox

import (
	"fmt"

	lua "github.com/yuin/gopher-lua"
)

// branch is one function that Parallel runs.
type Branch struct {
	Fn   lua.LValue
	Args []lua.LValue
}

// ParallelOptions says how branches run.
type ParallelOptions struct {
	Limit   int  // at most this many at a time; 0 is all at once
	Collect bool // an error leaves the other branches alone, instead of cancelling them
}

// Result is the outcome of one branch.
type Result struct {
	Values []lua.LValue
	// Err is a *RaisedError whose Branch path ends here, a *StoppedError when a
	// sibling's failure or the context stopped it, or ErrNotStarted.
	Err error
}

// siblingError is the cause of the context of branches that are cancelled.
type siblingError struct {
	branch int
	err    error
}

func (e *siblingError) Error() string { return fmt.Sprintf("branch %d failed: %v", e.branch, e.err) }
func (e *siblingError) Unwrap() error { return e.err }

// parallel is one call of Parallel under way. The baton guards it.
type parallel struct {
	vm       *VM
	parent   *thread
	opt      ParallelOptions
	branches []Branch
	results  []Result
	next     int   // the first branch not started
	alive    int   // started and not ended
	failed   error // the first error, unless collecting
}

// parallel is Entry.Parallel.
func (vm *VM) parallel(L *lua.LState, branches []Branch, opt ParallelOptions) ([]Result, error) {
	vm.mustNotRender(L)
	ts := threadOf(L)
	p := &parallel{vm: vm, parent: ts, opt: opt, branches: branches, results: make([]Result, len(branches))}
	limit := opt.Limit
	if limit <= 0 {
		limit = len(branches)
	}
	if n := ts.life.branches + min(limit, len(branches)); n > vm.lim.Branches {
		vm.stop(ts, &LimitError{Limit: limitBranches, Max: int64(vm.lim.Branches), Hint: "give parallel a limit"})
	}
	t := ts.task
	if t.depth >= vm.lim.Depth {
		vm.stop(ts, &LimitError{Limit: limitDepth, Max: int64(vm.lim.Depth), Hint: "parallel is called inside parallel too deeply"})
	}
	for p.next < min(limit, len(branches)) {
		p.start()
	}
	if p.alive > 0 {
		ts.life.sched.release(t)
		<-t.wake
		ts.life.meter.settle()
	}
	for i := p.next; i < len(branches); i++ {
		p.results[i].Err = ErrNotStarted
	}
	if err := vm.checkStop(ts); err != nil {
		return p.results, err
	}
	return p.results, p.failed
}

// start makes the next branch ready to run.
func (p *parallel) start() {
	i := p.next
	p.next++
	p.alive++
	l := p.parent.life
	l.branches++
	t := l.newTask(p.parent.task.ctx, p.parent.task)
	t.branch = i + 1
	p.parent.task.children = append(p.parent.task.children, t)
	go p.run(i, t)
	l.sched.mu.Lock()
	l.sched.makeReady(t)
	l.sched.mu.Unlock()
}

// run is a branch's goroutine.
func (p *parallel) run(i int, t *task) {
	<-t.wake
	vm := p.vm
	t.life.meter.settle()
	ts := vm.newThread(p.parent, t)
	ts.co = nil // a branch cannot yield its parent's coroutine
	ended := false
	defer func() {
		if !ended { // runtime.Goexit in a host function
			p.results[i].Err = t.life.stopErr
		}
		p.end(i, t)
	}()
	b := p.branches[i]
	values, err := vm.branchCall(ts, b)
	p.results[i] = Result{Values: values, Err: err}
	ended = true
}

func (vm *VM) branchCall(ts *thread, b Branch) ([]lua.LValue, error) {
	if !vm.callable(b.Fn) {
		return nil, vm.raised(ts.L, lua.LString("attempt to call a "+b.Fn.Type().String()+" value"))
	}
	ts.L.Push(b.Fn)
	for _, a := range b.Args {
		ts.L.Push(a)
	}
	if err := ts.call(len(b.Args)); err != nil {
		if r, ok := err.(*RaisedError); ok {
			err = vm.fillMessage(ts, r)
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

// end takes note of a branch's end, starts the next one, and gives the baton
// on: to the parent after the last.
func (p *parallel) end(i int, t *task) {
	l := t.life
	p.alive--
	l.branches--
	err := p.results[i].Err
	t.cancel(nil)
	p.forget(t)
	if err != nil && p.failed == nil && (!p.opt.Collect || l.stopErr != nil) {
		p.failed = err
		for _, c := range p.parent.task.children {
			l.sched.stopTask(c, &siblingError{i + 1, err})
		}
	}
	if p.failed == nil && p.next < len(p.branches) && p.parent.task.ctx.Err() == nil {
		p.start()
	}
	if p.alive == 0 {
		l.sched.mu.Lock()
		l.sched.makeReady(p.parent.task)
		l.sched.mu.Unlock()
	}
	l.sched.release(t)
}

// forget removes t from its parent's children: with a limit there may be many
// more over time than at any moment.
func (p *parallel) forget(t *task) {
	list := p.parent.task.children
	for i, c := range list {
		if c == t {
			p.parent.task.children = append(list[:i], list[i+1:]...)
			return
		}
	}
}
