package rehearsal

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"net"
	"net/url"
	"slices"

	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/internal/guard"
	"github.com/mepc/mepc-run/internal/plan"
	"github.com/mepc/mepc-run/internal/rehearsal"
	"github.com/mepc/mepc-run/internal/state"
	"github.com/mepc/mepc-run/modules/redis"
	"github.com/mepc/mepc-run/runtime"
	"github.com/mepc/mepc-run/servers"
)

// Options say how a recipe is rehearsed. World, Clock and Memo of RunOptions are the
// rehearsal's own. Without a Seed it follows from the recipe and its world, so that the
// same rehearsal has the same plan.
type Options struct {
	runtime.RunOptions
	// Name is what the plan calls the recipe; empty: its own name.
	Name string
	// Servers says which servers are meant where the recipe names none.
	Servers servers.Options
	// Routers are URLs of routers, which are in the world and send where the routing
	// lists in its Redis point.
	Routers []string
	// Strict makes a request to a host outside of the world an error. Without it 200
	// and an empty body are taken for the answer, and the plan says so.
	Strict bool
	// Allow names the guards that are lifted, as --allow does.
	Allow []string
}

// Result is how a rehearsed run ended.
type Result struct {
	*runtime.Result
	Plan *Plan
	Err  error // how the run failed; also in the plan

	said func(string) string
}

// Said returns text in the words of the plan: without secrets, and with symbols in
// place of what the simulated world made up.
func (r *Result) Said(text string) string { return r.said(text) }

// maxRounds is how often a live world is read again because the recipe asked for
// something that was not read before.
const maxRounds = 8

// Run runs recipe in a copy of w, and nothing real is reached. That the run failed is
// in the Result; the error says that there could be no plan. Sinks and Print get what
// happened in the rehearsal that the plan is of.
func Run(ctx context.Context, w *World, host *runtime.Host, recipe *runtime.Recipe, opts Options) (*Result, error) {
	if opts.Name == "" {
		opts.Name = recipe.Name
	}
	if opts.Seed == 0 {
		opts.Seed = seedOf(opts.Name, w.state)
	}
	for round := 1; ; round++ {
		a := &attempt{World: w, host: host, recipe: recipe, opts: opts}
		res, err := a.play(ctx)
		if err != nil {
			return nil, err
		}
		if w.live == nil || ctx.Err() != nil || !w.live.Wants(a.needs, a.keys) {
			a.tell()
			return res, nil
		}
		if round == maxRounds {
			return nil, failure.New(failure.Limit, "the recipe asked for something new in each of %d rehearsals", maxRounds)
		}
		if w.state, err = w.live.Take(ctx); err != nil {
			return nil, err
		}
	}
}

// seedOf returns the seed of a plan: the same for the same recipe in the same world,
// so that the plan is the same, and another one when the world has changed since.
func seedOf(recipe string, world *state.State) int64 {
	h := sha256.New()
	_ = json.NewEncoder(h).Encode([]any{recipe, world}) // plain data
	return 1 + int64(binary.BigEndian.Uint64(h.Sum(nil))>>11)
}

// attempt is one rehearsal. In a live world it may not be the last.
type attempt struct {
	*World
	host   *runtime.Host
	recipe *runtime.Recipe
	opts   Options

	needs []rehearsal.Need
	keys  []string
	held  []func() // what sinks and Print are told if it is the last
}

// play rehearses the recipe in a world of its own.
func (a *attempt) play(ctx context.Context) (*Result, error) {
	st := *a.state
	if err := addRouters(&st, a.opts.Routers); err != nil {
		return nil, err
	}
	stage, err := rehearsal.New(&st, rehearsal.Options{
		Source: a.source, Servers: a.opts.Servers, Host: a.host, Strict: a.opts.Strict,
		Missing: func(n rehearsal.Need) { a.needs = append(a.needs, n) },
	})
	if err != nil {
		return nil, err
	}
	defer stage.Close()
	if a.live != nil && a.live.Trouble != nil {
		stage.World.SetRedisDown(true)
	}
	opts := a.opts.RunOptions
	opts.Memo = nil
	if a.live != nil {
		opts.Sinks, opts.Print = []runtime.Sink{a}, a.print
	}
	lifted := func(name string) bool { return slices.Contains(a.opts.Allow, name) }
	opts.Guards = append(slices.Clip(opts.Guards), guard.New(stage.Clients, lifted, redis.Explain))
	run, err := stage.Run(ctx, a.opts.Name, a.recipe, opts)
	if err != nil {
		return nil, err
	}
	a.keys = run.Recorder.Keys()
	p := run.Plan
	if a.live != nil {
		p.World.Engines, p.World.Redis = a.live.Engines(), a.live.Redis
		if a.live.Trouble != nil {
			p.Assumed = append(p.Assumed, run.Recorder.Said("Redis is down: "+a.live.Trouble.Error()))
		}
	}
	p.Options = plan.Options{Routers: a.opts.Routers, Allow: a.opts.Allow, Seed: a.opts.Seed}
	return &Result{run.Result, p, run.Err, run.Recorder.Said}, nil
}

// Event implements runtime.Sink.
func (a *attempt) Event(ev runtime.Event) {
	for _, s := range a.opts.Sinks {
		a.held = append(a.held, func() { s.Event(ev) })
	}
}

func (a *attempt) print(line string) {
	if a.opts.Print != nil {
		a.held = append(a.held, func() { a.opts.Print(line) })
	}
}

func (a *attempt) tell() {
	for _, f := range a.held {
		f()
	}
}

// addRouters adds routers by their URLs to those of a world.
func addRouters(st *state.State, urls []string) error {
	st.Routers = slices.Clone(st.Routers)
	for _, text := range urls {
		u, err := url.Parse(text)
		if err != nil || u.Host == "" {
			return failure.New(failure.Invalid, "the router %s: not a URL", text).WithHint("write it as http://127.0.0.1:8080")
		}
		host, port := u.Hostname(), u.Port()
		if host == "localhost" {
			host = "127.0.0.1"
		}
		if port == "" {
			port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
		}
		at := net.JoinHostPort(host, port)
		if !slices.ContainsFunc(st.Routers, func(r state.Router) bool { return r.Address == at }) {
			st.Routers = append(st.Routers, state.Router{Address: at})
		}
	}
	return nil
}
