package prove_test

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mepc/mepc-run/internal/prove"
	"github.com/mepc/mepc-run/internal/state"
	"github.com/mepc/mepc-run/modules/docker"
	"github.com/mepc/mepc-run/modules/http"
	"github.com/mepc/mepc-run/modules/lock"
	"github.com/mepc/mepc-run/modules/redis"
	"github.com/mepc/mepc-run/modules/std"
	"github.com/mepc/mepc-run/recipes"
	"github.com/mepc/mepc-run/runtime"
)

// host is that of all recipes here.
var host = sync.OnceValue(func() *runtime.Host {
	return runtime.New(runtime.Options{
		Library: recipes.FS,
		Modules: append(std.Modules(std.Options{Routers: []string{"http://127.0.0.1:8080"}}),
			docker.New(docker.Allow{}), redis.New(redis.Allow{}), http.New(), lock.New(lock.Options{})),
	})
})

type params = map[string]any

// runner runs a recipe that ships with mepc-run, as the command does.
func runner(t testing.TB, file string, p params) prove.Runner {
	t.Helper()
	recipe, err := host().LoadFS(recipes.FS, file)
	if err != nil {
		t.Fatal(err)
	}
	return func(ctx context.Context, opts runtime.RunOptions) (*runtime.Result, error) {
		opts.Params = p
		return host().Run(ctx, recipe, opts)
	}
}

// source runs a recipe that is given as text.
func source(t testing.TB, name, text string, p params) prove.Runner {
	t.Helper()
	recipe, err := host().Load(name, []byte(text), recipes.FS)
	if err != nil {
		t.Fatal(err)
	}
	return func(ctx context.Context, opts runtime.RunOptions) (*runtime.Result, error) {
		opts.Params = p
		return host().Run(ctx, recipe, opts)
	}
}

// redeploy is a world in which one release runs, beside another app.
func redeploy() *state.State {
	image := func(ref string, age time.Duration) state.Image {
		return state.Image{Ref: ref, Expose: []string{"8080"}, Created: state.Epoch().Add(-age)}
	}
	bridge := func(ip string) []state.Endpoint { return []state.Endpoint{{Network: "bridge", IP: ip}} }
	return &state.State{
		Engines: []state.Engine{{
			Images: []state.Image{image("mepc/app:1.0", 3*time.Hour), image("mepc/app:1.1", 2*time.Hour), image("mepc/app:1.2", time.Hour), image("mepc/shop:7", 0)},
			Containers: []state.Container{
				{Name: "shop", Image: "mepc/shop:7", Restart: "always", Networks: bridge("172.17.0.2")},
				{
					Name: "app-old", Image: "mepc/app:1.0", Restart: "always", Networks: bridge("172.17.0.3"),
					Labels: map[string]string{"mepc.app": "app", "mepc.release": "old", "mepc.replica": "1"},
				},
			},
		}},
		Redis: map[string]state.RedisKey{
			"frontend:appserver": {List: []string{"app", "http://172.17.0.3:8080"}},
			"frontend:shop":      {List: []string{"shop", "http://172.17.0.2:8080"}},
		},
		Routers: []state.Router{{Address: "127.0.0.1:8080"}},
	}
}

func bluegreen(t testing.TB) *prove.Scenario {
	run := func(image string) prove.Runner { return runner(t, "bluegreen.lua", params{"image": image}) }
	return &prove.Scenario{
		Name: "bluegreen", World: redeploy(), Apps: []string{"app"}, Hosts: []string{"appserver"}, Run: run("mepc/app:1.1"),
		Others: []prove.Deployer{
			{Name: "same", Run: run("mepc/app:1.1")}, {Name: "newer", Run: run("mepc/app:1.2")}, {Name: "older", Run: run("mepc/app:1.0")},
		},
	}
}

func naive(t testing.TB) *prove.Scenario {
	text, err := os.ReadFile("testdata/naive.lua")
	if err != nil {
		t.Fatal(err)
	}
	return &prove.Scenario{
		Name: "naive", World: redeploy(), Apps: []string{"app"}, Hosts: []string{"appserver"},
		Run: source(t, "naive.lua", string(text), params{"image": "mepc/app:1.1"}),
	}
}

// explore fails the test when there is nothing to explore.
func explore(t testing.TB, s *prove.Scenario, o prove.Options) *prove.Report {
	t.Helper()
	r, err := prove.Explore(t.Context(), s, o)
	var broken *prove.BrokenError
	if errors.As(err, &broken) {
		t.Fatalf("%v\n%s", err, text(t, broken.Story))
	}
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func text(t testing.TB, s *prove.Story) string {
	t.Helper()
	var b strings.Builder
	if err := s.Write(&b, "  "); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func full(t testing.TB, r *prove.Report) string {
	t.Helper()
	var b strings.Builder
	if err := r.Write(&b, "mepc-run test --faults"); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestBluegreenWithstandsEverySingleFault(t *testing.T) {
	t.Parallel()
	r := explore(t, bluegreen(t), prove.Options{Depth: 1, Plans: fewer, Seed: 1})
	if r.Failed() > 0 {
		t.Error(full(t, r))
	}
	if fewer == 0 && r.Tried() < 300 || r.Effects < 4 {
		t.Errorf("only %d plans were tried, of %d effects", r.Tried(), r.Effects)
	}
	if fewer > 0 {
		return // drawn: not every fault of an effect is among them
	}
	for _, c := range r.Coverage {
		effect := slices.Contains([]string{"docker.create", "docker.start", "docker.stop", "redis.multi"}, c.Op)
		if effect && len(c.Kinds) > 0 && len(c.Kinds) < 5 { // none: only a run after a failure makes it
			t.Errorf("%s %s was tried with %v only", c.Where, c.Op, c.Kinds)
		}
	}
}

// BenchmarkPlans tells how many plans are tried in a second, on all processors.
func BenchmarkPlans(b *testing.B) {
	s := bluegreen(b)
	s.Others = nil
	plans := 0
	for b.Loop() {
		plans += explore(b, s, prove.Options{Depth: 1, Plans: 100, Seed: 1}).Tried()
	}
	b.ReportMetric(float64(plans)/b.Elapsed().Seconds(), "plans/s")
}

func TestANaiveRecipeIsCaught(t *testing.T) {
	t.Parallel()
	r := explore(t, naive(t), prove.Options{Depth: 1})
	listed := 0
	for _, f := range r.Failures {
		if f.Rule == prove.Alive {
			listed += f.Plans
		}
	}
	if r.Failed() < 16 || listed < 12 {
		t.Errorf("%d plans fail, %d of them with a list that points to nothing", r.Failed(), listed)
	}
	out := full(t, r)
	for _, want := range []string{"naive.lua:18", "<-- ", "!!  alive: appserver points to http://172.17.0.4:8080", "again: mepc-run test --faults --plan '"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in the report", want)
		}
	}
	if t.Failed() {
		t.Log(out)
	}
}

func TestTheSameSeedGivesTheSameReport(t *testing.T) {
	t.Parallel()
	options := prove.Options{Depth: 2, Plans: 60, Seed: 7}
	one, other := full(t, explore(t, naive(t), options)), full(t, explore(t, naive(t), options))
	if diff := cmp.Diff(one, other); diff != "" {
		t.Error(diff)
	}
	options.Seed = 8
	if full(t, explore(t, naive(t), options)) == one {
		t.Error("another seed gives the same report")
	}
}

func TestAPlanIsReplayedFromItsText(t *testing.T) {
	t.Parallel()
	s := naive(t)
	r := explore(t, s, prove.Options{Depth: 1})
	for _, f := range r.Failures {
		plan, err := prove.ParsePlan(f.Plan)
		if err != nil {
			t.Fatal(err)
		}
		story, err := prove.Replay(t.Context(), s, plan)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(text(t, f.Story), text(t, story)); diff != "" {
			t.Error(diff)
		}
	}
	plan, err := prove.ParsePlan("docker.pause#1:lost")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := prove.Replay(t.Context(), s, plan); err == nil {
		t.Error("a plan whose place the run does not come by was replayed")
	}
}
