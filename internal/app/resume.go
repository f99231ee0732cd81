package app

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/mepc/mepc-run/internal/engine"
	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/internal/journal"
	"github.com/mepc/mepc-run/internal/reload"
	"github.com/mepc/mepc-run/runtime"
)

func (c *command) resumeCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "resume [RUN] [name=value ...]", Short: "Go on with a run that was cut off",
		Long: `Goes on with a run that was cut off: by kill -9, a power cut, the end of its
machine's session. The recipe is run again from its top, as it was then, with the
parameters of then. It finds what is there and goes on from that; steps with
once=true are not repeated. RUN is a run's name, the beginning or the end of it;
without it the latest that was cut off is taken. Secrets are in no journal: they
are read again from where they were declared, and parameters that are secrets are
given again.`,
		Example: "  mepc-run resume\n  mepc-run resume 4f2a token=...",
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.resume(cmd, args)
		},
	}
	f := cmd.Flags()
	f.SortFlags = false
	c.pick(f, "docker", "context", "insecure-docker", "redis", "router", "secret", "env", "allow", "lock-wait",
		"json", "quiet", "verbose", "no-color", "timeout", "grace", "state", "keep-runs")
	return cmd
}

func (c *command) resume(cmd *cobra.Command, args []string) error {
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
	world := engine.Live(c.servers())
	defer world.Close()
	if err := sameServers(cmd.Context(), world, run); err != nil {
		return err
	}
	return c.execute(cmd.Context(), world, execution{
		name: run.Recipe, resumes: run, opts: runtime.RunOptions{Params: given, Abort: c.abort},
		load: func(h *runtime.Host) (*runtime.Recipe, error) { return h.LoadFS(reload.Files(run.Sources()), run.File) },
	})
}

// cutOff returns the run that name names, or the latest that was cut off.
func cutOff(dir *journal.Dir, name []string) (*journal.Run, error) {
	if len(name) == 0 {
		return latestCutOff(dir)
	}
	run, err := dir.Find(name[0])
	if err == nil && !run.CutOff() {
		err = failure.New(failure.Conflict, "run %s was not cut off: it is %s", run.ID, run.Status()).
			WithHint("mepc-run show %s tells more; to deploy, run the recipe", run.ID)
	}
	return run, err
}

func latestCutOff(dir *journal.Dir) (*journal.Run, error) {
	left, err := dir.CutOff(func(*journal.Header) bool { return true })
	if err != nil {
		return nil, err
	}
	if len(left) == 0 {
		return nil, failure.New(failure.NotFound, "no run in %s was cut off", dir.Path()).
			WithHint("mepc-run runs lists them; a run is resumed or taken back where it was started")
	}
	return left[0], nil
}

// readopt takes the parameters and flags that the run was started with. args are
// its secret parameters.
func (c *command) readopt(cmd *cobra.Command, run *journal.Run, args []string) (map[string]any, error) {
	again, err := params(nil, args)
	if err != nil {
		return nil, err
	}
	for name := range again {
		if !slices.Contains(run.Secret, name) {
			return nil, failure.New(failure.Usage, "the parameter %s is what it was: only secrets are given again", name).
				WithHint("to deploy with another, run the recipe: it finds what run %s left", run.ID)
		}
	}
	given := maps.Clone(run.Params)
	if given == nil {
		given = map[string]any{}
	}
	for _, name := range run.Secret {
		v, ok := again[name]
		if !ok {
			return nil, failure.New(failure.Usage, "the parameter %s is a secret, which no journal has", name).
				WithHint("give it again: mepc-run resume %s %s=...", run.ID, name)
		}
		given[name] = v
	}
	c.readoptFlags(cmd, run)
	return given, nil
}

// readoptFlags takes the flags that the run was started with, where none are given
// now.
func (c *command) readoptFlags(cmd *cobra.Command, run *journal.Run) {
	f, o := &c.flags, run.Options
	changed := cmd.Flags().Changed
	if !changed("docker") && !changed("context") {
		f.docker.Host, f.docker.Context = o.Docker, o.Context
	}
	if !changed("redis") {
		f.redis = o.Redis
	}
	f.insecure = f.insecure || o.InsecureTCP
	f.seed = o.Seed
	for flag, of := range map[string]struct {
		to   *[]string
		from []string
	}{"router": {&f.routers, o.Routers}, "allow": {&f.allow, o.Allow}, "env": {&f.env, o.Env}, "secret": {&f.secrets, o.Secrets}} {
		if !changed(flag) {
			*of.to = of.from
		}
	}
}

// sameServers refuses to go on somewhere else than where the run was.
func sameServers(ctx context.Context, world *engine.World, run *journal.Run) error {
	_, store, err := world.Redis(ctx, "")
	if err != nil {
		return err
	}
	for _, s := range []struct{ what, flag, was, is string }{
		{"engine", "--docker", run.Docker, world.DockerName(engine.DockerEndpoint{})}, {"Redis", "--redis", run.Redis, store},
	} {
		if s.was != s.is {
			return failure.New(failure.Conflict, "run %s was for the %s %s, and this one would go to %s", run.ID, s.what, s.was, s.is).
				WithHint("name it again with %s: an URL's password is in no journal", s.flag)
		}
	}
	return nil
}
