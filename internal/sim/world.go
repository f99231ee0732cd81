package sim

import (
	"fmt"
	"sync"
	"time"

	"github.com/mepc/mepc-run/internal/clock"
)

// epoch is when a world without a time of its own starts.
var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// Options say what a world is made of.
type Options struct {
	// Clock is the world's time; nil: a clock.Virtual that stands at State.Taken,
	// or at the start of 2026.
	Clock clock.Clock
	// State is what is true at the start; nil: one engine with nothing on it.
	State *State
	// ContainerDNS lets World.DialContext resolve the names and network aliases
	// of running containers, as if the caller ran in a container itself. From an
	// engine's host, where recipes run, they do not resolve.
	ContainerDNS bool
}

// World is engines, a Redis, containers and routers. Its methods, and those of
// its engines, are safe for concurrent use.
type World struct {
	clock clock.Clock
	dns   bool

	// mu guards everything below and all state of the engines. Whoever holds it
	// neither sleeps on the clock nor does I/O.
	mu      sync.Mutex
	engines []*Engine
	routers []*router
	outside map[string]Response // is replaced, and not modified
	yes     map[string]bool     // State.Approvals
	store   store

	counts counts // has a lock of its own
}

// New makes a world. The error says which part of State makes no sense.
func New(opts Options) (*World, error) {
	s := opts.State
	if s == nil {
		s = &State{}
	}
	w := &World{clock: opts.Clock, dns: opts.ContainerDNS}
	if w.clock == nil {
		at := s.Taken
		if at.IsZero() {
			at = epoch
		}
		w.clock = clock.NewVirtual(at)
	}
	w.store.world = w
	if err := w.restore(s); err != nil {
		return nil, fmt.Errorf("simulated world: %w", err)
	}
	return w, nil
}

// Clock returns the world's time.
func (w *World) Clock() clock.Clock { return w.clock }

// Engine returns the engine called name; "" is the first. It returns nil when
// there is none.
func (w *World) Engine(name string) *Engine {
	for _, e := range w.engines {
		if name == "" || e.name == name {
			return e
		}
	}
	return nil
}

// Engines returns all engines in the order of the State.
func (w *World) Engines() []*Engine { return append([]*Engine(nil), w.engines...) }

// Close ends the connections to Redis. The state can still be read.
func (w *World) Close() { w.store.close() }

// lock takes the lock and brings about what is due. It returns the time.
func (w *World) lock() time.Time {
	now := w.clock.Now()
	w.mu.Lock()
	settled := false
	defer func() {
		if !settled { // a bug, which is to be told and not to be waited for
			w.mu.Unlock()
		}
	}()
	for _, e := range w.engines {
		e.settle(now)
	}
	settled = true
	return now
}

func (w *World) unlock() { w.mu.Unlock() }
