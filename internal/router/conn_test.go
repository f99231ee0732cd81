package router

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// pair returns both ends of a TCP connection.
func pair(t *testing.T) (*conn, net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ours, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = ours.Close(), theirs.Close() })
	return &conn{Conn: ours, raw: ours}, theirs
}

// What can be known of a request whose connection broke.
func TestOnlyWhatCannotHaveBeenSeenIsUnseen(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("acked is not known here")
	}
	request := []byte("GET / HTTP/1.1\r\n\r\n")
	read := func(theirs net.Conn, n int) { _, _ = io.ReadFull(theirs, make([]byte, n)) }
	for name, test := range map[string]struct {
		do   func(c *conn, a *attempt, theirs net.Conn)
		want error
	}{
		"closed before it was begun": {func(c *conn, a *attempt, theirs net.Conn) {
			theirs.Close()
			_, _ = c.Read(make([]byte, 1))
			c.begin(a)
		}, errUnseen},
		"closed before it was written": {func(c *conn, a *attempt, theirs net.Conn) {
			c.begin(a)
			theirs.Close()
			_, _ = c.Read(make([]byte, 1))
		}, errUnseen},
		"closed when it was written": {func(c *conn, a *attempt, theirs net.Conn) {
			theirs.Close()
			pause(50 * time.Millisecond) // their FIN is here, and nobody has read it
			c.begin(a)
			_, _ = c.Conn.Write(nil)
			c.written.Add(1)
			_, _ = c.Read(make([]byte, 1))
		}, errUnseen},
		"read, then closed": {func(c *conn, a *attempt, theirs net.Conn) {
			c.begin(a)
			_, _ = c.Write(request)
			read(theirs, len(request))
			theirs.Close()
			_, _ = c.Read(make([]byte, 1))
		}, errSeen},
		"read, then reset": {func(c *conn, a *attempt, theirs net.Conn) {
			c.begin(a)
			_, _ = c.Write(request)
			read(theirs, len(request))
			_ = theirs.(*net.TCPConn).SetLinger(0)
			theirs.Close()
			_, _ = c.Read(make([]byte, 1))
		}, errSeen},
		"not read, but there": {func(c *conn, a *attempt, theirs net.Conn) {
			c.begin(a)
			_, _ = c.Write(request)
			read(theirs, 1)
			theirs.Close()
			_, _ = c.Read(make([]byte, 1))
		}, errSeen},
		"the second on a connection": {func(c *conn, a *attempt, theirs net.Conn) {
			first := newAttempt(t.Context(), nil, 0)
			c.begin(first)
			_, _ = c.Write(request)
			read(theirs, len(request))
			_, _ = theirs.Write([]byte("x"))
			_, _ = c.Read(make([]byte, 1))
			first.answered.Store(true)
			c.begin(a)
			_, _ = c.Write(request)
			read(theirs, len(request))
			theirs.Close()
			_, _ = c.Read(make([]byte, 1))
		}, errSeen},
	} {
		t.Run(name, func(t *testing.T) {
			c, theirs := pair(t)
			a := newAttempt(t.Context(), nil, 0)
			test.do(c, a, theirs)
			if got := a.end(io.ErrUnexpectedEOF); !errors.Is(got, test.want) {
				t.Errorf("%v, want %v", got, test.want)
			}
		})
	}
}

// A connection that was used before and breaks under a request: net/http would
// repeat it, also on another backend, whatever its method allows.
func TestAReusedConnectionThatBreaksIsNotARepetition(t *testing.T) {
	s := startRedis(t)
	r := startRouter(t, s)
	var seen atomic.Int32
	// It answers the first request of a connection, and is cut in the second.
	cut := func(conn net.Conn) {
		in := bufio.NewReader(conn)
		for n := 0; ; n++ {
			req, err := http.ReadRequest(in)
			if err != nil {
				return
			}
			_, _ = io.Copy(io.Discard, req.Body)
			if n > 0 {
				seen.Add(1)
				return
			}
			fmt.Fprint(conn, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
		}
	}
	for _, method := range []string{"GET", "HEAD", "OPTIONS", "TRACE", "POST", "PUT", "DELETE", "PATCH"} {
		for _, body := range []string{"", "x"} {
			s.list("app", rawBackend(t, cut))
			was := seen.Load()
			for i, want := range []int{200, 502} {
				req := r.request(method, "app", "/", strings.NewReader(body))
				req.Header.Set("Idempotency-Key", "1") // upon which net/http repeats a POST, too
				if got, err := r.do(req); err != nil || got.status != want {
					t.Fatalf("%s %q, request %d: %+v, %v", method, body, i, got, err)
				}
			}
			if n := seen.Load() - was; n != 1 {
				t.Errorf("%s %q: sent %d times", method, body, n)
			}
		}
	}
}

func TestConnectionsAreKeptForSmallBodiesToo(t *testing.T) {
	s := startRedis(t)
	r := startRouter(t, s)
	var made atomic.Int32
	b := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		_, _ = w.Write(body)
	}))
	b.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			made.Add(1)
		}
	}
	b.Start()
	defer b.Close()
	s.list("app", b.URL)
	send := func(method, body string) {
		if got, err := r.do(r.request(method, "app", "/", strings.NewReader(body))); err != nil || got.status != 200 || got.body != body {
			t.Fatalf("%s: %+v, %v", method, got, err)
		}
	}
	const requests = 50
	for range requests {
		send("POST", "small")
		send("DELETE", "")
		send("PUT", strings.Repeat("x", smallBody))
	}
	if n := made.Load(); n > requests {
		t.Errorf("%d connections for %d requests", n, 3*requests)
	}
}

func TestAKeptConnectionIsNotUsedWhenItHasBeenIdle(t *testing.T) {
	s := startRedis(t)
	r := startRouter(t, s)
	var seen atomic.Int32
	b := rawBackend(t, func(conn net.Conn) { // would answer a second request with nothing
		if _, err := http.ReadRequest(bufio.NewReader(conn)); err == nil {
			fmt.Fprint(conn, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
			seen.Add(1)
			_, _ = io.Copy(io.Discard, conn)
		}
	})
	s.list("app", b)
	for range 2 {
		if got, err := r.do(r.request("POST", "app", "/", strings.NewReader("x"))); err != nil || got.status != 200 {
			t.Fatalf("%+v, %v", got, err)
		}
		pause(keepIdle + 100*time.Millisecond)
	}
	if seen.Load() != 2 {
		t.Error("the connection was kept")
	}
}
