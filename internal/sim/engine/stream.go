package engine

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"sync"
	"time"

	"github.com/mepc/mepc-run/internal/sim/timeline"
)

// lazyBody is a body that is made when it is first read.
type lazyBody struct {
	make func() ([]byte, error)
	r    *bytes.Reader
	err  error
}

func (l *lazyBody) Read(p []byte) (int, error) {
	if l.r == nil && l.err == nil {
		var b []byte
		b, l.err = l.make()
		l.r = bytes.NewReader(b)
	}
	if l.err != nil {
		return 0, l.err
	}
	return l.r.Read(p)
}

func (l *lazyBody) Close() error { return nil }

// followBody is a body that goes on as long as things happen. next is called
// with the lock held; it returns what there is to send, and whether that was all.
type followBody struct {
	timeline *timeline.Timeline
	ctx      context.Context
	next     func(now time.Time) (b []byte, end bool)

	mu  sync.Mutex
	buf []byte
	end bool
}

func (f *followBody) Read(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.buf) == 0 && !f.end {
		err := f.timeline.Await(f.ctx, func(now time.Time) bool {
			var b []byte
			b, f.end = f.next(now)
			f.buf = append(f.buf, b...)
			return len(f.buf) > 0 || f.end
		})
		if err != nil {
			return 0, err
		}
	}
	if len(f.buf) == 0 {
		return 0, io.EOF
	}
	n := copy(p, f.buf)
	f.buf = f.buf[n:]
	return n, nil
}

func (f *followBody) Close() error { return nil }

// frame wraps output in the header that tells stdout from stderr.
func frame(stderr bool, text string) []byte {
	b := make([]byte, 8, 8+len(text))
	b[0] = 1
	if stderr {
		b[0] = 2
	}
	binary.BigEndian.PutUint32(b[4:], uint32(len(text)))
	return append(b, text...)
}
