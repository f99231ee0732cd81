package app

import (
	"context"

	"github.com/mepc/mepc-run/internal/effect"
	"github.com/mepc/mepc-run/internal/engine"
	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/internal/guard"
	"github.com/mepc/mepc-run/internal/plan"
	"github.com/mepc/mepc-run/internal/rehearsal"
	"github.com/mepc/mepc-run/internal/sim"
	"github.com/mepc/mepc-run/runtime"
)

// stage is a rehearsal: a recipe, a world, and what came of it.
type stage struct {
	*command
	name    string
	params  map[string]any
	load    func(*runtime.Host) (*runtime.Recipe, error) // nil: load name
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
	var needs []engine.Need
	host, err := s.host()
	if err != nil {
		return nil, nil, err
	}
	if s.load == nil {
		s.load = func(h *runtime.Host) (*runtime.Recipe, error) { return s.command.load(h, s.name) }
	}
	if s.recipe, err = s.load(host); err != nil {
		return nil, nil, err
	}
	set, err := rehearsal.New(&state, rehearsal.Options{
		Source: s.source, Servers: s.servers(), Host: host, Missing: func(n engine.Need) { needs = append(needs, n) },
	})
	if err != nil {
		return nil, nil, err
	}
	defer set.Close()
	if s.live != nil && s.live.redisErr != nil {
		set.World.SetRedisDown(true)
	}
	s.trouble = nil
	run, err := set.Run(ctx, s.name, s.recipe, runtime.RunOptions{
		Params: s.params, Guards: []runtime.Guard{guard.New(set.Clients, s.lifted, nil)}, Sinks: []runtime.Sink{troubles{s}}, Seed: s.flags.seed, Shuffle: s.shuffle, Grace: s.flags.grace, Abort: s.abort,
	})
	if err != nil {
		return nil, nil, err
	}
	s.failed, s.recorder = run.Err, run.Recorder
	p := run.Plan
	if s.live != nil {
		p.World.Engines, p.World.Redis = s.live.names(), s.live.redisName
		if s.live.redisErr != nil {
			p.Assumed = append(p.Assumed, run.Recorder.Said("Redis is down: "+s.live.redisErr.Error()))
		}
	}
	p.Options = plan.Options{Routers: s.routers(), Allow: s.flags.allow, Env: s.flags.env, Secrets: s.flags.secrets, Seed: s.flags.seed}
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
