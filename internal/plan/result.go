package plan

import (
	"errors"
	"slices"

	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/internal/state"
)

// Plan returns the plan of the run, which has ended with err and the given number of effects.
// The caller fills in Recipe, World and Options.
func (r *Recorder) Plan(effects int, err error) (*Plan, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	after, stateErr := r.world.State()
	if err := errors.Join(r.unsure, stateErr); err != nil {
		return nil, err
	}
	for n := range after.Engines {
		r.fresh = append(r.fresh, learning{r.before.Engines[n], after.Engines[n]})
	}
	p := &Plan{Format: Format, Entries: r.entries, Assumed: slices.Clone(r.assumed), Changes: r.changes(after), Summary: Summary{Effects: effects}}
	p.Assumed = append(p.Assumed, r.behaviours(after)...)
	for i := range p.Changes {
		switch p.Changes[i].Mark {
		case Added:
			p.Summary.Add++
		case Changed:
			p.Summary.Change++
		case Removed:
			p.Summary.Remove++
		}
	}
	for _, e := range p.Effects() {
		if e.Mark != Same && len(e.Changes) == 0 {
			p.Summary.Other++
		}
	}
	p.Basis = r.asked.basis(r.source, r.touched)
	if e := failure.As(err); e != nil {
		p.Error = &Error{
			Kind: string(e.Kind), Message: r.said(e.Message), Op: e.Op, Target: r.said(e.Target), Where: e.Where,
			Hint: r.said(e.Hint), State: r.said(e.State), Details: r.said(e.Details),
		}
	} else if err != nil {
		p.Error = &Error{Kind: string(failure.Internal), Message: r.said(err.Error())}
	}
	// In a file a list is a list, even an empty one.
	p.Assumed, p.Entries, p.Changes = listed(p.Assumed), listed(p.Entries), listed(p.Changes)
	return p, nil
}

func listed[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

// Said returns text as the plan would have it: with symbols, and without secrets.
func (r *Recorder) Said(text string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.said(text)
}

func (r *Recorder) said(text string) string { return r.symbolic(r.clean(text)) }

// changes compares the world with what it was before the run.
func (r *Recorder) changes(after *state.State) []Change {
	all := diffEngines(r.before.Engines, after.Engines, func(name string) bool { return r.touched[name] })
	all = append(all, r.keyChanges(0, r.before.Redis, after.Redis)...)
	for db := 1; db < 16; db++ {
		all = append(all, r.keyChanges(db, r.before.RedisDBs[db], after.RedisDBs[db])...)
	}
	for i := range all {
		all[i].Text = r.said(all[i].Text)
		for j, l := range all[i].Lines {
			all[i].Lines[j] = r.said(l)
		}
	}
	return all
}

func (r *Recorder) keyChanges(db int, was, is map[string]state.RedisKey) []Change {
	var names []string
	for name := range r.touched {
		names = append(names, name)
	}
	slices.Sort(names)
	var all []Change
	for _, name := range names {
		if c, ok := diffKey(name, find(was, name), find(is, name)); ok {
			if db != 0 {
				c.Engine = "database " + string(rune('0'+db%10)) // 1 to 15
			}
			all = append(all, c)
		}
	}
	return all
}

func find(keys map[string]state.RedisKey, name string) *state.RedisKey {
	if k, ok := keys[name]; ok {
		return &k
	}
	return nil
}

// behaviours says of which images the world does not know how their containers
// behave: those that the run started were taken as healthy.
func (r *Recorder) behaviours(after *state.State) []string {
	var out []string
	for n := range after.Engines {
		e := &after.Engines[n]
		old := map[string]*state.Container{}
		for i := range r.before.Engines[n].Containers {
			c := &r.before.Engines[n].Containers[i]
			old[c.ID] = c
		}
		for i := range e.Containers {
			c := &e.Containers[i]
			if was := old[c.ID]; c.Started.IsZero() || c.Behaviour != nil || was != nil && was.Started.Equal(c.Started) {
				continue
			}
			out = append(out, c.Name+" was assumed healthy at once, answering 200 to every request: the world does not say how its image behaves")
		}
	}
	return out
}
