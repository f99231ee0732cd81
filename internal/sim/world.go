package sim

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/mepc/mepc-run/internal/clock"
	"github.com/mepc/mepc-run/internal/sim/engine"
	"github.com/mepc/mepc-run/internal/sim/redis"
	"github.com/mepc/mepc-run/internal/sim/timeline"
	"github.com/mepc/mepc-run/internal/sim/traffic"
	"github.com/mepc/mepc-run/internal/state"
)

// Options say what a world is made of.
type Options struct {
	// Clock is the world's time; nil: a clock.Virtual that stands at State.Taken,
	// or at the start of 2026.
	Clock clock.Clock
	// State is the initial state; nil: one engine with nothing on it.
	State *state.State
	// ContainerDNS lets World.DialContext resolve the names and network aliases
	// of running containers, as if the caller ran in a container itself. From an
	// engine's host, where recipes run, they do not resolve.
	ContainerDNS bool
	// HangTime is the time, by the machine's clock, that the Redis may take to answer:
	// it only ends what never would, such as an endless script. 0: thirty seconds.
	HangTime time.Duration
}

// What a World is made of, for those who have one.
type (
	Engine  = engine.Engine
	Hooks   = engine.Hooks
	Version = engine.Version
	Box     = engine.Box
)

// Assumed is the header of a reply that says what was taken for true.
const Assumed = engine.Assumed

// ErrStuck is the error of all that asks a Redis that hangs.
var ErrStuck = redis.ErrStuck

// World is engines, a Redis, containers and routers. Its methods, and those of
// its engines, are safe for concurrent use.
type World struct {
	*traffic.Traffic

	timeline  *timeline.Timeline
	engines   []*engine.Engine
	redis     *redis.Server
	approvals map[string]bool // State.Approvals
}

// New makes a world. The error says which part of State makes no sense.
func New(opts Options) (*World, error) {
	s := opts.State
	if s == nil {
		s = &state.State{}
	}
	c := opts.Clock
	if c == nil {
		at := s.Taken
		if at.IsZero() {
			at = state.Epoch()
		}
		c = clock.NewVirtual(at)
	}
	w := &World{timeline: timeline.New(c), approvals: s.Approvals}
	w.redis = redis.New(w.timeline.Now, opts.HangTime)
	if err := w.restore(s, opts.ContainerDNS); err != nil {
		return nil, fmt.Errorf("simulated world: %w", err)
	}
	return w, nil
}

// restore makes the world what s says.
func (w *World) restore(s *state.State, containerDNS bool) error {
	states := s.Engines
	if len(states) == 0 {
		states = []state.Engine{{}}
	}
	now := w.timeline.Now()
	for n, es := range states {
		name := cmp.Or(es.Name, "default")
		if slices.ContainsFunc(w.engines, func(e *engine.Engine) bool { return e.Name() == name }) {
			return fmt.Errorf("two engines are called %q", name)
		}
		e := engine.New(w.timeline, name)
		beside := 0 // engines behind one address share its ports
		for _, other := range w.engines {
			if other.Host() == cmp.Or(es.Host, e.Host()) {
				beside++
			}
		}
		e.Share(beside)
		w.engines = append(w.engines, e)
		if err := e.Restore(n, es, now); err != nil {
			return fmt.Errorf("engine %q: %w", name, err)
		}
	}
	var err error
	if w.Traffic, err = traffic.New(w.timeline, w.redis, w.engines, containerDNS, s); err != nil {
		return err
	}
	return w.redis.Load(s)
}

// Clone returns a world of its own that starts from what is true in w now. Its
// clock is c; nil: a clock.Virtual that stands where w's does. Hooks,
// connections and the states of exec calls stay behind. It costs a few
// microseconds and as much again for each container and Redis key. The error
// names a Redis key whose type a State cannot hold.
func (w *World) Clone(c clock.Clock) (*World, error) {
	now := w.timeline.Lock()
	if c == nil {
		c = clock.NewVirtual(now)
	}
	n := &World{timeline: timeline.New(c), approvals: w.approvals}
	n.redis = w.redis.Empty(n.timeline.Now)
	for _, e := range w.engines {
		n.engines = append(n.engines, e.Clone(n.timeline))
	}
	n.Traffic = w.Traffic.Clone(n.timeline, n.redis, n.engines)
	w.timeline.Unlock()
	if err := w.redis.CopyTo(n.redis); err != nil {
		return nil, err
	}
	return n, nil
}

// State returns what is true now, in a stable order. A world that is made from
// it is the same in all that it says, except for logs, events, what a build has
// cached and what was copied into containers. An error names a Redis key whose
// type a State cannot hold.
func (w *World) State() (*state.State, error) {
	s := &state.State{Format: state.Format, Approvals: w.approvals}
	s.Taken = w.timeline.Lock()
	for _, e := range w.engines {
		s.Engines = append(s.Engines, e.StateLocked())
	}
	w.Traffic.State(s)
	w.timeline.Unlock()
	if err := w.redis.State(s); err != nil {
		return nil, err
	}
	return s, nil
}

// Clock returns the world's time.
func (w *World) Clock() clock.Clock { return w.timeline.Clock() }

// Engine returns the engine called name; "" is the first. It returns nil when
// there is none.
func (w *World) Engine(name string) *engine.Engine {
	for _, e := range w.engines {
		if name == "" || e.Name() == name {
			return e
		}
	}
	return nil
}

// Engines returns all engines in the order of the State.
func (w *World) Engines() []*engine.Engine { return slices.Clone(w.engines) }

// DialRedis returns a connection to the world's Redis: see redis.Server.Dial.
func (w *World) DialRedis(ctx context.Context, network, address string) (net.Conn, error) {
	return w.redis.Dial(ctx, network, address)
}

// SetRedisDown makes Redis cut all connections and refuse new ones, or answer
// again, with the data that it had.
func (w *World) SetRedisDown(down bool) { w.redis.SetDown(down) }

// RestartRedis cuts all connections and goes on with other data: that of an
// earlier State, as a Redis does that comes back from its last snapshot.
func (w *World) RestartRedis(data state.State) error { return w.redis.Restart(&data) }

// RedisKey returns one key of one database; ok is false when it is not there.
// It costs nothing for the other keys, as State does.
func (w *World) RedisKey(db int, name string) (k state.RedisKey, ok bool, err error) {
	return w.redis.Key(db, name)
}

// RedisLook returns, as a text, all that a command of Redis may change: see
// redis.Server.Look.
func (w *World) RedisLook(words []string) (string, error) { return w.redis.Look(words) }

// KnowsCommand reports whether the world's Redis has a command of this name. What
// it does not know must not be put into a transaction: unlike a real one it
// would go on without.
func (w *World) KnowsCommand(name string) bool { return w.redis.KnowsCommand(name) }

// Close ends the connections to Redis. The state can still be read.
func (w *World) Close() { w.redis.Close() }

// Approved returns what State.Approvals answers to a question, and whether it says
// anything about it. The longest entry that fits counts.
func (w *World) Approved(question string) (yes, known bool) {
	longest := -1
	for key, answer := range w.approvals {
		prefix, open := strings.CutSuffix(key, "*")
		if n := len(key); n > longest && (question == key || open && strings.HasPrefix(question, prefix)) {
			yes, known, longest = answer, true, n
		}
	}
	return yes, known
}
