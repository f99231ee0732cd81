package reload

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/mepc/mepc-run/internal/say"
	"github.com/mepc/mepc-run/modules/on"
	"github.com/mepc/mepc-run/runtime"
)

// Job is a request to a Loader: about some files of a directory, in order.
type Job struct {
	Files   Files             `json:"files"`             // all of the directory, at one moment
	Trouble map[string]string `json:"trouble,omitempty"` // of those that could not be read
	Items   []Item            `json:"items"`
}

// Item is one question of a Job.
type Item struct {
	File string `json:"file"`
	Load bool   `json:"load,omitempty"` // it is loaded as a recipe; else only read
}

// Facts answer an Item.
type Facts struct {
	Requires []string `json:"requires,omitempty"` // of a file that was read: the files that it requires

	// Of a file that was loaded:
	Sources  []string        `json:"sources,omitempty"` // the files that decide on it, there or not
	All      bool            `json:"all,omitempty"`     // which files it requires is known only when it runs
	Uses     []string        `json:"uses,omitempty"`    // the files that it is made of
	Trouble  string          `json:"trouble,omitempty"` // why it is not taken
	Doc      string          `json:"doc,omitempty"`
	Params   []runtime.Param `json:"params"` // nil: it has no params{}
	Triggers []*on.Trigger   `json:"triggers,omitempty"`
}

// What a recipe may say of itself, in bytes.
const (
	maxAnswer  = 1 << 20
	maxTrouble = 4 << 10 // of what went wrong: it is shown in logs and on the page
)

// Line returns an answer as Answers takes it. One that cannot be written, or that is
// too large, becomes trouble.
func (f *Facts) Line() []byte {
	data, err := json.Marshal(f)
	if err == nil && len(data) > maxAnswer {
		err = fmt.Errorf("it declares more than %d KiB", maxAnswer>>10)
	}
	if err != nil {
		f = &Facts{Sources: f.Sources, All: f.All, Trouble: say.Clip("its declarations cannot be taken: "+err.Error(), maxTrouble)}
		if data, err = json.Marshal(f); err != nil || len(data) > maxAnswer {
			data = []byte(`{"trouble":"its declarations cannot be taken"}`)
		}
	}
	return append(data, '\n')
}

// Answers takes what a Loader writes, which is an answer a line. It is an io.Writer.
type Answers struct {
	Told func(*Facts)
	rest []byte
}

// Write tells of each whole line.
func (a *Answers) Write(p []byte) (int, error) {
	n := len(p)
	for {
		line, rest, whole := bytes.Cut(p, []byte("\n"))
		if len(a.rest)+len(line) > 2*maxAnswer {
			return 0, errors.New("an answer is too large")
		}
		a.rest = append(a.rest, line...)
		if !whole {
			return n, nil
		}
		f := &Facts{}
		if err := json.Unmarshal(a.rest, f); err != nil {
			return 0, fmt.Errorf("an answer cannot be read: %w", err)
		}
		f.Trouble = say.Clip(f.Trouble, maxTrouble)
		a.rest = a.rest[:0]
		a.Told(f)
		p = rest
	}
}

// write receives answers from a Loader in another process.
func write(out io.Writer) func(*Facts) error {
	return func(f *Facts) error {
		_, err := out.Write(f.Line())
		return err
	}
}
