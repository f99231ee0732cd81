package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/mepc/mepc-run/internal/clock"
	"github.com/mepc/mepc-run/internal/disk"
	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/internal/rehearsal"
	"github.com/mepc/mepc-run/internal/spec"
	"github.com/mepc/mepc-run/internal/state"
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
	train   bool
	cover   bool
	library bool    // is covered, too
	least   float64 // of lines and of effects, in percent
	timeout time.Duration
	real    bool
	faults  faultFlags
}

const testText = `Runs specs: Lua files that test recipes, in the style of busted. They run in
simulated worlds, in milliseconds, and touch nothing. PATH is a file or a
directory; the default is spec. A spec's name ends in _spec.lua.

docs/specs.md shows how to write them.

With --faults the scenarios of specs are tried against a failure at each step of
their recipes; RECIPE means all scenarios of that recipe. See docs/faults.md.

With --real the tests that have #real in their names run against the engine and
the Redis of --docker and --redis. Those are for tests alone: both must be empty,
and what a test leaves there is removed.`

// testCmd is mepc-run test.
type testCmd struct {
	*runner
	testFlags
}

func testCommand(in *invocation) *cobra.Command {
	c := &testCmd{runner: newRunner(in)}
	cmd := &cobra.Command{
		Use: "test [PATH|RECIPE ...]", Short: "Run the specs of recipes", Long: testText,
		Example: "  mepc-run test\n  mepc-run test spec/bluegreen_spec.lua --filter \"never healthy\"\n  mepc-run test --faults=2 bluegreen",
		RunE:    func(cmd *cobra.Command, args []string) error { return c.test(cmd, args) },
	}
	f := cmd.Flags()
	c.add(f)
	c.faults.add(f)
	c.pick(cmd, "docker", "context", "insecure-docker", "redis", "json", "quiet", "verbose", "no-color", "max-steps", "allow")
	return cmd
}

func (t *testFlags) add(f *pflag.FlagSet) {
	f.StringVar(&t.filter.Text, "filter", "", "run the tests whose names contain `TEXT`")
	f.StringSliceVar(&t.filter.Tags, "tags", nil, "run the tests whose names have one of these `TAGS`, as #tag")
	f.StringSliceVar(&t.filter.Without, "exclude-tags", nil, "skip the tests that have one of these `TAGS`")
	f.BoolVar(&t.list, "list", false, "list the tests without running them")
	f.BoolVar(&t.watch, "watch", false, "rerun the specs that a changed file affects, until Ctrl-C")
	f.BoolVar(&t.shuffle, "shuffle", false, "shuffle the tests, and print the seed")
	f.Var(parsed(&t.seed, positive), "seed", "shuffle the tests with seed `N`, as --shuffle printed it; with --faults, the plans")
	f.StringVar(&t.junit, "junit", "", "write the results to `FILE` in the format CI servers read")
	f.BoolVar(&t.tap, "tap", false, "print the results in the Test Anything Protocol")
	f.BoolVar(&t.update, "update", false, "write the plans that run:matches_golden compares with")
	f.BoolVar(&t.train, "train", false, "write the plans of all scenarios for later runs to compare with, and what --update writes")
	f.BoolVar(&t.cover, "coverage", false, "show which lines and effects of the recipes the specs covered")
	f.BoolVar(&t.library, "coverage-library", false, "with --coverage: include the recipes and the library that ship with mepc-run")
	f.Var(parsed(&t.least, percentage), "coverage-min", "fail if less than `PERCENT` of the lines or of the effects are covered")
	f.Var(parsed(&t.timeout, positiveDuration), "timeout", "a test may take this `TIME` (default 30s; with --real 2m)")
	f.BoolVar(&t.real, "real", false, "run the tests with #real in their names, on an empty engine and Redis")
}

// errSpecs is the error of specs that failed: what failed was shown.
var errSpecs = errors.New("specs failed")

// test runs the specs in the given files and directories.
func (c *testCmd) test(cmd *cobra.Command, args []string) error {
	if c.flags.json && c.tap {
		return failure.New(failure.Usage, "--json and --tap cannot be used together")
	}
	if err := c.checkReal(cmd.Flags()); err != nil {
		return err
	}
	if c.update = c.update || c.train; c.watch && (c.list || c.update) {
		return failure.New(failure.Usage, "--watch cannot be combined with --list, --update or --train")
	}
	if c.shuffle && !cmd.Flags().Changed("seed") {
		c.seed = clock.Wall{}.Now().UnixNano()%1_000_000 + 1
	}
	p, err := openProject()
	if err != nil {
		return err
	}
	defer p.close()
	c.filter.Real = c.real
	faults, err := c.faults.options(args, c.seed)
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
		Seed: clock.Wall{}.Now().UnixNano()%1_000_000 + 1,
		Kit:  newKit(c.runner, p), Root: p.tree, Project: p.dir, Files: files, Filter: c.filter, Limits: c.flags.specLimits(), Timeout: c.timeout, Shuffle: c.seed, Faults: faults,
	}
	if c.update {
		opts.Update, opts.Train = p.write, c.train
	}
	if c.real && !c.list {
		end, err := c.realWorlds(cmd.Context(), &opts)
		if err != nil {
			return err
		}
		defer end()
	}
	if faults != nil && !c.list {
		return c.tryFaults(cmd.Context(), opts)
	}
	if c.cover = c.cover || c.least > 0; c.cover {
		opts.Coverage = spec.NewCoverage(p.tree, opts.Modules, c.library)
	}
	if c.list {
		return c.listSpecs(cmd.Context(), opts)
	}
	if c.watch {
		return c.watchSpecs(cmd.Context(), p, args, opts)
	}
	_, err = c.runSpecs(cmd.Context(), opts)
	return err
}

// runSpecs runs the specs and shows their results.
func (c *testCmd) runSpecs(ctx context.Context, opts spec.Options) ([]*spec.File, error) {
	began := clock.Wall{}.Now()
	printer, junit := c.specPrinter(), &spec.JUnit{}
	opts.Done = func(f *spec.File) {
		printer.File(f)
		junit.Add(f)
	}
	done := spec.Run(ctx, opts)
	sum := spec.Count(done)
	sum.Duration, sum.Seed = clock.Wall{}.Now().Sub(began), c.seed
	if ctx.Err() != nil {
		return done, context.Cause(ctx)
	}
	if j, ok := printer.(*spec.JSON); ok && c.cover {
		j.Coverage(opts.Coverage.Files())
	}
	err := printer.End(sum)
	if err == nil && c.cover && !c.flags.json && !c.tap {
		_, err = io.WriteString(c.env.Stdout, printable(opts.Coverage.Table()))
	}
	if err != nil {
		return done, failure.Wrap(failure.Output, failure.Innermost(err), "write results")
	}
	if c.junit != "" {
		data, err := junit.Encode()
		if err == nil {
			err = disk.Write(c.junit, data)
		}
		if err != nil {
			return done, failure.Wrap(failure.Output, failure.Innermost(err), "--junit %s", c.junit)
		}
	}
	switch {
	case sum.Bad() > 0:
		return done, shown{errSpecs}
	case sum.Total() == 0:
		return done, failure.New(failure.NotFound, "no test matches").WithHint("--list shows the tests and their tags")
	}
	return done, c.covered(opts.Coverage)
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
func (c *testCmd) specPrinter() spec.Printer {
	switch out := c.env.Stdout; {
	case c.flags.json:
		return &spec.JSON{Out: out}
	case c.tap:
		return &spec.TAP{Out: out}
	default:
		return &spec.Text{Out: out, Color: c.colors(out), Verbose: c.flags.verbose, Quiet: c.flags.quiet}
	}
}

// listSpecs lists the tests, and runs none.
func (c *testCmd) listSpecs(ctx context.Context, opts spec.Options) error {
	var broken error
	for _, f := range spec.List(ctx, opts) {
		if f.Err != nil && broken == nil {
			broken = f.Err
		}
		for _, r := range f.Results {
			if _, err := fmt.Fprintf(c.env.Stdout, "%s  %s\n", r.Where, printable(strings.Join(r.Names, " "))); err != nil {
				return failure.Wrap(failure.Output, failure.Innermost(err), "write results")
			}
		}
	}
	return broken
}

// newKit returns what specs need of this program.
func newKit(r *runner, p *project) spec.Kit {
	hosts := &hosts{runner: r, known: map[string]*runtime.Host{}}
	return spec.Kit{
		Modules: r.env.plain(), Library: recipes.FS, Cache: &r.compiled,
		Stage: func(st *state.State, routers []string, wire rehearsal.Wire) (*rehearsal.Stage, error) {
			host, err := hosts.of(routers)
			if err != nil {
				return nil, err
			}
			return rehearsal.New(st, rehearsal.Options{Source: "of the spec", Strict: true, Host: host, Wire: wire, Project: p.dir})
		},
		Recipe: p.recipe,
	}
}

// hosts has a host for each list of routers: what recipes are told of them is the
// host's.
type hosts struct {
	*runner
	mu    sync.Mutex
	known map[string]*runtime.Host
}

func (h *hosts) of(routers []string) (*runtime.Host, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	key := strings.Join(routers, " ")
	if h.known[key] == nil {
		host, err := h.hostFor(routers, h.flags.specLimits())
		if err != nil {
			return nil, err
		}
		h.known[key] = host
	}
	return h.known[key], nil
}

// specHeap limits how far the heap may grow while specs run: several at once, whose
// growth cannot be told apart.
const specHeap = 1 << 30

// specLimits are the limits of specs and of the recipes in them.
func (s *settings) specLimits() runtime.Limits {
	limits := s.Limits
	if limits.HeapBytes == 0 {
		limits.HeapBytes = specHeap
	}
	return limits
}
