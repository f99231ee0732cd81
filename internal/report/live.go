package report

import (
	"slices"
	"strings"
	"time"

	"github.com/mepc/mepc-run/internal/effect"
)

// maxHeld is the number of finished calls a running step holds back, to print them
// under its own last line. A longer step is opened: its name is printed, and its
// calls as they end.
const maxHeld = 6

// live shows a tree on a terminal.
//
// A step that ends is printed as one block, its mark and duration on top. A step
// inside another opens the outer one: "▸ outer" is printed first, and what ends
// inside of it follows; where branches take turns, the name is repeated.
type live struct {
	plain *plain // for the lines that are not of the tree
	root  *row
	steps map[string]*row
	calls map[int]*row
	// printed is the step whose name, or whose content, was printed last: more of
	// its content can follow without its name.
	printed *row
	frames  int
}

// row is a step or a call under way; the root is neither.
type row struct {
	parent *row
	op     *effect.Op
	step   *effect.Step
	branch string
	began  time.Time // by the report's clock
	under  []*row    // what runs under it, oldest first
	held   []line    // what ended under it and is not printed

	progress  *effect.Progress
	meter     meter
	explained bool // a line under it says why it failed
}

func newLive(opts *Options, out *output) *live {
	root := &row{}
	p := newPlain(opts, out)
	p.width = opts.Size
	return &live{plain: p, root: root, printed: root, steps: map[string]*row{}, calls: map[int]*row{}}
}

func (l *live) event(ev effect.Event) {
	switch ev.Type {
	case effect.StepStart:
		l.begin(&row{step: ev.Step, branch: ev.Step.Branch}, ev.Step.Path[:len(ev.Step.Path)-1])
	case effect.StepEnd:
		if r := l.steps[key(ev.Step.Path, ev.Step.Branch)]; r != nil {
			l.stepEnd(r, ev.Step)
		}
	case effect.OpStart:
		l.begin(&row{op: ev.Op, branch: ev.Op.Branch}, ev.Op.Scope)
	case effect.OpProgress:
		if r := l.calls[ev.Op.Seq]; r != nil {
			r.progress = ev.Progress
		}
	case effect.OpEnd:
		if r := l.calls[ev.Op.Seq]; r != nil {
			l.callEnd(r, ev.Result)
		}
	case effect.LogLine:
		if l.plain.wanted(ev.Log.Level) {
			l.log(ev.Log)
		}
	}
}

// key names a step: its path alone is not enough, for branches run the same
// steps at the same time.
func key(path []string, branch string) string {
	return branch + "\x00" + strings.Join(path, "\x00")
}

// find returns the innermost running step of path that branch is in. The outer
// ones may have been begun by the branches around it.
func (l *live) find(path []string, branch string) *row {
	for n := len(path); n > 0; n-- {
		for b := branch; ; {
			if r := l.steps[key(path[:n], b)]; r != nil {
				return r
			}
			if b == "" {
				break
			}
			b = b[:max(strings.LastIndexByte(b, '.'), 0)]
		}
	}
	return l.root
}

func (l *live) begin(r *row, scope []string) {
	r.parent = l.find(scope, r.branch)
	r.began = l.plain.opts.Clock.Now()
	r.parent.under = append(r.parent.under, r)
	if r.step != nil {
		l.steps[key(r.step.Path, r.branch)] = r
	} else {
		l.calls[r.op.Seq] = r
	}
}

func (l *live) remove(r *row) {
	r.parent.under = slices.DeleteFunc(r.parent.under, func(o *row) bool { return o == r })
	if r.step != nil {
		delete(l.steps, key(r.step.Path, r.branch))
	} else {
		delete(l.calls, r.op.Seq)
	}
}

func (l *live) callEnd(r *row, res *effect.Result) {
	l.remove(r)
	if !r.op.Class.Mutates() && l.plain.opts.Verbosity <= 0 {
		return
	}
	if res.Err != nil {
		r.parent.explained = true
	}
	p := r.parent
	p.held = append(p.held, l.callLine(r, res))
	if p == l.root || l.open(p) || len(p.held) > maxHeld {
		l.show(p)
	}
}

func (l *live) callLine(r *row, res *effect.Result) line {
	m, _ := outcome(res.Outcome)
	ln := l.line(r, m.span(l.plain.opts.ASCII))
	ln.right = duration(res.Duration)
	if l.plain.opts.Verbosity > 0 {
		ln.add(dim, fields(r.op.Args), l.plain.where(r.op.Where))
	}
	ln.add(dim, bracketed(clean(res.Summary)))
	switch {
	case res.Outcome == effect.Unknown && res.Err != nil:
		ln.after(yellow, "may have been done: "+message(res.Err))
	case res.Outcome == effect.Unknown:
		ln.after(yellow, "may have been done")
	case res.Err != nil:
		ln.after(red, message(res.Err))
	}
	return ln
}

// line begins the line of r: mark, branch, and what it is.
func (l *live) line(r *row, mark span) line {
	ln := line{indent: r.indent()}
	ln.add(mark.style, mark.text)
	ln.add(cyan, branchLabel(r.branch, r.parent.branch))
	ln.spans = append(ln.spans, r.title()...)
	return ln
}

// title returns what r is: a step's name, or a function and its target.
func (r *row) title() []span {
	var ln line
	if r.step != nil {
		ln.add(bold, clean(r.step.Name))
	} else {
		ln.add(normal, clean(r.op.Name), clean(r.op.Target))
	}
	return ln.spans
}

func (r *row) indent() int {
	n := -2
	for p := r.parent; p != nil; p = p.parent {
		n += 2
	}
	return n
}

func (l *live) stepEnd(r *row, s *effect.Step) {
	for _, under := range slices.Clone(r.under) {
		l.abandon(under)
	}
	l.remove(r)
	m := markDone
	if s.Err != nil {
		m = markFailed
	}
	ln := l.line(r, m.span(l.plain.opts.ASCII))
	ln.right = duration(s.Duration)
	ln.add(dim, l.plain.where(s.Where))
	if s.Err != nil && !r.explained {
		ln.after(red, message(s.Err))
	}
	r.parent.explained = r.parent.explained || s.Err != nil
	if l.open(r) {
		l.show(r) // what it holds, where that is something
	}
	l.show(r.parent)
	l.put(ln)
	for _, h := range r.held {
		l.put(h)
	}
}

// open reports whether r's name is on the screen with nothing but its own
// content after it.
func (l *live) open(r *row) bool {
	for p := l.printed; p != nil; p = p.parent {
		if p == r {
			return true
		}
	}
	return false
}

// show prints the names of r and the steps around it, where they are not open,
// and what they hold, so that content of r can follow.
func (l *live) show(r *row) {
	if !l.open(r) {
		l.show(r.parent)
		l.put(l.line(r, markOpen.span(l.plain.opts.ASCII)))
	}
	for _, h := range r.held {
		l.put(h)
	}
	r.held = nil
	l.printed = r
}

// log prints a log line under the innermost step around it that is open.
func (l *live) log(log *effect.Log) {
	r := l.find(log.Path, log.Branch)
	for !l.open(r) {
		r = r.parent
	}
	l.show(r)
	m := logMark(log.Level).span(l.plain.opts.ASCII)
	under := line{indent: (&row{parent: r}).indent()}
	for i, text := range cleanLines(log.Text) {
		ln := under
		if i == 0 {
			ln.add(m.style, m.text)
			ln.add(cyan, branchLabel(log.Branch, r.branch))
		} else {
			ln.indent += 2
		}
		ln.add(normal, text)
		if i == 0 {
			ln.add(dim, fields(log.Fields), l.plain.where(log.Where))
		}
		l.put(ln)
	}
}

// put prints a line for good.
func (l *live) put(ln line) {
	width, _ := l.plain.opts.Size()
	rows := layout{width, l.plain.opts.Color}.wrap(ln)
	l.plain.out.put(false, strings.Join(rows, "\n")+"\n")
}

func (l *live) print(text string) { l.plain.print(text) }

// close prints what is still under way: the run is over, nothing more will be
// heard of it.
func (l *live) close([]*effect.Op) {
	for _, r := range slices.Clone(l.root.under) {
		l.abandon(r)
	}
}

func (l *live) abandon(r *row) {
	now := l.plain.opts.Clock.Now()
	if r.op != nil {
		l.callEnd(r, &effect.Result{Outcome: effect.Unknown, Duration: now.Sub(r.began)})
		return
	}
	for _, under := range slices.Clone(r.under) {
		l.abandon(under)
	}
	l.remove(r)
	l.show(r)
}

func (l *live) finish(end end) { l.plain.finish(end) }
