package serve

import (
	"time"

	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/internal/journal"
)

// approvalAnswer is a question that a run asks, and what one wants to know to answer it.
type approvalAnswer struct {
	Run      string         `json:"run"`
	Recipe   string         `json:"recipe"`
	App      string         `json:"app"`
	Who      string         `json:"who"`
	Started  time.Time      `json:"started"`
	Params   map[string]any `json:"params,omitempty"`
	Number   int            `json:"number"` // among the run's
	Question string         `json:"question"`
	Deadline time.Time      `json:"deadline"`
	Default  string         `json:"default"`        // what silence means: abort or approve
	Plan     string         `json:"plan,omitempty"` // what the run carries out, if it was given a plan
	Done     []string       `json:"done"`           // what it has changed so far
}

// approvals asks all runs of the state directory, also those that were started by hand.
func (s *Server) approvals(*call) (any, error) {
	running, err := s.opts.Journal.Running()
	if err != nil {
		return nil, err
	}
	all := []approvalAnswer{}
	for _, run := range running {
		for _, q := range run.Pending() {
			a := approvalAnswer{
				Run: run.ID, Recipe: run.Recipe, App: run.App, Who: run.Who, Started: run.Started, Params: run.Params,
				Number: q.Number, Question: q.Text, Deadline: q.Deadline, Default: q.Default, Done: []string{},
			}
			for _, c := range run.CallSummaries() {
				a.Done = append(a.Done, c.Name+" "+c.Target)
			}
			if e, ok := s.opts.Queue.Get(run.ID); ok && e.Plan != nil {
				if a.Plan, err = planText(e.Plan); err != nil {
					return nil, err
				}
			}
			all = append(all, a)
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
	return nil, failure.New(failure.Conflict, "run %s is not (or no longer) asking that", id)
}
