package serve

import (
	"sync"

	"github.com/mepc/mepc-run/internal/journal"
)

// runs knows the runs of a state directory. Those that have ended do not change:
// they are read once.
type runs struct {
	dir *journal.Dir

	mu    sync.Mutex
	ended map[string]*journal.Summary
}

func newRuns(dir *journal.Dir) *runs { return &runs{dir: dir, ended: map[string]*journal.Summary{}} }

// list returns the names of all runs, newest first.
func (r *runs) list() ([]string, error) {
	ids, err := r.dir.IDs()
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.ended) > 2*len(ids) { // most are of runs that are gone
		clear(r.ended)
	}
	return ids, nil
}

// summary returns what is known of a run; nil when there is none.
func (r *runs) summary(id string) (*journal.Summary, error) {
	r.mu.Lock()
	known := r.ended[id]
	r.mu.Unlock()
	if known != nil {
		return known, nil
	}
	run, err := r.dir.Head(id)
	if err != nil {
		damage := err.Error()
		if ofFile(err) {
			damage = "its journal cannot be read"
		}
		return &journal.Summary{Header: &journal.Header{ID: id}, Status: "damaged", Damage: damage}, nil
	}
	if run == nil {
		return nil, nil
	}
	s := run.Summary()
	if run.Ended != nil || run.Settled != nil {
		r.mu.Lock()
		r.ended[id] = &s
		r.mu.Unlock()
	}
	s.Asks = r.dir.Asks(run)
	return &s, nil
}
