package router

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http/httptrace"
	"sync/atomic"
	"time"
)

// What a connection that broke before the first byte of an answer says of the
// request that was on it.
var (
	// errUnseen: the backend cannot have seen it, so it may go elsewhere.
	errUnseen = errors.New("the backend closed the connection before the request reached it")
	// errSeen: the backend may have seen it, so it is sent nowhere else.
	errSeen = errors.New("the connection broke before the answer")
	// errNoAnswer: its time was up.
	errNoAnswer = errors.New("the backend did not answer in time")
)

// attempt is a request on a backend's connection. net/http repeats some requests
// by itself when a kept-alive connection turns out to be dead; an attempt whose
// connection breaks is cancelled first, so that what is repeated is decided in
// proxy.RoundTrip alone.
type attempt struct {
	ctx      context.Context
	cancel   context.CancelCauseFunc
	acked    uint64 // see acked: when the connection became the attempt's
	written  int64
	answered atomic.Bool // its first byte has come

	// The timer runs while the backend takes what is written, and from then on until
	// it answers. Nil without a limit.
	timer    *time.Timer
	patience time.Duration
	sent     bool        // the whole request is written, or about to be; of the writer alone
	over     atomic.Bool // the answer is here, or will not come
}

// newAttempt returns an attempt whose context is a child of ctx, for a backend that
// may let it wait for patience. What trace says of early answers (103 and the like)
// is handed on.
func newAttempt(ctx context.Context, trace *httptrace.ClientTrace, patience time.Duration) *attempt {
	a := &attempt{patience: patience}
	own := &httptrace.ClientTrace{
		GotConn: func(info httptrace.GotConnInfo) {
			if c, ok := info.Conn.(*conn); ok {
				c.begin(a)
			}
		},
		GotFirstResponseByte: func() { a.answered.Store(true) },
		WroteRequest:         func(httptrace.WroteRequestInfo) { a.sent = true; a.wait() },
	}
	if trace != nil {
		own.Got1xxResponse = trace.Got1xxResponse
	}
	a.ctx, a.cancel = context.WithCancelCause(httptrace.WithClientTrace(ctx, own))
	if patience > 0 {
		a.timer = time.AfterFunc(patience, func() {
			if !a.over.Load() {
				a.cancel(errNoAnswer)
			}
		})
		a.timer.Stop() // it starts with the first write
	}
	return a
}

func (a *attempt) wait() {
	if a.timer != nil {
		a.timer.Reset(a.patience)
	}
}

func (a *attempt) rest() {
	if a.timer != nil {
		a.timer.Stop()
	}
}

// end returns what err, the attempt's, is to the proxy.
func (a *attempt) end(err error) error {
	a.over.Store(true)
	a.rest()
	switch cause := context.Cause(a.ctx); cause {
	case errUnseen, errSeen, errNoAnswer:
		return cause
	}
	return err
}

// conn is a connection to a backend. It carries one attempt at a time.
type conn struct {
	net.Conn          // with TLS, above it
	raw      net.Conn // below
	written  atomic.Int64
	broken   atomic.Bool // a Read failed
	now      atomic.Pointer[attempt]

	// Of a connection for one request: its header, until it is whole. It is
	// written in pieces, and everything after it as it comes: net/http would hold
	// the first 4 KiB of a slow body back. Nil when the header is out.
	head *bytes.Buffer
}

// begin makes c the connection of a.
func (c *conn) begin(a *attempt) {
	a.acked, _ = acked(c.raw)
	a.written = c.written.Load()
	c.now.Store(a)
	if c.broken.Load() { // while nobody's: nothing of a has been written
		a.cancel(errUnseen)
	}
}

func (c *conn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if err != nil && !errors.Is(err, net.ErrClosed) { // by net/http itself, which then knows why
		c.broken.Store(true) // before now is loaded, as begin does it the other way round
		if a := c.now.Load(); a != nil && !a.answered.Load() {
			a.cancel(c.judge(a, err))
		}
	}
	return n, err
}

// judge decides, when c broke, whether the backend can have seen a. It cannot have when nothing
// was written, nor when it closed its side (err is io.EOF) without its kernel
// having acknowledged a single byte of a: then its end of the connection was
// closed when a arrived. A reset proves nothing: it may come before the
// acknowledgement of what was read.
func (c *conn) judge(a *attempt, err error) error {
	if c.written.Load() == a.written {
		return errUnseen
	}
	if now, known := acked(c.raw); known && err == io.EOF && now == a.acked {
		return errUnseen
	}
	return errSeen
}

func (c *conn) Write(b []byte) (int, error) {
	if c.head == nil {
		return c.write(b)
	}
	c.head.Write(b)
	if !bytes.Contains(c.head.Bytes(), []byte("\r\n\r\n")) {
		return len(b), nil
	}
	whole := c.head.Bytes()
	c.head = nil
	if _, err := c.write(whole); err != nil {
		return 0, err
	}
	return len(b), nil
}

// write counts before it writes: what is on its way may have been seen.
func (c *conn) write(b []byte) (int, error) {
	c.written.Add(int64(len(b)))
	a := c.now.Load()
	if a != nil {
		a.wait()
	}
	n, err := c.Conn.Write(b)
	if a != nil && !a.sent { // the next piece of its body is the client's to send
		a.rest()
	}
	if n == 0 && err != nil {
		left := c.written.Add(int64(-len(b)))
		if a != nil && left == a.written {
			a.cancel(errUnseen)
		}
	}
	return n, err
}
