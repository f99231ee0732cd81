package app

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/url"
	"os"
	"slices"

	"github.com/spf13/cobra"

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
