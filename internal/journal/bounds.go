package journal

import (
	"fmt"
	"unicode/utf8"

	"github.com/mepc/mepc-run/internal/effect"
	"github.com/mepc/mepc-run/internal/failure"
)

// The bounds of a journal. What a run says of itself is cut, and says so; what a
// later run needs (parameters, memos, how things were) is whole, or refused.
const (
	nameMost   = 1 << 10  // a name, a target, a position, a hint
	textMost   = 8 << 10  // a log line, a message, an argument
	recordMost = 32 << 10 // all texts of a line
	exactMost  = 16 << 20 // a line that is not cut

	softMost  = 8 << 20  // a file with log lines, looks and steps
	hardMost  = 32 << 20 // a file with new effects
	finalMost = 36 << 20 // a file with outcomes and what is undone; the end is written in any case
)

// room returns how long the file may be that r is added to. undoing says that r is
// about a compensation.
func (r *Record) room(undoing bool) int64 {
	switch r.Type {
	case RunEnds, Settled:
		return 1 << 62
	case Outcome, Undone, Cut, Folded, Answered:
		return finalMost
	case Looked, LogLine, StepBegins, StepEnds:
		return softMost
	case Intent:
		if undoing {
			return finalMost
		}
	}
	return hardMost
}

// cutter takes secrets out of the texts of one record, and cuts what is too long.
type cutter struct {
	clean func(string) string
	left  int // how many bytes of text the record may still have
}

func (j *Journal) cutter() *cutter { return &cutter{clean: j.clean, left: recordMost} }

func (c *cutter) name(s string) string { return c.cut(s, nameMost) }
func (c *cutter) text(s string) string { return c.cut(s, textMost) }

// cut returns at most most bytes of s. Secrets are taken out first: half of one is
// not found.
func (c *cutter) cut(s string, most int) string {
	s = c.clean(s)
	most = max(min(most, c.left), 0)
	if len(s) > most {
		at := most
		for at > 0 && !utf8.RuneStart(s[at]) {
			at--
		}
		s = fmt.Sprintf("%s... (%d bytes more)", s[:at], len(s)-at)
	}
	c.left -= len(s) + 16 // and what stands around it
	return s
}

// path returns the names of steps around something: of a deep one the outermost.
func (c *cutter) path(names []string) []string {
	const most = 32
	if len(names) == 0 {
		return nil
	}
	out := make([]string, 0, min(len(names), most+1))
	for _, name := range names[:min(len(names), most)] {
		out = append(out, c.name(name))
	}
	if len(names) > most {
		out = append(out, fmt.Sprintf("... (%d steps more)", len(names)-most))
	}
	return out
}

func (c *cutter) args(args []effect.Arg) []effect.Arg {
	const most = 64
	if len(args) == 0 {
		return nil
	}
	out := make([]effect.Arg, 0, min(len(args), most+1))
	for _, a := range args[:min(len(args), most)] {
		out = append(out, effect.Arg{Name: c.name(a.Name), Value: c.text(a.Value)})
	}
	if len(args) > most {
		out = append(out, effect.Arg{Name: "...", Value: fmt.Sprintf("(%d more)", len(args)-most)})
	}
	return out
}

// op is a copy of op. The runtime has cleaned it already: this is for what a
// handler put there since.
func (c *cutter) op(op *effect.Op) *effect.Op {
	o := *op
	o.Target, o.Where, o.Branch = c.name(op.Target), c.name(op.Where), c.name(op.Branch)
	o.Scope, o.Args = c.path(op.Scope), c.args(op.Args)
	return &o
}

func (c *cutter) log(l *effect.Log) *effect.Log {
	return &effect.Log{
		Level: c.name(l.Level), Text: c.text(l.Text), Where: c.name(l.Where), Branch: c.name(l.Branch),
		Path: c.path(l.Path), Fields: c.args(l.Fields),
	}
}

func (c *cutter) compensation(u *effect.Compensation) *effect.Compensation {
	return &effect.Compensation{Number: u.Number, Name: c.name(u.Name), Where: c.name(u.Where), Always: u.Always, Said: c.text(u.Said)}
}

func (c *cutter) error(err error) *Error {
	if err == nil {
		return nil
	}
	e := failure.As(err)
	if e == nil {
		return &Error{Kind: failure.Internal, Message: c.text(err.Error())}
	}
	return &Error{
		Kind: e.Kind, Message: c.text(e.Message), Op: c.name(e.Op), Target: c.name(e.Target), Where: c.name(e.Where),
		Hint: c.name(e.Hint), State: c.text(e.State), Details: c.text(e.Details),
	}
}
