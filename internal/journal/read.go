package journal

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/mepc/mepc-run/internal/effect"
)

// Run is what a journal tells of one run.
type Run struct {
	Header
	Records []*Record
	Ended   *End // nil: it was cut off, or goes on
	Settled *By  // who dealt with it since, if anyone
	Running bool // its process lives; only Dir knows
	Torn    int  // how many bytes at the end were dropped
	Damaged int  // how many lines before that cannot be read: a disk's fault, or someone's hand

	whole int64 // how many bytes there are before the torn ones
}

// maxLine bounds a line: the largest holds a file of a recipe.
const maxLine = 64 << 20

// Read reads a journal as far as it is whole. It fails when there is no whole
// header, or the file cannot be read.
func Read(from io.Reader) (*Run, error) {
	run := &Run{}
	var at int64
	in := bufio.NewReader(from)
	for {
		line, err := readLine(in)
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("read the journal: %w", err)
		}
		whole := err == nil
		at += int64(len(line))
		if len(line) > 0 {
			r, bad := decodeLine(bytes.TrimSuffix(line, []byte("\n")))
			switch {
			case bad != nil || !whole:
				run.Torn += len(line)
				if whole {
					run.Damaged++
				}
			default:
				// What follows shows that the lines before were not the end.
				run.Torn, run.whole = 0, at
				run.add(r)
			}
		}
		if !whole {
			break
		}
	}
	if run.Torn > 0 && run.Damaged > 0 {
		run.Damaged-- // that one is the torn tail
	}
	if run.ID == "" {
		return nil, errors.New("no whole header: it is not the journal of a run")
	}
	return run, nil
}

func readLine(in *bufio.Reader) ([]byte, error) {
	var line []byte
	for {
		part, err := in.ReadSlice('\n')
		line = append(line, part...)
		switch {
		case len(line) > maxLine:
			return nil, fmt.Errorf("a line is longer than %d MiB", maxLine>>20)
		case !errors.Is(err, bufio.ErrBufferFull):
			return line, err
		}
	}
}

func (run *Run) add(r *Record) {
	switch {
	case r.Run != nil && run.ID == "":
		if r.Run.Format > Format {
			return // of a newer mepc-run: no header that is known here
		}
		run.Header = *r.Run
	case r.End != nil:
		run.Ended = r.End
	case r.By != nil:
		run.Settled = r.By
	}
	run.Records = append(run.Records, r)
}

// CutOff reports whether the run neither ended nor goes on, and nobody dealt with
// it since.
func (run *Run) CutOff() bool { return run.Ended == nil && run.Settled == nil && !run.Running }

// Status is the run's in a word: ok, unchanged, failed, cancelled; running; cut
// off, or what became of that.
func (run *Run) Status() string {
	switch {
	case run.Ended != nil:
		return run.Ended.Status
	case run.Running:
		return "running"
	case run.Settled != nil:
		return run.Settled.How
	}
	return "cut off"
}

// Last returns when the run was last heard of.
func (run *Run) Last() time.Time {
	if n := len(run.Records); n > 0 {
		return run.Records[n-1].Time
	}
	return run.Started
}

// Effects returns how many calls changed, or may have changed, something.
func (run *Run) Effects() int {
	if run.Ended != nil {
		return run.Ended.Effects
	}
	n := 0
	for _, c := range run.Calls() {
		if c.Result == nil || c.Result.Outcome == effect.OK || c.Result.Outcome == effect.Unknown {
			n++
		}
	}
	return n
}

// Call is a call that may have changed something, and how it ended.
type Call struct {
	Op     *effect.Op
	Result *Result // nil: nobody knows
	Was    []*Was
}

// Calls returns the calls with intents, in order.
func (run *Run) Calls() []*Call {
	var calls []*Call
	bySeq := map[int]*Call{}
	for _, r := range run.Records {
		switch r.Type {
		case Intent:
			c := &Call{Op: r.Op}
			if early := bySeq[r.Op.Seq]; early != nil { // what it was comes before the intent
				c.Was = early.Was
			}
			bySeq[r.Op.Seq] = c
			calls = append(calls, c)
		case Found:
			c := bySeq[r.Was.Seq]
			if c == nil {
				c = &Call{}
				bySeq[r.Was.Seq] = c
			}
			c.Was = append(c.Was, r.Was)
		case Outcome:
			if c := bySeq[r.Seq]; c != nil {
				c.Result = r.Result
			}
		}
	}
	return calls
}

// Sources returns the recipe's files as they were loaded, by name.
func (run *Run) Sources() map[string]string {
	files := map[string]string{}
	for _, r := range run.Records {
		if r.Source != nil {
			files[r.Source.File] = r.Source.Text
		}
	}
	return files
}

// Memos returns the values that steps kept, by name.
func (run *Run) Memos() map[string]json.RawMessage {
	kept := map[string]json.RawMessage{}
	for _, r := range run.Records {
		if r.Memo != nil {
			kept[r.Memo.Name] = r.Memo.Value
		}
	}
	return kept
}

// Token returns the highest fencing token that the run had for app.
func (run *Run) Token(app string) int64 {
	var highest int64
	for _, r := range run.Records {
		if r.Lock != nil && r.Lock.App == app {
			highest = max(highest, r.Lock.Token)
		}
	}
	return highest
}

// Step returns the path of the innermost step that had begun and not ended, or
// nil.
func (run *Run) Step() []string {
	var open [][]string
	for _, r := range run.Records {
		switch r.Type {
		case StepBegins:
			open = append(open, r.Step.Path)
		case StepEnds:
			for i := len(open) - 1; i >= 0; i-- {
				if slices.Equal(open[i], r.Step.Path) {
					open = append(open[:i], open[i+1:]...)
					break
				}
			}
		}
	}
	if len(open) == 0 {
		return nil
	}
	return open[len(open)-1]
}
