package prove

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/mepc/mepc-run/internal/clock"
	"github.com/mepc/mepc-run/internal/sim"
	"github.com/mepc/mepc-run/runtime"
)

// between is how long the user takes to run it again.
const between = time.Minute

// trial is one plan in a world of its own.
type trial struct {
	scenario *Scenario
	world    *sim.World
	obs      *observer
	story    *Story // nil: nobody will read it

	ctx        context.Context // of all its runs
	violations []Violation
	runs       []*ran
	ours       []string // the app's running containers
	rivals     bool     // someone else has deployed during the run
	inCharge   bool     // the run's release had all the traffic at some moment of it
	again      bool     // all is well, and the last run is to find nothing to do
	want       *expected
}

// ran is how a run ended.
type ran struct {
	calls   []Call
	trace   *trace
	err     error
	crashed bool
	effects int
	missed  int // faults whose place was not come by
}

// newTrial returns a trial that starts from world, which is its own from now on.
func newTrial(ctx context.Context, s *Scenario, world *sim.World, obs *observer, tell bool) *trial {
	t := &trial{ctx: ctx, scenario: s, world: world, obs: obs}
	obs.world = world
	if tell {
		t.story = &Story{}
	}
	t.look(Call{Place: Place{Op: "start"}})
	return t
}

// play makes one run with the faults that plan has for it.
func (t *trial) play(plan Plan) *ran {
	run := len(t.runs)
	t.rivals, t.inCharge = false, false
	var faults []Fault
	for _, f := range plan {
		if f.Place.Run == run {
			faults = append(faults, f)
		}
	}
	p := t.start(t.ctx, t.scenario.Run, "", run, faults)
	r := t.runs[run]
	r.missed = len(faults) - p.struck
	return r
}

// ended notes how a process ended.
func (t *trial) ended(p *process, res *runtime.Result, err error) {
	r := &ran{calls: p.calls, trace: &p.trace, err: err, crashed: p.crashed}
	if res != nil {
		r.effects = res.Effects
	}
	t.story.end(p, r)
	t.look(Call{Place: end(p.run)})
	if p.other != "" {
		return
	}
	t.runs = append(t.runs, r)
}

// wait lets the time pass that the user takes.
func (t *trial) wait() {
	t.world.Clock().(*clock.Virtual).Advance(between)
	t.look(Call{Place: end(len(t.runs) - 1), Verb: "a minute later"})
}

// look lets the observer look, after c.
func (t *trial) look(c Call) {
	boxes := t.obs.boxes()
	for _, v := range t.obs.look(boxes) {
		t.violate(c, v)
	}
	if t.want != nil && !t.inCharge {
		t.inCharge = maps.EqualFunc(t.images(boxes), t.want.images, slices.Equal)
	}
	t.ours = nil
	for i := range boxes {
		if running(boxes[i]) && t.obs.ours(&boxes[i]) {
			t.ours = append(t.ours, boxes[i].Name)
		}
	}
}

// violate notes what is wrong after c.
func (t *trial) violate(c Call, v Violation) {
	v.After, v.Where = c, c.Where
	t.violations = append(t.violations, v)
	t.story.wrong(v)
}

// happen lets a fault of the world happen.
func (t *trial) happen(p *process, f Fault) {
	t.story.happened(f)
	switch f.Kind {
	case Dies:
		for _, e := range t.world.Engines() {
			t.obs.dies(e, f.What)
			e.Kill(f.What)
		}
	case EngineRestart:
		for _, e := range t.world.Engines() {
			before := e.Boxes()
			e.Restart(true)
			t.obs.moved(before, e.Boxes())
		}
	case RedisRestart:
		if err := t.world.RestartRedis(p.snap); err != nil {
			panic(fmt.Sprintf("prove: %s", err)) // it came from the same Redis
		}
		t.obs.restored()
	case Deploys:
		for _, d := range t.scenario.Others {
			if d.Name == f.What {
				t.rivals = true
				t.start(t.ctx, d.Run, d.Name, p.run, nil)
			}
		}
	}
	t.look(Call{Place: f.Place, Verb: f.String()})
}

// state is all that is true now.
func (t *trial) state() sim.State {
	s, err := t.world.State()
	if err != nil {
		panic(fmt.Sprintf("prove: %s", err)) // it came from a State
	}
	return *s
}
