package rehearsal

import (
	"context"
	"errors"
	"net/url"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/mepc/mepc-run/internal/clock"
	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/internal/plan"
	"github.com/mepc/mepc-run/internal/snapshot"
	"github.com/mepc/mepc-run/internal/state"
	"github.com/mepc/mepc-run/servers"
)

// Live reads a live world. It only ever reads: see servers.ReadOnly.
type Live struct {
	world *servers.Clients
	at    time.Time

	engines  []servers.DockerEndpoint
	known    []string
	patterns []string
	pulls    []string // images that a registry was asked for

	// Redis is the name of the server, and Trouble why it could not be reached.
	Redis   string
	Trouble error
}

// NewLive returns a reader of those servers. It must be closed.
func NewLive(opts servers.Options) *Live {
	return &Live{
		world: servers.ReadOnly(opts), at: clock.Wall{}.Now().UTC().Truncate(time.Second),
		engines: []servers.DockerEndpoint{{}}, patterns: snapshot.RoutingKeys(),
	}
}

// Close closes its clients.
func (s *Live) Close() { s.world.Close() }

// Engines returns the names of the engines that were read, as people know them.
func (s *Live) Engines() []string { return slices.Clone(s.known) }

// Wants adds what a rehearsal asked for, and reports whether any of it is new.
func (s *Live) Wants(needs []Need, keys []string) bool {
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
		if s.Trouble == nil && !plan.Covers(s.patterns, k) {
			s.patterns, found = append(s.patterns, k), true
		}
	}
	return found
}

// readTimeout bounds a snapshot.
const readTimeout = 60 * time.Second

// Take reads the servers.
func (s *Live) Take(ctx context.Context) (*state.State, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, readTimeout, failure.New(failure.Timeout, "the snapshot took longer than %s", readTimeout))
	defer cancel()
	st := &state.State{Format: state.Format, Source: plan.Live, Taken: s.at}
	s.known = nil
	for _, ep := range s.engines {
		e, err := s.engine(ctx, ep)
		if err != nil {
			return nil, err
		}
		s.known = append(s.known, e.Name)
		if slices.ContainsFunc(st.Engines, func(known state.Engine) bool { return known.Name == e.Name }) {
			continue
		}
		for _, ref := range s.pulls {
			e.Images = append(e.Images, state.Image{Ref: ref, Absent: true, Pullable: true})
		}
		st.Engines = append(st.Engines, e)
	}
	return st, s.redis(ctx, st)
}

func (s *Live) engine(ctx context.Context, ep servers.DockerEndpoint) (state.Engine, error) {
	cli, name, err := s.world.Docker(ctx, ep)
	if err != nil {
		return state.Engine{}, err
	}
	x := &servers.Exchange{Endpoint: name}
	e, err := snapshot.Engine(x.Watch(ctx), name, cli)
	if err != nil {
		return e, x.Failure(ctx, err)
	}
	if u, err := url.Parse(name); err == nil && u.Hostname() != "" {
		e.Host = u.Hostname()
	}
	return e, nil
}

func (s *Live) redis(ctx context.Context, st *state.State) error {
	rdb, name, err := s.world.Redis(ctx, "")
	if err != nil {
		return err
	}
	s.Redis = name
	keys, err := snapshot.Redis(ctx, rdb, s.patterns...)
	var dial *servers.DialError
	switch {
	case errors.As(err, &dial):
		s.Trouble = failure.New(failure.Unavailable, "no Redis at %s: %s", name, failure.Innermost(dial))
		return nil
	case err != nil && ctx.Err() != nil:
		return context.Cause(ctx)
	case err != nil:
		return failure.Wrap(failure.Unavailable, err, "snapshot of %s", name)
	}
	if db := database(rdb); db != 0 {
		st.RedisDBs = map[int]map[string]state.RedisKey{db: keys}
	} else {
		st.Redis = keys
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
