package router

import (
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// Once the switch has been answered, no request that begins after it may reach
// the old backend, however many others are under way.
func TestASwitchIsInForceForWhateverComesAfterIt(t *testing.T) {
	s := startRedis(t)
	r := startRouter(t, s)
	backends := []string{named(t, "0").URL, named(t, "1").URL}
	s.list("app", backends[0])

	ctx, cancel := context.WithCancel(context.Background())
	var load sync.WaitGroup
	for range 8 { // keeps reads under way, so that the probe below finds one to share
		load.Go(func() {
			for ctx.Err() == nil {
				if _, err := r.do(r.request("GET", "app", "/", nil)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for i := 1; i <= 200; i++ {
		s.list("app", backends[i%2])
		if got := r.get("app", "/"); got.body != fmt.Sprint(i%2) {
			t.Errorf("switch %d to %d: the next request was answered by %q", i, i%2, got.body)
		}
	}
	cancel()
	load.Wait()
}

func TestReadsAreShared(t *testing.T) {
	s := startRedis(t)
	r := startRouter(t, s)
	rd := r.router.reader
	// Hold the reader busy as if a pipeline were under way.
	rd.mu.Lock()
	rd.busy = true
	rd.mu.Unlock()
	s.list("app", named(t, "a").URL)
	const n = 50
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() { r.wants("app", 200, "a") })
	}
	eventually(t, "all to wait", func() bool {
		r.router.proxy.active.mu.Lock()
		defer r.router.proxy.active.mu.Unlock()
		return r.router.proxy.active.n == n
	})
	before := commands(t, s)
	go func() {
		for b := rd.take(); b != nil; b = rd.take() {
			rd.run(b)
		}
	}()
	wg.Wait()
	// Each batch is 3 commands. A request may have been counted as active just
	// before it joined, so a second batch is possible; fifty are not.
	if got := commands(t, s) - before; got > 10 {
		t.Errorf("%d requests cost %d Redis commands", n, got)
	}
}

func commands(t *testing.T, s *redisServer) (n int) {
	t.Helper()
	info, err := s.client.InfoMap(context.Background(), "commandstats").Result()
	if err != nil {
		t.Fatal(err)
	}
	for name, stat := range info["Commandstats"] {
		if name == "cmdstat_lrange" || name == "cmdstat_smembers" {
			var calls int
			_, _ = fmt.Sscanf(stat, "calls=%d", &calls)
			n += calls
		}
	}
	return n
}

func TestAHungRedisLeavesTheLastKnownLists(t *testing.T) {
	s := startRedis(t)
	r := startRouter(t, s, impatient)
	s.list("app", named(t, "a").URL)
	r.wants("app", 200, "a")

	s.hang()
	began := now()
	r.wants("app", 200, "a")
	if first := now().Sub(began); first > 20*time.Second {
		t.Errorf("the first request after Redis hung took %v", first)
	}
	began = now()
	for range 200 {
		r.wants("app", 200, "a")
	}
	if took := now().Sub(began); took > 50*time.Second {
		t.Errorf("200 requests with the circuit open took %v", took)
	}
	if _, source := r.state("http://x"); source != sourceLastKnown {
		t.Errorf("/-/inflight says it read %q", source)
	}
	r.wants("stranger", 503, `"stranger" was never requested before`)

	s.resume()
	eventually(t, "the circuit to close", func() bool { return !r.router.reader.isAway() })
	s.list("app", named(t, "b").URL)
	r.wants("app", 200, "b")
	r.wants("stranger", 404, "stranger")
	for _, line := range []string{"redis is away", "redis is back"} {
		if n := strings.Count(r.log.String(), line); n != 1 {
			t.Errorf("the log says %q %d times:\n%s", line, n, r.log)
		}
	}
}

func TestAKilledRedisLeavesTheLastKnownLists(t *testing.T) {
	s := startRedis(t)
	r := startRouter(t, s)
	s.list("app", named(t, "a").URL)
	r.wants("app", 200, "a")
	s.kill()
	for range 50 {
		r.wants("app", 200, "a")
	}
	s.start() // empty, so it must be filled before it counts
	s.list("app", named(t, "b").URL)
	eventually(t, "the new list", func() bool { return r.get("app", "/").body == "b" })
	// Marks are heard again after the reconnect.
	subscribed(t, s)
}

func TestARouterStartsWithoutRedis(t *testing.T) {
	s := startRedis(t)
	s.kill()
	r := startRouter(t, s)
	r.wants("app", 503, "cannot be read at the moment")
	s.start()
	s.list("app", named(t, "a").URL)
	eventually(t, "the list", func() bool { return r.get("app", "/").status == 200 })
}

// A Redis that closed our connection while it was idle is not away.
func TestAConnectionClosedByRedisIsNotNoticed(t *testing.T) {
	s := startRedis(t)
	r := startRouter(t, s)
	s.list("app", named(t, "a").URL)
	for range 20 {
		r.wants("app", 200, "a")
		s.do("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
	}
	if strings.Contains(r.log.String(), "away") {
		t.Errorf("the log says\n%s", r.log)
	}
}

// frail is a connection that breaks at the next write once told so: what go-redis
// meets when Redis closes a connection just after it was taken from the pool.
type frail struct {
	net.Conn
	breaks *atomic.Int32
}

func (c frail) Write(b []byte) (int, error) {
	if c.breaks.Add(-1) >= 0 {
		return 0, io.ErrClosedPipe
	}
	return c.Conn.Write(b)
}

func TestABrokenRedisConnectionIsReplacedAtOnce(t *testing.T) {
	s := startRedis(t)
	var breaks atomic.Int32
	client := redis.NewClient(&redis.Options{
		MaxRetries: -1, ContextTimeoutEnabled: true,
		Dialer: func(ctx context.Context, _, _ string) (net.Conn, error) {
			conn, err := new(net.Dialer).DialContext(ctx, "unix", s.socket)
			return frail{conn, &breaks}, err
		},
	})
	defer client.Close()
	r := startRouter(t, s, func(c *Config) { c.Redis = client })
	s.list("app", named(t, "a").URL)
	r.wants("app", 200, "a")
	subscribed(t, s) // so that it is the reader's write that breaks
	for i := range 10 {
		s.list("app", named(t, fmt.Sprint(i)).URL)
		breaks.Store(1)
		r.wants("app", 200, fmt.Sprint(i))
	}
	if strings.Contains(r.log.String(), "away") {
		t.Errorf("the log says\n%s", r.log)
	}
}

func TestAKeyOfTheWrongTypeLeavesWhatWasKnown(t *testing.T) {
	s := startRedis(t)
	r := startRouter(t, s)
	s.list("app", named(t, "a").URL)
	s.list("other", named(t, "o").URL)
	r.wants("app", 200, "a")
	s.do("SET", "frontend:app", "oops")
	s.do("SET", "dead:app", "oops")
	r.wants("app", 200, "a")
	r.wants("other", 200, "o")
	s.do("DEL", "frontend:app")
	r.wants("app", 404, "app")
}

func TestWhatIsNotAURLIsLeftOut(t *testing.T) {
	s := startRedis(t)
	r := startRouter(t, s)
	s.list("app", "10.0.0.1:80", "ftp://x", "http://", ":", named(t, "a").URL, "")
	if got := spread(r, "app", 10); got["a"] != 10 {
		t.Errorf("got %v", got)
	}
	s.list("app", "10.0.0.1:80")
	r.wants("app", 503, `"app" has no backend`)
}

func TestAClientWithGoRedisDefaultsIsRefused(t *testing.T) {
	for name, c := range map[string]struct {
		client redis.UniversalClient
		ok     bool
	}{
		"none":          {nil, false},
		"defaults":      {redis.NewClient(&redis.Options{}), false},
		"retries":       {redis.NewClient(&redis.Options{ContextTimeoutEnabled: true}), false},
		"as it must be": {redis.NewClient(&redis.Options{ContextTimeoutEnabled: true, MaxRetries: -1}), true},
	} {
		_, err := New(Config{Listen: "127.0.0.1:0", Redis: c.client})
		if (err == nil) != c.ok {
			t.Errorf("%s: %v", name, err)
		}
		if c.client != nil {
			_ = c.client.Close()
		}
	}
}
