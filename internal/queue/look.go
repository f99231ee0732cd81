package queue

import (
	"cmp"
	"context"
	"maps"
	"slices"

	"github.com/mepc/mepc-run/internal/failure"
)

// find returns the request of a run.
func (q *Queue) find(run string) *entry {
	if e := q.entries[run]; e != nil {
		return e
	}
	return q.entries[requestOf(run)]
}

// Get returns a request by its ID, or by that of a run of it.
func (q *Queue) Get(id string) (Entry, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if e := q.find(id); e != nil {
		return e.Entry, true
	}
	return Entry{}, false
}

// List returns the requests that run, oldest first, and those that wait, in order.
func (q *Queue) List() (running, waiting []Entry) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, e := range q.entries {
		if e.State == Running {
			running = append(running, e.Entry)
		}
	}
	slices.SortFunc(running, func(a, b Entry) int { return cmp.Compare(a.ID, b.ID) })
	for _, e := range q.waiting {
		waiting = append(waiting, e.Entry)
	}
	return running, waiting
}

// Ended returns the requests that have ended and had no run, newest first: there is
// no journal that tells of them.
func (q *Queue) Ended() []Entry {
	q.mu.Lock()
	defer q.mu.Unlock()
	var all []Entry
	for _, id := range slices.Backward(q.ended) {
		if e := q.entries[id]; e.Run == "" {
			all = append(all, e.Entry)
		}
	}
	return all
}

// Outcome counts how requests of a recipe ended.
type Outcome struct{ Recipe, Status string }

// Counts returns how many requests have ended since the queue was opened.
func (q *Queue) Counts() map[Outcome]int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return maps.Clone(q.counts)
}

// Changed returns a channel that is closed at the next change.
func (q *Queue) Changed() <-chan struct{} {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.changed
}

// Paused returns who paused the queue, or "".
func (q *Queue) Paused() string {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.pause
}

// Ready says why the queue does not do its work: it does not answer before ctx ends,
// it holds back what could be run, or it cannot write.
func (q *Queue) Ready(ctx context.Context) error {
	for !q.mu.TryLock() {
		if q.opts.Clock.Sleep(ctx, look/10) != nil {
			return failure.New(failure.Timeout, "the queue does not answer")
		}
	}
	err := q.held()
	p := q.probing
	if p == nil && err == nil { // however many ask, and however slow the disk is, it is one
		p = &probe{done: make(chan struct{})}
		q.probing = p
		q.runs.Go(func() { q.touch(p) }, failure.BugTo(q.opts.Log))
	}
	q.mu.Unlock()
	if err != nil {
		return err
	}
	select {
	case <-p.done:
		if p.err != nil {
			return failure.Wrap(failure.Journal, failure.Innermost(p.err), "write to the state directory")
		}
		return nil
	case <-ctx.Done():
		return failure.New(failure.Timeout, "the state directory does not answer")
	}
}

// probe is a look whether the state directory can be written.
type probe struct {
	done chan struct{}
	err  error
}

func (q *Queue) touch(p *probe) {
	p.err = failure.Protect(q.store.probe)
	q.mu.Lock()
	q.probing = nil
	q.mu.Unlock()
	close(p.done)
}

// held says which request waits and need not.
func (q *Queue) held() error {
	if q.closed {
		return ErrClosed
	}
	for _, e := range q.waiting {
		if q.pause == "" && q.running < q.opts.Workers && q.busy[e.App] == "" {
			return failure.New(failure.Internal, "the request %s could be run, but still waits", e.ID)
		}
	}
	return nil
}
