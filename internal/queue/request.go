package queue

import (
	"encoding/json"
	"time"
)

// Request asks for a run.
type Request struct {
	ID     string         `json:"id"` // drawn by Add; the name of the run, too
	Recipe string         `json:"recipe"`
	App    string         `json:"app"` // one run of it at a time
	Params map[string]any `json:"params,omitempty"`
	Source string         `json:"source"` // what asked: api, webhook NAME, schedule, ...
	Who    string         `json:"who"`
	// Delivery is the source's own name for the request: a second one with the same
	// source and delivery is answered with the first.
	Delivery string `json:"delivery,omitempty"`
	// Content is a digest of what asked: a second request with the same source and
	// content is answered with the first, too, whatever its delivery is called.
	Content string `json:"content,omitempty"`
	// Coalesce lets a later request of the same recipe and app take the place of
	// this one while it waits.
	Coalesce bool `json:"coalesce,omitempty"`
	// Plan, if there is one, is carried out: see mepc-run apply.
	Plan     json.RawMessage `json:"plan,omitempty"`
	Received time.Time       `json:"received"`
}

// once returns what there is one request of.
func (r *Request) once() []string {
	var all []string
	if r.Delivery != "" {
		all = append(all, r.Source+"\x00delivery\x00"+r.Delivery)
	}
	if r.Content != "" {
		all = append(all, r.Source+"\x00content\x00"+r.Content)
	}
	return all
}

// State says how far a request has come.
type State string

// The states.
const (
	Queued  State = "queued"
	Running State = "running"
	Done    State = "done"
)

// Entry is a request and what became of it.
type Entry struct {
	Request
	State  State   `json:"state"`
	Run    string  `json:"run,omitempty"` // the newest run of it: one that was resumed has several
	Result *Result `json:"result,omitempty"`
}

// Result says how a request ended.
type Result struct {
	Status string    `json:"status"` // of the run: ok, unchanged, failed, cancelled, cut off; or superseded, withdrawn, not begun
	Text   string    `json:"text,omitempty"`
	By     string    `json:"by,omitempty"` // superseded: the request that took its place
	Ended  time.Time `json:"ended"`
}

// The statuses that no run has.
const (
	Superseded = "superseded" // a later request took its place
	Withdrawn  = "withdrawn"  // someone took it out
	NotBegun   = "not begun"  // the recipe could not be started; Text says why
	CutOff     = "cut off"    // its process died, and died again when it was resumed
)

// Attempt is one process at a request: the first, or one that resumes a run that
// was cut off.
type Attempt struct {
	ID      string // the run's
	Resumes string // the run that it goes on with, or ""
}
