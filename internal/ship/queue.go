package ship

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"
)

// depth is the number of blocks that wait in a Queue: with the two ends' own it holds at most
// (depth+2) blocks of 32 KB.
const (
	depth      = 2
	queueBlock = 32 << 10
)

// ErrStalled is a Queue's error when its reader took nothing for too long.
var ErrStalled = errors.New("it stopped accepting data")

// Queue is a pipe that holds a few blocks: its writer goes on while its reader is
// busy. The writer calls CloseWithError at the end; the reader calls Close.
type Queue struct {
	patience time.Duration
	full     chan []byte
	free     chan []byte
	in, out  []byte // what the writer fills, and what the reader has left
	lent     []byte // the block that out is of

	gone  chan struct{} // the reader reads no more
	once  sync.Once
	end   error // set before full is closed
	ended bool
	bytes atomic.Int64
}

// NewQueue returns a queue whose Write fails with ErrStalled when nothing is read
// for that long.
func NewQueue(patience time.Duration) *Queue {
	return &Queue{patience: patience, full: make(chan []byte, depth), free: make(chan []byte, depth+2), gone: make(chan struct{})}
}

// Write implements io.Writer. After Close it returns io.ErrClosedPipe.
func (q *Queue) Write(p []byte) (int, error) {
	n := 0
	for n < len(p) {
		if q.in == nil {
			q.in = q.block()
		}
		m := min(len(p)-n, cap(q.in)-len(q.in))
		q.in = append(q.in, p[n:n+m]...)
		n += m
		if len(q.in) == cap(q.in) {
			if err := q.pass(); err != nil {
				return n, err
			}
		}
	}
	return n, nil
}

func (q *Queue) block() []byte {
	select {
	case b := <-q.free:
		return b[:0]
	default:
	}
	return make([]byte, 0, queueBlock)
}

// pass hands the block being filled to the reader.
func (q *Queue) pass() error {
	select {
	case <-q.gone:
		return io.ErrClosedPipe
	case q.full <- q.in:
		q.in = nil
		return nil
	default:
	}
	ctx, cancel := context.WithTimeout(context.Background(), q.patience)
	defer cancel()
	select {
	case <-q.gone:
		return io.ErrClosedPipe
	case q.full <- q.in:
		q.in = nil
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%w for %s", ErrStalled, q.patience)
	}
}

// CloseWithError ends the stream: the reader gets err, or io.EOF for nil, once it has
// read what was written.
func (q *Queue) CloseWithError(err error) {
	if q.ended {
		return
	}
	if err == nil && len(q.in) > 0 {
		err = q.pass()
	}
	q.ended = true
	if q.end = err; err == nil {
		q.end = io.EOF
	}
	close(q.full)
}

// Read implements io.Reader.
func (q *Queue) Read(p []byte) (int, error) {
	for len(q.out) == 0 {
		if q.lent != nil {
			q.free <- q.lent // has room for all blocks
			q.lent = nil
		}
		b, ok := <-q.full
		if !ok {
			return 0, q.end
		}
		q.out, q.lent = b, b
	}
	n := copy(p, q.out)
	q.out = q.out[n:]
	q.bytes.Add(int64(n))
	return n, nil
}

// Close says that nothing is read any more.
func (q *Queue) Close() error {
	q.once.Do(func() { close(q.gone) })
	return nil
}

// Bytes returns how many bytes were read.
func (q *Queue) Bytes() int64 { return q.bytes.Load() }
