package router

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// audience asks addr for the app without end, and counts what is not answered well:
// POST on a new connection each, which no client repeats, and GET on kept ones.
type audience struct {
	asked, failed atomic.Int64
	first         atomic.Pointer[string]
	stop          context.CancelFunc
	all           sync.WaitGroup
}

func startAudience(addr string) *audience {
	a := &audience{}
	ctx, stop := context.WithCancel(context.Background())
	a.stop = stop
	for i := range 6 {
		tr := &http.Transport{DisableKeepAlives: i < 4}
		client := &http.Client{Transport: tr, Timeout: 20 * time.Second}
		a.all.Go(func() {
			defer tr.CloseIdleConnections()
			for ctx.Err() == nil {
				if err := ask(client, addr, i < 4); err != nil {
					a.failed.Add(1)
					said := err.Error()
					a.first.CompareAndSwap(nil, &said)
				}
				a.asked.Add(1)
			}
		})
	}
	return a
}

func ask(client *http.Client, addr string, post bool) error {
	method, body := "GET", io.Reader(nil)
	if post {
		method, body = "POST", strings.NewReader("order")
	}
	req, err := http.NewRequest(method, "http://"+addr+"/", body)
	if err != nil {
		return err
	}
	req.Host = "app"
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if err == nil && (resp.StatusCode != 200 || string(got) != "up") {
		err = fmt.Errorf("answer %d %q", resp.StatusCode, got)
	}
	return err
}

func (a *audience) wantsNoFailure(t *testing.T) {
	t.Helper()
	a.stop()
	a.all.Wait()
	t.Logf("%d of %d failed", a.failed.Load(), a.asked.Load())
	if a.failed.Load() > 0 {
		t.Errorf("first: %s", *a.first.Load())
	}
}

// goOn waits until n more requests were answered.
func (a *audience) goOn(t *testing.T, n int64) {
	t.Helper()
	for ; n > 0; n -= 100 {
		until := a.asked.Load() + min(n, 100)
		eventually(t, "the audience to go on", func() bool { return a.asked.Load() >= until })
	}
}

// perRestart is the number of requests between two restarts; make bench-router
// asks for more.
func perRestart(t *testing.T) int64 {
	if n, err := strconv.ParseInt(os.Getenv("ROUTER_REQUESTS"), 10, 64); err == nil {
		return n / 10
	}
	return 50
}

func TestTenRoutersFollowOneAnotherUnderLoad(t *testing.T) {
	s := startRedis(t)
	s.list("app", named(t, "up").URL)
	addr, admin := freeAddr(t), freeAddr(t)
	config := func(c *Config) {
		c.Listen, c.Admin, c.Linger, c.TakeOver = addr, admin, 20*time.Millisecond, true
	}
	r := startRouter(t, s, config)
	a := startAudience(addr)
	defer a.stop()
	for range 10 {
		before := r
		a.goOn(t, perRestart(t))
		r = startRouter(t, s, config)
		err := <-before.stopped
		before.stopped <- err
		if err != nil {
			t.Error(err)
		}
		<-r.router.settled
	}
	a.goOn(t, 20)
	a.wantsNoFailure(t)
	r.admin = "http://" + admin
	var health map[string]string
	if r.adminGet("/-/healthz", &health); health["status"] != "ok" {
		t.Errorf("healthz says %v", health)
	}
}

// As under systemd, which keeps the socket.
func TestTenRoutersInheritASocketUnderLoad(t *testing.T) {
	s := startRedis(t)
	s.list("app", named(t, "up").URL)
	kept, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer kept.Close()
	inherit := func(c *Config) {
		f, err := kept.(*net.TCPListener).File()
		if err != nil {
			t.Fatal(err)
		}
		l, err := net.FileListener(f)
		if err != nil {
			t.Fatal(err)
		}
		_ = f.Close()
		c.Inherited, c.Linger = []net.Listener{l}, 20*time.Millisecond
		c.Listen = kept.Addr().String()
	}
	r := startRouter(t, s, inherit)
	a := startAudience(kept.Addr().String())
	defer a.stop()
	for range 10 {
		a.goOn(t, perRestart(t))
		r.stop()
		err := <-r.stopped
		r.stopped <- err
		if err != nil {
			t.Error(err)
		}
		r = startRouter(t, s, inherit)
	}
	a.goOn(t, 20)
	a.wantsNoFailure(t)
}

func freeAddr(t *testing.T) string {
	t.Helper()
	return strings.TrimPrefix(refusing(t), "http://")
}

// While one router drains and another serves, nothing is a proof.
func TestARouterThatStopsProvesNothing(t *testing.T) {
	s := startRedis(t)
	addr, admin := freeAddr(t), freeAddr(t)
	first := startRouter(t, s, func(c *Config) { c.Listen, c.Admin = addr, admin })
	url, arrived, release := slowBackend(t)
	s.list("app", url)
	done := make(chan error, 1)
	go func() { _, err := first.do(first.request("GET", "app", "/", nil)); done <- err }()
	<-arrived
	if _, source := first.state(url); source != "redis" {
		t.Errorf("source %q", source)
	}
	second := startRouter(t, s, func(c *Config) {
		c.Listen, c.Admin, c.TakeOver = addr, admin, true
	})
	if state, source := first.state(url); source != "stopping" || state.InFlight != 1 {
		t.Errorf("while it stops: source %q, %+v", source, state)
	}
	if second.router.AdminAddr() != nil {
		t.Error("the second answers for the first")
	}
	close(release)
	if err := <-done; err != nil {
		t.Error(err)
	}
	eventually(t, "the second to have the admin address", func() bool { return second.router.AdminAddr() != nil })
	second.admin = first.admin
	if state, source := second.state(url); source != "redis" || state.InFlight != 0 {
		t.Errorf("source %q, %+v", source, state)
	}
}

func TestWhatCannotBeHandedOver(t *testing.T) {
	s := startRedis(t)
	first := startRouter(t, s, func(c *Config) { c.Listen, c.Admin = freeAddr(t), freeAddr(t) })
	admin := first.router.AdminAddr().String()
	run := func(change func(*Config)) error {
		cfg := Config{Listen: freeAddr(t), Redis: s.client, Linger: -1}
		change(&cfg)
		r, err := New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		return r.Run(t.Context())
	}
	stray, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer stray.Close()
	for want, change := range map[string]func(*Config){
		"address already in use": func(c *Config) { c.Admin = admin },
		"none of the addresses":  func(c *Config) { c.Inherited = []net.Listener{stray} },
		// It leaves before it serves: the first one goes on.
		"listen for HTTP:": func(c *Config) { c.Admin, c.TakeOver, c.Listen = admin, true, stray.Addr().String() },
	} {
		if err := run(change); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	eventually(t, "the first to see the follower leave", func() bool { return strings.Contains(first.log.String(), "it left before it served") })
	first.wants("app", 404, "")
}
