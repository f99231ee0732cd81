package app

import (
	"context"

	"github.com/mepc/mepc-run/internal/effect"
	"github.com/mepc/mepc-run/internal/plan"
	"github.com/mepc/mepc-run/rehearsal"
	"github.com/mepc/mepc-run/runtime"
)

// stage is a rehearsal as the flags want it: a recipe, a world, and the result.
type stage struct {
	*runner
	name    string
	params  map[string]any
	from    source // of the recipe; nil: the disk
	shuffle int64

	world *rehearsal.World

	recipe  *runtime.Recipe
	result  *rehearsal.Result
	trouble []effect.Event // what an error's place is known from
}

func (s *stage) close() {
	if s.world != nil {
		s.world.Close()
	}
}

// play rehearses the recipe and returns the plan; that the rehearsed run failed is
// in the plan and in s.result.
func (s *stage) play(ctx context.Context) (*plan.Plan, error) {
	host, err := s.host()
	if err != nil {
		return nil, err
	}
	if s.recipe, err = s.from.load(host, s.name); err != nil {
		return nil, err
	}
	s.trouble = nil
	s.result, err = rehearsal.Run(ctx, s.world, host, s.recipe, rehearsal.Options{
		Name: s.name, Servers: s.servers(), Routers: s.routers(), Allow: s.flags.Allow,
		RunOptions: runtime.RunOptions{
			Params: s.params, Sinks: []runtime.Sink{troubles{s}}, Seed: s.flags.Seed, Shuffle: s.shuffle, Timeout: s.flags.Timeout, Grace: s.flags.Grace, Abort: s.abort,
		},
	})
	if err != nil {
		return nil, err
	}
	p := s.result.Plan
	p.Options.Env, p.Options.Secrets = s.flags.Env, s.flags.Secrets
	return p, nil
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
