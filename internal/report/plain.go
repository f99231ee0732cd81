package report

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/mepc/mepc-run/internal/effect"
	"github.com/mepc/mepc-run/internal/report/lines"
)

// every is the interval at which a long call shows its progress where nothing is redrawn.
const every = 3 * time.Second

// plain writes one line an event.
type plain struct {
	opts  *Options
	out   *output
	width func() (int, int) // of the terminal that errors are folded for; nil: they are not
	long  map[int]*longCall // calls under way, by their number
}

// longCall records when a call under way began and was last reported.
type longCall struct{ began, said time.Time }

func newPlain(opts *Options, out *output) *plain {
	return &plain{opts: opts, out: out, long: map[int]*longCall{}}
}

func (p *plain) event(ev effect.Event) {
	if ev.Type == effect.LogLine && p.wanted(ev.Log.Level) {
		p.put(ev.Time, ev.Log.Level, branchLabel(ev.Log.Branch, ""), clean(ev.Log.Text), fields(ev.Log.Fields), p.where(ev.Log.Where))
		return
	}
	if p.opts.Verbosity < 0 {
		return
	}
	switch ev.Type {
	case effect.StepStart:
		p.put(ev.Time, "step", branchLabel(ev.Step.Branch, ""), steps(ev.Step.Path), p.where(ev.Step.Where))
	case effect.StepEnd:
		p.stepEnd(ev)
	case effect.OpStart, effect.OpProgress, effect.OpEnd:
		if ev.Op.Class.Mutates() || p.opts.Verbosity > 0 {
			p.call(ev)
		}
	}
}

// wanted reports whether log lines of level are shown.
func (p *plain) wanted(level string) bool {
	switch level {
	case "error":
		return true
	case "debug":
		return p.opts.Verbosity > 0
	}
	return p.opts.Verbosity >= 0
}

func (p *plain) stepEnd(ev effect.Event) {
	word, text := "done", ""
	if ev.Step.Err != nil {
		word, text = "failed", "- "+message(ev.Step.Err)
	}
	p.put(ev.Time, word, branchLabel(ev.Step.Branch, ""), steps(ev.Step.Path), duration(ev.Step.Duration), text)
}

func (p *plain) call(ev effect.Event) {
	op := ev.Op
	what := []string{branchLabel(op.Branch, ""), clean(op.Name), clean(op.Target)}
	switch ev.Type {
	case effect.OpStart:
		p.long[op.Seq] = &longCall{ev.Time, ev.Time}
		if p.opts.Verbosity > 0 {
			what = append(what, fields(op.Args), p.where(op.Where))
		}
		p.put(ev.Time, "start", what...)
	case effect.OpProgress:
		c := p.long[op.Seq]
		if c == nil || ev.Time.Sub(c.said) < every {
			return
		}
		c.said = ev.Time
		if counts(ev.Progress) {
			what = append(what, overall(ev.Progress, ev.Time.Sub(c.began))...)
		}
		p.put(ev.Time, "progress", append(what, bracketed(clean(ev.Progress.Text)))...)
	case effect.OpEnd:
		delete(p.long, op.Seq)
		_, word := outcome(ev.Result.Outcome)
		what = append(what, duration(ev.Result.Duration), bracketed(clean(ev.Result.Summary)))
		if ev.Result.Err != nil {
			what = append(what, "- "+message(ev.Result.Err))
		}
		p.put(ev.Time, word, what...)
	}
}

func (p *plain) where(where string) string {
	if p.opts.Verbosity <= 0 || where == "" {
		return ""
	}
	return bracketed(clean(where))
}

// put writes one line of the parts that are not empty.
func (p *plain) put(at time.Time, word string, parts ...string) {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %-8s", at.Format(time.TimeOnly), clean(word))
	for _, part := range parts {
		if part != "" {
			b.WriteString(" " + part)
		}
	}
	p.out.put(false, b.String()+"\n")
}

func (p *plain) print(text string) { p.out.put(true, cleanOutput(text)+"\n") }

func (p *plain) close(left []*effect.Op) {
	if p.opts.Verbosity < 0 {
		return
	}
	for _, op := range left {
		p.put(op.Start, "unknown", branchLabel(op.Branch, ""), clean(op.Name), clean(op.Target), "- no answer was seen")
	}
}

func (p *plain) finish(end end) {
	if end.err == nil {
		if text := valueText(lines.Plain(end.value)); text != "" {
			p.out.put(true, text)
		}
	}
	if end.err != nil || p.opts.Verbosity >= 0 {
		p.end(end)
	}
}

// end writes the last lines to stderr.
func (p *plain) end(end end) {
	l := layout{color: p.opts.Color}
	if p.width != nil {
		l.width, _ = p.width()
	}
	e := ending{opts: p.opts}
	if end.err != nil {
		e.failure(end)
	} else {
		e.success(end)
	}
	for _, ln := range e.lines {
		p.out.put(false, strings.Join(l.wrap(ln), "\n")+"\n")
	}
}

func (p *plain) area() []string { return nil }

// fields returns arguments as name=value, quoted where a value holds a space.
func fields(args []effect.Arg) string {
	parts := make([]string, len(args))
	for i, a := range args {
		v := clean(a.Value)
		if v == "" || strings.ContainsAny(v, " \"") {
			v = strconv.Quote(v)
		}
		parts[i] = clean(a.Name) + "=" + v
	}
	return strings.Join(parts, " ")
}
