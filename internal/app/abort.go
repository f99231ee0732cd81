package app

import (
	"slices"

	"github.com/spf13/cobra"

	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/internal/journal"
	"github.com/mepc/mepc-run/internal/reload"
	"github.com/mepc/mepc-run/internal/undo"
	"github.com/mepc/mepc-run/recipes"
	"github.com/mepc/mepc-run/runtime"
	"github.com/mepc/mepc-run/servers"
)

// abortCmd is mepc-run abort.
type abortCmd struct{ *runner }

func abortCommand(in *invocation) *cobra.Command {
	c := &abortCmd{newRunner(in)}
	cmd := &cobra.Command{
		Use: "abort [RUN]", Short: "Undo an interrupted run",
		Long: `Undoes an interrupted run: one that ended by kill -9, a power cut or the end of its
machine's session. First the containers it stopped are started again, then traffic
goes back to where it was, then the containers it started are taken down, under the
app's lock and the guards, with a journal of its own. What someone else changed
since is left alone, and what cannot be undone, such as a removed container, is
reported. RUN is a run's name, or the beginning or end of one; the default is the
latest interrupted run. -n shows what would be done.`,
		Example: "  mepc-run abort -n\n  mepc-run abort 4f2a",
		RunE:    c.run,
	}
	c.pick(cmd, "dry-run", "docker", "context", "insecure-docker", "redis", "router", "allow", "lock-wait",
		"json", "quiet", "verbose", "no-color", "timeout", "grace", "state", "keep-runs")
	return cmd
}

func (c *abortCmd) run(cmd *cobra.Command, args []string) error {
	if len(args) > 1 {
		return failure.New(failure.Usage, "%s takes at most one argument, the run", cmd.CommandPath()).WithHint("usage: %s", cmd.UseLine())
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
		return failure.New(failure.Conflict, "run %s itself undoes run %s", run.ID, run.Aborts).
			WithHint("mepc-run abort %s, or mepc-run resume %s, goes on with that", run.Aborts, run.ID)
	}
	c.recipe = "abort"
	c.flags.readopt(cmd.Flags().Changed, run.Options)
	if err := c.flags.check(); err != nil {
		return err
	}
	host, err := c.host()
	if err != nil {
		return err
	}
	world := servers.Live(c.servers())
	defer world.Close()
	if err := sameServers(ctx, world, run); err != nil {
		return err
	}
	sources, err := dir.Sources(run)
	if err != nil {
		return err
	}
	of, err := only(reload.Files(sources), run.File)(host, run.Recipe)
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
		return (&stage{runner: c.runner, name: "abort", params: params, from: only(recipes.FS, undo.Recipe)}).rehearse(ctx)
	}
	return c.execute(ctx, world, execution{
		name: "abort", aborts: run, from: only(recipes.FS, undo.Recipe), opts: runtime.RunOptions{Params: params, Abort: c.abort},
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
