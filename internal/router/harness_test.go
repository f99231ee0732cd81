package router

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/mepc/mepc-run/internal/clock"
)

// The tests use a real redis-server on a private socket, real backends and real
// connections; only time is at times a test's own.

// redisServer is a redis-server of the test's own.
type redisServer struct {
	t      testing.TB
	socket string
	cmd    *exec.Cmd
	client *redis.Client
}

func startRedis(t testing.TB) *redisServer {
	t.Helper()
	// Not t.TempDir: a test's long name does not fit into a socket's path.
	dir, err := os.MkdirTemp("", "rr")
	if err != nil {
		t.Fatal(err)
	}
	s := &redisServer{t: t, socket: filepath.Join(dir, "redis.sock")}
	s.client = redis.NewClient(&redis.Options{
		Network: "unix", Addr: s.socket, MaxRetries: -1, ContextTimeoutEnabled: true,
	})
	t.Cleanup(func() {
		_ = s.client.Close()
		s.kill()
		_ = os.RemoveAll(dir)
	})
	s.start()
	return s
}

func (s *redisServer) start() {
	s.t.Helper()
	path, err := exec.LookPath("redis-server")
	if err != nil {
		s.t.Fatal("redis-server is not installed; on Debian: apt-get install redis-server")
	}
	s.cmd = exec.Command(path, "--port", "0", "--unixsocket", s.socket, "--save", "", "--appendonly", "no", "--dir", filepath.Dir(s.socket))
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	eventually(s.t, "redis-server to answer", func() bool {
		return s.client.Ping(context.Background()).Err() == nil
	})
}

func (s *redisServer) kill() {
	if s.cmd == nil {
		return
	}
	_ = s.cmd.Process.Kill()
	_ = s.cmd.Wait()
	s.cmd = nil
}

// hang stops the process without closing its socket; resume lets it go on.
func (s *redisServer) hang()   { s.signal(syscall.SIGSTOP) }
func (s *redisServer) resume() { s.signal(syscall.SIGCONT) }

func (s *redisServer) signal(sig os.Signal) {
	s.t.Helper()
	if err := s.cmd.Process.Signal(sig); err != nil {
		s.t.Fatal(err)
	}
}

// list makes frontend:<key> hold an identifier and urls, as a careful deployer
// does: in one transaction, with the dead set cleared.
func (s *redisServer) list(key string, urls ...string) {
	s.t.Helper()
	ctx := context.Background()
	_, err := s.client.TxPipelined(ctx, func(p redis.Pipeliner) error {
		p.Del(ctx, "frontend:"+key, "dead:"+key)
		p.RPush(ctx, "frontend:"+key, append([]any{"app"}, anys(urls)...)...)
		return nil
	})
	if err != nil {
		s.t.Fatal(err)
	}
}

// do runs any command.
func (s *redisServer) do(args ...any) any {
	s.t.Helper()
	v, err := s.client.Do(context.Background(), args...).Result()
	if err != nil && err != redis.Nil {
		s.t.Fatalf("%v: %v", args, err)
	}
	return v
}

func anys(ss []string) []any {
	out := make([]any, len(ss))
	for i, s := range ss {
		out[i] = s
	}
	return out
}

// running is a router that runs.
type running struct {
	t       testing.TB
	router  *Router
	addr    string
	admin   string
	client  *http.Client
	log     *lockedBuffer
	stopped chan error
	stop    context.CancelFunc
}

// impatient waits for Redis no longer than a router does by default.
func impatient(c *Config) { c.RedisTimeout = 0 }

func startRouter(t testing.TB, s *redisServer, change ...func(*Config)) *running {
	t.Helper()
	log := &lockedBuffer{}
	cfg := Config{
		Listen: "127.0.0.1:0", Admin: "127.0.0.1:0", Redis: s.client, Linger: -1,
		RedisTimeout: 5 * time.Second, // a busy machine is not a Redis that is away
		Log:          slog.New(slog.NewTextHandler(log, nil)),
	}
	for _, f := range change {
		f(&cfg)
	}
	r, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	run := &running{t: t, router: r, log: log, stop: cancel, stopped: make(chan error, 1)}
	go func() { run.stopped <- r.Run(ctx) }()
	select {
	case <-r.Ready():
	case err := <-run.stopped:
		t.Fatal(err)
	}
	run.addr = r.Addr().String()
	if a := r.AdminAddr(); a != nil {
		run.admin = "http://" + a.String()
	}
	tr := &http.Transport{MaxIdleConnsPerHost: 100}
	run.client = &http.Client{Transport: tr, Timeout: 20 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse
	}}
	t.Cleanup(func() {
		tr.CloseIdleConnections()
		cancel()
		select {
		case err := <-run.stopped:
			run.stopped <- err
		case <-time.After(20 * time.Second):
			t.Error("the router does not stop")
		}
	})
	return run
}

func (r *running) request(method, host, path string, body io.Reader) *http.Request {
	r.t.Helper()
	req, err := http.NewRequest(method, "http://"+r.addr+path, body)
	if err != nil {
		r.t.Fatal(err)
	}
	req.Host = host
	return req
}

// reply is a response read to its end.
type reply struct {
	status int
	body   string
	header http.Header
}

func (r *running) do(req *http.Request) (reply, error) {
	resp, err := r.client.Do(req)
	if err != nil {
		return reply{}, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return reply{resp.StatusCode, string(b), resp.Header}, err
}

func (r *running) get(host, path string) reply {
	r.t.Helper()
	got, err := r.do(r.request("GET", host, path, nil))
	if err != nil {
		r.t.Fatal(err)
	}
	return got
}

// wants fails the test unless host answers with status and body.
func (r *running) wants(host string, status int, body string) {
	r.t.Helper()
	if got := r.get(host, "/"); got.status != status || !strings.Contains(got.body, body) {
		r.t.Fatalf("GET %s: %d %q, want %d %q", host, got.status, got.body, status, body)
	}
}

// adminGet decodes an answer of the admin server into v.
func (r *running) adminGet(path string, v any) int {
	r.t.Helper()
	resp, err := http.Get(r.admin + path)
	if err != nil {
		r.t.Fatal(err)
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(v); err != nil {
		r.t.Fatal(err)
	}
	return resp.StatusCode
}

// state returns what /-/inflight says of one backend.
func (r *running) state(url string) (BackendState, string) {
	r.t.Helper()
	var in Inflight
	r.adminGet("/-/inflight?backend="+url, &in)
	if len(in.Backends) != 1 {
		r.t.Fatalf("asked for one backend, got %+v", in.Backends)
	}
	return in.Backends[0], in.Source
}

// named starts a backend that answers with its name.
func named(t testing.TB, name string) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		fmt.Fprint(w, name)
	}))
	t.Cleanup(s.Close)
	return s
}

func serving(t testing.TB, h http.HandlerFunc) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s
}

// refusing returns a URL on which nothing listens.
func refusing(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return "http://" + l.Addr().String()
}

// eventually waits until ok is true; it fails the test after ten seconds.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := now().Add(10 * time.Second); !ok(); pause(2 * time.Millisecond) {
		if now().After(end) {
			t.Fatalf("waited 10 s for %s", what)
		}
	}
}

func now() time.Time        { return clock.Wall{}.Now() }
func pause(d time.Duration) { _ = clock.Wall{}.Sleep(context.Background(), d) }

type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// offsetClock is the machine's clock, which a test can put forward.
type offsetClock struct {
	clock.Wall
	offset atomic.Int64
}

func (c *offsetClock) forward(d time.Duration) { c.offset.Add(int64(d)) }
func (c *offsetClock) Now() time.Time {
	return now().Add(time.Duration(c.offset.Load()))
}
