package effect

import (
	"time"

	"github.com/mepc/mepc-run/internal/failure"
)

// Event is one thing that happened in a run. Exactly one of the pointers that
// belong to its Type is set.
type Event struct {
	Time time.Time
	Type EventType

	Op       *Op           // OpStart, OpProgress, OpEnd
	Result   *Result       // OpEnd
	Progress *Progress     // OpProgress
	Step     *Step         // StepStart, StepEnd
	Log      *Log          // LogLine
	Undo     *Compensation // Deferred, Withdrawn, Undone
}

// render puts the text of an error in the place of a type that is not ours: its
// methods could wait for, or call, what waits for the gate. A panic in them is returned.
func (ev *Event) render() (bug error) {
	text := func(err error) error {
		var s spoken
		if bug = failure.Protect(func() error { s = spoken{err.Error(), failure.As(err)}; return nil }); bug != nil {
			return bug
		}
		return s
	}
	foreign := func(err error) bool {
		_, ours := err.(*failure.Error) //nolint:errorlint // one within may be wrapped by another type
		return err != nil && !ours
	}
	switch {
	case ev.Result != nil && foreign(ev.Result.Err):
		r := *ev.Result
		r.Err = text(r.Err)
		ev.Result = &r
	case ev.Step != nil && foreign(ev.Step.Err):
		s := *ev.Step
		s.Err = text(s.Err)
		ev.Step = &s
	case ev.Undo != nil && foreign(ev.Undo.Err):
		u := *ev.Undo
		u.Err = text(u.Err)
		ev.Undo = &u
	}
	return bug
}

// spoken is an error of another type, as text.
type spoken struct {
	text string
	ours *failure.Error
}

func (s spoken) Error() string { return s.text }

func (s spoken) Unwrap() error {
	if s.ours == nil {
		return nil
	}
	return s.ours
}

// EventType says what happened.
type EventType string

// The types.
const (
	OpStart    EventType = "op_start"
	OpProgress EventType = "op_progress"
	OpEnd      EventType = "op_end"
	StepStart  EventType = "step_start"
	StepEnd    EventType = "step_end"
	LogLine    EventType = "log"
	Deferred   EventType = "deferred"  // a compensation was registered
	Withdrawn  EventType = "withdrawn" // it is not wanted any more
	Undone     EventType = "undone"    // it was run
)

// Progress reports how far a streaming call has got.
type Progress struct {
	Text    string // what it is doing now, such as "Step 2/4 : COPY app /app"
	Current int64  // bytes done
	Total   int64  // bytes in all; 0 when that is not known
}

// Step is a named part of a recipe.
type Step struct {
	Name     string
	Path     []string // the names of the steps around it and its own, outermost first
	Branch   string   // the parallel branch it runs in
	Where    string
	Duration time.Duration // StepEnd
	Err      error         // StepEnd, when it failed
}

// Log is a line that the recipe wrote.
type Log struct {
	Level  string   `json:"level"` // debug, info, warn, error
	Text   string   `json:"text"`
	Fields []Arg    `json:"fields,omitempty"`
	Where  string   `json:"where,omitempty"`
	Path   []string `json:"scope,omitempty"`
	Branch string   `json:"branch,omitempty"`
}

// Compensation is a function that a recipe registered to undo something.
type Compensation struct {
	Number int    `json:"number"` // its place among the run's, from 1
	Name   string `json:"name"`
	Where  string `json:"where,omitempty"`
	Always bool   `json:"always,omitempty"` // it runs however the run ends
	Said   string `json:"said,omitempty"`   // Undone: what it returned
	Err    error  `json:"-"`                // Undone: when it failed
}

// Sink receives a run's events, in order, one at a time. It must not block for
// long: the run waits for it.
type Sink interface {
	Event(Event)
}
