package engine

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/internal/sim/wire"
)

// Dial returns a connection to the engine over which HTTP is spoken, for clients
// that cannot do with a RoundTripper.
func (e *Engine) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if _, _, down := e.faults(); down {
		return nil, wire.Refused(network, address)
	}
	client, server := net.Pipe()
	l := &oneConn{conn: server, done: make(chan struct{})}
	srv := &http.Server{Handler: e, ReadHeaderTimeout: time.Minute}
	failure.Go(func() error { return srv.Serve(l) }) // ends with the connection
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
func (l *oneConn) Addr() net.Addr { return wire.Addr{Protocol: "pipe", Address: "engine"} }

type closer struct {
	net.Conn
	once sync.Once
	done chan struct{}
}

func (c *closer) Close() error {
	c.once.Do(func() { close(c.done) })
	return c.Conn.Close()
}
