package sim

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"time"
)

// DialContext connects to whoever answers at address. It is the dialer of an
// http.Transport and of TCP probes. What is written is taken for HTTP/1.1. A
// connection does not end with its container, but the next request on it fails.
// Answers that take time on the clock take none here: a connection has no context.
func (w *World) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	now := w.lock()
	p, err := w.reach(network, address, now)
	w.unlock()
	if err != nil {
		return nil, err
	}
	client, server := net.Pipe()
	go w.serveConn(p, server)
	return &conn{client, addr{network, address}}, nil
}

// conn is a pipe that knows where it leads.
type conn struct {
	net.Conn
	remote addr
}

func (c *conn) RemoteAddr() net.Addr { return c.remote }

// serveConn answers requests until the client hangs up, or an answer is none.
func (w *World) serveConn(p place, c net.Conn) {
	defer c.Close()
	br := bufio.NewReader(c)
	for {
		req, err := http.ReadRequest(br)
		if err != nil {
			return
		}
		if _, err := io.Copy(io.Discard, req.Body); err != nil {
			return
		}
		a, err := w.ask(p, req)
		if err != nil || a.drop {
			return
		}
		if a.hang {
			_, _ = br.ReadByte() // until the client gives up
			return
		}
		if err := a.response(req).Write(c); err != nil || req.Close {
			return
		}
	}
}

// Dial returns a connection to the engine over which HTTP is spoken, for clients
// that cannot do with a RoundTripper.
func (e *Engine) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if _, _, down := e.faults(); down {
		return nil, refused(network, address)
	}
	client, server := net.Pipe()
	l := &oneConn{conn: server, done: make(chan struct{})}
	srv := &http.Server{Handler: e, ReadHeaderTimeout: time.Minute}
	go func() { _ = srv.Serve(l) }() // ends with the connection
	return client, nil
}

// oneConn is a listener that has one connection.
type oneConn struct {
	conn net.Conn
	done chan struct{}
}

func (l *oneConn) Accept() (net.Conn, error) {
	if l.conn == nil {
		<-l.done
		return nil, errDone
	}
	c := &closer{Conn: l.conn, done: l.done}
	l.conn = nil
	return c, nil
}

var errDone = errors.New("the connection is over")

func (l *oneConn) Close() error   { return nil }
func (l *oneConn) Addr() net.Addr { return addr{"pipe", "engine"} }

type closer struct {
	net.Conn
	once sync.Once
	done chan struct{}
}

func (c *closer) Close() error {
	c.once.Do(func() { close(c.done) })
	return c.Conn.Close()
}
