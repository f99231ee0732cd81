package prove

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
)

// Report is the result of an exploration.
type Report struct {
	Scenario string    `json:"scenario"`
	Where    string    `json:"where,omitempty"` // its line in the spec
	Calls    int       `json:"calls"`           // that the recipe makes when nothing goes wrong
	Effects  int       `json:"effects"`         // how many of them change something
	Levels   []Level   `json:"levels"`
	Seed     int64     `json:"seed"`
	Runs     int       `json:"runs"`   // of the recipe, in all
	Worlds   int       `json:"worlds"` // that faults left, and the user's next run was tried in
	Coverage []Covered `json:"coverage"`
	Failures []Failure `json:"failures,omitempty"` // one for each way to fail, the shortest plan first

	failed []*tried
}

// Level is the result of all plans with the same number of faults.
type Level struct {
	Faults   int `json:"faults"`
	Possible int `json:"possible"` // how many there are
	Tried    int `json:"tried"`
	Failed   int `json:"failed"`
}

// Failure is a way in which plans fail, with the shortest one that does.
type Failure struct {
	Rule   Rule   `json:"rule"`
	Where  string `json:"where,omitempty"` // the recipe's line after which it was seen
	Text   string `json:"text"`
	Plans  int    `json:"plans"`  // that fail like this
	Plan   string `json:"plan"`   // as --plan takes it
	Faults int    `json:"faults"` // of the plan
	Story  *Story `json:"story"`
}

// Covered says which faults an effect was tried with.
type Covered struct {
	Op    string `json:"op"`
	Where string `json:"where,omitempty"`
	Kinds []Kind `json:"faults"`
}

// effectFaults lists the faults each effect is tried with.
var effectFaults = [...]Kind{Refused, Cut, Lost, CrashBefore, CrashAfter}

type effectKey struct{ op, where string }

// cover notes which effects the plan's faults struck.
func (x *explorer) cover(t *trial, plan Plan) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, r := range t.runs {
		for _, c := range r.calls {
			if !c.Writes {
				continue
			}
			k := effectKey{c.Place.Op, c.Where}
			if x.covered[k] == nil {
				x.covered[k] = map[Kind]bool{}
			}
			x.effective[k] = x.effective[k] || c.Changed
			for _, f := range plan {
				if f.Place == c.Place && !f.Kind.ofWorld() {
					x.covered[k][f.Kind] = true
				}
			}
		}
	}
}

// Failed returns how many plans failed.
func (r *Report) Failed() int {
	n := 0
	for _, l := range r.Levels {
		n += l.Failed
	}
	return n
}

// Tried returns how many plans were tried.
func (r *Report) Tried() int {
	n := 0
	for _, l := range r.Levels {
		n += l.Tried
	}
	return n
}

// finish gathers the ways to fail and plays the shortest plan of each again.
func (x *explorer) finish(ctx context.Context) error {
	r := x.report
	r.Runs, r.Worlds = int(x.runs.Load()), len(x.recovered)
	for k, kinds := range x.covered {
		if !x.effective[k] {
			continue // it found everything as it wanted it each time
		}
		c := Covered{Op: k.op, Where: k.where, Kinds: []Kind{}}
		for _, kind := range effectFaults {
			if kinds[kind] {
				c.Kinds = append(c.Kinds, kind)
			}
		}
		r.Coverage = append(r.Coverage, c)
	}
	slices.SortFunc(r.Coverage, func(a, b Covered) int { return cmp.Or(cmp.Compare(a.Where, b.Where), cmp.Compare(a.Op, b.Op)) })
	at := map[string]int{}
	var plans []Plan
	for _, t := range r.failed {
		v := t.violations[0]
		way := fmt.Sprint(v.Rule, v.After.Place.Op, v.Where, len(t.plan))
		i, known := at[way]
		if !known {
			i = len(r.Failures)
			at[way] = i
			r.Failures = append(r.Failures, Failure{Rule: v.Rule, Where: v.Where, Text: v.Text, Plan: t.plan.String()})
			plans = append(plans, t.plan)
		}
		r.Failures[i].Plans++
	}
	for i, plan := range plans {
		var err error
		if r.Failures[i].Story, err = x.replay(ctx, plan); err != nil {
			return err
		}
		r.Failures[i].Faults = len(plan)
	}
	slices.SortStableFunc(r.Failures, func(a, b Failure) int { return cmp.Or(cmp.Compare(a.Faults, b.Faults), cmp.Compare(b.Plans, a.Plans)) })
	return nil
}

// maxFailures limits how many ways to fail the text lists.
const maxFailures = 5

// Write writes the report as text. again is the command that replays a plan, up to
// the plan itself.
func (r *Report) Write(w io.Writer, again string) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s, %s\n", r.Scenario, count(r.Calls, "call"), count(r.Effects, "effect"))
	for _, l := range r.Levels {
		fmt.Fprintf(&b, "  %-9s %s tried, %s", count(l.Faults, "fault")+":", count(l.Tried, "plan"), count(l.Failed, "violation"))
		if l.Tried < l.Possible {
			fmt.Fprintf(&b, " (drawn from %s with --seed %d)", number(l.Possible), r.Seed)
		}
		b.WriteString("\n")
	}
	full := 0
	var rest []string
	for _, c := range r.Coverage {
		if len(c.Kinds) == len(effectFaults) {
			full++
		} else {
			rest = append(rest, fmt.Sprintf("    %s %s: %d of %d", c.Where, c.Op, len(c.Kinds), len(effectFaults)))
		}
	}
	fmt.Fprintf(&b, "  coverage: %d of %s had every fault there is: refused, cut, lost, a crash before and after\n", full, count(len(r.Coverage), "effect"))
	for _, line := range rest {
		b.WriteString(line + "\n")
	}
	if len(r.Failures) > 0 && r.Where != "" {
		fmt.Fprintf(&b, "  at %s\n", r.Where)
	}
	for i, f := range r.Failures {
		if i == maxFailures {
			fmt.Fprintf(&b, "\nand %s more; --json has all\n", count(len(r.Failures)-i, "way"))
			break
		}
		fmt.Fprintf(&b, "\n%s, %s: %s\n\n", f.Rule, count(f.Plans, "plan"), f.Text)
		f.Story.text(&b, "  ")
		fmt.Fprintf(&b, "\n  again: %s --plan '%s'\n", again, f.Plan)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// count is a number of things in words.
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return number(n) + " " + noun + "s"
}

// number groups digits: 37,465.
func number(n int) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// BrokenError says that a scenario fails without a fault, so that there is nothing
// to try.
type BrokenError struct {
	Scenario   string
	Violations []Violation
	Story      *Story
	Err        error // of the run, if that is what failed
}

// Error names the first violation.
func (e *BrokenError) Error() string {
	return e.Scenario + " fails without a fault: " + string(e.Violations[0].Rule) + ": " + e.Violations[0].Text
}

// Unwrap returns the run's own error.
func (e *BrokenError) Unwrap() error { return e.Err }
