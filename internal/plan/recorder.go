package plan

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/mepc/mepc-run/internal/effect"
	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/internal/sim"
	"github.com/mepc/mepc-run/internal/state"
)

// Recorder watches a rehearsal. It is a sink and a guard of the run, and must be
// both. It is safe for concurrent use.
type Recorder struct {
	world  *sim.World
	clean  func(string) string
	source *state.State // what world was made of
	before *state.State

	mu      sync.Mutex
	stop    context.CancelCauseFunc
	entries []Entry
	open    map[int]*pending // effects under way, by their number
	undoing map[int]bool     // calls that take something back
	seen    []*seen          // each engine as it was seen last
	symbols *symbols
	fresh   []learning // what symbols have not learned yet
	assumed []string
	touched map[string]bool // names and keys that effects had to do with
	asked   asked
	unsure  error // a state that could not be read
}

// seen is an engine as it was seen last.
type seen struct {
	version    sim.Version
	rest       state.Engine // without its containers
	containers map[string]*state.Container
	before     map[string]*state.Container // as they were before the run
}

// learning is a part of an engine as it was before the run, and as it is now.
type learning struct {
	before, now state.Engine
}

// pending is an effect under way.
type pending struct {
	effect *Effect
	keys   []dbKey
	was    []*state.RedisKey
}

// NewRecorder returns the recorder of a run in world, which was made of source and
// stands as it is before the run. clean takes secrets out of text.
func NewRecorder(world *sim.World, source *state.State, clean func(string) string) (*Recorder, error) {
	before, err := world.State()
	if err != nil {
		return nil, err
	}
	all := make([]*seen, len(before.Engines))
	for n, e := range world.Engines() {
		s := &seen{version: e.Version(), rest: before.Engines[n], before: byID(before.Engines[n].Containers)}
		s.containers = maps.Clone(s.before)
		all[n] = s
	}
	return &Recorder{
		world: world, clean: clean, source: source, before: before, seen: all, symbols: newSymbols(),
		open: map[int]*pending{}, undoing: map[int]bool{}, touched: map[string]bool{},
		asked: asked{facts: map[factKey]bool{}},
	}, nil
}

// Context returns the context that the run must be given: it ends when the
// world is asked for what it does not model, since whatever a recipe makes of
// such an error would be made up.
func (r *Recorder) Context(ctx context.Context) context.Context {
	r.mu.Lock()
	defer r.mu.Unlock()
	ctx, r.stop = context.WithCancelCause(ctx)
	return ctx
}

// Allow refuses nothing.
func (r *Recorder) Allow(ctx context.Context, op *effect.Op) error {
	if effect.Undoing(ctx) {
		r.mu.Lock()
		defer r.mu.Unlock()
		if p := r.open[op.Seq]; p != nil {
			p.effect.Undo = true
		}
	}
	return nil
}

// Assume notes what was taken for granted.
func (r *Recorder) Assume(what string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if what = r.clean(what); !slices.Contains(r.assumed, what) {
		r.assumed = append(r.assumed, what)
	}
}

// Print notes a line that the recipe printed.
func (r *Recorder) Print(line string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	line = r.symbolic(line)
	r.entries = append(r.entries, Entry{Print: &line})
}

// Event notes what happened.
func (r *Recorder) Event(ev effect.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch ev.Type {
	case effect.StepStart:
		r.entries = append(r.entries, Entry{Step: r.allSymbolic(ev.Step.Path), Branch: ev.Step.Branch})
	case effect.LogLine:
		r.entries = append(r.entries, Entry{Step: r.allSymbolic(ev.Log.Path), Branch: ev.Log.Branch, Log: &Log{
			Level: ev.Log.Level, Text: r.symbolic(ev.Log.Text), Fields: r.args(ev.Log.Fields),
		}})
	case effect.OpStart:
		r.opStart(ev.Op)
	case effect.OpEnd:
		r.opEnd(ev.Op, ev.Result)
	}
}

func (r *Recorder) opStart(op *effect.Op) {
	r.asked.op(op)
	if !op.Class.Mutates() {
		return
	}
	p := &pending{effect: &Effect{
		Op: op.Name, Target: r.symbolic(op.Target), Args: r.args(op.Args), Endpoint: op.Endpoint, Class: op.Class.String(), Where: op.Where,
	}}
	if isRedis(op) {
		p.keys = keysOf(op)
		for _, k := range p.keys {
			p.was = append(p.was, r.key(k))
			r.touched[k.name] = true
		}
	} else {
		r.touched[op.Target] = true
	}
	r.open[op.Seq] = p
	r.entries = append(r.entries, Entry{Step: r.allSymbolic(op.Scope), Branch: op.Branch, Effect: p.effect})
}

func (r *Recorder) opEnd(op *effect.Op, res *effect.Result) {
	if res.Err != nil && failure.KindOf(res.Err) == failure.NotModelled && r.stop != nil {
		r.stop(res.Err)
	}
	p := r.open[op.Seq]
	if p == nil {
		return
	}
	delete(r.open, op.Seq)
	e := p.effect
	e.Outcome = string(res.Outcome)
	if res.Err != nil {
		e.Error = r.symbolic(r.clean(messageOf(res.Err)))
	}
	changes := r.changed(op, p)
	e.Summary = r.symbolic(r.clean(res.Summary))
	e.Mark = markOf(op, res, changes)
	for _, c := range changes {
		e.Changes = append(e.Changes, r.lines(c)...)
	}
}

// changed returns what is different since the effect began.
func (r *Recorder) changed(op *effect.Op, p *pending) []Change {
	if isRedis(op) {
		var all []Change
		for i, k := range p.keys {
			if c, ok := diffKey(k.name, p.was[i], r.key(k)); ok {
				all = append(all, c)
			}
		}
		return all
	}
	if !strings.HasPrefix(op.Name, "docker.") {
		return nil
	}
	var all []Change
	for n, e := range r.world.Engines() {
		name := ""
		if len(r.seen) > 1 {
			name = e.Name()
		}
		for _, c := range r.look(n, e, op.Target) {
			c.Engine = name
			all = append(all, c)
		}
	}
	return all
}

// look returns what is different on an engine since it was seen last. It looks at those
// containers only to which something has happened, unless more than that has.
func (r *Recorder) look(n int, e *sim.Engine, target string) []Change {
	s := r.seen[n]
	touched, version, all := e.Since(s.version)
	if !all && len(touched) == 0 && version == s.version {
		return nil
	}
	s.version = version
	was, is := s.rest, s.rest
	was.Containers, is.Containers = nil, nil
	before := was
	if all {
		is = e.State()
		touched = byID(is.Containers)
		for id, c := range s.containers {
			was.Containers = append(was.Containers, *c)
			if touched[id] == nil {
				touched[id] = nil
			}
		}
		before = r.before.Engines[n]
	} else {
		for _, id := range slices.Sorted(maps.Keys(touched)) {
			if c := s.containers[id]; c != nil {
				was.Containers = append(was.Containers, *c)
			}
			if c := touched[id]; c != nil {
				is.Containers = append(is.Containers, *c)
			}
			if c := s.before[id]; c != nil {
				before.Containers = append(before.Containers, *c)
			}
		}
	}
	for id, c := range touched {
		if c == nil {
			delete(s.containers, id)
		} else {
			s.containers[id] = c
		}
	}
	s.rest = is
	s.rest.Containers = nil
	r.fresh = append(r.fresh, learning{before, is})
	return diffEngine(&was, &is, func(name string) bool { return name == target })
}

func byID(containers []state.Container) map[string]*state.Container {
	all := make(map[string]*state.Container, len(containers))
	for i := range containers {
		all[containers[i].ID] = &containers[i]
	}
	return all
}

func markOf(op *effect.Op, res *effect.Result, changes []Change) Mark {
	has := func(m Mark) bool { return slices.ContainsFunc(changes, func(c Change) bool { return c.Mark == m }) }
	switch {
	case has(Added):
		return Added
	case has(Removed):
		return Removed
	case len(changes) > 0:
		return Changed
	case !res.Changed(op), isRedis(op):
		return Same
	case op.Name == "http.delete":
		return Removed
	}
	return Changed
}

// lines shows a change below the effect that made it. What the effect's own line
// says already is left out.
func (r *Recorder) lines(c Change) []string {
	name := c.Name
	if c.Kind != "key" && c.Kind != "list" {
		name = c.Kind + " " + c.Name
	}
	text := string(c.Mark) + " " + name
	if c.Text != "" {
		text += ": " + c.Text
	}
	out := []string{r.symbolic(r.clean(text))}
	for _, l := range c.Lines {
		out = append(out, "    "+r.symbolic(r.clean(l)))
	}
	return out
}

func (r *Recorder) key(k dbKey) *state.RedisKey {
	v, ok, err := r.world.RedisKey(k.db, k.name)
	if err != nil {
		r.unsure = errors.Join(r.unsure, err)
	}
	if !ok {
		return nil
	}
	return &v
}

// symbolic writes symbols in place of what the simulated world chose.
func (r *Recorder) symbolic(text string) string {
	for _, l := range r.fresh {
		name := ""
		if len(r.seen) > 1 {
			name = l.now.Name
		}
		r.symbols.add(&l.before, &l.now, name)
	}
	r.fresh = nil
	return r.symbols.apply(text)
}

func (r *Recorder) allSymbolic(texts []string) []string {
	if len(texts) == 0 {
		return nil
	}
	out := make([]string, len(texts))
	for i, t := range texts {
		out[i] = r.symbolic(t)
	}
	return out
}

func (r *Recorder) args(args []effect.Arg) []effect.Arg {
	if len(args) == 0 {
		return nil
	}
	out := make([]effect.Arg, len(args))
	for i, a := range args {
		out[i] = effect.Arg{Name: a.Name, Value: r.symbolic(a.Value)}
	}
	return out
}

func messageOf(err error) string {
	if e := failure.As(err); e != nil {
		return e.Message
	}
	return err.Error()
}
