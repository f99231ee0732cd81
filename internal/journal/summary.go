package journal

import (
	"time"

	"github.com/mepc/mepc-run/internal/effect"
)

// Summary is a run as JSON lists it.
type Summary struct {
	*Header
	Status   string         `json:"status"`
	Effects  int            `json:"effects"` // -1: not known
	Millis   float64        `json:"duration_ms"`
	Error    *Error         `json:"error"`
	Settled  *By            `json:"settled,omitempty"`
	InStep   []string       `json:"in_step,omitempty"` // of one that was cut off or goes on
	Asks     []string       `json:"asks,omitempty"`    // of one that waits for a person's answer
	Damage   string         `json:"damage,omitempty"`  // what cannot be read of its journal
	Damaged  int            `json:"damaged_lines,omitempty"`
	Cut      bool           `json:"cut,omitempty"` // the journal was large: log lines, looks and steps were left out
	Calls    []*CallSummary `json:"calls,omitempty"`
	Undoings []*Undoing     `json:"compensations,omitempty"`
}

// Summary returns what is known of the run.
func (h *Head) Summary() Summary {
	s := Summary{Header: &h.Header, Status: h.Status(), Effects: h.Effects, Settled: h.Settled, Millis: millis(h.Took())}
	if err := h.Damage(); err != nil {
		s.Damage = err.Error()
	}
	if h.Ended != nil {
		s.Error = h.Ended.Error
	} else {
		s.InStep = h.Step
	}
	return s
}

// Summary returns the run with its calls and compensations.
func (run *Run) Summary() Summary {
	s := run.Head.Summary()
	s.Damaged, s.Cut, s.Asks = run.Damaged, run.Cut, run.Asks()
	s.Calls, s.Undoings = run.CallSummaries(), run.Undoings()
	return s
}

// CallSummary is a call that may have changed something, as JSON shows it.
type CallSummary struct {
	*effect.Op
	Outcome string  `json:"outcome"` // "" when the run was cut off before it was known
	Millis  float64 `json:"duration_ms"`
	Summary string  `json:"summary,omitempty"`
	Error   *Error  `json:"error,omitempty"`
}

// CallSummaries returns the run's calls that may have changed something.
func (run *Run) CallSummaries() []*CallSummary {
	var all []*CallSummary
	for _, call := range run.Calls() {
		s := &CallSummary{Op: call.Op}
		if r := call.Result; r != nil {
			s.Outcome, s.Millis, s.Summary, s.Error = string(r.Outcome), millis(r.Duration), r.Summary, r.Error
		}
		all = append(all, s)
	}
	return all
}

// Undoing is a compensation and what became of it.
type Undoing struct {
	Name  string `json:"name"`
	Where string `json:"where,omitempty"`
	State string `json:"state"` // registered, withdrawn, done, failed
	Said  string `json:"said,omitempty"`
	Error *Error `json:"error,omitempty"`
}

// Undoings returns the compensations that the run registered, in order.
func (run *Run) Undoings() []*Undoing {
	var all []*Undoing
	for _, r := range run.Records {
		switch {
		case r.Type == Deferred:
			all = append(all, &Undoing{Name: r.Undo.Name, Where: r.Undo.Where, State: "registered"})
		case r.Undo == nil || r.Undo.Number < 1 || r.Undo.Number > len(all):
		case r.Type == Withdrawn:
			all[r.Undo.Number-1].State = "withdrawn"
		case r.Type == Undone:
			u := all[r.Undo.Number-1]
			u.State, u.Said, u.Error = "done", r.Undo.Said, r.Error
			if r.Error != nil {
				u.State = "failed"
			}
		}
	}
	return all
}

func millis(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
