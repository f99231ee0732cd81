package prove

import (
	"fmt"
	"maps"
	"slices"
)

// A process that dies needs no run: the world is what it was, and nothing of the recipe
// is left. So the plans that end with a crash are played beside the run of the plan
// without it, where that comes by the call; and those whose last fault strikes the
// user's second run start from the world that the first one left.

// fork returns a trial that goes on from here, in a world of its own.
func (t *trial) fork() *trial {
	w, err := t.world.Clone(nil)
	if err != nil {
		panic(fmt.Sprintf("prove: %s", err)) // it came from a State
	}
	o := *t.obs
	o.world = w
	o.seen, o.meant, o.names = maps.Clone(o.seen), maps.Clone(o.meant), maps.Clone(o.names)
	o.astray, o.brought = maps.Clone(o.astray), maps.Clone(o.brought)
	return &trial{
		ctx: t.ctx, scenario: t.scenario, world: w, obs: &o, violations: slices.Clone(t.violations), runs: slices.Clone(t.runs),
		ours: t.ours, rivals: t.rivals, inCharge: t.inCharge, started: t.started, want: t.want, keyed: t.keyed,
	}
}

// forks reports whether plans that go on from that of p with a crash are wanted.
func (p *process) forks(c Call) bool {
	return p.trial.crashes != nil && p.other == "" && p.run == p.trial.last && len(p.trial.paused) == 0 && p.struck == len(p.faults) && c.Writes
}

// crash plays what follows when the process dies at c, in t, which is used up.
func (x *explorer) crash(t *trial, plan Plan, calls []Call, c Call, kind Kind) *tried {
	defer t.world.Close()
	t.runs = append(t.runs, &ran{calls: calls, trace: &trace{}, crashed: true})
	t.look(Call{Place: end(len(t.runs) - 1)})
	got := &tried{plan: append(slices.Clip(plan), Fault{Place: c.Place, Kind: kind})}
	x.cover(t, got.plan)
	x.ending(t, got)
	return got
}
