package plan

import (
	"context"
	"fmt"
	"strings"
	"sync"

	"github.com/mepc/mepc-run/internal/effect"
	"github.com/mepc/mepc-run/internal/failure"
)

// Resolver finds out what a symbol stands for in the real world now.
type Resolver interface {
	Resolve(ctx context.Context, s Symbol) (string, error)
}

// Guard holds a live run to a plan: each effect must be the next one that the plan
// has for its branch, with the same function, target and arguments. The first one
// that is not is refused, and so is every effect after it; undo steps of a
// failed run (see effect.Undo) pass. It is safe for concurrent use.
type Guard struct {
	resolver Resolver
	server   bool // whether the effect's server must be the planned one, too

	mu      sync.Mutex
	planned []step
	refused error
}

type step struct {
	*Effect
	branch string
	done   bool
}

// NewGuard returns a guard for one run.
func NewGuard(p *Plan, r Resolver) *Guard {
	g := &Guard{resolver: r, server: p.World.Source == Live}
	for i := range p.Entries {
		if e := p.Entries[i].Effect; e != nil && !e.Undo {
			g.planned = append(g.planned, step{Effect: e, branch: p.Entries[i].Branch})
		}
	}
	return g
}

// Allow implements effect.Guard.
func (g *Guard) Allow(ctx context.Context, op *effect.Op) error {
	if !op.Class.Mutates() || effect.Undoing(ctx) {
		return nil
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.refused == nil {
		g.refused = g.check(ctx, op)
	}
	return g.refused
}

func (g *Guard) check(ctx context.Context, op *effect.Op) error {
	next := g.next(op.Branch)
	if next == nil {
		return stopped("the plan is complete, but the run is about to do %s", shown(op.Name, op.Target, op.Args))
	}
	why, err := g.differs(ctx, next, op)
	if err != nil {
		return err
	}
	if why != "" || next.branch != op.Branch {
		e := stopped("the plan has %s, but the run is about to do %s", shown(next.Op, next.Target, next.Args), shown(op.Name, op.Target, op.Args))
		e.Details = why
		return e
	}
	next.done = true
	return nil
}

// next returns the first planned effect that is not done and that comes before
// whatever follows in branch: branches beside it keep no order with it.
func (g *Guard) next(branch string) *step {
	for i := range g.planned {
		if s := &g.planned[i]; !s.done && inLine(s.branch, branch) {
			return s
		}
	}
	return nil
}

// inLine reports whether one of two branches is, or lies around, the other.
func inLine(a, b string) bool {
	return a == b || a == "" || b == "" || strings.HasPrefix(a, b+".") || strings.HasPrefix(b, a+".")
}

// differs says what is different; "" when nothing is.
func (g *Guard) differs(ctx context.Context, planned *step, op *effect.Op) (string, error) {
	if planned.Op != op.Name {
		return "another function", nil
	}
	if g.server && planned.Endpoint != op.Endpoint {
		return fmt.Sprintf("another server: %s instead of %s", op.Endpoint, planned.Endpoint), nil
	}
	pairs := [][3]string{{"target", planned.Target, op.Target}}
	was, is := comparable(op.Name, planned.Args), comparable(op.Name, op.Args)
	for i := range max(len(was), len(is)) {
		var a, b effect.Arg
		if i < len(was) {
			a = was[i]
		}
		if i < len(is) {
			b = is[i]
		}
		if a.Name != b.Name {
			return fmt.Sprintf("other arguments: %q instead of %q", b.Name, a.Name), nil
		}
		pairs = append(pairs, [3]string{a.Name, a.Value, b.Value})
	}
	for _, p := range pairs {
		want, err := expand(p[1], func(s Symbol) (string, error) { return g.resolver.Resolve(ctx, s) })
		if err != nil {
			if ctx.Err() != nil {
				return "", context.Cause(ctx)
			}
			return p[0] + ": " + err.Error(), nil
		}
		if !alike(want, p[2]) {
			return fmt.Sprintf("%s: %s instead of %s", p[0], p[2], want), nil
		}
	}
	return "", nil
}

// comparable leaves out the length of a request's body: it depends on what is
// written in place of a symbol, or on the time.
func comparable(name string, args []effect.Arg) []effect.Arg {
	if !strings.HasPrefix(name, "http.") {
		return args
	}
	var out []effect.Arg
	for _, a := range args {
		if a.Name != "body" {
			out = append(out, a)
		}
	}
	return out
}

// alike compares two texts. One that was shortened for people is compared as far
// as it goes, without its last word, of which a part may be missing.
func alike(a, b string) bool {
	if a == b {
		return true
	}
	x, shortA := strings.CutSuffix(a, "...")
	y, shortB := strings.CutSuffix(b, "...")
	if !shortA && !shortB {
		return false
	}
	n := min(len(x), len(y))
	if i := strings.LastIndexAny(x[:n], " ,"); i >= 0 {
		n = i
	}
	return x[:n] == y[:n]
}

func shown(name, target string, args []effect.Arg) string {
	var b strings.Builder
	b.WriteString(strings.TrimSpace(name + " " + target))
	for _, a := range args {
		b.WriteString(" " + a.Name + "=" + a.Value)
	}
	return b.String()
}

func stopped(format string, args ...any) *failure.Error {
	return failure.New(failure.Conflict, "stopped before an effect that is not in the plan: "+format, args...).
		WithHint("review what changed, make a new plan (mepc-run -n ... --out FILE), and apply that")
}

// Left returns the planned effects that were not asked for.
func (g *Guard) Left() []*Effect {
	g.mu.Lock()
	defer g.mu.Unlock()
	var left []*Effect
	for _, s := range g.planned {
		if !s.done {
			left = append(left, s.Effect)
		}
	}
	return left
}
