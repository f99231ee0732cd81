package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/term"

	"github.com/mepc/mepc-run/internal/clock"
	"github.com/mepc/mepc-run/internal/effect"
	"github.com/mepc/mepc-run/internal/engine"
	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/internal/guard"
	"github.com/mepc/mepc-run/internal/journal"
	"github.com/mepc/mepc-run/internal/report"
	"github.com/mepc/mepc-run/modules/std"
	"github.com/mepc/mepc-run/recipes"
	"github.com/mepc/mepc-run/runtime"
)

// run runs the recipe name against the servers that the flags name.
func (c *command) run(ctx context.Context, name string, args []string) error {
	c.recipe = name
	if err := c.flags.check(); err != nil {
		return err
	}
	given, err := params(c.flags.varFiles, args)
	if err != nil {
		return err
	}
	world := engine.Live(c.servers())
	defer world.Close()
	return c.execute(ctx, world, execution{name: name, opts: runtime.RunOptions{Params: given, Abort: c.abort}})
}

// servers says which servers the flags name.
func (c *command) servers() engine.Options {
	return engine.Options{Docker: c.flags.docker, Redis: c.flags.redis, InsecureTCP: c.flags.insecure, Getenv: c.env.Getenv}
}

// execution is a run that is about to begin.
type execution struct {
	name    string // the recipe, as the user named it
	opts    runtime.RunOptions
	last    func(*report.Report)                         // adds to what is shown of a run that went well; may be nil
	load    func(*runtime.Host) (*runtime.Recipe, error) // nil: load name
	resumes *journal.Run                                 // nil: it is no resumed run
	aborts  *journal.Run                                 // nil: it takes no run back
	served  *served                                      // nil: nobody but its user asked for it
}

// execute runs a recipe in world, journals it and shows it.
func (c *command) execute(ctx context.Context, world *engine.World, x execution) error {
	host, err := c.host()
	if err != nil {
		return err
	}
	if x.load == nil {
		x.load = func(h *runtime.Host) (*runtime.Recipe, error) { return c.load(h, x.name) }
	}
	recipe, err := x.load(host)
	if err != nil {
		return err
	}
	declared, err := host.Check(ctx, recipe, x.opts.Params, world)
	if err != nil {
		return err
	}
	dir, err := c.stateDir()
	if err != nil {
		return err
	}
	jour, err := c.begin(ctx, dir, world, recipe, declared, &x)
	if err != nil {
		return err
	}
	c.journal = jour
	if err := x.served.begun(jour.ID()); err != nil {
		return err
	}
	defer outliveReaders()()
	rep := c.report(recipe.Name)
	c.tell = func(text string) { rep.Event(warning(text)) }
	defer context.AfterFunc(ctx, func() { rep.Event(interrupted(ctx)) })()
	left := c.noticeCutOff(dir, jour, &x, rep)
	opts := x.opts
	opts.World = world
	guards := guard.New(world, c.lifted, func(text string) { rep.Event(warning(text)) })
	guards.Noted = jour.Was
	opts.Guards, opts.Sinks = append(opts.Guards, guards, jour), append(opts.Sinks, jour, rep)
	opts.Memo, opts.Loaded, opts.ID, opts.Print = jour, jour.Loaded, jour.ID(), rep.Print
	if x.served != nil {
		opts.Print = func(line string) { jour.Event(printed(line)) } // who reads it has the journal
	}
	opts.Clock, opts.Seed, opts.Timeout, opts.Grace = world.Clock(), c.flags.seed, c.flags.timeout, c.flags.grace
	res, err := host.Run(ctx, recipe, opts)
	if err == nil && x.last != nil {
		x.last(rep)
	}
	if kept := jour.End(report.Status(err, res.Effects), res.Effects, res.Duration, err); kept != nil {
		rep.Event(warning("the journal of this run is not complete: " + kept.Error()))
	} else if err == nil {
		settle(dir, left, jour.ID(), &x)
	}
	rep.Finish(err, res.Effects, res.Duration, res.Value)
	if lost := c.unwritten(rep.Close()); err == nil {
		err = lost
	}
	if err != nil {
		return shown{err}
	}
	return nil
}

// lifted reports whether the operator lifts a restriction.
func (c *command) lifted(name string) bool { return slices.Contains(c.flags.allow, name) }

// warning is a log line of ours.
func warning(text string) runtime.Event {
	return runtime.Event{Type: effect.LogLine, Time: clock.Wall{}.Now(), Log: &effect.Log{Level: "warn", Text: text}}
}

// interrupted is what the user is told at once when a signal ends the run: the
// undoing may take a while.
func interrupted(ctx context.Context) runtime.Event {
	return warning(context.Cause(ctx).Error() + ": what was begun is undone; a second signal ends that, too")
}

// unwritten says that output got lost, and returns an error when that was not
// its reader's choice. The run went on to its end in any case.
func (c *command) unwritten(err error) error {
	if err == nil {
		return nil
	}
	fmt.Fprintf(c.env.Stderr, "output is incomplete: %s; the run went on to its end\n", err)
	if errors.Is(err, syscall.EPIPE) {
		return nil
	}
	return failure.Wrap(failure.Output, err, "write results")
}

// host returns the Host with the modules, one for all runs of this invocation: a
// run's calls go to the world that it is given. The flags are final by then.
func (c *command) host() (*runtime.Host, error) {
	if c.made != nil {
		return c.made, nil
	}
	routers := c.routers()
	if err := checkRouters(routers); err != nil {
		return nil, err
	}
	var err error
	c.made, err = c.hostFor(routers, c.flags.limits)
	return c.made, err
}

// hostFor makes a Host for recipes that are told of those routers.
func (c *command) hostFor(routers []string, limits runtime.Limits) (*runtime.Host, error) {
	secrets, err := c.flags.declaredSecrets(c.env.Getenv)
	if err != nil {
		return nil, err
	}
	return runtime.New(runtime.Options{
		Library: recipes.FS, Limits: limits, Cache: &c.compiled,
		Modules: modules(c.flags.allow, std.Options{
			Env: c.flags.passedEnv(c.env.Getenv), Secrets: secrets, Routers: routers,
		}, c.locking(), c.ask),
	}), nil
}

// routers returns the URLs of the routers that the operator names.
func (c *command) routers() []string {
	if len(c.flags.routers) > 0 {
		return c.flags.routers
	}
	return strings.FieldsFunc(c.env.Getenv("MEPC_ROUTER"), func(r rune) bool { return r == ',' })
}

// describe returns the recipe name and what it declares. No server is asked.
func (c *command) describe(ctx context.Context, name string) (*runtime.Recipe, []runtime.Param, error) {
	world := engine.Live(engine.Options{Getenv: c.env.Getenv})
	defer world.Close()
	host, err := c.host()
	if err != nil {
		return nil, nil, err
	}
	recipe, err := c.load(host, name)
	if err != nil {
		return nil, nil, err
	}
	declared, err := host.Describe(ctx, recipe, world)
	return recipe, declared, err
}

// load returns the recipe name: of a worker, the one that it was given.
func (c *command) load(host *runtime.Host, name string) (*runtime.Recipe, error) {
	if c.pinned != nil {
		return host.LoadFS(c.pinned, c.pinnedFile)
	}
	return load(host, name)
}

// load returns the recipe in the file name, or the one that mepc-run brings
// under that name. A bare word means the latter: what lies around in a directory
// does not change what it means.
func load(host *runtime.Host, name string) (*runtime.Recipe, error) {
	if slices.Contains(shippedNames(), name) {
		return host.LoadFS(recipes.FS, name+".lua")
	}
	if _, err := os.Stat(name); !errors.Is(err, fs.ErrNotExist) {
		return host.LoadFile(name)
	}
	if file := strings.TrimSuffix(strings.TrimPrefix(name, "recipes/"), ".lua"); slices.Contains(shippedNames(), file) {
		return host.LoadFS(recipes.FS, file+".lua")
	}
	e := failure.New(failure.NotFound, "no recipe %s%s", name, runtime.DidYouMean(name, similar(name)))
	return nil, e.WithHint("name a .lua file, or one of the recipes that mepc-run brings: %s", nameList())
}

// commandNames are what can be meant by a recipe that is not there.
var commandNames = []string{"abort", "apply", "approve", "check", "completion", "doc", "doctor", "help", "history", "init", "lock", "logs", "pause", "reconcile", "resume", "resume-queue", "router", "runs", "serve", "show", "status", "test", "trigger", "version", "watch", "world"}

// similar returns the names that could be meant by name: recipes that mepc-run
// brings, its commands, and the recipes in name's directory.
func similar(name string) []string {
	names := append(shippedNames(), commandNames...)
	files, _ := filepath.Glob(filepath.Join(filepath.Dir(name), "*.lua"))
	return append(names, files...)
}

// nameList returns the recipes that mepc-run brings, for a sentence.
func nameList() string { return strings.Join(shippedNames(), ", ") }

// twoLines is such a list where lines are short.
func twoLines(names []string) string {
	half := (len(names) + 1) / 2
	return strings.Join(names[:half], ", ") + ",\n" + strings.Join(names[half:], ", ")
}

// shippedNames returns the names of the recipes that mepc-run brings.
func shippedNames() []string {
	files, err := fs.Glob(recipes.FS, "*.lua")
	if err != nil {
		panic(err) // the pattern is malformed
	}
	for i, f := range files {
		files[i] = strings.TrimSuffix(f, ".lua")
	}
	return files
}

// colors reports whether what is written to w may have colours.
func (c *command) colors(w io.Writer) bool {
	f, isFile := w.(*os.File)
	return isFile && term.IsTerminal(int(f.Fd())) && !c.flags.noColor && c.env.Getenv("NO_COLOR") == ""
}

// report returns what shows the run to the user. Its clock is the machine's, even
// where the run's is not: it says how often the screen is drawn.
func (c *command) report(recipe string) *report.Report {
	opts := report.Options{Out: c.env.Stdout, Err: c.env.Stderr, Clock: clock.Wall{}, Recipe: recipe}
	switch {
	case c.flags.json:
		opts.Mode = report.JSON
	case c.env.Getenv("TERM") == "dumb":
		opts.Mode = report.Plain
	}
	opts.Color = c.colors(c.env.Stderr)
	switch {
	case c.flags.quiet:
		opts.Verbosity = -1
	case c.flags.verbose:
		opts.Verbosity = 1
	}
	return report.New(opts)
}
