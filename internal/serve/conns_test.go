package serve_test

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// line is one connection to a server.
type line struct {
	net.Conn
	r *bufio.Reader
}

func (l *line) ask(request string) (status int, err error) {
	if _, err := fmt.Fprintf(l, "%s\r\nHost: x\r\n\r\n", request); err != nil {
		return 0, err
	}
	res, err := http.ReadResponse(l.r, nil)
	if err != nil {
		return 0, err
	}
	return res.StatusCode, res.Body.Close()
}

// Clients without a token cannot lock out others, whatever they do with connections: the
// oldest idle one makes room, or else the oldest that proved nothing; those with the
// token stay.
func TestConnectionsWithoutATokenLockNoOneOut(t *testing.T) {
	t.Parallel()
	s, _ := newServer(t, 3, nil)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	over := make(chan error)
	go func() { over <- s.ServeFor(ctx, l, 10, 2, 10) }()
	var all []net.Conn
	dial := func() *line {
		t.Helper()
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, c)
		_ = c.SetDeadline(time.Now().Add(time.Minute))
		return &line{c, bufio.NewReader(c)}
	}
	const asked = "GET /api/v1/status HTTP/1.1\r\nAuthorization: Bearer " + token
	known := dial()
	if status, err := known.ask(asked); status != 200 {
		t.Fatal(status, err)
	}
	for name, open := range map[string]func(c *line){
		"idle":   func(c *line) { _, _ = c.ask("GET /healthz HTTP/1.1") },
		"silent": func(*line) {},
		"slow":   func(c *line) { fmt.Fprint(c, "GET / HTTP/1.1\r\nX-A: ") },
		"body": func(c *line) {
			fmt.Fprint(c, "POST /webhooks/shop HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
		},
	} {
		for range 30 {
			open(dial())
		}
		if status, err := dial().ask(asked); status != 200 {
			t.Errorf("%s: a new one with the token: %d, %v", name, status, err)
		}
		if status, err := dial().ask("GET /healthz HTTP/1.1"); status != 204 {
			t.Errorf("%s: a new one: %d, %v", name, status, err)
		}
		if status, err := known.ask(asked); status != 200 {
			t.Errorf("%s: one that had proved itself: %d, %v", name, status, err)
		}
	}
	for _, c := range all {
		_ = c.Close()
	}
	stop()
	if err := <-over; err != nil && !strings.Contains(err.Error(), "closed") {
		t.Error(err)
	}
}
