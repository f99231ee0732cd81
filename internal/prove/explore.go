package prove

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/internal/sim"
	"github.com/mepc/mepc-run/internal/state"
)

// Options say how much is tried.
type Options struct {
	Depth int   // how many faults a plan has at most; default 1
	Plans int   // how many plans of each depth are tried at most; 0: all, at depth 3 and more sampledPlans
	Seed  int64 // draws which, when not all are tried
	// Progress is called now and then from one goroutine; nil: it is not reported.
	Progress func(depth, tried, of int)
}

// sampledPlans is the number of plans of three or more faults tried when nobody
// says how many: all of them would take days.
const sampledPlans = 10_000

// explorer explores one scenario.
type explorer struct {
	scenario *Scenario
	opts     Options
	base     *sim.World
	want     *expected
	changes  map[string][]int // rival -> which of what it sends to change something does
	boxes    []string         // every container of the app that the recipe or others make
	report   *Report

	plain bool // every plan is played from beginning to end: nothing is known from another

	mu        sync.Mutex
	struck    map[strike]**tried // what comes of it
	recovered map[key]*recovery
	covered   map[effectKey]map[Kind]bool
	effective map[effectKey]bool // it has changed something
	runs      atomic.Int64
}

// recovery is the result of the user's last run in some world.
type recovery struct {
	once       sync.Once
	violations []Violation
	calls      []Call // of the run
	over       moment // when it ended
}

// tried is a plan that was tried.
type tried struct {
	plan       Plan
	violations []Violation
	tail       []Call // of the run in which the last fault struck, those after it
	key        key    // the world it left
	next       []Call // the user's next run in that world
	trace      *trace // of the run in which the last fault struck
	over       moment // when that run ended
	nextOver   moment // and when the next one did
	missed     bool
	listed     bool // it is among what its level came to

	crashed map[Fault]*tried // the plans with a crash more that are known
	after   *trial           // where the user's next run begins; nil: that is to be played
}

// Explore tries the recipe of s. An error says that there is nothing to try: the
// recipe fails by itself, or the world makes no sense.
func Explore(ctx context.Context, s *Scenario, o Options) (*Report, error) {
	x, err := newExplorer(s, o)
	if err != nil {
		return nil, err
	}
	return x.explore(ctx)
}

func (x *explorer) explore(ctx context.Context) (*Report, error) {
	first, err := x.baseline(ctx)
	if err != nil {
		return nil, err
	}
	level := []*tried{first}
	for depth := 1; depth <= max(1, x.opts.Depth) && ctx.Err() == nil; depth++ {
		level = x.level(ctx, depth, level)
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return x.report, x.finish(ctx)
}

func newExplorer(s *Scenario, o Options) (*explorer, error) {
	st := state.State{}
	if s.World != nil {
		st = *s.World
	}
	own := state.Router{Address: ownRouter}
	if len(st.Routers) > 0 {
		own.Dialect = st.Routers[0].Dialect
	}
	st.Routers = append(slices.Clip(st.Routers), own)
	base, err := sim.New(sim.Options{State: &st})
	if err != nil {
		return nil, err
	}
	return &explorer{
		scenario: s, opts: o, base: base, report: &Report{Scenario: s.Name, Seed: o.Seed},
		struck: map[strike]**tried{}, recovered: map[key]*recovery{}, covered: map[effectKey]map[Kind]bool{}, effective: map[effectKey]bool{},
	}, nil
}

// fresh returns a trial at the beginning.
func (x *explorer) fresh(ctx context.Context, tell bool) *trial {
	w, err := x.base.Clone(nil)
	if err != nil {
		panic(fmt.Sprintf("prove: %s", err)) // it was made from a State
	}
	t := newTrial(ctx, x.scenario, w, newObserver(x.scenario, w), tell)
	t.want = x.want
	return t
}

// baseline runs the recipe without a fault: what it leaves is what is expected.
func (x *explorer) baseline(ctx context.Context) (*tried, error) {
	t := x.fresh(ctx, true)
	defer t.world.Close()
	t.keyed = true
	t.recover(nil)
	if len(t.violations) > 0 {
		return nil, &BrokenError{Scenario: x.scenario.Name, Violations: t.violations, Story: t.story, Err: t.runs[0].err}
	}
	x.want = t.expect()
	x.want.before = map[string]bool{}
	for _, e := range x.base.Engines() {
		for _, b := range e.Boxes() {
			x.want.before[b.ID] = true
		}
	}
	s, err := x.base.State()
	if err != nil {
		return nil, err
	}
	for key := range s.Redis {
		x.want.before[key] = true
	}
	if err := x.others(ctx, t); err != nil {
		return nil, err
	}
	check := x.fresh(ctx, true)
	defer check.world.Close()
	check.recover(x.want)
	if len(check.violations) > 0 {
		return nil, &BrokenError{Scenario: x.scenario.Name, Violations: check.violations, Story: check.story}
	}
	x.boxes = slices.Collect(maps.Keys(x.want.names))
	calls := t.runs[0].calls
	x.report.Calls = len(calls)
	x.report.Effects = len(t.runs[0].effects)
	return &tried{tail: calls, trace: t.runs[0].trace, over: t.runs[0].over}, nil
}

// others learns what the other deployers leave, before and after the user.
func (x *explorer) others(ctx context.Context, after *trial) error {
	x.changes = map[string][]int{"same": changes(after.runs[0].calls)}
	for _, d := range x.scenario.Others {
		for _, world := range []*sim.World{x.base, after.world} {
			w, err := world.Clone(nil)
			if err != nil {
				return err
			}
			t := newTrial(ctx, x.scenario, w, newObserver(x.scenario, w), true)
			p := t.start(ctx, d.Run, d.Name, 0, nil)
			if world == x.base {
				x.changes[d.Name] = changes(p.calls)
			}
			maps.Copy(x.want.names, t.expect().names)
			maps.Copy(x.want.keys, t.expect().keys)
			w.Close()
			if len(t.violations) > 0 {
				return &BrokenError{Scenario: x.scenario.Name + ", " + d.Name, Violations: t.violations, Story: t.story}
			}
		}
	}
	return nil
}

// level tries the plans with one fault more than those of parents.
func (x *explorer) level(ctx context.Context, depth int, parents []*tried) []*tried {
	var plans []attempt
	known := map[key]bool{}
	for _, p := range parents {
		if p.missed || len(p.violations) > 0 || len(p.plan) > 0 && p.plan[0].Kind == Overlaps {
			continue // what goes wrong by itself needs no further fault
		}
		rerun := len(p.plan) > 0 && !known[p.key]
		if rerun {
			known[p.key] = true
		}
		plans = append(plans, x.children(p, rerun)...)
	}
	l := Level{Faults: depth, Possible: len(plans)}
	limit := x.opts.Plans
	if limit == 0 && depth > 2 {
		limit = sampledPlans
	}
	if limit > 0 && len(plans) > limit {
		r := rand.New(rand.NewPCG(uint64(x.opts.Seed), uint64(depth)))
		r.Shuffle(len(plans), func(i, j int) { plans[i], plans[j] = plans[j], plans[i] })
		plans = plans[:limit]
	}
	todo := rows(x.unknown(plans))
	results := make([][]*tried, len(todo))
	var next, done atomic.Int64
	group, _ := failure.NewGroup(ctx, -1)
	for range runtime.GOMAXPROCS(0) {
		group.Go(func() error {
			for ctx.Err() == nil {
				i := int(next.Add(1)) - 1
				if i >= len(todo) {
					return nil
				}
				results[i] = x.row(ctx, todo[i], depth < x.opts.Depth, func() {
					if n := done.Add(1); x.opts.Progress != nil && n%100 == 0 {
						x.mu.Lock()
						x.opts.Progress(depth, int(n), len(plans))
						x.mu.Unlock()
					}
				})
			}
			return nil
		})
	}
	if bug := group.Wait(); bug != nil {
		panic(bug)
	}
	if ctx.Err() != nil {
		return nil
	}
	for i, row := range results {
		for k, t := range row {
			*todo[i][k].outcome = t
		}
	}
	var all []*tried
	for _, a := range plans {
		t := *a.outcome
		l.Tried++
		if len(t.violations) > 0 {
			l.Failed++
			x.report.failed = append(x.report.failed, t)
		}
		if len(t.plan) == depth && !t.listed {
			t.listed = true
			all = append(all, t)
		}
	}
	x.report.Levels = append(x.report.Levels, l)
	return all
}

// strike is a fault at a moment: what follows is the same, whatever the plan.
type strike struct {
	at   moment
	kind Kind
	what string
}

// unknown returns those plans of which the outcome is not known from one that was tried
// before, or is tried with them. Each plan has its outcome, some have the same.
func (x *explorer) unknown(plans []attempt) (fresh []attempt) {
	for i := range plans {
		a := &plans[i]
		f := a.plan[len(a.plan)-1]
		k := strike{a.at, f.Kind, f.What}
		a.outcome = x.struck[k]
		if a.outcome == nil || a.at == (moment{}) || x.plain {
			a.outcome = new(*tried)
			x.struck[k] = a.outcome
			fresh = append(fresh, *a)
		}
	}
	return fresh
}

// row tries plans that differ in the place of the last fault, those that are known
// to lead to the same only once. It calls each after each of them.
func (x *explorer) row(ctx context.Context, plans []attempt, keep bool, each func()) []*tried {
	var all []*tried
	var last *tried // that was tried
	for _, a := range plans {
		if ctx.Err() != nil {
			break
		}
		var known *tried
		if !x.plain {
			known = last.standsFor(a)
		}
		if known == nil {
			known = a.of.crashed[a.plan[len(a.plan)-1]]
		}
		if known == nil {
			last = x.try(ctx, a, keep)
			known = last
		}
		all = append(all, known)
		each()
	}
	if !keep {
		for _, t := range all {
			t.tail, t.next, t.trace = nil, nil, nil
		}
	}
	return all
}

// try tries the plan of a.
func (x *explorer) try(ctx context.Context, a attempt, keep bool) *tried {
	plan := a.plan
	got := &tried{plan: plan}
	var t *trial
	if from := a.of.after; from != nil && a.rerun && !x.plain {
		t = from.fork()
	} else {
		t = x.fresh(ctx, false)
	}
	defer t.world.Close()
	t.keyed, t.last = keep, plan.last()
	if keep && !x.plain && x.opts.Plans == 0 && len(plan) < x.opts.Depth && len(plan) < 2 { // beyond, too few of them are tried
		got.crashed = map[Fault]*tried{}
		t.crashes = func(t *trial, calls []Call, c Call, kind Kind) {
			got.crashed[Fault{Place: c.Place, Kind: kind}] = x.crash(t, plan, calls, c, kind)
		}
	}
	first := len(t.runs)
	for run := first; run <= plan.last(); run++ {
		if run > first {
			t.wait()
		}
		r := t.play(plan)
		x.runs.Add(1)
		got.missed = got.missed || r.missed > 0
		t.claims(x.want)
	}
	t.crashes = nil
	if got.missed {
		return got
	}
	x.cover(t, plan)
	r := t.runs[plan.last()]
	at := slices.IndexFunc(r.calls, func(c Call) bool { return c.Place == plan[len(plan)-1].Place })
	got.tail, got.trace, got.over = r.calls[at+1:], r.trace, r.over
	x.ending(t, got)
	return got
}

// ending plays the rest of a trial whose faults are over: the user's last run.
func (x *explorer) ending(t *trial, got *tried) {
	t.wait()
	got.key = t.canon()
	if got.crashed != nil && len(t.violations) == 0 {
		got.after = t.fork()
	}
	rec := x.recover(t, got.key)
	got.violations = append(t.violations, rec.violations...)
	got.next, got.nextOver = rec.calls, rec.over
}

// recover returns what comes of the user's last run in the world of t, which is
// used up.
func (x *explorer) recover(t *trial, k key) *recovery {
	x.mu.Lock()
	rec := x.recovered[k]
	if rec == nil {
		rec = &recovery{}
		x.recovered[k] = rec
	}
	x.mu.Unlock()
	rec.once.Do(func() {
		before, run := len(t.violations), len(t.runs)
		t.recover(x.want)
		x.runs.Add(int64(len(t.runs) - run))
		rec.violations = slices.Clone(t.violations[before:])
		t.violations = t.violations[:before]
		rec.calls, rec.over = t.runs[run].calls, t.runs[run].over
	})
	return rec
}

// Check runs the scenario without a fault. The error is a *BrokenError when
// something is wrong.
func Check(ctx context.Context, s *Scenario) error {
	x, err := newExplorer(s, Options{})
	if err == nil {
		_, err = x.baseline(ctx)
	}
	return err
}

// Replay plays one plan and tells its story.
func Replay(ctx context.Context, s *Scenario, plan Plan) (*Story, error) {
	x, err := newExplorer(s, Options{})
	if err != nil {
		return nil, err
	}
	if _, err := x.baseline(ctx); err != nil {
		return nil, err
	}
	return x.replay(ctx, plan)
}

func (x *explorer) replay(ctx context.Context, plan Plan) (*Story, error) {
	t := x.fresh(ctx, true)
	defer t.world.Close()
	for run := 0; run <= plan.last(); run++ {
		if run > 0 {
			t.wait()
		}
		if r := t.play(plan); r.missed > 0 {
			return t.story, fmt.Errorf("the run does not come by every place of %s", plan)
		}
		t.claims(x.want)
	}
	t.wait()
	t.recover(x.want)
	t.story.Violations = t.violations
	return t.story, nil
}
