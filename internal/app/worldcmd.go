package app

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/url"
	"os"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/spf13/cobra"

	"github.com/mepc/mepc-run/internal/clock"
	"github.com/mepc/mepc-run/internal/engine"
	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/internal/plan"
	"github.com/mepc/mepc-run/internal/sim"
)

// maxWorldFile is how large a world file may be, in bytes.
const maxWorldFile = 64 << 20

// open finds the world that --world names.
func (s *stage) open(ctx context.Context, name string) (err error) {
	switch name {
	case "", plan.Live:
		s.source, s.live = plan.Live, newSnapshot(s.command)
		if s.state, err = s.live.take(ctx); err != nil && name == "" {
			return noLiveWorld(err)
		}
		return err
	case "empty":
		s.source, s.state = "empty", &sim.State{Format: sim.Format, Source: "empty"}
		return nil
	}
	s.source = name
	s.state, err = readWorld(name)
	return err
}

// noLiveWorld says what else a recipe can be rehearsed in.
func noLiveWorld(err error) error {
	e := failure.As(err)
	if e == nil {
		return err
	}
	copied := *e
	copied.Message = "there is no live world to rehearse in: " + e.Message
	copied.Hint = "name another with --world FILE (`mepc-run world snapshot --out FILE` writes one where the engine is), or --world empty"
	if e.Hint != "" {
		copied.Hint = e.Hint + "\n" + copied.Hint
	}
	return &copied
}

func readWorld(name string) (*sim.State, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, failure.Wrap(failure.Usage, innermost(err), "--world %s", name).
			WithHint("it is live, empty, or a world file: `mepc-run world snapshot --out FILE` writes one")
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxWorldFile+1))
	switch {
	case err != nil:
		return nil, failure.Wrap(failure.Usage, innermost(err), "--world %s", name)
	case len(data) > maxWorldFile:
		return nil, failure.New(failure.Usage, "--world %s: it is larger than 64 MiB", name)
	}
	s, err := sim.Decode(data)
	if err != nil {
		return nil, failure.New(failure.Invalid, "the world file %s: %s", name, err)
	}
	return s, nil
}

// taken is the time that the world stands for.
func (s *stage) taken() time.Time {
	if s.state.Taken.IsZero() {
		return sim.Epoch()
	}
	return s.state.Taken
}

// withRouters adds the routers that the operator names to those of a world.
func withRouters(known []sim.Router, urls []string) []sim.Router {
	all := slices.Clone(known)
	for _, text := range urls {
		u, err := url.Parse(text)
		if err != nil {
			continue // checkRouters has refused it
		}
		host, port := u.Hostname(), u.Port()
		if host == "localhost" {
			host = "127.0.0.1"
		}
		if port == "" {
			port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
		}
		at := net.JoinHostPort(host, port)
		if !slices.ContainsFunc(all, func(r sim.Router) bool { return r.Address == at }) {
			all = append(all, sim.Router{Address: at})
		}
	}
	return all
}

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

func (c *command) worldCommand() *cobra.Command {
	world := &cobra.Command{
		Use: "world", Short: "Worlds to rehearse in", Args: cobra.NoArgs,
		Long: "A world file says what is on an engine and in Redis, for mepc-run -n --world FILE.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return failure.New(failure.Usage, "what about the world?").WithHint("mepc-run world snapshot --out FILE")
		},
	}
	var out string
	snap := &cobra.Command{
		Use: "snapshot [--out FILE]", Short: "Write the live engine and Redis as a world file", Args: cobra.NoArgs,
		Long: `Reads the engine and the routing keys in Redis, and writes a world file. Nothing
but reads is sent. Values that may be secrets are left out: environment
variables that are not the image's, and whatever is named like a password, a
token or a key, stand in it as "` + sim.Hidden + `".`,
		Example: "  mepc-run world snapshot --out production.json\n  mepc-run -n bluegreen image=mepc/app:1.1 --world production.json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.worldSnapshot(cmd.Context(), out)
		},
	}
	f := snap.Flags()
	f.SortFlags = false
	f.StringVar(&out, "out", "", "write to `FILE` (default stdout)")
	c.pick(f, "docker", "context", "insecure-docker", "redis")
	world.AddCommand(snap)
	return world
}

func (c *command) worldSnapshot(ctx context.Context, out string) error {
	s := newSnapshot(c)
	defer s.close()
	state, err := s.take(ctx)
	if err != nil {
		return err
	}
	if s.redisErr != nil {
		return s.redisErr
	}
	state.Source = "snapshot of " + cmp.Or(s.known[0], "an engine") + " and " + s.redisName + "; values that may be secrets are hidden"
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(state); err != nil {
		return err
	}
	if out == "" {
		_, err = c.env.Stdout.Write(b.Bytes())
	} else {
		err = writeFile(out, b.Bytes())
	}
	if err != nil {
		return failure.Wrap(failure.Output, innermost(err), "write the world file %s", out)
	}
	return nil
}
