package prove

import (
	"slices"
	"strconv"
)

// changes returns which of the calls that were sent to change something did, from 1.
func changes(calls []Call) []int {
	var all []int
	n := 0
	for _, c := range calls {
		if c.Writes {
			n++
		}
		if c.Changed {
			all = append(all, n)
		}
	}
	return all
}

// overlaps returns the ways in which someone else may deploy at the same time: they
// begin just before c, which changes something, and are interrupted just before a change
// of their own. What only looks comes out the same a little earlier.
func (x *explorer) overlaps(c Call) []Fault {
	if !c.Changed || c.Place.Part > 1 && c.Changes {
		return nil
	}
	var all []Fault
	for _, d := range x.scenario.rivals() {
		for _, n := range x.changes[d.Name] {
			all = append(all, Fault{c.Place, Overlaps, d.Name + "@" + strconv.Itoa(n)})
		}
	}
	return all
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
	case c.Writes && !c.Changed: // a reply that is lost, a crash: nothing is another
		at(Refused, "")
		at(Cut, "")
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
		return a.Place.Op == b.Place.Op && a.Where == b.Where && a.Verb == b.Verb && a.Target == b.Target && !a.Changed && !b.Changed
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
	add := func(calls []Call, over moment, run int) {
		var boxes []string
		for _, c := range distinct(calls) {
			c.Place.Run, boxes = run, c.Boxes
			faults := x.faults(c)
			if len(p.plan) == 0 {
				faults = append(faults, x.overlaps(c)...)
			}
			for _, f := range faults {
				plans = append(plans, attempt{plan: append(slices.Clip(p.plan), f), of: p, rerun: run > first, at: c.moment})
			}
		}
		last := Call{Place: end(run), Boxes: boxes}
		for _, f := range x.faults(last) {
			plans = append(plans, attempt{plan: append(slices.Clip(p.plan), f), of: p, rerun: run > first, at: over})
		}
	}
	if len(p.plan) == 0 || p.plan[len(p.plan)-1].Place.Op != "end" {
		add(p.tail, p.over, first)
	}
	if rerun {
		add(p.next, p.nextOver, first+1)
	}
	return plans
}
