package app

import (
	"fmt"
	"strings"
	"time"

	"github.com/mepc/mepc-run/internal/clock"
	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/internal/spec"
)

// specReport shows what comes of specs: nothing of those that pass, unless it is
// verbose; of the others what is wrong; a line at the end.
type specReport struct {
	*command
	began time.Time
	count map[spec.Status]int
	files int
	paint func(seq, text string) string
}

const (
	red, green, yellow, bold, dim = "\x1b[31m", "\x1b[32m", "\x1b[33m", "\x1b[1m", "\x1b[2m"
	plain                         = "\x1b[0m"
)

func (c *command) specReport() *specReport {
	color := c.colors(c.env.Stdout)
	return &specReport{
		command: c, began: clock.Wall{}.Now(), count: map[spec.Status]int{},
		paint: func(seq, text string) string {
			if !color || text == "" {
				return text
			}
			return seq + text + plain
		},
	}
}

// file shows what came of a file.
func (r *specReport) file(f *spec.File) {
	r.files++
	if f.Err != nil {
		r.count[spec.Broken]++
		r.trouble(spec.Broken, f.Name, f.Err.Where, f.Err, nil)
	}
	for _, t := range f.Results {
		r.count[t.Status]++
		name := strings.Join(t.Names, " › ")
		switch {
		case t.Err != nil:
			r.trouble(t.Status, name, t.Where, t.Err, t.Output)
		case r.flags.verbose && t.Status == spec.Pending:
			r.line("%s %s %s", r.paint(yellow, "pending"), name, r.paint(dim, t.Reason))
		case r.flags.verbose:
			r.line("%s      %s %s", r.paint(green, "ok"), name, r.paint(dim, short(t.Duration)))
		}
	}
}

func (r *specReport) line(format string, args ...any) {
	fmt.Fprintf(r.env.Stdout, format+"\n", args...)
}

// trouble shows what is wrong with a test or a file.
func (r *specReport) trouble(status spec.Status, name, where string, e *failure.Error, output []string) {
	r.line("%s %s", r.paint(red, strings.ToUpper(string(status))), r.paint(bold, printable(name)))
	if e.Where != "" {
		where = e.Where
	}
	message := e.Message
	if status != spec.Failed {
		message = e.Error()
	}
	indented := func(indent, text string) {
		for l := range strings.Lines(strings.TrimRight(text, "\n") + "\n") {
			r.line("%s%s", indent, printable(strings.TrimSuffix(l, "\n")))
		}
	}
	indented("  ", where+": "+message)
	if e.Details != "" {
		for l := range strings.Lines(e.Details) {
			l = printable(strings.TrimSuffix(l, "\n"))
			switch {
			case strings.HasPrefix(l, "-"):
				l = r.paint(red, l)
			case strings.HasPrefix(l, "+"):
				l = r.paint(green, l)
			}
			r.line("    %s", l)
		}
	}
	if e.Excerpt != "" {
		indented("  ", e.Excerpt)
	}
	if len(e.Trace) > 1 {
		indented("  ", "called from "+strings.Join(e.Trace[1:], ", "))
	}
	if e.Hint != "" {
		indented("  ", "next: "+e.Hint)
	}
	for _, l := range output {
		indented("  | ", l)
	}
	r.line("")
}

// end shows the sum of it all, and returns an error when a test failed.
func (r *specReport) end([]*spec.File) error {
	bad := r.count[spec.Failed] + r.count[spec.Broken]
	total := bad + r.count[spec.Passed] + r.count[spec.Pending]
	if !r.flags.quiet || bad > 0 {
		parts := []string{r.paint(green, fmt.Sprintf("%d passed", r.count[spec.Passed]))}
		for _, s := range []spec.Status{spec.Failed, spec.Broken, spec.Pending} {
			if n := r.count[s]; n > 0 {
				color := red
				if s == spec.Pending {
					color = yellow
				}
				word := map[spec.Status]string{spec.Failed: "failed", spec.Broken: "errors", spec.Pending: "pending"}[s]
				parts = append(parts, r.paint(color, fmt.Sprintf("%d %s", n, word)))
			}
		}
		r.line("%s in %d files, %s", strings.Join(parts, ", "), r.files, short(clock.Wall{}.Now().Sub(r.began)))
	}
	if bad > 0 {
		return shown{failure.New(failure.Script, "%d of %d tests failed", bad, total)}
	}
	return nil
}

// short writes a duration as people want to read it.
func short(d time.Duration) string {
	switch {
	case d < time.Millisecond:
		return "<1ms"
	case d < time.Second:
		return fmt.Sprintf("%dms", d.Milliseconds())
	}
	return fmt.Sprintf("%.2fs", d.Seconds())
}
