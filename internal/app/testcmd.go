package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/mepc/mepc-run/internal/clock"
	"github.com/mepc/mepc-run/internal/engine"
	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/internal/rehearsal"
	"github.com/mepc/mepc-run/internal/sim"
	"github.com/mepc/mepc-run/internal/spec"
	"github.com/mepc/mepc-run/modules/docker"
	"github.com/mepc/mepc-run/modules/lock"
	"github.com/mepc/mepc-run/modules/redis"
	"github.com/mepc/mepc-run/modules/std"
	"github.com/mepc/mepc-run/recipes"
	"github.com/mepc/mepc-run/runtime"
)

// testFlags are the flags of mepc-run test.
type testFlags struct {
	filter  spec.Filter
	list    bool
	watch   bool
	shuffle bool
	seed    int64
	junit   string
	tap     bool
	update  bool
	cover   bool
	least   float64 // of lines and of effects, in percent
	timeout time.Duration
	real    bool
	faults  faultFlags
}

const testText = `Runs specs: Lua files that say, in busted's words, what recipes do. They run in
simulated worlds, in milliseconds, and touch nothing. PATH is a file or a
directory; without one it is spec. A spec's name ends in _spec.lua.

docs/specs.md says how to write them.

With --faults the scenarios of specs are tried against a failure at each of their
recipe's steps; RECIPE means all scenarios of a recipe. docs/faults.md says more.

With --real the tests that have #real in their names run against the engine and
the Redis of --docker and --redis. Those are for tests alone: both must be empty,
and what a test leaves there is removed.`

func (c *command) testCommand() *cobra.Command {
	t := &testFlags{}
	cmd := &cobra.Command{
		Use: "test [PATH|RECIPE ...]", Short: "Run the specs of recipes", Long: testText,
		Example: "  mepc-run test\n  mepc-run test spec/bluegreen_spec.lua --filter \"never healthy\"\n  mepc-run test --faults=2 bluegreen",
		RunE:    func(cmd *cobra.Command, args []string) error { return c.test(cmd, t, args) },
	}
	f := cmd.Flags()
	f.SortFlags = false
	t.add(f)
	t.faults.add(f)
	c.pick(f, "docker", "context", "insecure-docker", "redis", "json", "quiet", "verbose", "no-color", "max-steps", "allow")
	return cmd
}

func (t *testFlags) add(f *pflag.FlagSet) {
	f.StringVar(&t.filter.Text, "filter", "", "run the tests whose names have `TEXT` in them")
	f.StringSliceVar(&t.filter.Tags, "tags", nil, "run the tests whose names have one of these `TAGS`, as #tag")
	f.StringSliceVar(&t.filter.Without, "exclude-tags", nil, "leave out the tests that have one of these `TAGS`")
	f.BoolVar(&t.list, "list", false, "list the tests, and run none")
	f.BoolVar(&t.watch, "watch", false, "run again what a change of files concerns, until Ctrl-C")
	f.BoolVar(&t.shuffle, "shuffle", false, "draw the order of the tests, and say by which seed")
	f.Var(parsed(&t.seed, positive), "seed", "draw the order of the tests by `N`, as --shuffle said; with --faults, the plans")
	f.StringVar(&t.junit, "junit", "", "write the results to `FILE`, as CI servers read them")
	f.BoolVar(&t.tap, "tap", false, "print the results by the Test Anything Protocol")
	f.BoolVar(&t.update, "update", false, "write the plans that run:matches_golden compares with")
	f.BoolVar(&t.cover, "coverage", false, "show which lines and effects of the recipes the specs ran")
	f.Var(parsed(&t.least, percentage), "coverage-min", "fail below `PERCENT` of the lines, or of the effects")
	f.Var(parsed(&t.timeout, positiveDuration), "timeout", "a test may take this `TIME` (default 30s; with --real 2m)")
	f.BoolVar(&t.real, "real", false, "run the tests that have #real in their names, on an empty engine and Redis")
}

// errSpecs is the error of specs that failed: what failed was shown.
var errSpecs = errors.New("specs failed")

// test runs the specs in the given files and directories.
func (c *command) test(cmd *cobra.Command, t *testFlags, args []string) error {
	if c.flags.json && t.tap {
		return failure.New(failure.Usage, "--json and --tap exclude each other")
	}
	if err := t.checkReal(cmd.Flags()); err != nil {
		return err
	}
	if t.watch && (t.list || t.update) {
		return failure.New(failure.Usage, "--watch runs specs again and again: --list and --update are for once")
	}
	if t.shuffle && !cmd.Flags().Changed("seed") {
		t.seed = clock.Wall{}.Now().UnixNano()%1_000_000 + 1
	}
	p, err := openProject()
	if err != nil {
		return err
	}
	defer p.close()
	t.filter.Real = t.real
	faults, err := t.faults.options(args, t.seed)
	if err != nil {
		return err
	}
	paths := args
	if faults != nil {
		if paths = p.pathsOf(args); len(paths) == 0 && len(args) > 0 {
			return noScenario(args, []string{"spec"})
		}
	}
	files, err := p.specs(paths)
	if err != nil {
		return err
	}
	opts := spec.Options{
		Kit: c.kit(p), Root: p.tree, Project: p.dir, Files: files, Filter: t.filter, Limits: c.specLimits(), Timeout: t.timeout, Shuffle: t.seed, Faults: faults,
	}
	if t.update {
		opts.Update = p.write
	}
	if t.real && !t.list {
		end, err := c.realWorlds(cmd.Context(), &opts)
		if err != nil {
			return err
		}
		defer end()
	}
	if faults != nil && !t.list {
		return c.tryFaults(cmd.Context(), opts)
	}
	if t.cover = t.cover || t.least > 0; t.cover {
		opts.Coverage = spec.NewCoverage(p.tree, opts.Modules)
	}
	if t.list {
		return c.listSpecs(cmd.Context(), opts)
	}
	if t.watch {
		return c.watchSpecs(cmd.Context(), t, p, args, opts)
	}
	_, err = c.runSpecs(cmd.Context(), t, opts)
	return err
}

// runSpecs runs the specs and shows what came of them.
func (c *command) runSpecs(ctx context.Context, t *testFlags, opts spec.Options) ([]*spec.File, error) {
	began := clock.Wall{}.Now()
	printer, junit := c.specPrinter(t), &spec.JUnit{}
	opts.Done = func(f *spec.File) {
		printer.File(f)
		junit.Add(f)
	}
	done := spec.Run(ctx, opts)
	sum := spec.Count(done)
	sum.Duration, sum.Seed = clock.Wall{}.Now().Sub(began), t.seed
	if ctx.Err() != nil {
		return done, context.Cause(ctx)
	}
	if j, ok := printer.(*spec.JSON); ok && t.cover {
		j.Coverage(opts.Coverage.Files())
	}
	err := printer.End(sum)
	if err == nil && t.cover && !c.flags.json && !t.tap {
		_, err = io.WriteString(c.env.Stdout, printable(opts.Coverage.Table()))
	}
	if err != nil {
		return done, failure.Wrap(failure.Output, innermost(err), "write results")
	}
	if t.junit != "" {
		data, err := junit.Encode()
		if err == nil {
			err = writeFile(t.junit, data)
		}
		if err != nil {
			return done, failure.Wrap(failure.Output, innermost(err), "--junit %s", t.junit)
		}
	}
	switch {
	case sum.Bad() > 0:
		return done, shown{errSpecs}
	case sum.Total() == 0:
		return done, failure.New(failure.NotFound, "no test is chosen").WithHint("--list shows the tests, with their tags")
	}
	return done, t.covered(opts.Coverage)
}

// covered fails when too little was covered.
func (t *testFlags) covered(c *spec.Coverage) error {
	if t.least == 0 {
		return nil
	}
	lines, effects := spec.Total(c.Files()).Percent()
	if lines >= t.least && effects >= t.least {
		return nil
	}
	e := failure.New(failure.Script, "the specs ran %.1f%% of the recipes' lines and %.1f%% of their effects, less than the %g%% of --coverage-min",
		lines, effects, t.least)
	return e.WithHint("--coverage shows what was not run")
}

func percentage(s string) (float64, error) {
	n, err := strconv.ParseFloat(strings.TrimSuffix(s, "%"), 64)
	if err != nil || !(n > 0 && n <= 100) {
		return 0, fmt.Errorf("%q is not a percentage from 1 to 100", s)
	}
	return n, nil
}

// specPrinter returns what shows the specs.
func (c *command) specPrinter(t *testFlags) spec.Printer {
	switch out := c.env.Stdout; {
	case c.flags.json:
		return &spec.JSON{Out: out}
	case t.tap:
		return &spec.TAP{Out: out}
	default:
		return &spec.Text{Out: out, Color: c.colors(out), Verbose: c.flags.verbose, Quiet: c.flags.quiet}
	}
}

// listSpecs lists the tests, and runs none.
func (c *command) listSpecs(ctx context.Context, opts spec.Options) error {
	var broken error
	for _, f := range spec.List(ctx, opts) {
		if f.Err != nil && broken == nil {
			broken = f.Err
		}
		for _, r := range f.Results {
			if _, err := fmt.Fprintf(c.env.Stdout, "%s  %s\n", r.Where, printable(strings.Join(r.Names, " "))); err != nil {
				return failure.Wrap(failure.Output, innermost(err), "write results")
			}
		}
	}
	return broken
}

// kit is what specs need of this program.
func (c *command) kit(p *project) spec.Kit {
	hosts := &hosts{command: c, known: map[string]*runtime.Host{}}
	return spec.Kit{
		Modules: modules(nil, std.Options{}, lock.Options{}, nil), Library: recipes.FS, Cache: &c.compiled,
		Stage: func(state *sim.State, routers []string, wire engine.Wire) (*rehearsal.Stage, error) {
			host, err := hosts.of(routers)
			if err != nil {
				return nil, err
			}
			return rehearsal.New(state, rehearsal.Options{Source: "of the spec", Strict: true, Host: host, Wire: wire, Project: p.dir})
		},
		Recipe: p.recipe,
		Connect: func(ctx context.Context, w *engine.World) (any, any, error) {
			r, err := redis.Open(ctx, w, redis.Allow{Scripts: true, Admin: true})
			return docker.Open(w, docker.AllowAll()), r, err
		},
	}
}

// hosts has a host for each list of routers: what recipes are told of them is the
// host's.
type hosts struct {
	*command
	mu    sync.Mutex
	known map[string]*runtime.Host
}

func (h *hosts) of(routers []string) (*runtime.Host, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	key := strings.Join(routers, " ")
	if h.known[key] == nil {
		host, err := h.hostFor(routers, h.specLimits())
		if err != nil {
			return nil, err
		}
		h.known[key] = host
	}
	return h.known[key], nil
}

// specHeap is how far the heap may grow while specs run: several at once, whose
// growth cannot be told apart.
const specHeap = 1 << 30

// specLimits are the limits of specs and of the recipes in them.
func (c *command) specLimits() runtime.Limits {
	limits := c.flags.limits
	if limits.HeapBytes == 0 {
		limits.HeapBytes = specHeap
	}
	return limits
}

// project is the directory that specs and their recipes are in.
type project struct {
	root *os.Root
	tree fs.FS
	dir  string
}

// projectDir is the project: the current directory.
const projectDir = "."

func openProject() (*project, error) {
	root, err := os.OpenRoot(projectDir)
	if err != nil {
		return nil, failure.Wrap(failure.Invalid, innermost(err), "open the current directory")
	}
	return &project{root, root.FS(), projectDir}, nil
}

func (p *project) close() { _ = p.root.Close() } // it was only read

// write writes a file of the project, and its directory.
func (p *project) write(name string, data []byte) error {
	if err := p.root.Mkdir(path.Dir(name), 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return failure.Wrap(failure.Output, innermost(err), "--update %s", name)
	}
	if err := p.root.WriteFile(name, data, 0o644); err != nil {
		return failure.Wrap(failure.Output, innermost(err), "--update %s", name)
	}
	return nil
}

// specSuffix is what the name of a spec file ends in.
const specSuffix = "_spec.lua"

// specs returns the spec files that args name, sorted.
func (p *project) specs(args []string) ([]string, error) {
	if len(args) == 0 {
		args = []string{"spec"}
	}
	var files []string
	for _, arg := range args {
		name, err := p.inside(arg)
		if err != nil {
			return nil, err
		}
		info, err := fs.Stat(p.tree, name)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil, failure.New(failure.NotFound, "no spec %s", arg).
				WithHint("specs are files of a directory spec whose names end in %s; mepc-run test --help", specSuffix)
		case err != nil:
			return nil, failure.Wrap(failure.Invalid, innermost(err), "%s", arg)
		case !info.IsDir():
			files = append(files, name)
			continue
		}
		before := len(files)
		err = fs.WalkDir(p.tree, name, func(file string, d fs.DirEntry, err error) error {
			if err == nil && !d.IsDir() && strings.HasSuffix(file, specSuffix) {
				files = append(files, file)
			}
			return err
		})
		if err != nil {
			return nil, failure.Wrap(failure.Invalid, innermost(err), "%s", arg)
		}
		if len(files) == before {
			return nil, failure.New(failure.NotFound, "no specs in %s", arg).WithHint("the name of a spec ends in %s", specSuffix)
		}
	}
	slices.Sort(files)
	return slices.Compact(files), nil
}

// inside returns the slash path of a file in the project.
func (p *project) inside(name string) (string, error) {
	rel := name
	if filepath.IsAbs(name) {
		here, err := filepath.Abs(".")
		if err == nil {
			rel, err = filepath.Rel(here, name)
		}
		if err != nil {
			return "", failure.Wrap(failure.Invalid, err, "%s", name)
		}
	}
	if rel = path.Clean(filepath.ToSlash(rel)); !fs.ValidPath(rel) {
		return "", failure.New(failure.Denied, "%s is outside of the project: a spec reaches only files below the current directory", name)
	}
	return rel, nil
}

// recipe finds a recipe by the name that a spec gives it: one that mepc-run
// brings, or a file of the project, which tree is.
func (p *project) recipe(h *runtime.Host, tree fs.FS, name string) (*runtime.Recipe, error) {
	if slices.Contains(shippedNames(), name) {
		return h.LoadFS(recipes.FS, name+".lua")
	}
	file, err := p.inside(name)
	if err != nil {
		return nil, err
	}
	if _, err := fs.Stat(tree, file); err == nil {
		return h.LoadFS(tree, file)
	}
	if short := strings.TrimSuffix(strings.TrimPrefix(file, "recipes/"), ".lua"); slices.Contains(shippedNames(), short) {
		return h.LoadFS(recipes.FS, short+".lua")
	}
	return nil, failure.New(failure.NotFound, "no recipe %s%s", name, runtime.DidYouMean(name, similar(name))).
		WithHint("name a .lua file of the project, or one of the recipes that mepc-run brings: %s", nameList())
}
