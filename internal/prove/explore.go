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

	"github.com/mepc/mepc-run/internal/sim"
)

// Options say how much is tried.
type Options struct {
	Depth int   // how many faults a plan has at most; default 1
	Plans int   // how many plans of each depth are tried at most; 0: all, at depth 3 and more sampledPlans
	Seed  int64 // draws which, when not all are tried
	// Progress is called now and then from one goroutine; nil: nobody wants to know.
	Progress func(depth, tried, of int)
}

// sampledPlans is how many plans of three or more faults are tried when nobody
// says how many: all of them would take days.
const sampledPlans = 10_000

// explorer explores one scenario.
type explorer struct {
	scenario *Scenario
	opts     Options
	base     *sim.World
	want     *expected
	boxes    []string // every container of the app that the recipe or others make
	report   *Report

	mu        sync.Mutex
	recovered map[key]*recovery
	covered   map[effectKey]map[Kind]bool
	runs      atomic.Int64
}

// recovery is what came of the user's last run in some world.
type recovery struct {
	once       sync.Once
	violations []Violation
	calls      []Call // of the run
}

// tried is a plan that was tried.
type tried struct {
	plan       Plan
	violations []Violation
	tail       []Call // of the run in which the last fault struck, those after it
	key        key    // the world it left
	next       []Call // the user's next run in that world
	trace      *trace // of the run in which the last fault struck
	missed     bool
}

// Explore tries the recipe of s. An error says that there is nothing to try: the
// recipe fails by itself, or the world makes no sense.
func Explore(ctx context.Context, s *Scenario, o Options) (*Report, error) {
	x, err := newExplorer(s, o)
	if err != nil {
		return nil, err
	}
	first, err := x.baseline(ctx)
	if err != nil {
		return nil, err
	}
	level := []*tried{first}
	for depth := 1; depth <= max(1, o.Depth) && ctx.Err() == nil; depth++ {
		level = x.level(ctx, depth, level)
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return x.report, x.finish(ctx)
}

func newExplorer(s *Scenario, o Options) (*explorer, error) {
	state := sim.State{}
	if s.World != nil {
		state = *s.World
	}
	own := sim.Router{Address: ownRouter}
	if len(state.Routers) > 0 {
		own.Dialect = state.Routers[0].Dialect
	}
	state.Routers = append(slices.Clip(state.Routers), own)
	base, err := sim.New(sim.Options{State: &state})
	if err != nil {
		return nil, err
	}
	return &explorer{
		scenario: s, opts: o, base: base, report: &Report{Scenario: s.Name, Seed: o.Seed},
		recovered: map[key]*recovery{}, covered: map[effectKey]map[Kind]bool{},
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
	t.recover(nil)
	if len(t.violations) > 0 {
		return nil, &BrokenError{Scenario: x.scenario.Name, Violations: t.violations, Story: t.story, Err: t.runs[0].err}
	}
	x.want = t.expect()
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
	for _, c := range calls {
		if c.Writes && !c.Own {
			x.report.Effects++
		}
	}
	return &tried{tail: calls, trace: t.runs[0].trace}, nil
}

// others learns what the other deployers leave, before and after the user.
func (x *explorer) others(ctx context.Context, after *trial) error {
	for _, d := range x.scenario.Others {
		for _, world := range []*sim.World{x.base, after.world} {
			w, err := world.Clone(nil)
			if err != nil {
				return err
			}
			t := newTrial(ctx, x.scenario, w, newObserver(x.scenario, w), true)
			t.start(ctx, d.Run, d.Name, 0, nil)
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

// faults returns what can go wrong at c. Faults of the world that would be the same
// before a later call are left to that: one of Redis before a call to an engine,
// the death of a container before a look at another one.
func (x *explorer) faults(c Call) []Fault {
	var all []Fault
	at := func(kind Kind, what string) { all = append(all, Fault{c.Place, kind, what}) }
	over := c.Place.Op == "end"
	switch {
	case over:
	case c.Writes:
		at(Refused, "")
		at(Cut, "")
		at(Lost, "")
		at(CrashBefore, "")
		at(CrashAfter, "")
	case !c.Own:
		at(Unavailable, "")
	}
	if c.Place.Part > 1 && (c.Changes || c.Fans) {
		return all // within one effect, or one list
	}
	if over || c.Server == "http" || c.Server == "engine" && !c.Images {
		for _, name := range c.Boxes {
			if c.Server != "engine" || !slices.Contains(x.boxes, c.Target) || c.Target == name {
				at(Dies, name)
			}
		}
		at(EngineRestart, "")
	}
	if c.Server != "engine" {
		at(RedisRestart, "")
	}
	if !c.Images {
		for _, d := range x.scenario.Others {
			at(Deploys, d.Name)
		}
	}
	return all
}

// distinct leaves out the middle of each row of equal calls: the first two and the
// last stand for them.
func distinct(calls []Call) []Call {
	equal := func(a, b Call) bool {
		return a.Place.Op == b.Place.Op && a.Where == b.Where && a.Verb == b.Verb && a.Target == b.Target && !a.Writes && !b.Writes
	}
	var out []Call
	for i, c := range calls {
		if i > 1 && i < len(calls)-1 && equal(calls[i-2], c) && equal(calls[i-1], c) && equal(c, calls[i+1]) {
			continue
		}
		out = append(out, c)
	}
	return out
}

// children returns the plans with one fault more than p's.
func (x *explorer) children(p *tried, rerun bool) []attempt {
	var plans []attempt
	first := max(0, p.plan.last())
	add := func(calls []Call, run int) {
		var boxes []string
		for _, c := range distinct(calls) {
			c.Place.Run, boxes = run, c.Boxes
			for _, f := range x.faults(c) {
				plans = append(plans, attempt{plan: append(slices.Clip(p.plan), f), of: p, rerun: run > first})
			}
		}
		last := Call{Place: end(run), Boxes: boxes}
		for _, f := range x.faults(last) {
			plans = append(plans, attempt{plan: append(slices.Clip(p.plan), f), of: p, rerun: run > first})
		}
	}
	if len(p.plan) == 0 || p.plan[len(p.plan)-1].Place.Op != "end" {
		add(p.tail, first)
	}
	if rerun {
		add(p.next, first+1)
	}
	return plans
}

// level tries the plans with one fault more than those of parents.
func (x *explorer) level(ctx context.Context, depth int, parents []*tried) []*tried {
	var plans []attempt
	known := map[key]bool{}
	for _, p := range parents {
		if p.missed || len(p.violations) > 0 {
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
	for i := range plans {
		plans[i].n = i
	}
	todo := rows(plans)
	results := make([][]*tried, len(todo))
	var next, done atomic.Int64
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for ctx.Err() == nil {
				i := int(next.Add(1)) - 1
				if i >= len(todo) {
					return
				}
				results[i] = x.row(ctx, todo[i], depth < x.opts.Depth, func() {
					if n := done.Add(1); x.opts.Progress != nil && n%100 == 0 {
						x.mu.Lock()
						x.opts.Progress(depth, int(n), len(plans))
						x.mu.Unlock()
					}
				})
			}
		})
	}
	wg.Wait()
	if ctx.Err() != nil {
		return nil
	}
	all := make([]*tried, 0, len(plans))
	order := make(map[*tried]int, len(plans))
	for i, row := range results {
		for k, t := range row {
			order[t] = todo[i][k].n
			all = append(all, t)
		}
	}
	slices.SortFunc(all, func(a, b *tried) int { return order[a] - order[b] })
	for _, t := range all {
		l.Tried++
		if len(t.violations) > 0 {
			l.Failed++
			x.report.failed = append(x.report.failed, t)
		}
	}
	x.report.Levels = append(x.report.Levels, l)
	return all
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
		known := last.standsFor(a)
		if known == nil {
			last = x.try(ctx, a.plan)
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

// try tries one plan.
func (x *explorer) try(ctx context.Context, plan Plan) *tried {
	t := x.fresh(ctx, false)
	defer t.world.Close()
	got := &tried{plan: plan}
	for run := 0; run <= plan.last(); run++ {
		if run > 0 {
			t.wait()
		}
		r := t.play(plan)
		x.runs.Add(1)
		got.missed = got.missed || r.missed > 0
		t.claims(x.want)
	}
	if got.missed {
		return got
	}
	x.cover(t, plan)
	t.wait()
	got.key = t.canon()
	rec := x.recover(t, got.key)
	got.violations = append(t.violations, rec.violations...)
	r := t.runs[plan.last()]
	at := slices.IndexFunc(r.calls, func(c Call) bool { return c.Place == plan[len(plan)-1].Place })
	got.tail, got.next, got.trace = r.calls[at+1:], rec.calls, r.trace
	return got
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
		rec.calls = t.runs[run].calls
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
