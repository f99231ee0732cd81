package report

import (
	"fmt"
	"strings"

	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/internal/say"
)

// maxChanges limits how many changes an error lists, doubtful ones aside.
const maxChanges = 40

// ending writes the last lines that a person sees of a run.
type ending struct {
	opts  *Options
	lines []line
}

func (e *ending) add(indent int, spans ...span) {
	var l line
	l.indent = indent
	for _, s := range spans {
		l.add(s.style, s.text)
	}
	e.lines = append(e.lines, l)
}

func (e *ending) text(indent int, s style, texts ...string) {
	for _, t := range texts {
		e.add(indent, span{t, s})
	}
}

// success says that all is done, or that nothing had to be.
func (e *ending) success(end end) {
	if end.effects == 0 {
		who := "the recipe"
		if e.opts.Recipe != "" {
			who = clean(e.opts.Recipe)
		}
		e.add(0, span{"nothing to do:", green},
			span{fmt.Sprintf("everything is as %s wants it (0 effects in %s)", who, duration(end.duration)), normal})
		return
	}
	e.add(0, span{"done:", green},
		span{fmt.Sprintf("%s in %s", effects(end.effects), duration(end.duration)), normal})
}

// failure says what went wrong, how things are left and what to do next, and below
// that, for who looks further, how the recipe came there.
func (e *ending) failure(end end) {
	f := failure.As(end.err)
	if f == nil {
		f = failure.New(failure.Internal, "%s", end.err.Error())
	}
	e.headline(f)
	e.place(f, end)
	if details := cleanLines(f.Details); len(details) > 0 {
		e.text(2, dim, "details")
		for _, d := range details {
			e.add(4, span{"|", dim}, span{d, normal})
		}
	}
	if state := cleanLines(f.State); len(state) > 0 {
		e.text(2, dim, "state now")
		e.text(4, normal, state...)
	}
	e.changed(end)
	for i, h := range cleanLines(f.Hint) {
		if i == 0 {
			e.add(2, span{"next:", bold}, span{h, normal})
		} else {
			e.text(8, normal, h)
		}
	}
	e.trace(f)
}

func (e *ending) headline(f *failure.Error) {
	word := "error:"
	if f.Kind == failure.Cancelled {
		word = "cancelled:"
	}
	spans := []span{{word, red}}
	call := strings.TrimSpace(clean(f.Op) + " " + clean(f.Target))
	if call != "" {
		spans = append(spans, span{call + ":", bold})
	}
	lines := cleanLines(f.Message)
	if len(lines) == 0 {
		lines = []string{"no message (" + string(f.Kind) + ")"}
	}
	e.add(0, append(spans, span{lines[0], normal})...)
	e.text(4, normal, lines[1:]...)
}

// place says where in the recipe it happened.
func (e *ending) place(f *failure.Error, end end) {
	var parts []string
	if f.Where != "" {
		parts = append(parts, "at "+clean(f.Where))
	}
	if end.endpoint != "" {
		parts = append(parts, "on "+clean(end.endpoint))
	}
	if s := end.step; s != nil {
		parts = append(parts, "in step "+steps(s.Path))
		if s.Branch != "" {
			parts = append(parts, "branch "+clean(s.Branch))
		}
	}
	if e.opts.Verbosity > 0 {
		parts = append(parts, fmt.Sprintf("kind %s (exit code %d)", f.Kind, failure.ExitCode(f)))
	}
	if len(parts) > 0 {
		e.text(2, normal, strings.Join(parts, ", "))
	}
	if e.opts.Verbosity <= 0 && f.FromLibrary(f.Where) {
		return
	}
	for _, l := range cleanLines(f.Excerpt) {
		s := dim
		if strings.HasPrefix(l, ">") {
			s = normal
		}
		e.text(4, s, l)
	}
}

// trace lists who called the line that place has named.
func (e *ending) trace(f *failure.Error) {
	callers, hidden := f.Callers(e.opts.Verbosity > 0)
	shipped := fmt.Sprintf("%s of shipped code (-v shows them)", say.Count(hidden, "line"))
	switch {
	case len(callers) == 0 && hidden == 0:
	case len(callers) == 0:
		e.text(2, dim, "called from "+shipped)
	default:
		e.text(2, dim, "called from")
		for _, c := range callers {
			e.text(4, normal, clean(c))
		}
		if hidden > 0 {
			e.text(4, dim, "and "+shipped)
		}
	}
}

// changed lists what the run did before it failed. What was undone is there
// too, followed by what undid it.
func (e *ending) changed(end end) {
	list := end.changes.list
	if len(list) == 0 {
		e.text(2, dim, "nothing was changed")
		return
	}
	e.text(2, dim, fmt.Sprintf("changed in this run (%s in %s)", effects(end.effects), duration(end.duration)))
	several := end.changes.severalServers()
	hidden := 0
	for i, c := range list {
		if !c.unknown && i < len(list)-maxChanges {
			hidden++
			continue
		}
		if hidden > 0 {
			e.text(4, dim, fmt.Sprintf("... %d more ...", hidden))
			hidden = 0
		}
		e.change(c, several[module(c.name)])
	}
}

// change adds what was done, and where to when several servers are concerned.
func (e *ending) change(c change, server bool) {
	var l line
	l.indent = 4
	l.add(normal, clean(c.name), clean(c.target))
	if c.times > 1 {
		l.add(dim, fmt.Sprintf("(%d times)", c.times))
	}
	if server {
		l.add(dim, "on "+clean(c.endpoint))
	}
	if e.opts.Verbosity > 0 {
		l.add(dim, bracketed(clean(c.where)))
	}
	if c.unknown {
		l.add(yellow, "- may have been done: look before you run it again")
	}
	e.lines = append(e.lines, l)
}
