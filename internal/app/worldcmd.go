package app

import (
	"context"
	"os"

	"github.com/spf13/cobra"

	"github.com/mepc/mepc-run/internal/disk"
	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/internal/plan"
	"github.com/mepc/mepc-run/internal/snapshot"
	"github.com/mepc/mepc-run/rehearsal"
)

// open finds the world that --world names.
func (s *stage) open(ctx context.Context, name string) (err error) {
	switch name {
	case "", plan.Live:
		if s.world, err = rehearsal.Snapshot(ctx, s.servers()); err != nil && name == "" {
			return noLiveWorld(err)
		}
		return err
	case "empty":
		s.world = rehearsal.Empty()
		return nil
	case rehearsal.SampleSource:
		s.world = rehearsal.Sample()
		if len(s.routers()) == 0 {
			s.flags.Routers = []string{rehearsal.SampleRouter}
		}
		return nil
	}
	f, err := os.Open(name)
	if err != nil {
		return failure.Wrap(failure.Usage, failure.Innermost(err), "--world %s", name).
			WithHint("it must be live, empty, sample, or a world file: `mepc-run world snapshot --out FILE` writes one")
	}
	defer f.Close()
	s.world, err = rehearsal.ReadWorld(f, name)
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
	copied.Hint = "name another with --world FILE (`mepc-run world snapshot --out FILE` writes one where the engine is), or --world sample, to try one"
	if e.Hint != "" {
		copied.Hint = e.Hint + "\n" + copied.Hint
	}
	return &copied
}

// snapshotCmd is mepc-run world snapshot.
type snapshotCmd struct {
	*invocation
	out string
}

func worldCommand(in *invocation) *cobra.Command {
	c := &snapshotCmd{invocation: in}
	world := &cobra.Command{
		Use: "world", Short: "Worlds to rehearse in", Args: cobra.NoArgs,
		Long: "A world file says what is on an engine and in Redis, for mepc-run -n --world FILE.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return failure.New(failure.Usage, "world needs a subcommand: snapshot").WithHint("mepc-run world snapshot --out FILE")
		},
	}
	snap := &cobra.Command{
		Use: "snapshot [--out FILE]", Short: "Write the live engine and Redis as a world file", Args: cobra.NoArgs,
		Long: `Reads the engine and the routing keys in Redis, and writes a world file. It sends
only reads. Values that may be secrets are left out: environment variables that
are not the image's, and anything named like a password, a token or a key, appear
in it as "` + snapshot.Hidden + `".`,
		Example: "  mepc-run world snapshot --out production.json\n  mepc-run -n bluegreen image=mepc/app:1.1 --world production.json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.run(cmd.Context())
		},
	}
	f := snap.Flags()
	f.StringVar(&c.out, "out", "", "write to `FILE` (default stdout)")
	c.pick(snap, "docker", "context", "insecure-docker", "redis")
	world.AddCommand(snap)
	return world
}

func (c *snapshotCmd) run(ctx context.Context) error {
	w, err := rehearsal.Snapshot(ctx, c.servers())
	if err != nil {
		return err
	}
	defer w.Close()
	data, err := w.Encode()
	if err != nil {
		return err
	}
	if c.out == "" {
		_, err = c.env.Stdout.Write(data)
	} else {
		err = disk.Write(c.out, data)
	}
	if err != nil {
		return failure.Wrap(failure.Output, failure.Innermost(err), "write the world file %s", c.out)
	}
	return nil
}
