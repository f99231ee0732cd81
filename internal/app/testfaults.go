package app

import (
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"path"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/pflag"

	"github.com/mepc/mepc-run/internal/clock"
	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/internal/prove"
	"github.com/mepc/mepc-run/internal/report"
	"github.com/mepc/mepc-run/internal/say"
	"github.com/mepc/mepc-run/internal/spec"
)

// faultFlags are the flags of mepc-run test --faults.
type faultFlags struct {
	depth int
	plans int
	plan  string
}

func (o *faultFlags) add(f *pflag.FlagSet) {
	f.IntVar(&o.depth, "faults", 0, "try scenarios against `N` faults at once: 1, 2 or 3 (default 1)")
	f.Lookup("faults").NoOptDefVal = "1"
	f.IntVar(&o.plans, "plans", 0, "try at most `N` plans for each number of faults, drawn by --seed (default: all with one or two)")
	f.StringVar(&o.plan, "plan", "", "run only this `PLAN`, named as in a report, and tell its story")
}

// maxFaults is as far as a plan can go.
const maxFaults = 3

// options returns what the flags say, or nil when scenarios are not to be tried.
func (o *faultFlags) options(args []string, seed int64) (*spec.Faults, error) {
	if o.depth == 0 && o.plan == "" {
		if o.plans != 0 {
			return nil, failure.New(failure.Usage, "--plans needs --faults")
		}
		return nil, nil
	}
	if o.depth < 0 || o.depth > maxFaults || o.plans < 0 {
		return nil, failure.New(failure.Usage, "--faults takes 1 to %d, and --plans a number of plans", maxFaults)
	}
	faults := &spec.Faults{Options: prove.Options{Depth: max(1, o.depth), Plans: o.plans, Seed: max(1, seed)}}
	for _, a := range args {
		if isRecipe(a) {
			faults.Recipes = append(faults.Recipes, a)
		}
	}
	if len(faults.Recipes) > 0 && len(faults.Recipes) < len(args) {
		return nil, failure.New(failure.Usage, "name recipes, or specs, but not both: %s", strings.Join(args, " "))
	}
	if o.plan != "" {
		plan, err := prove.ParsePlan(o.plan)
		if err != nil {
			return nil, failure.New(failure.Usage, "--plan: %s", err)
		}
		faults.Plan = plan
	}
	return faults, nil
}

// pathsOf returns where the specs are that args mean: those of a recipe are in the
// directory spec, or beside it.
func (p *project) pathsOf(args []string) []string {
	var paths []string
	for _, a := range args {
		if !isRecipe(a) {
			return args
		}
		for _, dir := range []string{"spec", path.Dir(a)} {
			has := false
			for _, pattern := range []string{"*" + specSuffix, "*/*" + specSuffix} {
				found, err := fs.Glob(p.tree, path.Join(dir, pattern))
				has = has || err == nil && len(found) > 0
			}
			if has && !slices.Contains(paths, dir) {
				paths = append(paths, dir)
			}
		}
	}
	return paths
}

// tryFaults tries the scenarios of specs, and shows what comes of each.
func (c *testCmd) tryFaults(ctx context.Context, opts spec.Options) error {
	defer debug.SetGCPercent(debug.SetGCPercent(400)) // much is made and nothing kept
	began := clock.Wall{}.Now()
	tried, failed, plans := 0, 0, 0
	troubles := &spec.Text{Out: c.env.Stdout, Color: c.colors(c.env.Stdout)}
	var reports []*prove.Report
	show := func(f *spec.File) {
		bad := &spec.File{Name: f.Name, Err: f.Err}
		if f.Err != nil {
			failed++
		}
		for _, r := range f.Results {
			tried++
			if r.Status == spec.Failed || r.Status == spec.Broken {
				failed++
			}
			switch {
			case r.Err != nil:
				bad.Results = append(bad.Results, r)
			case r.Story != nil:
				c.showStory(r)
			case c.flags.json:
				reports = append(reports, r.Report)
			default:
				plans += r.Report.Tried()
				again := "mepc-run test " + f.Name + " --filter " + strconv.Quote(r.Names[len(r.Names)-1])
				fmt.Fprint(c.env.Stdout, c.reportText(r, again))
			}
		}
		troubles.File(bad)
	}
	opts.Jobs, opts.Done = 1, show // each takes all processors
	spec.Run(ctx, opts)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if tried+failed == 0 {
		return noScenario(opts.Faults.Recipes, opts.Files)
	}
	if c.flags.json {
		if err := json.NewEncoder(c.env.Stdout).Encode(reports); err != nil {
			return failure.Wrap(failure.Output, err, "write the report")
		}
	} else if opts.Faults.Plan == nil && !c.flags.quiet {
		took := clock.Wall{}.Now().Sub(began)
		fmt.Fprintf(c.env.Stdout, "%s, %s in %s, %.0f a second\n", say.Count(tried, "scenario"), say.Count(plans, "plan"), report.Duration(took), float64(plans)/max(took.Seconds(), 0.001))
	}
	if failed > 0 {
		return shown{errSpecs}
	}
	return nil
}

// noScenario says that there is nothing to try, and what to do about it.
func noScenario(recipes, files []string) error {
	what := ""
	if len(recipes) > 0 {
		what = " of " + strings.Join(recipes, ", ")
	}
	return failure.New(failure.NotFound, "no scenario%s in %s", what, strings.Join(files, ", ")).
		WithHint("write one: scenario(\"a redeploy\", {recipe=..., params={...}, world={...}, hosts={...}}); docs/faults.md has an example")
}

func (c *testCmd) reportText(r *spec.Result, again string) string {
	var b strings.Builder
	if c.flags.quiet && r.Status == spec.Passed {
		return ""
	}
	_ = r.Report.Write(&b, again) // a Builder has no errors
	return printableLines(b.String()) + "\n"
}

// showStory shows a plan that was played.
func (c *testCmd) showStory(r *spec.Result) {
	if c.flags.json {
		_ = json.NewEncoder(c.env.Stdout).Encode(r.Story)
		return
	}
	var b strings.Builder
	_ = r.Story.Write(&b, "  ") // a Builder has no errors
	fmt.Fprintf(c.env.Stdout, "%s\n\n%s\n", strings.Join(r.Names, " › "), printableLines(b.String()))
	if len(r.Story.Violations) == 0 {
		fmt.Fprintln(c.env.Stdout, "nothing was violated")
	}
}

// printableLines escapes what a terminal would obey, line by line.
func printableLines(text string) string {
	var b strings.Builder
	for l := range strings.Lines(text) {
		b.WriteString(report.Clean(strings.TrimSuffix(l, "\n")) + "\n")
	}
	return b.String()
}
