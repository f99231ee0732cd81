package prove

import (
	"fmt"
	"io"
	"strings"
)

// Story tells what happened in a trial, in order, for people.
type Story struct {
	Events     []Event     `json:"events"`
	Violations []Violation `json:"-"`
}

// Event is one thing that happened: a run begins, a call, a fault, something wrong,
// a run ends.
type Event struct {
	Run   string `json:"run,omitempty"`    // a run begins: whose, and which
	Call  string `json:"call,omitempty"`   // such as docker.start
	On    string `json:"target,omitempty"` // what the call was made for
	Where string `json:"where,omitempty"`  // the recipe's line
	Fault string `json:"fault,omitempty"`  // what went wrong with the call, or with the world
	Wrong string `json:"wrong,omitempty"`  // what the observer saw
	Rule  Rule   `json:"rule,omitempty"`
	Ended string `json:"ended,omitempty"` // how the run ended
}

func (s *Story) add(e Event) {
	if s != nil {
		s.Events = append(s.Events, e)
	}
}

func (s *Story) begin(other string, run int, again bool) {
	switch {
	case other != "":
		s.add(Event{Run: "meanwhile someone else deploys (" + other + ")"})
	case again:
		s.add(Event{Run: "and once more"})
	case run == 0:
		s.add(Event{Run: "the user runs it"})
	default:
		s.add(Event{Run: "a minute later the user runs it again"})
	}
}

// saw tells of a call that changed something, or was to, and of every fault.
func (s *Story) saw(c Call, kind Kind) {
	if s != nil && (c.Changed || kind != "") {
		s.add(Event{Call: c.Place.Op, On: c.Target, Where: c.Where, Fault: words[kind]})
	}
}

func (s *Story) happened(f Fault) {
	switch f.Kind {
	case Dies:
		s.add(Event{Fault: "the process of " + f.What + " dies"})
	case EngineRestart:
		s.add(Event{Fault: "the engine is killed and comes back; addresses move between containers"})
	case RedisRestart:
		s.add(Event{Fault: "Redis is killed and comes back with what it held when this run began"})
	}
}

func (s *Story) end(p *process, r *ran) {
	switch {
	case r.crashed:
		s.add(Event{Ended: "the process is dead"})
	case r.err != nil:
		s.add(Event{Ended: "the run fails: " + oneLine(r.err)})
	case p.other != "":
		s.add(Event{Ended: "they are done"})
	default:
		s.add(Event{Ended: "the run ends well"})
	}
}

func (s *Story) wrong(v Violation) { s.add(Event{Wrong: v.Text, Rule: v.Rule}) }

// Write writes the story as text, each line after indent.
func (s *Story) Write(w io.Writer, indent string) error {
	var b strings.Builder
	s.text(&b, indent)
	_, err := io.WriteString(w, b.String())
	return err
}

// told returns the events that a reader needs: those up to the end of the run in which
// something went wrong last. well reports that more runs came after it.
func (s *Story) told() (events []Event, well bool) {
	last := -1
	for i, e := range s.Events {
		if e.Wrong != "" {
			last = i
		}
	}
	if last < 0 {
		return s.Events, false
	}
	for i := last + 1; i < len(s.Events); i++ {
		if e := s.Events[i]; e.Run != "" && !strings.HasPrefix(e.Run, "meanwhile") {
			return s.Events[:i], true
		}
	}
	return s.Events, false
}

func (s *Story) text(b *strings.Builder, indent string) {
	width := 0
	for _, e := range s.Events {
		width = max(width, len(e.Where))
	}
	depth := ""
	events, well := s.told()
	for _, e := range events {
		b.WriteString(indent + depth)
		switch {
		case strings.HasPrefix(e.Run, "meanwhile"):
			depth = "    "
			fmt.Fprintf(b, "    %s\n", e.Run)
		case e.Run != "":
			fmt.Fprintf(b, "%s\n", e.Run)
		case e.Call != "":
			outcome := "done"
			if e.Fault != "" {
				outcome = "<-- " + e.Fault
			}
			fmt.Fprintf(b, "  %-*s  %s  %s\n", width, e.Where, strings.TrimSpace(e.Call+" "+e.On), outcome)
		case e.Fault != "":
			fmt.Fprintf(b, "  <-- %s\n", e.Fault)
		case e.Wrong != "":
			fmt.Fprintf(b, "  !!  %s: %s\n", e.Rule, e.Wrong)
		default:
			fmt.Fprintf(b, "  %s\n", e.Ended)
			depth = ""
		}
	}
	if well {
		b.WriteString(indent + "a minute later the user runs it again, and all ends well\n")
	}
}
