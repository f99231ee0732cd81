package bench

import (
	"io"
	"os"
	"slices"
	"testing"

	"github.com/mepc/mepc-run/bench/handwritten/bluegreen"
	"github.com/mepc/mepc-run/internal/app"
	"github.com/mepc/mepc-run/internal/clock"
	"github.com/mepc/mepc-run/internal/lab"
)

// Both deployments probe a new container every 200 ms until two probes are good.
// Whether the first one meets a program that listens already is a matter of a
// millisecond, and costs 200. So the program waits: the first probe always fails,
// the second and third do not.
const (
	listenAfter = "LISTEN_AFTER=100ms"
	probing     = 400 // milliseconds
)

// BenchmarkOverhead compares a redeploy by recipes/bluegreen.lua with one by a
// Go program written for it that makes the same calls: as two programs, and both
// within this one. There is no drain, which would be time in which neither
// does anything.
func BenchmarkOverhead(b *testing.B) {
	b.Run("program", func(b *testing.B) {
		s, r := newStage(b), newRunner(b)
		handwritten := compile(b, "bench/handwritten")
		s.compare(b, func(engine, app, version string) Usage {
			u, _ := r.run(b, s.mepcRun, s.deployArgs(engine, app, version, "drain=0s", "env="+listenAfter)...)
			return u
		}, func(o bluegreen.Options) Usage {
			u, _ := r.run(b, handwritten, "-docker", o.Docker, "-redis", o.Redis, "-router", o.Router, "-admin", o.Admin,
				"-app", o.App, "-host", o.Host, "-image", o.Image, "-expect", o.Expect, "-drain", o.Drain.String(), "-env", o.Env)
			return u
		})
	})
	b.Run("inprocess", func(b *testing.B) {
		s := newStage(b)
		var wall clock.Wall
		s.compare(b, func(engine, name, version string) Usage {
			begin := wall.Now()
			code := app.Main(app.Env{Stdout: io.Discard, Stderr: io.Discard, Getenv: os.Getenv}, s.deployArgs(engine, name, version, "drain=0s", "env="+listenAfter))
			if code != 0 {
				b.Fatalf("the recipe ended with code %d", code)
			}
			return Usage{Wall: wall.Now().Sub(begin)}
		}, func(o bluegreen.Options) Usage {
			begin := wall.Now()
			if err := bluegreen.Deploy(b.Context(), o); err != nil {
				b.Fatal(err)
			}
			return Usage{Wall: wall.Now().Sub(begin)}
		})
	})
}

// compare deploys by recipe and by hand in turn, each to an app of its own.
func (s *stage) compare(b *testing.B, recipe func(engine, app, version string) Usage, byHand func(bluegreen.Options) Usage) {
	recipeApp, handApp := s.lab.Name("recipe"), s.lab.Name("byhand")
	defer s.remove(b, recipeApp, handApp)
	engine := s.lab.Engine.Host()
	deploy := func(round int, engines [2]string, recipes, hands *used) {
		version := versions[round%len(versions)]
		turn(round, func() {
			recipes.add(recipe(engines[0], recipeApp, version))
		}, func() {
			hands.add(byHand(bluegreen.Options{
				Docker: engines[1], Redis: s.lab.Redis.URL(), Router: s.url, Admin: s.admin,
				Image: lab.AppImage(version), App: handApp, Host: handApp, Env: listenAfter, Expect: version,
			}))
		})
	}
	deploy(0, [2]string{engine, engine}, new(used), new(used)) // a first deployment has nothing to replace
	var recipes, hands used
	round := 1
	for ; b.Loop(); round++ {
		deploy(round, [2]string{engine, engine}, &recipes, &hands)
	}
	calls := [2]*recorder{record(b, engine), record(b, engine)}
	for range 2 { // each goes first once: what it finds depends on whether the other has been
		deploy(round, [2]string{calls[0].host, calls[1].host}, new(used), new(used))
		round++
	}
	if theirs, ours := calls[1].count(), calls[0].count(); !slices.Equal(theirs, ours) {
		b.Errorf("the two do not make the same calls to the engine; by hand: %q; by recipe: %q", theirs, ours)
	}
	ratio := recipes.wall.over(hands.wall)
	work := recipes.wall.less(probing).over(hands.wall.less(probing))
	metrics := map[string]float64{
		"recipe-ms": recipes.wall.median(), "go-ms": hands.wall.median(), "added-ms": recipes.wall.minus(hands.wall).median(),
		"ratio": ratio.median(), "ratio-q1": ratio.quantile(0.25), "ratio-q3": ratio.quantile(0.75),
		"work-ratio": work.median(), "calls": float64(len(calls[0].calls)) / 2,
	}
	if hands.cpu.max() > 0 {
		metrics["recipe-cpu-ms"], metrics["go-cpu-ms"] = recipes.cpu.median(), hands.cpu.median()
		metrics["recipe-peak-MB"], metrics["go-peak-MB"] = recipes.peak.max(), hands.peak.max()
	}
	figures(b, metrics)
}
