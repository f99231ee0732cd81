package sandbox

import (
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mepc/mepc-run/internal/clock"
	lua "github.com/yuin/gopher-lua"
)

// The baton: a VM may have many branches, each a goroutine with a thread of its
// own, and exactly one of them runs Lua at a time. A branch gives the baton up
// around Go code that blocks (Block), while it waits for its children
// (Parallel), and nowhere else, so that a script needs no locks.
//
// Under a virtual clock nothing really blocks: Block keeps the baton, and a
// branch gives it up only when it sleeps. When no branch can run, time advances
// to the next event. The order is first in, first out, so a run is the same
// every time.

// task is one branch, or one entry from outside.
type task struct {
	ctx      context.Context
	cancel   context.CancelCauseFunc
	wake     chan struct{} // one token: the baton is yours
	branch   int           // 1-based number among its siblings, 0 for an entry
	depth    int           // nesting of calls, see Limits.Depth
	life     *life
	children []*task
	// rendering is set for the __tostring of an error: see render.go.
	rendering bool

	sleepMu sync.Mutex // one virtual sleep at a time
	unsleep func()     // ends the virtual sleep it is in; guarded by scheduler.mu
}

type scheduler struct {
	virtual *clock.Virtual
	shuffle *rand.Rand

	// activity is odd while Lua runs and changes whenever that does: the same
	// even number twice means that no Lua ran in between. The heap watch reads it.
	activity atomic.Int64

	// over is set when all that runs or waits is abandoned: see VM.Abandon. Then
	// nobody gets the baton, nor gives it on.
	over atomic.Bool

	mu       sync.Mutex
	running  *task
	ready    []*task
	sleeping int
}

func (s *scheduler) setActive(active bool) {
	if n := s.activity.Load(); (n%2 == 1) != active {
		s.activity.Store(n + 1)
	}
}

func (s *scheduler) init(c clock.Clock, shuffle int64) {
	s.virtual, _ = c.(*clock.Virtual)
	if s.virtual != nil && shuffle != 0 {
		s.shuffle = rand.New(rand.NewPCG(uint64(shuffle), 0x73687566))
	}
}

func (l *life) newTask(ctx context.Context, parent *task) *task {
	t := &task{wake: make(chan struct{}, 1), life: l}
	if parent != nil {
		t.depth = parent.depth + 1
	}
	t.ctx, t.cancel = context.WithCancelCause(ctx)
	if l.sched.virtual != nil {
		t.ctx = clock.WithSleeper(t.ctx, t)
	}
	return t
}

// acquire waits for the baton.
func (s *scheduler) acquire(t *task) {
	s.mu.Lock()
	s.makeReady(t)
	s.mu.Unlock()
	<-t.wake
}

// makeReady queues t for the baton. s.mu is held.
func (s *scheduler) makeReady(t *task) {
	if s.over.Load() {
		return
	}
	if s.running == nil {
		s.hand(t)
		return
	}
	s.ready = append(s.ready, t)
}

func (s *scheduler) hand(t *task) {
	s.running = t
	s.setActive(true)
	t.wake <- struct{}{}
}

// release gives the baton to the next branch. When none can run and some sleep,
// it lets virtual time pass until one can.
func (s *scheduler) release(t *task) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		if s.over.Load() {
			return
		}
		if len(s.ready) > 0 {
			s.hand(s.next())
			return
		}
		if s.sleeping == 0 {
			s.running = nil
			s.setActive(false)
			return
		}
		s.mu.Unlock() // running still names the old holder, so nobody else steps
		more := s.virtual.Step()
		s.mu.Lock()
		if !more && len(s.ready) == 0 { // each sleeper has an event, so never
			s.running = nil
			s.setActive(false)
			return
		}
	}
}

func (s *scheduler) next() *task {
	i := 0
	if s.shuffle != nil {
		i = s.shuffle.IntN(len(s.ready))
	}
	t := s.ready[i]
	s.ready = append(s.ready[:i], s.ready[i+1:]...)
	return t
}

// yield lets the others that are ready go first.
func (s *scheduler) yield(t *task) {
	s.mu.Lock()
	s.ready = append(s.ready, t)
	s.hand(s.next())
	s.mu.Unlock()
	<-t.wake
}

// SleepVirtual parks the branch until d has passed or its context ends. It
// implements clock.Sleeper.
func (t *task) SleepVirtual(ctx context.Context, v *clock.Virtual, d time.Duration) error {
	t.sleepMu.Lock()
	defer t.sleepMu.Unlock()
	s := &t.life.sched
	s.mu.Lock()
	over := false
	wakeUp := func() { // s.mu is held
		if !over && !s.over.Load() {
			over = true
			t.unsleep = nil
			s.sleeping--
			s.makeReady(t)
		}
	}
	remove := v.After(d, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		wakeUp()
	})
	t.unsleep = func() {
		remove()
		wakeUp()
	}
	s.sleeping++
	s.mu.Unlock()
	s.release(t)
	<-t.wake
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return nil
}

// stopTask cancels t and all below it, and wakes those that sleep, in order.
func (s *scheduler) stopTask(t *task, cause error) {
	t.cancel(cause)
	s.mu.Lock()
	if t.unsleep != nil {
		t.unsleep()
	}
	s.mu.Unlock()
	for _, c := range t.children {
		s.stopTask(c, cause)
	}
}

// block is Entry.Block.
func (vm *VM) block(L *lua.LState, f func(ctx context.Context)) {
	vm.mustNotRender(L)
	t := threadOf(L).task
	l := t.life
	l.park()
	defer l.meter.settle()
	if l.sched.virtual != nil {
		if l.sched.shuffle != nil {
			l.sched.yield(t)
		}
		l.sched.setActive(false)
		defer l.sched.setActive(true)
		f(t.ctx)
		return
	}
	l.sched.release(t)
	defer l.sched.acquire(t)
	f(t.ctx)
}

// sleep lets d pass on the VM's clock without the baton. Its error is the
// cause of the branch's context.
func (vm *VM) sleep(L *lua.LState, d time.Duration) (err error) {
	vm.block(L, func(ctx context.Context) { err = vm.clock.Sleep(ctx, d) })
	return err
}
