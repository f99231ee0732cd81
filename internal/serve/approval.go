package serve

import (
	"time"

	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/internal/journal"
)

// approvalAnswer is a question that a run asks.
type approvalAnswer struct {
	Run      string    `json:"run"`
	Recipe   string    `json:"recipe"`
	App      string    `json:"app"`
	Number   int       `json:"number"` // among the run's
	Question string    `json:"question"`
	Deadline time.Time `json:"deadline"`
	Default  string    `json:"default"` // what silence means: abort or approve
}

func (s *Server) approvals(*call) (any, error) {
	all := []approvalAnswer{}
	running, _ := s.opts.Queue.List()
	for _, e := range running {
		run, err := s.opts.Journal.Get(e.Run)
		if err != nil || run == nil { // it is about to begin, or has just ended
			continue
		}
		for _, q := range run.Pending() {
			all = append(all, approvalAnswer{run.ID, run.Recipe, run.App, q.Number, q.Text, q.Deadline, q.Default})
		}
	}
	return all, nil
}

// approval is the answer to a question.
type approval struct {
	Question int    `json:"question"` // its number
	Approve  bool   `json:"approve"`
	Who      string `json:"who,omitempty"`
}

func (s *Server) approve(c *call) (any, error) {
	var body approval
	if err := c.body(&body); err != nil {
		return nil, err
	}
	id := c.PathValue("id")
	run, err := s.opts.Journal.Get(id)
	if err != nil {
		return nil, err
	}
	if run == nil {
		return nil, failure.New(failure.NotFound, "no run %s", id)
	}
	for _, q := range run.Pending() {
		if q.Number == body.Question {
			return nil, s.opts.Journal.PutAnswer(id, journal.Question{Number: q.Number, Approved: body.Approve, Who: c.named(body.Who)})
		}
	}
	return nil, failure.New(failure.Conflict, "run %s does not ask that, or not any more", id)
}
