package router

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// slowBackend answers when told to.
func slowBackend(t *testing.T) (url string, arrived, release chan struct{}) {
	t.Helper()
	arrived, release = make(chan struct{}), make(chan struct{})
	b := serving(t, func(w http.ResponseWriter, r *http.Request) {
		arrived <- struct{}{}
		select {
		case <-release:
			fmt.Fprint(w, "done")
		case <-r.Context().Done():
		}
	})
	return b.URL, arrived, release
}

func TestAGracefulStopLetsASlowRequestFinish(t *testing.T) {
	s := startRedis(t)
	r := startRouter(t, s)
	url, arrived, release := slowBackend(t)
	s.list("app", url)
	socket := serving(t, echoSocket)
	s.list("ws", socket.URL)
	conn, br := dialSocket(t, r, "ws")

	result := make(chan string, 1)
	go func() {
		got, err := r.do(r.request("GET", "app", "/", nil))
		result <- fmt.Sprint(got.status, got.body, err)
	}()
	<-arrived
	r.stop()
	eventually(t, "the listener to close", func() bool {
		c, err := net.Dial("tcp", r.addr)
		if err == nil {
			_ = c.Close()
		}
		return errors.Is(err, syscall.ECONNREFUSED)
	})
	var health map[string]string
	if status := r.adminGet("/-/healthz", &health); status != 503 || health["status"] != "stopping" {
		t.Errorf("healthz answers %d %v", status, health)
	}
	say(t, conn, br, "still here")
	close(release)
	if got := <-result; got != "200done<nil>" {
		t.Errorf("the slow request got %s", got)
	}
	select {
	case err := <-r.stopped:
		t.Fatalf("Run returned %v with a WebSocket open", err)
	default:
	}
	_ = conn.Close()
	if err := <-r.stopped; err != nil {
		t.Errorf("Run returned %v", err)
	}
	r.stopped <- nil // for the clean-up
}

func TestTheGraceEnds(t *testing.T) {
	s := startRedis(t)
	r := startRouter(t, s, func(c *Config) { c.Grace = 50 * time.Millisecond })
	url, arrived, release := slowBackend(t)
	defer close(release)
	s.list("app", url)
	socket := serving(t, echoSocket)
	s.list("ws", socket.URL)
	_, br := dialSocket(t, r, "ws")
	go func() { _, _ = r.do(r.request("GET", "app", "/", nil)) }()
	<-arrived
	r.stop()
	err := <-r.stopped
	if err == nil || !strings.Contains(err.Error(), "2 requests were still in flight after 50ms and were cut") {
		t.Errorf("Run returned %v", err)
	}
	if _, err := br.ReadByte(); err == nil {
		t.Error("the WebSocket is still open")
	}
	r.stopped <- nil
}

func TestAddressInUse(t *testing.T) {
	s := startRedis(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	r, err := New(Config{Listen: l.Addr().String(), Admin: "127.0.0.1:0", Redis: s.client})
	if err != nil {
		t.Fatal(err)
	}
	err = r.Run(context.Background())
	if err == nil || !strings.Contains(err.Error(), "listen for HTTP") || !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("Run returned %v", err)
	}
}

func TestConfigurationsThatCannotWorkAreRefused(t *testing.T) {
	s := startRedis(t)
	for want, cfg := range map[string]Config{
		"no address":              {},
		"host:port":               {Listen: "8080"},
		"go together":             {ListenTLS: ":0", TLSCert: "x"},
		"ListenTLS needs":         {ListenTLS: ":0"},
		"need ListenTLS":          {Listen: ":0", TLSCert: "x", TLSKey: "y"},
		"negative":                {Listen: ":0", Grace: -1},
		"whole seconds":           {Listen: ":0", DeadTTL: 1500 * time.Millisecond},
		"load TLS certificate":    {ListenTLS: ":0", TLSCert: "/nonexistent/c", TLSKey: "/nonexistent/k"},
		"Admin address":           {Listen: ":0", Admin: "localhost"},
		"MaxHeaderBytes":          {Listen: ":0", MaxHeaderBytes: -1},
		"ListenTLS address":       {ListenTLS: "x"},
		"TLSCert and TLSKey go t": {Listen: ":0", TLSKey: "x"},
	} {
		cfg.Redis = s.client
		if _, err := New(cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %q", cfg, err, want)
		}
	}
}

func TestNothingLeaks(t *testing.T) {
	s := startRedis(t)
	a := serving(t, echoSocket)
	b := named(t, "b")
	down := refusing(t)
	count := func() int { runtime.GC(); return runtime.NumGoroutine() }
	round := func() {
		r := startRouter(t, s)
		s.list("ws", a.URL)
		s.list("app", b.URL, down)
		for range 20 {
			r.get("app", "/")
			if _, err := r.do(r.request("POST", "app", "/", strings.NewReader("x"))); err != nil {
				t.Error(err)
			}
		}
		conn, br := dialSocket(t, r, "ws")
		say(t, conn, br, "hello")
		_ = conn.Close()
		s.list("app", a.URL)
		r.client.CloseIdleConnections()
		r.stop()
		if err := <-r.stopped; err != nil {
			t.Error(err)
		}
		r.stopped <- nil
	}
	round() // the Redis pool and the test servers have theirs by now
	before := count()
	for range 5 {
		round()
	}
	eventually(t, fmt.Sprintf("%d goroutines to be left", before), func() bool { return count() <= before+2 })
}

// A backend that leaves the list takes its idle connections with it.
func TestIdleConnectionsGoWithTheBackend(t *testing.T) {
	s := startRedis(t)
	r := startRouter(t, s)
	closed := make(chan struct{}, 1)
	url := rawBackend(t, func(conn net.Conn) {
		buf := make([]byte, 4096)
		if _, err := conn.Read(buf); err != nil {
			return
		}
		_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
		if _, err := conn.Read(buf); err == io.EOF {
			closed <- struct{}{}
		}
	})
	s.list("app", url)
	r.wants("app", 200, "ok")
	s.list("app", named(t, "new").URL)
	r.wants("app", 200, "new")
	select {
	case <-closed:
	case <-time.After(5 * time.Second):
		t.Error("the connection is still open")
	}
}

func TestBackendsAndFrontendsLongGoneAreForgotten(t *testing.T) {
	s := startRedis(t)
	c := &offsetClock{}
	r := startRouter(t, s, func(cfg *Config) { cfg.Clock = c })
	tbl := r.router.table
	size := func() string {
		tbl.mu.Lock()
		defer tbl.mu.Unlock()
		return fmt.Sprint(len(tbl.frontends), len(tbl.backends), len(tbl.dead))
	}
	a, b := named(t, "a"), named(t, "b")
	s.list("app", a.URL)
	r.wants("app", 200, "a")
	s.list("app", b.URL)
	s.list("other", b.URL)
	s.do("SADD", "dead:other", 7)
	r.wants("app", 200, "b")
	r.wants("other", 200, "b")
	s.do("DEL", "frontend:other")
	r.wants("other", 404, "")
	r.wants("stranger", 404, "")
	if got := size(); got != "2 2 1" {
		t.Errorf("frontends, backends, dead sets: %s", got)
	}
	c.forward(9 * time.Minute)
	tbl.sweep()
	if got := size(); got != "2 2 1" {
		t.Errorf("after 9 minutes: %s", got)
	}
	c.forward(2 * time.Minute)
	tbl.sweep()
	if got := size(); got != "1 1 0" {
		t.Errorf("after 11 minutes: %s", got)
	}
	r.wants("app", 200, "b")
}

func TestAStopDoesNotWaitForAHungRedis(t *testing.T) {
	s := startRedis(t)
	r := startRouter(t, s, impatient)
	s.list("app", refusing(t), named(t, "a").URL)
	r.wants("app", 200, "a")
	s.hang()
	r.wants("app", 200, "a")
	defer s.resume()
	r.stop()
	select {
	case err := <-r.stopped:
		r.stopped <- nil
		if err != nil {
			t.Error(err)
		}
	case <-time.After(time.Minute):
		t.Error("the stop waits for Redis")
	}
}
