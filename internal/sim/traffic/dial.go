package traffic

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"

	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/internal/sim/wire"
)

// DialContext connects to what answers at address. It is the dialer of an
// http.Transport and of TCP probes. What is written is taken for HTTP/1.1. A
// connection does not end with its container, but the next request on it fails.
// Answers that take time on the clock take none here: a connection has no context.
func (t *Traffic) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	now := t.timeline.Lock()
	p, err := t.reach(network, address, now)
	t.timeline.Unlock()
	if err != nil {
		return nil, err
	}
	client, server := net.Pipe()
	failure.Go(func() error { t.serveConn(p, server); return nil }) // ends with the connection
	return &conn{client, wire.Addr{Protocol: network, Address: address}}, nil
}

// conn is a pipe that knows where it leads.
type conn struct {
	net.Conn
	remote wire.Addr
}

func (c *conn) RemoteAddr() net.Addr { return c.remote }

// serveConn answers requests until the client hangs up, or an answer is none.
func (t *Traffic) serveConn(p place, c net.Conn) {
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
		a, err := t.ask(p, req)
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
