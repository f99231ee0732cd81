package app

import (
	"context"
	"errors"
	"net/url"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/mepc/mepc-run/internal/clock"
	"github.com/mepc/mepc-run/internal/engine"
	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/internal/plan"
	"github.com/mepc/mepc-run/internal/sim"
)

// snapshot reads a live world. It only ever reads: see engine.ReadOnly.
type snapshot struct {
	*command
	world *engine.World
	at    time.Time

	engines  []engine.DockerEndpoint
	known    []string
	patterns []string
	pulls    []string // images that a registry was asked for

	redisName string
	redisErr  error // why Redis could not be reached
}

func newSnapshot(c *command) *snapshot {
	return &snapshot{
		command: c, world: engine.ReadOnly(c.servers()), at: clock.Wall{}.Now().UTC().Truncate(time.Second),
		engines: []engine.DockerEndpoint{{}}, patterns: sim.RoutingKeys(),
	}
}

func (s *snapshot) close() { s.world.Close() }

// names returns the engines, as people know them.
func (s *snapshot) names() []string { return slices.Clone(s.known) }

// wants adds what a rehearsal asked for, and reports whether any of it is new.
func (s *snapshot) wants(needs []engine.Need, keys []string) bool {
	found := false
	for _, n := range needs {
		switch {
		case n.Engine != nil && !slices.Contains(s.engines, *n.Engine):
			s.engines, found = append(s.engines, *n.Engine), true
		case n.Pull != "" && !slices.Contains(s.pulls, n.Pull):
			s.pulls, found = append(s.pulls, n.Pull), true
		}
	}
	for _, k := range keys {
		if s.redisErr == nil && !plan.Covers(s.patterns, k) {
			s.patterns, found = append(s.patterns, k), true
		}
	}
	return found
}

// readTimeout bounds a snapshot.
const readTimeout = 60 * time.Second

// take reads the servers.
func (s *snapshot) take(ctx context.Context) (*sim.State, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, readTimeout, failure.New(failure.Timeout, "the snapshot took longer than %s", readTimeout))
	defer cancel()
	state := &sim.State{Format: sim.Format, Source: plan.Live, Taken: s.at}
	s.known = nil
	for _, ep := range s.engines {
		e, err := s.engine(ctx, ep)
		if err != nil {
			return nil, err
		}
		s.known = append(s.known, e.Name)
		if slices.ContainsFunc(state.Engines, func(known sim.EngineState) bool { return known.Name == e.Name }) {
			continue
		}
		for _, ref := range s.pulls {
			e.Images = append(e.Images, sim.Image{Ref: ref, Absent: true, Pullable: true})
		}
		state.Engines = append(state.Engines, e)
	}
	return state, s.redis(ctx, state)
}

func (s *snapshot) engine(ctx context.Context, ep engine.DockerEndpoint) (sim.EngineState, error) {
	cli, name, err := s.world.Docker(ctx, ep)
	if err != nil {
		return sim.EngineState{}, err
	}
	x := &engine.Exchange{Endpoint: name}
	e, err := sim.SnapshotEngine(x.Watch(ctx), name, cli)
	if err != nil {
		return e, x.Failure(ctx, err)
	}
	if u, err := url.Parse(name); err == nil && u.Hostname() != "" {
		e.Host = u.Hostname()
	}
	return e, nil
}

func (s *snapshot) redis(ctx context.Context, state *sim.State) error {
	rdb, name, err := s.world.Redis(ctx, "")
	if err != nil {
		return err
	}
	s.redisName = name
	keys, err := sim.SnapshotRedis(ctx, rdb, s.patterns...)
	var dial *engine.DialError
	switch {
	case errors.As(err, &dial):
		s.redisErr = failure.New(failure.Unavailable, "no Redis at %s: %s", name, innermost(dial))
		return nil
	case err != nil && ctx.Err() != nil:
		return context.Cause(ctx)
	case err != nil:
		return failure.Wrap(failure.Unavailable, err, "snapshot of %s", name)
	}
	if db := database(rdb); db != 0 {
		state.RedisDBs = map[int]map[string]sim.RedisKey{db: keys}
	} else {
		state.Redis = keys
	}
	return nil
}

// database returns which of a server's databases the client uses.
func database(rdb redis.UniversalClient) int {
	if c, ok := rdb.(*redis.Client); ok {
		return c.Options().DB
	}
	return 0
}
