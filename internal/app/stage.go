package app

import (
	"context"

	"github.com/mepc/mepc-run/internal/effect"
	"github.com/mepc/mepc-run/internal/engine"
	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/internal/plan"
	"github.com/mepc/mepc-run/internal/sim"
	"github.com/mepc/mepc-run/runtime"
)

// stage is a rehearsal: a recipe, a world, and what came of it.
type stage struct {
	*command
	name    string
	params  map[string]any
	shuffle int64

	source string     // plan.Live, "empty" or the name of a file
	state  *sim.State // what the world is made of
	live   *snapshot  // where state comes from; nil: a file, or nothing

	recipe   *runtime.Recipe
	recorder *plan.Recorder
	failed   error
	trouble  []effect.Event // what an error's place is known from
}

func (s *stage) close() {
	if s.live != nil {
		s.live.close()
	}
}

// maxRounds is how often a live world is read again because the recipe asked for
// something that was not read before.
const maxRounds = 8

// play rehearses the recipe and returns the plan; that the rehearsed run failed is
// in the plan and in s.failed. When the recipe asks for what a live snapshot has
// not read, such as a second engine, it is read, and the rehearsal starts again.
func (s *stage) play(ctx context.Context) (*plan.Plan, error) {
	for round := 1; ; round++ {
		p, needs, err := s.once(ctx)
		if err != nil || s.live == nil || ctx.Err() != nil || !s.live.wants(needs, s.recorder.Keys()) {
			return p, err
		}
		if round == maxRounds {
			return nil, failure.New(failure.Limit, "the recipe asked for something new in each of %d rehearsals", maxRounds)
		}
		if s.state, err = s.live.take(ctx); err != nil {
			return nil, err
		}
	}
}

// once rehearses the recipe in a world of its own.
func (s *stage) once(ctx context.Context) (*plan.Plan, []engine.Need, error) {
	state := *s.state
	state.Routers = withRouters(state.Routers, s.routers())
	world, err := sim.New(sim.Options{State: &state})
	if err != nil {
		return nil, nil, failure.New(failure.Invalid, "%s: %s", s.source, err)
	}
	defer world.Close()
	if s.live != nil && s.live.redisErr != nil {
		world.SetRedisDown(true)
	}
	scrub := &runtime.Scrubber{}
	rec, err := plan.NewRecorder(world, s.state, scrub.Clean)
	if err != nil {
		return nil, nil, err
	}
	s.recorder = rec
	var needs []engine.Need
	clients := engine.Rehearsal(s.servers(), world, engine.Stage{
		Assume:  rec.Assume,
		Missing: func(n engine.Need) { needs = append(needs, n) },
	})
	defer clients.Close()
	host, err := s.host()
	if err != nil {
		return nil, nil, err
	}
	if s.recipe, err = load(host, s.name); err != nil {
		return nil, nil, err
	}
	s.trouble = nil
	res, runErr := host.Run(rec.Context(ctx), s.recipe, runtime.RunOptions{
		World: clients, Params: s.params, Sinks: []runtime.Sink{rec, troubles{s}}, Guards: []runtime.Guard{rec}, Clock: clients.Clock(),
		Seed: s.flags.seed, Shuffle: s.shuffle, Grace: s.flags.grace, Abort: plan.Undoing(s.abort), Scrub: scrub, Print: rec.Print,
	})
	s.failed = runErr
	if s.live != nil && s.live.redisErr != nil {
		rec.Assume("Redis is down: " + s.live.redisErr.Error())
	}
	p, err := rec.Plan(res.Effects, runErr)
	if err != nil {
		return nil, nil, err
	}
	s.describePlan(p, res.Declared)
	return p, needs, nil
}

// troubles keeps the events from which a report knows where an error came from.
// What a rehearsal changed is not among them: nothing real was.
type troubles struct{ *stage }

// Event implements runtime.Sink.
func (t troubles) Event(ev effect.Event) {
	if ev.Type == effect.StepEnd && ev.Step.Err != nil || ev.Type == effect.OpEnd && ev.Result.Outcome == effect.Refused {
		t.trouble = append(t.trouble, ev)
	}
}

// describePlan fills in what the plan says of the recipe, the world and the flags.
func (s *stage) describePlan(p *plan.Plan, declared []runtime.Param) {
	p.Recipe = plan.Recipe{Name: s.name, Hash: s.recipe.Hash, Params: map[string]any{}}
	secret := map[string]bool{}
	for _, d := range declared {
		secret[d.Name] = d.Type == "secret"
	}
	for name, v := range s.params {
		if secret[name] {
			p.Recipe.SecretParams = append(p.Recipe.SecretParams, name)
		} else {
			p.Recipe.Params[name] = v
		}
	}
	p.World = plan.World{Source: s.source, Taken: s.taken()}
	if s.live != nil {
		p.World.Engines, p.World.Redis = s.live.names(), s.live.redisName
	}
	p.Options = plan.Options{Routers: s.routers(), Allow: s.flags.allow, Env: s.flags.env, Secrets: s.flags.secrets, Seed: s.flags.seed}
}
