package spec

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/internal/guard"
	"github.com/mepc/mepc-run/internal/prove"
	"github.com/mepc/mepc-run/internal/rehearsal"
	"github.com/mepc/mepc-run/internal/sim"
	"github.com/mepc/mepc-run/internal/state"
	"github.com/mepc/mepc-run/modules/redis"
	"github.com/mepc/mepc-run/runtime"
	"github.com/mepc/mepc-run/servers"
)

// Faults say how scenarios are tried; see prove.Options.
type Faults struct {
	prove.Options
	Plan    prove.Plan // not empty: this plan alone is played
	Recipes []string   // whose scenarios are tried; empty: all
}

// takes reports whether the test is one to try.
func (o *Faults) takes(t *test) bool {
	if t.scenario == nil {
		return false
	}
	return len(o.Recipes) == 0 || slices.ContainsFunc(o.Recipes, func(r string) bool { return bare(r) == bare(t.scenario.args.Recipe) })
}

// bare is a recipe's name, however it was given: recipes/bluegreen.lua is bluegreen.
func bare(recipe string) string {
	return strings.TrimSuffix(strings.TrimPrefix(strings.TrimPrefix(recipe, "./"), "recipes/"), ".lua")
}

func scenarioFuncs() []runtime.Func {
	return []runtime.Func{
		{
			Name: "scenario",
			Doc: "Makes a test of a recipe in a world: it runs, the user runs it again, and the invariants are checked after each " +
				"change: lists are not empty and lead to what runs, requests are answered. mepc-run test --faults tries it against a failure " +
				"at each of its steps, which docs/faults.md explains.",
			Raises: []runtime.Kind{failure.Invalid},
			Example: `scenario("a redeploy", {
  recipe = "recipes/bluegreen.lua", params = {image = "mepc/app:1.1"},
  hosts = {"appserver"}, app = "app",
  world = {
    images = {{ref = "mepc/app:1.0", expose = {"8080"}}, {ref = "mepc/app:1.1", expose = {"8080"}}},
    containers = {{name = "app-old", image = "mepc/app:1.0", restart = "always", labels = {["mepc.app"] = "app"}}},
    redis = {["frontend:appserver"] = {"app", "http://172.17.0.2:8080"}},
    routers = {"127.0.0.1:8080"},
  },
})`,
			Call: runtime.Inline((*file).scenario),
		},
		{
			Name: "invariant",
			Doc: "Declares what must always hold in the scenarios of the block, and of the blocks in it: a function that gets the world and " +
				"raises an error when it does not. It is called after every change, and must change nothing itself.",
			Raises: []runtime.Kind{failure.Invalid},
			Example: `invariant("the shop is open", function(w)
  assert.are.equal(1, w.redis:exists("frontend:shop"))
end)`,
			Call: runtime.Inline((*file).invariant),
		},
	}
}

// scenario is a test that --faults explores.
type scenario struct {
	args   *scenarioArgs
	block  *block
	state  *state.State
	others map[string]map[string]any
}

// invariant is a property that must hold in the scenarios of a block.
type invariant struct {
	name string
	fn   *runtime.Function
}

type scenarioArgs struct {
	Name    string                   `lua:"name,pos,required" doc:"what happens, in words; those that begin with # are tags"`
	Recipe  string                   `lua:"recipe,required,target" doc:"a file of the project, or the name of a recipe that ships with mepc-run"`
	Params  map[string]runtime.Value `lua:"params" doc:"its parameters by name"`
	World   runtime.Value            `lua:"world" doc:"what is true at the start: the table of world{}"`
	Hosts   []string                 `lua:"hosts" doc:"the hosts whose routing lists and traffic are watched"`
	App     runtime.Value            `lua:"app" doc:"the app that those lists belong to, or a list of apps that switch together: their containers have the label mepc.app, or a name that begins with the app's; without it any may be listed"`
	Others  map[string]runtime.Value `lua:"others" doc:"who else may deploy: by name, the parameters with which they run the recipe; those not given are params"`
	Repeats bool                     `lua:"repeats" doc:"a second run may have effects, since the recipe builds each time"`
	Gap     bool                     `lua:"gap" doc:"the recipe stops what serves before something else does: lists may lead to nothing, and requests fail"`
	Allow   []string                 `lua:"allow" doc:"guards that the operator lifts: routed-containers, empty-lists, two-versions"`
}

// Validate refuses a scenario without a world.
func (a *scenarioArgs) Validate() error {
	if a.World == nil {
		return errors.New("world: a table expected")
	}
	if _, ok := a.apps(); !ok {
		return errors.New("app: a string or a list of strings expected")
	}
	for _, name := range a.Allow {
		if !slices.Contains(guard.Names, name) {
			return fmt.Errorf("allow: there is no guard %q%s", name, runtime.DidYouMean(name, guard.Names))
		}
	}
	return nil
}

// apps returns the apps of the scenario.
func (a *scenarioArgs) apps() (names []string, ok bool) {
	switch v := a.App.(type) {
	case nil:
		return nil, true
	case string:
		if v == "" {
			return nil, true
		}
		return []string{v}, true
	case []any:
		for _, e := range v {
			name, isText := e.(string)
			if !isText || name == "" {
				return nil, false
			}
			names = append(names, name)
		}
		return names, true
	}
	return nil, false
}

func (f *file) scenario(c *runtime.Call, a *scenarioArgs) (runtime.None, error) {
	if err := f.collecting("scenario"); err != nil {
		return runtime.None{}, err
	}
	st, err := stateOf(a.World)
	if err != nil {
		return runtime.None{}, err
	}
	s := &scenario{args: a, block: f.at, state: st, others: map[string]map[string]any{}}
	for name, v := range a.Others {
		params, ok := v.(map[string]any)
		if list, isList := v.([]any); isList && len(list) == 0 {
			params, ok = map[string]any{}, true // {} is both
		}
		if !ok {
			return runtime.None{}, failure.New(failure.Invalid, "others: %s: a table of parameters expected", name)
		}
		s.others[name] = maps.Clone(a.Params)
		if s.others[name] == nil {
			s.others[name] = map[string]any{}
		}
		maps.Copy(s.others[name], params)
	}
	b := f.at
	b.items = append(b.items, item{test: &test{
		block: b, names: append(b.names[:len(b.names):len(b.names)], a.Name), where: c.Where(), scenario: s,
	}})
	return runtime.None{}, nil
}

type invariantArgs struct {
	Name string            `lua:"name,pos,required" doc:"what holds, in words"`
	Fn   *runtime.Function `lua:"fn,pos,required" doc:"gets the world"`
}

func (f *file) invariant(_ *runtime.Call, a *invariantArgs) (runtime.None, error) {
	if err := f.collecting("invariant"); err != nil {
		return runtime.None{}, err
	}
	f.at.invariants = append(f.at.invariants, invariant{a.Name, a.Fn})
	return runtime.None{}, nil
}

// tries runs a scenario: without a fault, or with all that opts.Faults says.
func (f *file) tries(ctx context.Context, t *test, r *Result) {
	s, err := f.prepare(ctx, t)
	if err != nil {
		r.fail(at(t, err))
		return
	}
	switch faults := f.opts.Faults; {
	case faults == nil:
		if err = prove.Check(ctx, s); err == nil {
			r.fail(at(t, f.keepsPlan(ctx, t)))
		}
	case len(faults.Plan) > 0:
		r.Story, err = prove.Replay(ctx, s, faults.Plan)
		if err == nil && len(r.Story.Violations) > 0 {
			r.Status = Failed
		}
	default:
		if r.Report, err = prove.Explore(ctx, s, faults.Options); err == nil {
			r.Report.Where = t.where
		}
		if err == nil && r.Report.Failed() > 0 {
			r.Status = Failed
		}
	}
	if err != nil {
		r.fail(broken(t, err))
	}
}

// broken says why there was nothing to try.
func broken(t *test, err error) *runtime.Error {
	e := &failure.Error{Kind: failure.Script, Message: err.Error(), Where: t.where, Cause: errAssertion}
	var b *prove.BrokenError
	if errors.As(err, &b) {
		e.Message = strings.TrimPrefix(e.Message, b.Scenario+" ")
		var text strings.Builder
		if b.Story.Write(&text, "") == nil { // a Builder has no errors
			e.Details = text.String()
		}
		if inner := failure.As(b.Err); inner != nil {
			e.Hint = inner.Hint
		}
		return e
	}
	if failure.As(err) != nil {
		return at(t, err)
	}
	return e
}

// at is an error of a scenario, which stands at the scenario's line unless it knows
// better.
func at(t *test, err error) *runtime.Error {
	e := failure.As(err)
	if e == nil || e.Where != "" {
		return e
	}
	copied := *e
	copied.Where = t.where
	return &copied
}

// prepare makes of a scenario what prove tries.
func (f *file) prepare(ctx context.Context, t *test) (*prove.Scenario, error) {
	s := t.scenario
	stage, err := f.opts.Stage(s.state, routers(s.state), nil)
	if err != nil {
		return nil, err
	}
	host := stage.Host
	stage.Close()
	recipe, err := f.opts.Recipe(host, f.opts.Root, s.args.Recipe)
	if err != nil {
		return nil, err
	}
	runner := func(params map[string]any) prove.Runner {
		return func(ctx context.Context, opts runtime.RunOptions) (*runtime.Result, error) {
			opts.Params = params
			opts.Guards = append(opts.Guards, guards(opts.World.(*servers.Clients), s.args.Allow...)) // after the explorer's: faults come first
			return host.Run(ctx, recipe, opts)
		}
	}
	out := &prove.Scenario{
		Name: strings.Join(t.names, " › "), World: s.state, Hosts: s.args.Hosts, Run: runner(s.args.Params), Repeats: s.args.Repeats,
		Gap:     s.args.Gap,
		Project: f.opts.Project,
	}
	out.Apps, _ = s.args.apps()
	for _, name := range slices.Sorted(maps.Keys(s.others)) {
		out.Others = append(out.Others, prove.Deployer{Name: name, Run: runner(s.others[name])})
	}
	var one sync.Mutex // the spec's Lua state runs one function at a time
	for _, b := range t.around() {
		for _, i := range b.invariants {
			out.Invariants = append(out.Invariants, prove.Invariant{Name: i.name, Check: func(w *sim.World) (string, error) {
				one.Lock()
				defer one.Unlock()
				return f.holds(ctx, host, i, w)
			}})
		}
	}
	return out, nil
}

// guards are those of a live run, without those that are lifted.
func guards(world *servers.Clients, lifted ...string) runtime.Guard {
	return guard.New(world, func(name string) bool { return slices.Contains(lifted, name) }, redis.Explain)
}

// holds asks an invariant about a world.
func (f *file) holds(ctx context.Context, host *runtime.Host, i invariant, world *sim.World) (string, error) {
	w := &World{file: f, stage: rehearsal.In(world, rehearsal.Options{Source: "of the scenario", Strict: true, Host: host, Project: f.opts.Project})}
	defer w.stage.Clients.Close()
	var err error
	if w.Docker, w.Redis, err = connect(ctx, w.stage.Clients); err != nil {
		return "", err
	}
	_, err = f.session.Call(ctx, f.opts.Limits.Steps, i.fn, w)
	if errors.Is(err, errAssertion) || failure.KindOf(err) == failure.Script {
		return failure.As(err).Message, nil
	}
	return "", err
}
