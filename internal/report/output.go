package report

import (
	"bytes"
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"github.com/mepc/mepc-run/internal/clock"
	"github.com/mepc/mepc-run/internal/failure"
)

const (
	// backlog is the amount of output that may wait before the run waits for its reader.
	backlog = 4 << 20
	// frame is the time between two redraws.
	frame = 100 * time.Millisecond
)

// output writes beside the run what a view puts, in order. Where something is
// redrawn, it is the only one to move the cursor.
type output struct {
	mu       *sync.Mutex // the report's
	changed  *sync.Cond  // of any field below
	queue    []chunk
	waiting  int  // bytes in queue
	due      bool // something is to be written now
	writing  bool
	closed   bool
	out, err stream

	screen *screen // nil when nothing is redrawn
	area   func() []string
	stop   context.CancelFunc // ends the redraws
	done   failure.Crew

	hurried bool  // nobody waits for the reader any more
	bug     error // the first panic of what writes and draws
}

// chunk is text for one of the two streams, ending in a newline.
type chunk struct {
	toOut bool
	text  string
}

// stream is a writer that is left alone once it failed.
type stream struct {
	w      io.Writer
	failed error
}

func (s *stream) write(b []byte) {
	if s.failed == nil && len(b) > 0 {
		_, s.failed = s.w.Write(b)
	}
}

func newOutput(mu *sync.Mutex, out, err io.Writer) *output {
	return &output{
		mu: mu, changed: sync.NewCond(mu), stop: func() {},
		out: stream{w: out}, err: stream{w: err},
	}
}

// redraw makes the output show area below everything that was put, anew with
// each frame. It is called before start.
func (o *output) redraw(clk clock.Clock, size func() (int, int), area func() []string) {
	o.screen, o.area = &screen{size: size}, area
	ctx, cancel := context.WithCancel(context.Background())
	o.stop = cancel
	o.done.Go(func() {
		for clk.Sleep(ctx, frame) == nil {
			o.mu.Lock()
			o.due = true
			o.changed.Broadcast()
			o.mu.Unlock()
		}
	}, o.broke)
}

func (o *output) start() { o.done.Go(o.run, o.broke) }

func (o *output) broke(err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.bug, o.closed = err, true // nobody waits for it
	o.changed.Broadcast()
}

// put adds text to be written. The lock is held.
func (o *output) put(toOut bool, text string) {
	if o.hurried && o.waiting > 2*backlog {
		return
	}
	o.queue = append(o.queue, chunk{toOut, text})
	o.waiting += len(text)
	// A screen waits for its next frame: many events then cost one redraw.
	if o.screen == nil {
		o.due = true
		o.changed.Broadcast()
	}
}

// room waits until the reader is less than the backlog behind. The lock is
// held, and given up meanwhile.
func (o *output) room() {
	for o.waiting > backlog && !o.closed && !o.hurried {
		o.due = true
		o.changed.Broadcast()
		o.changed.Wait()
	}
}

func (o *output) run() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for {
		for !o.due && !o.closed {
			o.changed.Wait()
		}
		if !o.due {
			return
		}
		queue := o.queue
		o.queue, o.due, o.writing = nil, false, true
		if err := failure.Protect(func() error { o.show(queue); return nil }); err != nil {
			o.bug, o.area = err, nil // from here on there is text alone
		}
		for _, c := range queue {
			o.waiting -= len(c.text)
		}
		o.writing = false
		o.changed.Broadcast()
	}
}

// show writes queue, and draws the area. The lock is held, and given up meanwhile.
func (o *output) show(queue []chunk) {
	var area []string
	if o.area != nil {
		area = o.area()
	}
	o.mu.Unlock()
	defer o.mu.Lock()
	o.write(queue, area)
}

// write is called by run alone, without the lock.
func (o *output) write(queue []chunk, area []string) {
	if o.screen != nil {
		o.screen.draw(queue, area, &o.out, &o.err)
		return
	}
	var b bytes.Buffer
	for i, c := range queue {
		b.WriteString(c.text)
		if i+1 == len(queue) || queue[i+1].toOut != c.toOut {
			if c.toOut {
				o.out.write(b.Bytes())
			} else {
				o.err.write(b.Bytes())
			}
			b.Reset()
		}
	}
}

// sync returns when everything that was put is written.
func (o *output) sync() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		return
	}
	o.due = true
	o.changed.Broadcast()
	for o.due || o.writing {
		o.changed.Wait()
	}
}

// close writes what is left and ends.
func (o *output) close() error {
	o.stop()
	o.sync()
	o.mu.Lock()
	o.closed = true
	o.changed.Broadcast()
	o.mu.Unlock()
	o.done.Wait()
	return errors.Join(o.out.failed, o.err.failed)
}
