package report

import (
	"slices"
	"strings"

	"github.com/mepc/mepc-run/internal/effect"
	"github.com/mepc/mepc-run/internal/failure"
)

// change is something that the run did to the world.
type change struct {
	name, target string
	endpoint     string
	where        string
	unknown      bool // it may have been done, or not
	times        int
}

// changes collects what a run did, in the order in which it was done.
type changes struct {
	list    []change
	running []*effect.Op
}

func (c *changes) start(op *effect.Op) {
	if op.Class.Mutates() {
		c.running = append(c.running, op)
	}
}

func (c *changes) end(op *effect.Op, res *effect.Result) {
	c.running = slices.DeleteFunc(c.running, func(o *effect.Op) bool { return o.Seq == op.Seq })
	if res.Changed(op) {
		c.add(op, res.Outcome == effect.Unknown)
	}
}

// add notes op, with the one before when it is the same again.
func (c *changes) add(op *effect.Op, unknown bool) {
	if n := len(c.list); n > 0 {
		last := &c.list[n-1]
		if last.name == op.Name && last.target == op.Target && last.endpoint == op.Endpoint && last.unknown == unknown {
			last.times++
			return
		}
	}
	c.list = append(c.list, change{op.Name, op.Target, op.Endpoint, op.Where, unknown, 1})
}

// unended returns the calls of which no end was seen and adds them to the list:
// they may have been done.
func (c *changes) unended() []*effect.Op {
	left := c.running
	c.running = nil
	for _, op := range left {
		c.add(op, true)
	}
	return left
}

// severalServers returns the modules, such as "docker", of which the run changed
// something on more than one server: there a target alone does not say where.
func (c *changes) severalServers() map[string]bool {
	first, several := map[string]string{}, map[string]bool{}
	for _, ch := range c.list {
		m := module(ch.name)
		if e, seen := first[m]; seen && e != ch.endpoint {
			several[m] = true
		}
		first[m] = ch.endpoint
	}
	return several
}

// module returns "docker" of "docker.start".
func module(name string) string {
	m, _, _ := strings.Cut(name, ".")
	return m
}

// failing remembers where errors came from: the one that ends the run is known
// only after what was deferred has run, and maybe failed, too.
type failing struct {
	steps []*effect.Step // those that failed, without the ones around them
	calls []failedCall
}

type failedCall struct {
	op  *effect.Op
	err error
}

// maxFailing limits how many failures are remembered. Recipes that retry have many,
// and those that end a run are among the last.
const maxFailing = 100

func (f *failing) stepEnd(s *effect.Step) {
	if s.Err == nil {
		return
	}
	if n := len(f.steps); n > 0 && within(f.steps[n-1], s) && sameError(f.steps[n-1].Err, s.Err) {
		return
	}
	f.steps = last(append(f.steps, s))
}

func (f *failing) callEnd(op *effect.Op, err error) {
	if err != nil {
		f.calls = last(append(f.calls, failedCall{op, err}))
	}
}

func last[T any](list []T) []T { return list[max(0, len(list)-maxFailing):] }

// origin returns the innermost step that ended with err, or nil, and the server
// that the call which ended with it was for, or "".
func (f *failing) origin(err error) (step *effect.Step, endpoint string) {
	if err == nil {
		return nil, ""
	}
	for _, s := range slices.Backward(f.steps) {
		if sameError(s.Err, err) {
			step = s
			break
		}
	}
	for _, c := range slices.Backward(f.calls) {
		// On its way the error may have been given a context in front.
		if strings.HasSuffix(message(err), message(c.err)) {
			return step, c.op.Endpoint
		}
	}
	return step, ""
}

// within reports whether inner is a step inside of outer.
func within(inner, outer *effect.Step) bool {
	return len(inner.Path) > len(outer.Path) && slices.Equal(inner.Path[:len(outer.Path)], outer.Path) &&
		(outer.Branch == "" || inner.Branch == outer.Branch || strings.HasPrefix(inner.Branch, outer.Branch+"."))
}

// sameError reports whether a and b are one error, which may have been copied
// and completed on its way.
func sameError(a, b error) bool {
	x, y := failure.As(a), failure.As(b)
	if x == nil || y == nil {
		return a.Error() == b.Error()
	}
	return x.Kind == y.Kind && x.Op == y.Op && x.Target == y.Target && x.Message == y.Message
}
