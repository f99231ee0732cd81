package serve

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"time"

	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/internal/journal"
	"github.com/mepc/mepc-run/internal/queue"
)

// status is the server's report of itself.
type status struct {
	Version string   `json:"version"`
	Running int      `json:"running"`
	Waiting int      `json:"waiting"`
	Paused  string   `json:"paused,omitempty"` // who paused the queue
	Recipes int      `json:"recipes"`
	Trouble []string `json:"trouble"` // recipes whose newest files are not taken, and why
}

func (s *Server) status(*call) (any, error) {
	running, waiting := s.opts.Queue.List()
	st := status{Version: s.opts.Version, Running: len(running), Waiting: len(waiting), Paused: s.opts.Queue.Paused(), Trouble: append([]string{}, s.opts.Recipes.Trouble()...)}
	for _, r := range s.opts.Recipes.Recipes() {
		st.Recipes++
		if r.Trouble != "" {
			st.Trouble = append(st.Trouble, r.Name+": "+r.Trouble)
		}
		for _, text := range s.warnings(r) {
			st.Trouble = append(st.Trouble, r.Name+": "+text)
		}
	}
	if !s.loaded() {
		st.Trouble = append(st.Trouble, errLoading.Error())
	}
	return st, nil
}

// runAnswer is a run, a request for one, or both.
type runAnswer struct {
	journal.Summary
	Request *queue.Entry `json:"request,omitempty"` // nil: it was started by hand
}

// listRuns answers with runs, and with requests that ended without one. What waits
// is in the queue.
func (s *Server) listRuns(c *call) (any, error) {
	q := c.URL.Query()
	limit := 50
	if text := q.Get("limit"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > 500 {
			return nil, failure.New(failure.Invalid, "limit must be a number from 1 to 500, not %q", text)
		}
		limit = n
	}
	known, err := s.runs.list()
	if err != nil {
		return nil, err
	}
	all := []runAnswer{}
	for _, e := range s.opts.Queue.Ended() {
		all = append(all, ofEntry(e))
	}
	for _, id := range known {
		all = append(all, runAnswer{Summary: journal.Summary{Header: &journal.Header{ID: id}}})
	}
	slices.SortStableFunc(all, func(a, b runAnswer) int { return cmp.Compare(b.ID, a.ID) })
	out := []runAnswer{}
	for _, a := range all {
		if before := q.Get("before"); before != "" && a.ID >= before {
			continue
		}
		if a.Request == nil {
			sum, err := s.runs.summary(a.ID)
			if err != nil || sum == nil { // it is gone, or no journal
				continue
			}
			a.Summary = *sum
			if e, ok := s.opts.Queue.Get(a.ID); ok {
				a.Request = &e
			}
		}
		if app := q.Get("app"); app != "" && app != a.App {
			continue
		}
		if recipe := q.Get("recipe"); recipe != "" && recipe != a.Recipe {
			continue
		}
		if st := q.Get("status"); st != "" && st != a.Status {
			continue
		}
		if out = append(out, a); len(out) == limit {
			break
		}
	}
	return out, nil
}

// ofEntry is a request that has no run.
func ofEntry(e queue.Entry) runAnswer {
	a := runAnswer{Request: &e, Summary: journal.Summary{
		Header: &journal.Header{ID: e.ID, App: e.App, Recipe: e.Recipe, Params: e.Params, Started: e.Received, Who: e.Who},
		Status: string(e.State),
	}}
	if e.Result != nil {
		a.Status = e.Result.Status
		if e.Result.Text != "" {
			a.Error = &journal.Error{Message: e.Result.Text}
		}
	}
	return a
}

func (s *Server) getRun(c *call) (any, error) {
	id := c.PathValue("id")
	e, asked := s.opts.Queue.Get(id)
	run, err := s.opts.Journal.Get(id)
	switch {
	case run == nil && asked: // its journal may be about to begin, with half a first line
		return ofEntry(e), nil
	case err != nil:
		return nil, err
	case run == nil:
		return nil, failure.New(failure.NotFound, "no run %s", id)
	}
	a := runAnswer{Summary: run.Summary()}
	if asked {
		a.Request = &e
	}
	return a, nil
}

type abort struct {
	Kill bool `json:"kill,omitempty"` // end its process at once: nothing is undone, and the run is cut off
}

func (s *Server) abort(c *call) (any, error) {
	var body abort
	if err := c.body(&body); err != nil {
		return nil, err
	}
	e, err := s.opts.Queue.Abort(c.PathValue("id"), c.who, body.Kill)
	if err != nil {
		return nil, err
	}
	return e, nil
}

type queueAnswer struct {
	Paused  string        `json:"paused,omitempty"` // who paused it
	Running []queue.Entry `json:"running"`
	Waiting []queue.Entry `json:"waiting"`
}

func (s *Server) queue(*call) (any, error) {
	running, waiting := s.opts.Queue.List()
	return queueAnswer{s.opts.Queue.Paused(), append([]queue.Entry{}, running...), append([]queue.Entry{}, waiting...)}, nil
}

func (s *Server) pause(c *call) (any, error) { return nil, s.opts.Queue.Pause(c.who) }
func (s *Server) resume(*call) (any, error)  { return nil, s.opts.Queue.Resume() }
func (s *Server) healthz(*call) (any, error) { return nil, nil }

// unready is why the server does not take requests.
type unready struct{ error }

// patience limits the time that what the server depends on may take to answer.
const patience = 2 * time.Second

// readyz touches what it vouches for: the recipes, the queue, the disk.
func (s *Server) readyz(c *call) (any, error) {
	if s.ending.Err() != nil {
		return nil, queue.ErrClosed
	}
	if !s.loaded() {
		return nil, errLoading
	}
	ctx, cancel := context.WithTimeout(c.Context(), patience)
	defer cancel()
	if err := s.opts.Queue.Ready(ctx); err != nil {
		return nil, unready{err}
	}
	return nil, nil
}
