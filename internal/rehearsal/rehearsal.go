// Package rehearsal runs recipes in simulated worlds. Start with New, which makes
// a Stage: a world, its clients, and a host whose modules act on it. Stage.Run
// plays a recipe there and returns its plan and how it ended; several runs, one
// after the other, see what the ones before did.
//
// mepc-run -n plays one recipe on one Stage, a spec as many as it likes.
package rehearsal

import (
	"context"
	"crypto/sha256"
	"fmt"
	"slices"
	"sync"

	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/internal/plan"
	"github.com/mepc/mepc-run/internal/sim"
	"github.com/mepc/mepc-run/internal/state"
	"github.com/mepc/mepc-run/runtime"
	"github.com/mepc/mepc-run/servers"
)

// Options say how a stage is furnished.
type Options struct {
	Source  string          // where the world comes from, for people
	Servers servers.Options // how engines and Redis are named
	Host    *runtime.Host   // of the recipes; several stages may have the same one
	// Strict makes a request to a host outside of the world an error. Without it
	// 200 and an empty body are taken for the answer, and the plan says so.
	Strict bool
	// Missing is called for a server that the world does not have; may be nil.
	Missing func(Need)
	// Wire carries what the clients send; nil: straight to the world. See Faults.
	Wire Wire
	// Project is the one directory whose files recipes may name; empty: any.
	Project string
}

// Stage is a simulated world with everything that a recipe needs to run in it.
type Stage struct {
	World   *sim.World
	Clients *servers.Clients
	Host    *runtime.Host

	source string
	state  *state.State

	mu       sync.Mutex
	recorder *plan.Recorder // of the run under way
}

// New furnishes a world that is made of state.
func New(st *state.State, opts Options) (*Stage, error) {
	world, err := sim.New(sim.Options{State: st})
	if err != nil {
		return nil, failure.New(failure.Invalid, "%s: %s", opts.Source, err)
	}
	s := In(world, opts)
	s.state = st
	return s, nil
}

// In furnishes an existing world. Nothing is run on its stage.
func In(world *sim.World, opts Options) *Stage {
	s := &Stage{World: world, Host: opts.Host, source: opts.Source}
	policy := Policy{Missing: opts.Missing, Wire: opts.Wire, Project: opts.Project}
	if !opts.Strict {
		policy.Assume = s.Assume
	}
	s.Clients = Clients(opts.Servers, world, policy)
	return s
}

// Close ends the world.
func (s *Stage) Close() {
	s.Clients.Close()
	s.World.Close()
}

// Assume notes in the plan of the run under way what was taken for granted.
func (s *Stage) Assume(what string) {
	s.mu.Lock()
	rec := s.recorder
	s.mu.Unlock()
	if rec != nil {
		rec.Assume(what)
	}
}

// Run is a rehearsed run.
type Run struct {
	*runtime.Result
	Plan     *plan.Plan     // what it did; its Options are the caller's to fill in
	Recorder *plan.Recorder // knows how the plan words things
	Err      error          // how the run failed; also in the plan
}

// Run plays recipe, which is called name in the plan. That the run failed is in
// the result; the error says that there could be no plan. The world, the clock, the guards
// and the sinks of opts that a rehearsal needs are filled in. Only one run can be
// under way.
func (s *Stage) Run(ctx context.Context, name string, recipe *runtime.Recipe, opts runtime.RunOptions) (*Run, error) {
	if opts.Scrub == nil {
		opts.Scrub = &runtime.Scrubber{}
	}
	rec, err := plan.NewRecorder(s.World, s.state, opts.Scrub.Clean)
	if err != nil {
		return nil, err
	}
	s.begin(rec)
	defer s.begin(nil)
	opts.World = s.Clients
	opts.Clock, opts.Print = s.Clients.Clock(), printer(rec, opts.Print)
	opts.Sinks = append([]runtime.Sink{rec}, opts.Sinks...)
	opts.Guards = append([]runtime.Guard{rec}, opts.Guards...)
	files, loaded := map[string]string{}, opts.Loaded
	opts.Loaded = func(file string, source []byte) {
		files[file] = fmt.Sprintf("%x", sha256.Sum256(source))
		if loaded != nil {
			loaded(file, source)
		}
	}
	taken := s.World.Clock().Now()
	res, runErr := s.Host.Run(rec.Context(ctx), recipe, opts)
	p, err := rec.Plan(res.Effects, runErr)
	if err != nil {
		return nil, err
	}
	p.Recipe = described(name, recipe.Hash, opts.Params, res.Declared)
	delete(files, recipe.Name)
	p.Recipe.Files = files
	p.World = plan.World{Source: s.source, Taken: taken}
	return &Run{Result: res, Plan: p, Recorder: rec, Err: runErr}, nil
}

func (s *Stage) begin(rec *plan.Recorder) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.recorder = rec
}

// printer hands what the recipe prints to the plan and to print.
func printer(rec *plan.Recorder, print func(string)) func(string) {
	return func(line string) {
		rec.Print(line)
		if print != nil {
			print(line)
		}
	}
}

// described returns a plan's description of its recipe. The values of secret parameters
// are left out.
func described(name, hash string, params map[string]any, declared []runtime.Param) plan.Recipe {
	r := plan.Recipe{Name: name, Hash: hash, Params: map[string]any{}}
	secret := map[string]bool{}
	for _, d := range declared {
		secret[d.Name] = d.Type == "secret"
	}
	for name, v := range params {
		if secret[name] {
			r.SecretParams = append(r.SecretParams, name)
		} else {
			r.Params[name] = v
		}
	}
	slices.Sort(r.SecretParams)
	return r
}
