package report

import (
	"fmt"
	"time"
)

// area returns what is running, in no more rows than the terminal has: the whole
// tree where it fits, else without what ended, else one row for each thing that
// runs, and then as many as fit and how many more there are.
func (l *live) area() []string {
	l.frames++
	width, height := l.plain.opts.Size()
	a := area{
		live: l, layout: layout{width, l.plain.opts.Color}, now: l.plain.opts.Clock.Now(),
		// A row is left for the cursor, and one so that the last thing printed stays
		// in sight.
		height: max(height-2, 1),
	}
	l.sample(l.root, a.now)
	a.held = true
	if a.tree(l.root); len(a.rows) <= a.height {
		return a.rows
	}
	a.rows, a.held = nil, false
	if a.tree(l.root); len(a.rows) <= a.height {
		return a.rows
	}
	a.rows = nil
	a.leaves(l.root)
	if more := len(a.rows) - a.height + 1; more > 1 {
		a.rows = append(a.rows[:a.height-1], a.fit(line{spans: []span{{fmt.Sprintf("... and %d more", more), dim}}}))
	}
	return a.rows
}

// sample lets the meters of all that runs under r know the time.
func (l *live) sample(r *row, now time.Time) {
	if counts(r.progress) {
		r.meter.sample(now, r.progress.Current)
	}
	for _, under := range r.under {
		l.sample(under, now)
	}
}

type area struct {
	*live
	layout
	now    time.Time
	height int
	held   bool // show what ended in a step that is not open
	rows   []string
}

// tree adds everything under r.
func (a *area) tree(r *row) {
	if a.held {
		for _, h := range r.held {
			a.rows = append(a.rows, a.fit(h))
		}
	}
	for _, under := range r.under {
		ln := a.running(under)
		if p := under.progress; p != nil {
			ln.after(dim, clean(p.Text))
		}
		a.rows = append(a.rows, a.fit(ln))
		if counts(under.progress) {
			bar := line{indent: ln.indent + 2}
			bar.add(cyan, under.meter.bar(under.progress, a.inner()-bar.indent, a.plain.opts.ASCII))
			a.rows = append(a.rows, a.fit(bar))
		}
		a.tree(under)
	}
}

// running returns the line of something under way.
func (a *area) running(r *row) line {
	ln := a.line(r, spin(a.frames, a.plain.opts.ASCII))
	ln.right = duration(a.now.Sub(r.began))
	return ln
}

// leaves adds a row for each thing under r that nothing else runs under.
func (a *area) leaves(r *row) {
	for _, under := range r.under {
		if len(under.under) > 0 {
			a.leaves(under)
			continue
		}
		m := spin(a.frames, a.plain.opts.ASCII)
		var ln line
		ln.add(m.style, m.text)
		ln.add(cyan, branchLabel(under.branch, ""))
		if s := r.step; s != nil {
			ln.add(dim, clean(s.Name)+" >")
		}
		ln.spans = append(ln.spans, under.title()...)
		if counts(under.progress) {
			ln.add(cyan, percent(under.progress))
		}
		ln.right = duration(a.now.Sub(under.began))
		a.rows = append(a.rows, a.fit(ln))
	}
}
