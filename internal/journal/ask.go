package journal

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/mepc/mepc-run/internal/failure"
)

// Question is a run's question to a person, and the answer.
type Question struct {
	Number   int       `json:"number"` // among the run's, from 1
	Text     string    `json:"question,omitempty"`
	Deadline time.Time `json:"deadline,omitzero"`
	Default  string    `json:"default,omitempty"` // what silence means: abort or approve
	Approved bool      `json:"approved"`          // Answered
	Who      string    `json:"who,omitempty"`     // Answered; "" when nobody did
}

// Ask notes that a person is asked. It is durable at return.
func (j *Journal) Ask(q Question) error {
	q.Text = j.cutter().text(q.Text)
	return j.write(&Record{Type: Asked, Ask: &q}, true)
}

// Answer notes what they said.
func (j *Journal) Answer(q Question) error {
	q.Text = ""
	return j.write(&Record{Type: Answered, Ask: &q}, true)
}

// Pending returns the unanswered questions of a run.
func (run *Run) Pending() []Question {
	var open []Question
	for _, r := range run.Records {
		switch r.Type {
		case Asked:
			open = append(open, *r.Ask)
		case Answered:
			for i := range open {
				if open[i].Number == r.Ask.Number {
					open = append(open[:i], open[i+1:]...)
					break
				}
			}
		}
	}
	if !run.Running {
		return nil
	}
	return open
}

// Asks returns the texts of the questions that a run waits for the answers to.
func (run *Run) Asks() []string {
	var all []string
	for _, q := range run.Pending() {
		all = append(all, q.Text)
	}
	return all
}

// Asks is Run.Asks of a run of which only the head was read.
func (d *Dir) Asks(h *Head) []string {
	if !h.Running {
		return nil
	}
	run, err := d.Get(h.ID)
	if err != nil || run == nil { // it has just ended
		return nil
	}
	return run.Asks()
}

// newAnswer begins the names of answers that are being written.
const newAnswer = "new-"

func (d *Dir) answers() string { return filepath.Join(d.path, "answers") }

func (d *Dir) answer(run string, number int) string {
	return filepath.Join(d.answers(), fmt.Sprintf("%s.%d.json", run, number))
}

// PutAnswer answers a question of a run, whose process finds the answer here. The
// first answer counts.
func (d *Dir) PutAnswer(run string, q Question) error {
	data, err := json.Marshal(q)
	if err == nil {
		err = os.MkdirAll(d.answers(), 0o700)
	}
	if err != nil {
		return failure.Wrap(failure.Journal, failure.Innermost(err), "answer run %s", run)
	}
	f, err := os.CreateTemp(d.answers(), newAnswer)
	if err != nil {
		return failure.Wrap(failure.Journal, failure.Innermost(err), "answer run %s", run)
	}
	defer os.Remove(f.Name())
	_, err = f.Write(data)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil { // a reader finds all of it, or nothing
		err = os.Link(f.Name(), d.answer(run, q.Number))
	}
	if errors.Is(err, fs.ErrExist) {
		return failure.New(failure.Conflict, "the question was already answered")
	}
	if err != nil {
		return failure.Wrap(failure.Journal, failure.Innermost(err), "answer run %s", run)
	}
	return nil
}

// TakeAnswer returns the answer to a question of a run, if there is one.
func (d *Dir) TakeAnswer(run string, number int) (*Question, error) {
	data, err := os.ReadFile(d.answer(run, number))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	q := &Question{}
	if err == nil {
		err = json.Unmarshal(data, q)
	}
	if err != nil {
		return nil, failure.Wrap(failure.Journal, err, "read the answer to a question")
	}
	return q, os.Remove(d.answer(run, number))
}
