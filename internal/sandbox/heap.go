package sandbox

import (
	"math"
	"runtime"
	"runtime/metrics"
	"sync"
	"sync/atomic"
	"time"
)

// heapWatch stops a script that hoards memory. What is made for it in Go is asked
// for before it is made (tooMuch); what the VM itself makes is found by a look at the
// Go heap and stacks every few milliseconds, on which the script collects garbage
// and looks again, so that it does not grow meanwhile.
//
// What it measures belongs to the process, so it has to take care not to blame
// the script for the host: growth during an interval in which no Lua ran (all
// branches are in Block, where a host function may be streaming an image) moves
// the baseline instead, until it is handed over to Lua (handOver). The baseline
// falls with the heap, because what was measured first may have been the garbage of
// others. Several VMs that run Lua at the same time in one process cannot be told
// apart: give them a limit of math.MaxUint64, which turns the watch off, or a
// process each.
type heapWatch struct {
	over    atomic.Bool
	suspect atomic.Bool // the next step is to look

	mu       sync.Mutex
	users    int
	quit     chan struct{}
	sampler  *heapSampler
	baseline uint64
	moved    uint64 // of the baseline: what the host's own growth moved it
	held     uint64 // by the script when nobody watched
	limit    uint64
}

const heapInterval = 5 * time.Millisecond

// begin starts the watch; begin and end nest.
func (h *heapWatch) begin(l *life, limit uint64) {
	if limit == ^uint64(0) {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.users++
	if h.users == 1 {
		h.over.Store(false)
		h.limit = max(h.limit, limit)
		h.quit = make(chan struct{})
		if h.sampler == nil {
			h.sampler = newHeapSampler()
		}
		now := h.sampler.read()
		h.baseline, h.moved = now-min(now, h.held), 0
		go h.watch(l, h.quit)
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
		now := h.sampler.read()
		h.held = now - min(now, h.baseline)
		close(h.quit)
	}
}

// inherit takes over what the script held under another watch, and ends that.
func (h *heapWatch) inherit(old *heapWatch) {
	old.mu.Lock()
	defer old.mu.Unlock()
	h.limit, h.held = old.limit, old.held
	h.over.Store(old.over.Load())
	if old.users > 0 {
		now := old.sampler.read()
		h.held = now - min(now, old.baseline)
		old.users = 0
		close(old.quit)
	}
}

// stop ends the watch.
func (h *heapWatch) stop() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.users > 0 {
		h.users = 0
		close(h.quit)
	}
}

// forgive lets cleanup run after the limit was hit: it may use a quarter more.
func (h *heapWatch) forgive() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.over.Swap(false) {
		h.limit += h.limit / 4
	}
}

// tooMuch reports whether the script would hold more than it may with n bytes more.
func (h *heapWatch) tooMuch(n uint64) bool {
	over := func() bool {
		h.mu.Lock()
		defer h.mu.Unlock()
		now := h.sampler.read()
		h.baseline = min(h.baseline, now)
		return now+n-h.baseline > h.limit
	}
	h.mu.Lock()
	off := h.users == 0
	h.mu.Unlock()
	if off || !over() {
		return false
	}
	runtime.GC()
	return over()
}

// handOver counts n bytes of the host's growth as the script's.
func (h *heapWatch) handOver(n uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	n = min(n, h.moved)
	h.baseline -= min(n, h.baseline)
	h.moved -= n
}

func (h *heapWatch) watch(l *life, quit <-chan struct{}) {
	sched := &l.sched
	tick := time.NewTicker(heapInterval)
	defer tick.Stop()
	last, activity := uint64(math.MaxUint64), sched.activity.Load()
	for {
		select {
		case <-quit:
			return
		case <-tick.C:
		}
		h.mu.Lock()
		now, n := h.sampler.read(), sched.activity.Load()
		if n == activity && n%2 == 0 && now > last {
			h.baseline += now - last
			h.moved += now - last
		}
		last, activity = now, n
		h.baseline = min(h.baseline, now)
		over := now-h.baseline > h.limit
		h.mu.Unlock()
		if over {
			h.suspect.Store(true)
			l.attention.Store(true)
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
