package prove

import (
	"context"
	"fmt"
	"slices"
)

// Doubt tries every plan of s, those of two faults up to limit, that Explore would
// take as known from another plan, and returns how many these are and which of them
// come out differently.
func Doubt(ctx context.Context, s *Scenario, limit int) (known int, differ []string, err error) {
	x, err := newExplorer(s, Options{})
	if err != nil {
		return 0, nil, err
	}
	first, err := x.baseline(ctx)
	if err != nil {
		return 0, nil, err
	}
	check := func(p *tried) (all []*tried) {
		for _, row := range rows(x.children(p, false)) {
			var last *tried
			for _, a := range row {
				if len(p.plan) > 0 && (!a.plan[1].movable() || limit == 0) {
					continue
				}
				is := x.try(ctx, a, true)
				all = append(all, is)
				said := last.standsFor(a)
				if said == nil {
					last = is
					continue
				}
				known++
				limit = max(0, limit-len(p.plan))
				names := func(calls []Call) (out []string) {
					for _, c := range calls {
						out = append(out, c.Place.String()+" "+c.Verb+fmt.Sprint(c.Boxes))
					}
					return out
				}
				if is.key != said.key || is.missed || len(is.violations) > 0 || !slices.Equal(names(is.tail), names(said.tail)) || !slices.Equal(names(is.next), names(said.next)) {
					differ = append(differ, a.plan.String()+" and "+last.plan.String())
				}
			}
		}
		return all
	}
	for _, p := range check(first) {
		if limit > 0 && !p.missed && len(p.violations) == 0 && p.plan[0].Kind == Lost {
			check(p)
		}
	}
	return known, differ, nil
}

// Plainly is Explore, with every plan played from beginning to end.
func Plainly(ctx context.Context, s *Scenario, o Options) (*Report, error) {
	x, err := newExplorer(s, o)
	if err != nil {
		return nil, err
	}
	x.plain = true
	return x.explore(ctx)
}
