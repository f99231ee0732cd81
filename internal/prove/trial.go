package prove

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/mepc/mepc-run/internal/clock"
	"github.com/mepc/mepc-run/internal/sim"
	"github.com/mepc/mepc-run/internal/state"
	"github.com/mepc/mepc-run/runtime"
)

// between is the time before the user runs it again.
const between = time.Minute

// trial is one plan in a world of its own.
type trial struct {
	scenario *Scenario
	world    *sim.World
	obs      *observer
	story    *Story // nil: it will not be read

	ctx        context.Context // of all its runs
	violations []Violation
	runs       []*ran
	ours       []string // the app's running containers
	rivals     bool     // someone else has deployed during the run
	inCharge   bool     // the run's release had all the traffic at some moment of it
	paused     []*pause // others who go on when the run is over
	started    int64    // how many processes were
	again      bool     // all is well, and the last run is to find nothing to do
	want       *expected

	last    int                                             // the run in which the last fault strikes
	crashes func(t *trial, calls []Call, c Call, kind Kind) // plays a crash at c in t; nil: none is wanted

	keyed  bool      // its moments are wanted
	sum    []byte    // of the world as it is; nil: it has changed
	summed time.Time // when that was
}

// ran records how a run ended.
type ran struct {
	calls   []Call
	trace   *trace
	err     error
	crashed bool
	excused bool     // what it left need not be undone
	effects []string // what it changed, other than for the host
	over    moment   // when it ended, if that is wanted
	missed  int      // faults whose place was not come by
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
	r := &ran{calls: p.calls, trace: &p.trace, err: err, crashed: p.crashed, excused: p.excused}
	r.effects = effects(p.calls, false)
	if res != nil && res.Effects > 0 {
		r.effects = append(r.effects, p.elsewhere()...)
	}
	t.story.end(p, r)
	t.look(Call{Place: end(p.run)})
	if p.other != "" {
		return
	}
	t.runs = append(t.runs, r)
}

// effects names the calls that changed something, other than for the host.
func effects(calls []Call, withoutRedis bool) []string {
	var all []string
	for _, c := range calls {
		if c.Changed && !c.Own && !(withoutRedis && c.Server == "redis") {
			all = append(all, strings.TrimSpace(c.Place.Op+" "+c.Target))
		}
	}
	return all
}

// wait lets the time pass that the user takes.
func (t *trial) wait() {
	t.world.Clock().(*clock.Virtual).Advance(between)
	t.look(Call{Place: end(len(t.runs) - 1), Verb: "a minute later"})
}

// look lets the observer look, after c.
func (t *trial) look(c Call) {
	t.sum = nil
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
	if t.scenario.Gap && (v.Rule == Alive || v.Rule == Meant || v.Rule == Answered) {
		return
	}
	v.After, v.Where = c, c.Where
	t.violations = append(t.violations, v)
	t.story.wrong(v)
}

// happen lets a fault of the world happen.
func (t *trial) happen(p *process, f Fault) {
	t.story.happened(f)
	if f.Kind == RedisRestart || f.Kind == Deploys || f.Kind == Overlaps {
		p.history.cuts = append(p.history.cuts, p.history.redis)
	}
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
	case Overlaps:
		name, nth, _ := strings.Cut(f.What, "@")
		n, _ := strconv.Atoi(nth)
		for _, d := range t.scenario.rivals() {
			if d.Name == name {
				t.rivals = true
				t.overlap(p, d, n)
			}
		}
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

// version is another after each change of an engine.
func (t *trial) version() []sim.Version {
	var all []sim.Version
	for _, e := range t.world.Engines() {
		v := e.Version()
		v.Silent = 0 // an event without a change, and one change less, are none
		all = append(all, v)
	}
	return all
}

// touched is all that cmds may change, as a text.
func (t *trial) touched(cmds []redis.Cmder) string {
	var b strings.Builder
	for _, cmd := range cmds {
		words := make([]string, len(cmd.Args()))
		for i, a := range cmd.Args() {
			words[i] = word(a)
		}
		text, err := t.world.RedisLook(words)
		if err != nil {
			text = err.Error() // it hangs: what is asked next will say so
		}
		b.WriteString(text)
	}
	return b.String()
}

// word is an argument of a command as Redis gets it.
func word(arg any) string {
	if b, ok := arg.([]byte); ok {
		return string(b)
	}
	return fmt.Sprint(arg)
}

// state is all that is true now.
func (t *trial) state() state.State {
	s, err := t.world.State()
	if err != nil {
		panic(fmt.Sprintf("prove: %s", err)) // it came from a State
	}
	return *s
}
