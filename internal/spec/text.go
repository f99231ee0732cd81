package spec

import (
	"bytes"
	"fmt"
	"io"
	"strings"

	"github.com/mepc/mepc-run/internal/report"
	"github.com/mepc/mepc-run/internal/say"
	"github.com/mepc/mepc-run/runtime"
)

// Text is a Printer for people: it says nothing of tests that pass, unless it is
// verbose, all about those that do not, and a line at the end.
type Text struct {
	Out     io.Writer
	Color   bool
	Verbose bool
	Quiet   bool // no line at the end when all is well

	b bytes.Buffer
}

// paint returns text that is safe to be shown, in a colour.
func (t *Text) paint(color, text string) string {
	return say.Paint(t.Color, color, report.Clean(text))
}

// line writes parts that are painted already.
func (t *Text) line(parts ...string) {
	t.b.WriteString(strings.TrimRight(strings.Join(parts, ""), " ") + "\n")
}

// lines writes text line by line.
func (t *Text) lines(indent, color, text string) {
	for l := range strings.Lines(text) {
		t.line(indent, t.paint(color, strings.TrimSuffix(l, "\n")))
	}
}

// sentence is a test's full name.
func sentence(names []string) string { return strings.Join(names, " › ") }

// File shows the results of a file.
func (t *Text) File(f *File) {
	if f.Err != nil {
		t.trouble(Broken, f.Name, f.Name, f.Err, nil)
	}
	for _, r := range f.Results {
		took := t.paint(say.Dim, "  "+report.Duration(r.Duration))
		switch {
		case r.Err != nil:
			t.trouble(r.Status, sentence(r.Names), r.Where, r.Err, r.Output)
		case !t.Verbose:
		case r.Status == Pending:
			why := r.Reason
			if why != "" {
				why = "  (" + why + ")"
			}
			t.line(t.paint(say.Yellow, "pending "), t.paint("", sentence(r.Names)), t.paint(say.Dim, why))
		default:
			t.line(t.paint(say.Green, "ok      "), t.paint("", sentence(r.Names)), took)
			for _, l := range r.Output {
				t.lines("        | ", say.Dim, l)
			}
		}
	}
	t.flush()
}

// trouble shows what is wrong with a test, or a file.
func (t *Text) trouble(status Status, name, where string, e *runtime.Error, output []string) {
	t.line(t.paint(say.Red, fmt.Sprintf("%-8s", strings.ToUpper(string(status)))), t.paint(say.Bold, name))
	if e.Where != "" {
		where = e.Where
	}
	message := e.Message
	if status != Failed {
		message = e.Error()
	}
	first, rest, _ := strings.Cut(message, "\n")
	t.line("  ", t.paint(say.Bold, where+": "), t.paint("", first))
	t.lines("  ", "", rest)
	for l := range strings.Lines(e.Details) {
		color := ""
		switch l[0] {
		case '-':
			color = say.Red
		case '+':
			color = say.Green
		}
		t.lines("    ", color, l)
	}
	t.lines("  ", say.Dim, e.Excerpt)
	if e.State != "" {
		t.lines("  ", "", e.State)
	}
	for i, l := range strings.Split(e.Hint, "\n") {
		lead := "  next: "
		if i > 0 {
			lead = "        "
		}
		if l != "" {
			t.lines(lead, "", l)
		}
	}
	if callers, _ := e.Callers(true); len(callers) > 0 {
		t.lines("  ", "", "called from "+strings.Join(callers, ", "))
	}
	for _, l := range output {
		t.lines("  | ", say.Dim, l)
	}
	t.line()
}

// End shows the sum of it all.
func (t *Text) End(s Sum) error {
	if s.Bad() > 0 || !t.Quiet {
		parts := []string{t.paint(say.Green, fmt.Sprintf("%d passed", s.Passed))}
		add := func(n int, color, text string) {
			if n > 0 {
				parts = append(parts, t.paint(color, text))
			}
		}
		add(s.Failed, say.Red, fmt.Sprintf("%d failed", s.Failed))
		add(s.Broken, say.Red, say.Count(s.Broken, "error"))
		add(s.Pending, say.Yellow, fmt.Sprintf("%d pending", s.Pending))
		seed := ""
		if s.Seed != 0 {
			seed = fmt.Sprintf(", --seed %d", s.Seed)
		}
		t.line(strings.Join(parts, ", "), fmt.Sprintf(" in %s, %s%s", say.Count(s.Files, "file"), report.Duration(s.Duration), seed))
	}
	return t.flush()
}

// flush writes what there is; an error is told by End.
func (t *Text) flush() error {
	_, err := t.b.WriteTo(t.Out)
	return err
}
