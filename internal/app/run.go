package app

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime/debug"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/mepc/mepc-run/internal/clock"
	"github.com/mepc/mepc-run/internal/effect"
	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/internal/guard"
	"github.com/mepc/mepc-run/internal/journal"
	"github.com/mepc/mepc-run/internal/report"
	"github.com/mepc/mepc-run/modules/redis"
	"github.com/mepc/mepc-run/modules/std"
	"github.com/mepc/mepc-run/recipes"
	"github.com/mepc/mepc-run/runtime"
	"github.com/mepc/mepc-run/servers"
)

// runCmd is mepc-run RECIPE.
type runCmd struct{ *runner }

func newRunCmd(in *invocation) *runCmd { return &runCmd{newRunner(in)} }

// run runs the recipe name against the servers that the flags name, or rehearses it.
func (c *runCmd) run(cmd *cobra.Command, name string, args []string) error {
	c.recipe = name
	if err := c.flags.check(); err != nil {
		return err
	}
	given, err := params(c.flags.varFiles, args)
	if err != nil {
		return err
	}
	if c.flags.rehearsal.on {
		return c.rehearse(cmd, name, given)
	}
	world := servers.Live(c.servers())
	defer world.Close()
	return c.execute(cmd.Context(), world, execution{name: name, opts: runtime.RunOptions{Params: given, Abort: c.abort}})
}

// rehearse runs the recipe in a simulated world and shows the plan.
func (c *runCmd) rehearse(cmd *cobra.Command, name string, given map[string]any) error {
	s := &stage{runner: c.runner, name: name, params: given}
	if f := cmd.Flags().Lookup("seed"); f != nil && f.Changed {
		s.shuffle = c.flags.Seed
	}
	return s.rehearse(cmd.Context())
}

// runner runs recipes for a command.
type runner struct {
	*invocation
	made *runtime.Host // see host
	// compiled holds what several hosts share.
	compiled runtime.Cache
}

func newRunner(in *invocation) *runner { return &runner{invocation: in} }

// execution is a run that is about to begin.
type execution struct {
	name    string // the recipe, as the user named it
	opts    runtime.RunOptions
	last    func(*report.Report) // adds to what is shown of a run that went well; may be nil
	from    source               // of the recipe; nil: the disk
	resumes *journal.Run         // nil: it is not a resumed run
	aborts  *journal.Run         // nil: it takes no run back
	served  *served              // nil: nobody but its user asked for it
}

// execute runs a recipe in world, journals it and shows it.
func (r *runner) execute(ctx context.Context, world *servers.Clients, x execution) error {
	host, err := r.host()
	if err != nil {
		return err
	}
	recipe, err := x.from.load(host, x.name)
	if err != nil {
		return err
	}
	defer r.lastResort(ctx)()
	declared, err := host.Check(ctx, recipe, x.opts.Params, world)
	if err != nil {
		return err
	}
	dir, err := r.stateDir()
	if err != nil {
		return err
	}
	r.flags.drawSeed()
	jour, err := r.begin(ctx, dir, world, recipe, declared, &x)
	if err != nil {
		return err
	}
	if err := x.served.begun(jour.ID()); err != nil {
		return err
	}
	defer outliveReaders()()
	rep := r.report(recipe.Name)
	r.underway.Store(&underway{jour, rep, x.opts.Scrub.Clean, clock.Wall{}.Now()})
	defer failure.After(ctx, func() { rep.Hurry(); rep.Event(interrupted(ctx)) })()
	left := r.noticeCutOff(dir, jour, &x, rep)
	opts := x.opts
	opts.World = world
	guards := guard.New(world, r.lifted, redis.Explain)
	guards.Noted = jour.Was
	opts.Guards, opts.Sinks = append(opts.Guards, guards, jour), append(opts.Sinks, jour, rep)
	opts.Memo, opts.Loaded, opts.ID, opts.Print = jour, jour.Loaded, jour.ID(), rep.Print
	if x.served != nil {
		opts.Print = func(line string) { jour.Event(logLine("print", line)) } // who reads it has the journal
	}
	opts.Clock, opts.Seed, opts.Timeout, opts.Grace = world.Clock(), r.flags.Seed, r.flags.Timeout, r.flags.Grace
	res, err := host.Run(ctx, recipe, opts)
	if err == nil && x.last != nil {
		err = failure.Protect(func() error { x.last(rep); return nil })
	}
	err = r.bug(err)
	kept := failure.Protect(func() error { return jour.End(report.Status(err, res.Effects), res.Effects, res.Duration, err) })
	if kept == nil && err == nil {
		kept = failure.Protect(func() error { settle(dir, left, jour.ID(), &x); return nil })
	}
	if kept != nil {
		rep.Event(warning("the journal of this run is not complete: " + kept.Error()))
	}
	rep.Finish(err, res.Effects, res.Duration, res.Value)
	lost := rep.Close()
	for _, bug := range []error{lost, kept} {
		if e := failure.As(bug); e != nil && e.Stack != "" {
			return r.unshown(nil, e)
		}
	}
	if lost := r.unwritten(lost); err == nil {
		err = lost
	}
	if err != nil {
		return shown{err}
	}
	return nil
}

// warning is a log line of ours.
func warning(text string) runtime.Event { return logLine("warn", text) }

func logLine(level, text string) runtime.Event {
	return runtime.Event{Type: effect.LogLine, Time: clock.Wall{}.Now(), Log: &effect.Log{Level: level, Text: text}}
}

// interrupted is the message shown at once when a signal ends the run: the
// undoing may take a while.
func interrupted(ctx context.Context) runtime.Event {
	return warning(context.Cause(ctx).Error() + ": what was begun is undone; a second signal ends that, too")
}

// unwritten says that output got lost, and returns an error when that was not
// its reader's choice. The run went on to its end in any case.
func (in *invocation) unwritten(err error) error {
	if err == nil {
		return nil
	}
	fmt.Fprintf(in.env.Stderr, "output is incomplete: %s; the run went on to its end\n", err)
	if errors.Is(err, syscall.EPIPE) {
		return nil
	}
	return failure.Wrap(failure.Output, err, "write results")
}

// host returns the Host with the modules, one for all runs of this invocation: a
// run's calls go to the world that it is given. The flags are already final.
func (r *runner) host() (*runtime.Host, error) {
	if r.made != nil {
		return r.made, nil
	}
	routers := r.routers()
	if err := checkRouters(routers); err != nil {
		return nil, err
	}
	var err error
	r.made, err = r.hostFor(routers, r.flags.Limits)
	return r.made, err
}

// hostFor makes a Host for recipes that know these routers.
func (r *runner) hostFor(routers []string, limits runtime.Limits) (*runtime.Host, error) {
	secrets, err := r.flags.declaredSecrets(r.env.Getenv)
	if err != nil {
		return nil, err
	}
	limitHeap(limits.WithDefaults().HeapBytes)
	return runtime.New(runtime.Options{
		Library: recipes.FS, Limits: limits, Cache: &r.compiled,
		Modules: r.env.modules(r.flags.Allow, std.Options{
			Env: r.flags.passedEnv(r.env.Getenv), Secrets: secrets, Routers: routers,
		}, r.locking(), r.ask),
	}), nil
}

// beside bounds the memory this process uses on top of the recipe's.
const beside = 64 << 20

// limitHeap makes the collector of garbage work harder before a recipe that holds as
// much as it may makes the process twice as large.
func limitHeap(recipe uint64) {
	if now := debug.SetMemoryLimit(-1); recipe < math.MaxInt64-beside && int64(recipe)+beside < now {
		debug.SetMemoryLimit(int64(recipe) + beside)
	}
}

// describe returns the recipe name and what it declares. No server is asked.
func (r *runner) describe(ctx context.Context, name string) (*runtime.Recipe, []runtime.Param, error) {
	world := servers.Live(servers.Options{Getenv: r.env.Getenv})
	defer world.Close()
	host, err := r.host()
	if err != nil {
		return nil, nil, err
	}
	recipe, err := onDisk(host, name)
	if err != nil {
		return nil, nil, err
	}
	declared, err := host.Describe(ctx, recipe, world)
	return recipe, declared, err
}
