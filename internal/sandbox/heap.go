package sandbox

import (
	"runtime"
	"runtime/metrics"
	"sync"
	"sync/atomic"
	"time"
)

// heapWatch stops a script that hoards memory. While the VM runs it looks at
// the Go heap and stacks every few milliseconds; when they have grown by more
// than the limit, it collects garbage and looks again.
//
// What it measures belongs to the process, so it has to take care not to blame
// the script for the host: growth during an interval in which no Lua ran (all
// branches are in Block, where a host function may be streaming an image) moves
// the baseline instead. The baseline falls with the heap, because what was
// measured first may have been the garbage of others. Several VMs that run Lua
// at the same time in one process cannot be told apart: give them a limit of
// math.MaxUint64, which turns the watch off, or a process each.
type heapWatch struct {
	over atomic.Bool

	mu     sync.Mutex
	users  int
	quit   chan struct{}
	factor uint64
}

const heapInterval = 5 * time.Millisecond

// begin starts the watch; begin and end nest.
func (h *heapWatch) begin(vm *VM) {
	if vm.lim.HeapBytes == ^uint64(0) {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.users++
	if h.users == 1 {
		h.over.Store(false)
		h.factor = max(h.factor, 1)
		h.quit = make(chan struct{})
		s := newHeapSampler()
		go h.watch(vm, s, s.read(), vm.lim.HeapBytes*h.factor, h.quit)
	}
}

func (h *heapWatch) end() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.users == 0 {
		return
	}
	h.users--
	if h.users == 0 {
		close(h.quit)
	}
}

// forgive lets cleanup run after the limit was hit: it may use twice as much.
func (h *heapWatch) forgive() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.over.Store(false)
	h.factor = 2
}

func (h *heapWatch) watch(vm *VM, s *heapSampler, baseline, limit uint64, quit <-chan struct{}) {
	sched := &vm.sched
	tick := time.NewTicker(heapInterval)
	defer tick.Stop()
	last, activity := baseline, sched.activity.Load()
	for {
		select {
		case <-quit:
			return
		case <-tick.C:
		}
		now, n := s.read(), sched.activity.Load()
		if n == activity && n%2 == 0 && now > last {
			baseline += now - last
		}
		last, activity = now, n
		baseline = min(baseline, now)
		if now <= baseline || now-baseline <= limit {
			continue
		}
		runtime.GC()
		if last = s.read(); last > baseline && last-baseline > limit {
			h.over.Store(true)
			vm.attention.Store(true)
			return
		}
	}
}

type heapSampler [2]metrics.Sample

func newHeapSampler() *heapSampler {
	return &heapSampler{{Name: "/memory/classes/heap/objects:bytes"}, {Name: "/memory/classes/heap/stacks:bytes"}}
}

func (s *heapSampler) read() uint64 {
	metrics.Read(s[:])
	return s[0].Value.Uint64() + s[1].Value.Uint64()
}
