package report

import (
	"errors"
	"io"
	"sync"
	"time"

	"golang.org/x/term"

	"github.com/mepc/mepc-run/internal/clock"
	"github.com/mepc/mepc-run/internal/effect"
	"github.com/mepc/mepc-run/internal/failure"
)

// Mode is the form that a run is shown in.
type Mode uint8

// The modes.
const (
	Auto  Mode = iota // Live when Err is a terminal, else Plain
	Live              // a tree, of which the running part is redrawn
	Plain             // one line an event
	JSON              // one object an effect on Out
)

// Options says where a run is shown and how. Out and Err must be set.
type Options struct {
	Out  io.Writer // stdout: results
	Err  io.Writer // stderr: everything else
	Mode Mode
	// Color allows colours and dim or bold text. Whether the user wants them
	// (NO_COLOR, --no-color) is the caller's to know.
	Color bool
	// ASCII keeps to marks that a terminal without UTF-8 can show.
	ASCII bool
	// Size returns the terminal's columns and rows; it is asked before each
	// redraw. By default Err is asked, and 80 by 24 taken where it does not know.
	Size func() (width, height int)
	// Verbosity is -1 for errors and results alone, 0, or 1 to see also the calls
	// that only look, the arguments and the positions in the recipe.
	Verbosity int
	// Recipe is the name of what is being run.
	Recipe string
	// Clock drives redraws and the times of what is running. People wait for
	// these, so it is the wall's (the default) even where the run's is not.
	Clock clock.Clock
}

// Report shows one run. It is safe for concurrent use.
type Report struct {
	opts Options

	mu      sync.Mutex // guards all below and the state of the view
	out     *output
	view    view
	changes changes
	failing failing
	ended   bool
	bug     error // the first panic of what shows the run
}

// view is one form of showing a run. Its methods are called with the lock held
// and write by output.put.
type view interface {
	event(effect.Event)
	print(line string)
	// close is called once, before the end of the run is said. left are the calls
	// of which no end was seen.
	close(left []*effect.Op)
	finish(end)
	// area returns the lines that are to be redrawn.
	area() []string
}

// end says how a run ended.
type end struct {
	err      error
	effects  int
	duration time.Duration
	value    any
	step     *effect.Step // in which err was raised; nil when in none
	endpoint string       // of the server that err came from; "" when from none
	changes  *changes
}

// New returns a Report. It must be closed.
func New(opts Options) *Report {
	if opts.Clock == nil {
		opts.Clock = clock.Wall{}
	}
	if opts.Size == nil {
		opts.Size = func() (int, int) { return size(opts.Err) }
	}
	if opts.Mode == Auto {
		opts.Mode = Plain
		if fd, ok := descriptor(opts.Err); ok && term.IsTerminal(fd) {
			opts.Mode = Live
		}
	}
	r := &Report{opts: opts}
	r.out = newOutput(&r.mu, opts.Out, opts.Err)
	switch {
	case opts.Mode == JSON:
		r.view = &jsonView{plain: newPlain(&r.opts, r.out)}
	case opts.Mode == Live && opts.Verbosity >= 0:
		r.view = newLive(&r.opts, r.out)
		r.out.redraw(r.opts.Clock, r.opts.Size, r.view.area)
	case opts.Mode == Live:
		p := newPlain(&r.opts, r.out)
		p.width = r.opts.Size
		r.view = p
	default:
		r.view = newPlain(&r.opts, r.out)
	}
	r.out.start()
	return r
}

// Event shows ev. It does not wait for the terminal.
func (r *Report) Event(ev effect.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.out.room()
	if !r.ended {
		r.protect(func() { r.event(ev) })
	}
}

// protect calls f with the lock held. Close reports a panic of f: a run is worth
// more than its looks.
func (r *Report) protect(f func()) {
	if err := failure.Protect(func() error { f(); return nil }); r.bug == nil {
		r.bug = err
	}
}

func (r *Report) event(ev effect.Event) {
	switch ev.Type {
	case effect.OpStart:
		r.changes.start(ev.Op)
	case effect.OpEnd:
		r.changes.end(ev.Op, ev.Result)
		r.failing.callEnd(ev.Op, ev.Result.Err)
	case effect.StepEnd:
		r.failing.stepEnd(ev.Step)
	}
	r.view.event(ev)
}

// Print shows what the recipe printed: a result, so it goes to stdout, except
// with JSON. line has no newline at its end.
func (r *Report) Print(line string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.out.room()
	if !r.ended {
		r.protect(func() { r.view.print(line) })
	}
}

// Hurry makes what is shown from now on not wait for its reader: the run is to end,
// and somebody who stopped the terminal must not keep it from being undone.
func (r *Report) Hurry() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.out.hurried = true
	r.out.changed.Broadcast()
}

// Finish says how the run ended: err with what it leaves behind, or value, what
// the recipe returned (nil for nothing), and that all is done. effects is how
// many calls changed, or may have changed, the world, as far as they have ended;
// d how long the run took.
// It returns when everything is written. Events that come later are dropped.
func (r *Report) Finish(err error, effects int, d time.Duration, value any) {
	r.mu.Lock()
	if !r.ended {
		r.protect(func() {
			effects += r.stop()
			step, endpoint := r.failing.origin(err)
			r.view.finish(end{err, effects, d, value, step, endpoint, &r.changes})
		})
	}
	r.mu.Unlock()
	r.out.sync()
}

// stop ends the view's running part and returns how many calls, of which no end
// was seen, may have changed the world.
func (r *Report) stop() int {
	r.ended = true
	left := r.changes.unended()
	r.view.close(left)
	return len(left)
}

// Close leaves the terminal in order and ends the writing. It returns the first
// error of each writer, and of each part of the report itself. Only the first call does something.
func (r *Report) Close() error {
	r.mu.Lock()
	if !r.ended {
		r.protect(func() { r.stop() })
	}
	r.mu.Unlock()
	failed := r.out.close()
	return errors.Join(r.bug, r.out.bug, failed)
}

func descriptor(w io.Writer) (int, bool) {
	f, ok := w.(interface{ Fd() uintptr })
	if !ok {
		return 0, false
	}
	return int(f.Fd()), true
}

// size asks the terminal behind w, if there is one.
func size(w io.Writer) (width, height int) {
	if fd, ok := descriptor(w); ok {
		if width, height, err := term.GetSize(fd); err == nil && width > 0 && height > 0 {
			return width, height
		}
	}
	return 80, 24
}
