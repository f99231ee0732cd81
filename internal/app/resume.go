package app

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/internal/journal"
	"github.com/mepc/mepc-run/internal/reload"
	"github.com/mepc/mepc-run/runtime"
	"github.com/mepc/mepc-run/servers"
)

// resumeCmd is mepc-run resume.
type resumeCmd struct{ *runner }

func resumeCommand(in *invocation) *cobra.Command {
	c := &resumeCmd{newRunner(in)}
	cmd := &cobra.Command{
		Use: "resume [RUN] [name=value ...]", Short: "Resume an interrupted run",
		Long: `Resumes an interrupted run: one that ended by kill -9, a power cut or the end of its
machine's session. The same version of the recipe is run again from the top, with
the same parameters. It finds what is there and goes on from that; steps with
once=true are not repeated. RUN is a run's name, or the beginning or end of one;
the default is the latest interrupted run. Journals hold no secrets: they are read
again from where they were declared, and parameters that are secrets must be given
again.`,
		Example: "  mepc-run resume\n  mepc-run resume 4f2a token=...",
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.run(cmd, args)
		},
	}
	c.pick(cmd, "docker", "context", "insecure-docker", "redis", "router", "secret", "env", "allow", "lock-wait",
		"json", "quiet", "verbose", "no-color", "timeout", "grace", "state", "keep-runs")
	return cmd
}

func (c *resumeCmd) run(cmd *cobra.Command, args []string) error {
	dir, err := c.stateDir()
	if err != nil {
		return err
	}
	var name []string
	if len(args) > 0 && !strings.Contains(args[0], "=") {
		name, args = args[:1], args[1:]
	}
	run, err := cutOff(dir, name)
	if err != nil {
		return err
	}
	c.recipe = run.Recipe
	given, err := c.readopt(cmd, run, args)
	if err != nil {
		return err
	}
	if err := c.flags.check(); err != nil {
		return err
	}
	sources, err := dir.Sources(run)
	if err != nil {
		return err
	}
	world := servers.Live(c.servers())
	defer world.Close()
	if err := sameServers(cmd.Context(), world, run); err != nil {
		return err
	}
	return c.execute(cmd.Context(), world, execution{
		name: run.Recipe, resumes: run, opts: runtime.RunOptions{Params: given, Abort: c.abort},
		from: only(reload.Files(sources), run.File),
	})
}

// cutOff returns the run that name names, or the latest that was cut off.
func cutOff(dir *journal.Dir, name []string) (*journal.Run, error) {
	if len(name) == 0 {
		return latestCutOff(dir)
	}
	run, err := dir.Find(name[0])
	switch {
	case err != nil:
		return nil, err
	case run.Damage() != nil:
		return nil, failure.New(failure.Journal, "the journal of run %s is damaged: %v", run.ID, run.Damage()).
			WithHint("mepc-run show %s shows what is left of it; to deploy, run the recipe", run.ID)
	case !run.CutOff():
		return nil, failure.New(failure.Conflict, "run %s was not interrupted: it is %s", run.ID, run.Status()).
			WithHint("mepc-run show %s tells more; to deploy, run the recipe", run.ID)
	}
	return run, nil
}

func latestCutOff(dir *journal.Dir) (*journal.Run, error) {
	left, err := dir.CutOff()
	if err != nil {
		return nil, err
	}
	if len(left) == 0 {
		return nil, failure.New(failure.NotFound, "no run in %s was interrupted", dir.Path()).
			WithHint("mepc-run runs lists them; a run is resumed or undone where it was started")
	}
	return dir.Find(left[0].ID)
}

// readopt takes the parameters and flags that the run was started with. args are
// its secret parameters.
func (c *resumeCmd) readopt(cmd *cobra.Command, run *journal.Run, args []string) (map[string]any, error) {
	again, err := params(nil, args)
	if err != nil {
		return nil, err
	}
	for name := range again {
		if !slices.Contains(run.Secret, name) {
			return nil, failure.New(failure.Usage, "%s cannot be changed on resume; only secrets may be passed", name).
				WithHint("to deploy with another value, run the recipe: it finds what run %s left", run.ID)
		}
	}
	given := maps.Clone(run.Params)
	if given == nil {
		given = map[string]any{}
	}
	for _, name := range run.Secret {
		v, ok := again[name]
		if !ok {
			return nil, failure.New(failure.Usage, "the parameter %s is a secret, and journals hold no secrets", name).
				WithHint("give it again: mepc-run resume %s %s=...", run.ID, name)
		}
		given[name] = v
	}
	c.flags.readopt(cmd.Flags().Changed, run.Options)
	return given, nil
}

// sameServers refuses to go on somewhere else than where the run was.
func sameServers(ctx context.Context, world *servers.Clients, run *journal.Run) error {
	_, store, err := world.Redis(ctx, "")
	if err != nil {
		return err
	}
	for _, s := range []struct{ what, flag, was, is string }{
		{"engine", "--docker", run.Docker, world.DockerName(servers.DockerEndpoint{})}, {"Redis", "--redis", run.Redis, store},
	} {
		if s.was != s.is {
			return failure.New(failure.Conflict, "run %s was for the %s %s, and this one would go to %s", run.ID, s.what, s.was, s.is).
				WithHint("give it again with %s: journals hold no passwords of URLs", s.flag)
		}
	}
	return nil
}
