package app

import (
	"slices"

	"github.com/spf13/cobra"

	"github.com/mepc/mepc-run/internal/engine"
	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/internal/journal"
	"github.com/mepc/mepc-run/internal/reload"
	"github.com/mepc/mepc-run/internal/undo"
	"github.com/mepc/mepc-run/runtime"
)

func (c *command) abortCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "abort [RUN]", Short: "Take back what a run did that was cut off",
		Long: `Takes back what a run did that was cut off: by kill -9, a power cut, the end of its
machine's session. What it stopped is started again, traffic goes back to where it
was, and what it started is taken down; in that order, under the app's lock and the
guards, with a journal of its own. What someone else changed since is left alone,
and what cannot be taken back, such as a removed container, is said. RUN is a run's
name, the beginning or the end of it; without it the latest that was cut off is
taken. -n shows what would be done.`,
		Example: "  mepc-run abort -n\n  mepc-run abort 4f2a",
		RunE:    c.abortRun,
	}
	f := cmd.Flags()
	f.SortFlags = false
	c.pick(f, "dry-run", "docker", "context", "insecure-docker", "redis", "router", "allow", "lock-wait",
		"json", "quiet", "verbose", "no-color", "timeout", "grace", "state", "keep-runs")
	return cmd
}

func (c *command) abortRun(cmd *cobra.Command, args []string) error {
	if len(args) > 1 {
		return failure.New(failure.Usage, "%s takes one argument at most, the run", cmd.CommandPath()).WithHint("usage: %s", cmd.UseLine())
	}
	ctx := cmd.Context()
	dir, err := c.stateDir()
	if err != nil {
		return err
	}
	run, err := cutOff(dir, args)
	if err != nil {
		return err
	}
	if run.Aborts != "" {
		return failure.New(failure.Conflict, "run %s takes run %s back itself", run.ID, run.Aborts).
			WithHint("mepc-run abort %s, or mepc-run resume %s, goes on with that", run.Aborts, run.ID)
	}
	c.recipe = "abort"
	c.readoptFlags(cmd, run)
	if err := c.flags.check(); err != nil {
		return err
	}
	host, err := c.host()
	if err != nil {
		return err
	}
	world := engine.Live(c.servers())
	defer world.Close()
	if err := sameServers(ctx, world, run); err != nil {
		return err
	}
	of, err := host.LoadFS(reload.Files(run.Sources()), run.File)
	if err != nil {
		return err
	}
	declared, err := host.Describe(ctx, of, world)
	if err != nil {
		return err
	}
	params, err := undo.Of(resumed(dir, run)...).Params(run.App, declared, run.Params)
	if err != nil {
		return err
	}
	if c.flags.rehearsal.on {
		return c.rehearseStage(ctx, &stage{command: c, name: "abort", params: params, load: undo.Load})
	}
	return c.execute(ctx, world, execution{
		name: "abort", aborts: run, load: undo.Load, opts: runtime.RunOptions{Params: params, Abort: c.abort},
	})
}

// resumed returns run after those that it resumed, which nobody finished.
func resumed(dir *journal.Dir, run *journal.Run) []*journal.Run {
	all := []*journal.Run{run}
	for run.Resumes != "" {
		before, err := dir.Find(run.Resumes)
		if err != nil {
			break // its journal is gone, and what it created is found by no label
		}
		all = append(all, before)
		run = before
	}
	slices.Reverse(all)
	return all
}
