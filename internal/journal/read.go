package journal

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/mepc/mepc-run/internal/effect"
)

// Run holds what a journal says about one run.
type Run struct {
	Head
	Records []*Record
	Torn    int  // how many bytes at the end were dropped
	Damaged int  // how many lines before that cannot be read: a disk's fault, or someone's hand
	Cut     bool // the file was large: log lines, looks and steps were left out

	whole int64 // how many bytes there are before the torn ones
}

// maxLine bounds a line: the largest of format 1 holds a file of a recipe.
const maxLine = 2 * exactMost

// Read reads a journal as far as it is whole. It fails when there is no whole
// header, or the file cannot be read.
func Read(from io.Reader) (*Run, error) {
	return read(from, func(Type) bool { return true }, nil)
}

// read is Read for the records of the types that want accepts. It keeps them, or
// hands them to visit.
func read(from io.Reader, want func(Type) bool, visit func(*Record) error) (*Run, error) {
	run := &Run{}
	var at int64
	bad := 0 // lines since the last whole one
	in := bufio.NewReaderSize(from, 1<<16)
	for {
		line, n, err := readLine(in)
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("read the journal: %w", err)
		}
		whole := err == nil
		at += n
		if n > 0 {
			line = bytes.TrimSuffix(line, []byte("\n"))
			if !whole || checkLine(line) != nil {
				run.Torn += int(n)
				if whole {
					bad++
				}
			} else {
				// What follows shows that the lines before were not the end.
				run.Damaged += bad
				run.Torn, run.whole, bad = 0, at, 0
				if err := run.take(line, want, visit); err != nil {
					return nil, err
				}
			}
		}
		if !whole {
			break
		}
	}
	run.Damaged += max(bad-1, 0) // one is the torn tail
	if run.Bad == nil && run.ID == "" {
		run.Bad = errNoHeader
	}
	if run.Bad != nil {
		return nil, run.Bad
	}
	run.summarize()
	return run, nil
}

// take adds a whole line.
func (run *Run) take(line []byte, want func(Type) bool, visit func(*Record) error) error {
	t := typeOf(line)
	switch t {
	case Cut:
		run.Cut = true
	case RunBegins, RunEnds, Settled, "":
	default:
		if !want(t) {
			return nil
		}
	}
	r, err := decodeLine(line)
	if err != nil {
		run.Damaged++
		return nil
	}
	run.begin(r)
	run.note(r)
	if visit != nil {
		return visit(r)
	}
	run.Records = append(run.Records, r)
	return nil
}

// summarize tells of the records what a Head tells.
func (run *Run) summarize() {
	if run.Ended == nil && run.Format < 2 {
		run.Effects = 0
		for _, c := range run.Calls() {
			if c.Op != nil && (c.Result == nil || c.Result.Outcome == effect.OK || c.Result.Outcome == effect.Unknown) {
				run.Effects++
			}
		}
	}
	for _, r := range slices.Backward(run.Records) {
		var known bool
		if run.Step, known = r.scope(); known {
			break
		}
	}
}

// readLine returns the next line and its length. One that is too long is returned
// as an empty one.
func readLine(in *bufio.Reader) (line []byte, n int64, err error) {
	for {
		part, err := in.ReadSlice('\n')
		n += int64(len(part))
		if n <= maxLine {
			line = append(line, part...)
		} else {
			line = nil
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return line, n, err
		}
	}
}

// Call is a call that may have changed something, and how it ended.
type Call struct {
	Op     *effect.Op
	Result *Result // nil: unknown
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
