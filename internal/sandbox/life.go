package sandbox

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
)

// life is shared by those who run Lua in turn. Who holds the baton owns it, but
// for what says otherwise. A VM has one until Go code hangs in it: then Abandon
// gives it the next, so that what hangs shares nothing with what comes after.
type life struct {
	sched scheduler
	meter meter
	heap  heapWatch
	rng   *rand.Rand
	taken int       // bytes since the last look at the heap
	long  bool      // there is a long string: see weigh
	free  []*thread // threads that ended well, ready for the next call

	stopErr error // a limit or a panic: nothing goes on
	// attention is set by other goroutines that have something to say: the next
	// step looks, however much of its slice is left.
	attention atomic.Bool
	// entered is written before Go code of the host is called, and read by Abandon:
	// the next one sees everything done up to there.
	entered atomic.Bool

	branches  int                     // alive
	suspended map[*coroutine]struct{} // coroutines that hold a goroutine
	reapMu    sync.Mutex
	reap      []*coroutine // suspended, and no longer reachable from Lua
}

func (vm *VM) newLife() *life {
	l := &life{
		rng:       rand.New(rand.NewPCG(uint64(vm.opts.Seed), 0x6d657063)),
		suspended: map[*coroutine]struct{}{},
	}
	l.meter.budget = vm.lim.Steps
	l.sched.init(vm.clock, vm.opts.Shuffle)
	return l
}

// Abandon takes Lua from its holder, for good: it is the last resort when Go
// code does not return although its context has ended, and something is still to be
// done in Lua. What was running or waiting stops for ever where it next comes to
// the VM; its goroutines are lost. It must not be called from inside the VM.
func (vm *VM) Abandon() {
	old, next := vm.life.Load(), vm.newLife()
	old.entered.Load()
	old.sched.mu.Lock()
	old.sched.over.Store(true)
	old.sched.ready, old.sched.sleeping = nil, 0
	old.sched.mu.Unlock()
	old.attention.Store(true)
	next.heap.inherit(&old.heap)
	vm.life.Store(next)
}

// park stops what was abandoned, for ever. Whatever code of the VM may run for long,
// or changes what others see, comes here.
func (l *life) park() {
	if l.sched.over.Load() {
		select {}
	}
}
