package spec

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/mepc/mepc-run/internal/effect"
	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/internal/fixture"
	"github.com/mepc/mepc-run/internal/state"
	"github.com/mepc/mepc-run/runtime"
	"github.com/mepc/mepc-run/servers"
)

// Real is a world on real servers.
type Real struct {
	Site    *fixture.Site
	Clients *servers.Clients // of the recipes
	Host    *runtime.Host
}

// realTidying limits the time to remove what a test made.
const realTidying = time.Minute

func (r *Real) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), realTidying)
	defer cancel()
	return r.Site.Close(ctx)
}

// realWorld makes a world on real servers. There is one of them at a time.
func (f *file) realWorld(c *runtime.Call, st *state.State) (*World, error) {
	for _, w := range f.worlds {
		if w.real != nil {
			return nil, failure.New(failure.NotModelled, "there is one real world at a time, and this test has one").
				WithHint("take #real out of the test's name: --real then leaves it out")
		}
	}
	w := &World{file: f, home: f.home}
	var err error
	c.Block(func(ctx context.Context) {
		if w.real, err = f.opts.Real(ctx, st); err == nil {
			w.Docker, w.Redis, err = connect(ctx, w.real.Clients)
		}
	})
	if w.real != nil {
		f.worlds = append(f.worlds, w)
	}
	return w, err
}

// runReal runs a recipe there.
func (w *World) runReal(c *runtime.Call, a *runArgs) (*Rehearsed, error) {
	recipe, err := w.file.opts.Recipe(w.real.Host, w.file.opts.Root, a.Recipe)
	if err != nil {
		return nil, err
	}
	var notes noted
	var res *runtime.Result
	var runErr error
	seen := &witness{open: map[int]*Effect{}}
	c.Block(func(ctx context.Context) {
		res, runErr = w.real.Host.Run(ctx, recipe, runtime.RunOptions{
			World: w.real.Clients, Clock: w.real.Clients.Clock(), Params: a.Params, Seed: w.seed(),
			Sinks: []runtime.Sink{&notes, seen}, Print: notes.add, Guards: []runtime.Guard{guards(w.real.Clients), seen},
		})
	})
	if failure.KindOf(runErr) == failure.Cancelled || runErr != nil && c.Context().Err() != nil {
		return nil, runErr // the spec itself is to end
	}
	return &Rehearsed{
		Effects: seen.effects, Error: failure.As(runErr), Logs: notes.lines, Value: res.Value, Duration: res.Duration.Seconds(),
		world: w, name: a.Recipe,
	}, nil
}

// witness collects the effects of a real run. It is a sink and a guard of it.
type witness struct {
	mu      sync.Mutex
	effects []*Effect
	open    map[int]*Effect
}

// Event implements runtime.Sink.
func (s *witness) Event(ev effect.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch ev.Type {
	case effect.OpStart:
		if !ev.Op.Class.Mutates() {
			return
		}
		e := &Effect{
			Op: ev.Op.Name, Target: ev.Op.Target, Step: strings.Join(ev.Op.Scope, " > "), Where: ev.Op.Where, Args: map[string]string{},
		}
		for _, a := range ev.Op.Args {
			e.Args[a.Name] = a.Value
		}
		s.open[ev.Op.Seq] = e
		s.effects = append(s.effects, e)
	case effect.OpEnd:
		if e := s.open[ev.Op.Seq]; e != nil {
			e.Outcome = string(ev.Result.Outcome)
		}
	}
}

// Allow refuses nothing.
func (s *witness) Allow(ctx context.Context, op *effect.Op) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.open[op.Seq]; e != nil {
		e.Undo = effect.Undoing(ctx)
	}
	return nil
}
