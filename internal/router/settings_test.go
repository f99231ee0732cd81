package router

import (
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"
)

func TestSettingsAreChecked(t *testing.T) {
	got, wrong := parseSettings(map[string]string{
		"timeout": "5s", "max_body": "10MB", "redirect": "https", "hsts": "31536000",
		"health": "/up?x=1", "health_interval": "1s", "health_threshold": "3", "sticky": "cookie", "protocol": "http2",
	})
	want := settings{
		timeout: 5 * time.Second, maxBody: 10 << 20, redirect: true, hsts: "max-age=31536000",
		health: health{"/up?x=1", time.Second, 3}, sticky: byCookie, http2: true,
	}
	if got != want || len(wrong) > 0 {
		t.Errorf("%+v, %v", got, wrong)
	}
	none, _ := parseSettings(nil)
	for name, values := range map[string][]string{
		"timeout":          {"", "5", "-1s", "0s", "25h", "5 s"},
		"max_body":         {"", "-1", "0", "1TB", "MB", "9999999999GB", "1.5MB"},
		"redirect":         {"", "http", "true"},
		"hsts":             {"", "max-age", "max-age=", "max-age=x", "max-age=1; foo", "max-age=1\r\nX: y", "includeSubDomains"},
		"health":           {"", "up", "http://evil/", "/a b", "/a\r\nX: y", "/é"},
		"health_interval":  {"", "1ms", "11s", "x"},
		"health_threshold": {"", "0", "101", "two"},
		"sticky":           {"", "yes"},
		"protocol":         {"", "http/3"},
		"colour":           {"red"},
		"":                 {"x"},
	} {
		for _, v := range values {
			got, wrong := parseSettings(map[string]string{name: v})
			if got != none || len(wrong) != 1 {
				t.Errorf("%s=%q: %+v, %v", name, v, got, wrong)
			}
		}
	}
	for v, want := range map[string]int64{"1": 1, "64KB": 64 << 10, "2mb": 2 << 20, "1GB": 1 << 30} {
		if n, err := size(v); n != want || err != nil {
			t.Errorf("%q is %d bytes, %v", v, n, err)
		}
	}
}

func TestTheDocsNameEverySetting(t *testing.T) {
	docs, err := os.ReadFile("../../docs/router.md")
	if err != nil {
		t.Fatal(err)
	}
	for name := range settingFields {
		if !strings.Contains(string(docs), "\n| `"+name+"` |") {
			t.Errorf("docs/router.md has no row for %s", name)
		}
	}
}

func TestSettingsHoldForTheNextRequest(t *testing.T) {
	s := startRedis(t)
	r := startRouter(t, s)
	echo := serving(t, func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) })
	s.list("app.example.com", echo.URL)
	s.list("*.wild.example.com", echo.URL)
	r.wants("app.example.com", 200, "")
	for _, c := range []struct{ key, host string }{
		{"app.example.com", "app.example.com"}, {"*.wild.example.com", "a.wild.example.com"},
	} {
		s.do("HSET", "settings:"+c.key, "max_body", "10", "redirekt", "https")
		for _, body := range []io.Reader{strings.NewReader("12345678901"), io.NopCloser(strings.NewReader("12345678901"))} {
			got, err := r.do(r.request("POST", c.host, "/", body))
			if err != nil || got.status != 413 || got.header.Get(errorHeader) != "error" {
				t.Errorf("%s: a body that is too large got %+v, %v", c.host, got, err)
			}
		}
		if got, err := r.do(r.request("POST", c.host, "/", strings.NewReader("1234567890"))); err != nil || got.body != "1234567890" {
			t.Errorf("%s: a body of the limit got %+v, %v", c.host, got, err)
		}
		s.do("HSET", "settings:"+c.key, "redirect", "https")
		got, err := r.do(r.request("POST", c.host, "/x/..?a=b%20c", strings.NewReader("1")))
		if err != nil || got.status != 308 || got.header.Get("Location") != "https://"+c.host+"/x/..?a=b%20c" {
			t.Errorf("%s: %+v, %v", c.host, got, err)
		}
		s.do("DEL", "settings:"+c.key)
		r.wants(c.host, 200, "")
		s.do("SET", "settings:"+c.key, "rubbish")
		r.wants(c.host, 200, "")
		r.wants(c.host, 200, "")
	}
	log := r.log.String()
	if n := strings.Count(log, "a setting is wrong and has no effect"); n != 4 {
		// For each key: redirekt, though the hash changed, and the wrong type.
		t.Errorf("wrong settings are named %d times:\n%s", n, log)
	}
}

// An operator who gave the router a user for the lists alone goes on having a router.
func TestAUserWhoMayNotReadSettings(t *testing.T) {
	s := startRedis(t)
	s.do("ACL", "SETUSER", "lists", "on", ">pw", "~frontend:*", "~dead:*", "&*", "+@all")
	client := redis.NewClient(&redis.Options{
		Network: "unix", Addr: s.socket, Username: "lists", Password: "pw", MaxRetries: -1, ContextTimeoutEnabled: true,
	})
	defer client.Close()
	r := startRouter(t, s, func(c *Config) { c.Redis = client })
	s.list("app", named(t, "up").URL)
	for range 3 {
		r.wants("app", 200, "up")
	}
	r.wants("nobody", 404, "")
	if n := strings.Count(r.log.String(), "NOPERM"); n != 1 || strings.Contains(r.log.String(), "redis is away") {
		t.Errorf("said %d times:\n%s", n, r.log)
	}
}

// What is read for a request: the list, its settings and the dead set, and no
// wildcard when the host has a list.
func TestOneReadARequest(t *testing.T) {
	s := startRedis(t)
	r := startRouter(t, s)
	s.list("a.b.example.com", named(t, "a").URL)
	r.wants("a.b.example.com", 200, "a")
	s.do("CONFIG", "RESETSTAT")
	r.wants("a.b.example.com", 200, "a")
	stats := s.do("INFO", "commandstats").(string)
	for _, want := range []string{"cmdstat_lrange:calls=1,", "cmdstat_hgetall:calls=1,", "cmdstat_smembers:calls=1,"} {
		if !strings.Contains(stats, want) {
			t.Errorf("not %s in\n%s", want, stats)
		}
	}
	s.list("*.example.com", named(t, "wild").URL)
	s.do("DEL", "frontend:a.b.example.com")
	r.wants("a.b.example.com", 200, "wild")
	s.list("*.b.example.com", named(t, "nearer").URL)
	r.wants("a.b.example.com", 200, "nearer")
}

// silent starts a backend that takes connections and never answers on them.
func silent(t *testing.T) (url string, requests *atomic.Int32) {
	t.Helper()
	requests = &atomic.Int32{}
	url = rawBackend(t, func(conn net.Conn) {
		if n, _ := conn.Read(make([]byte, 10)); n > 0 {
			requests.Add(1)
		}
		<-t.Context().Done()
	})
	return url, requests
}

func TestABackendThatHangsLosesItsShare(t *testing.T) {
	s := startRedis(t)
	c := &offsetClock{}
	r := startRouter(t, s, func(cfg *Config) { cfg.Clock = c })
	hung, requests := silent(t)
	s.list("app", hung, named(t, "up").URL)
	s.do("HSET", "settings:app", "timeout", "500ms")
	for range 20 {
		r.get("app", "/")
	}
	if n := requests.Load(); n != 1 {
		t.Errorf("%d requests went to the backend that hangs", n)
	}
	eventually(t, "the mark", func() bool { return s.client.SIsMember(t.Context(), "dead:app", 0).Val() })

	// When the mark has ended one request at a time tries it.
	c.forward(2 * time.Second) // it is not marked twice within one
	s.do("DEL", "dead:app")
	answers := make(chan int, 20)
	for range 20 {
		go func() {
			got, err := r.do(r.request("GET", "app", "/", nil))
			if err != nil {
				t.Error(err)
			}
			answers <- got.status
		}()
	}
	got := map[int]int{}
	for range 20 {
		got[<-answers]++
	}
	if diff := cmp.Diff(map[int]int{200: 19, 504: 1}, got); diff != "" {
		t.Error(diff)
	}
}

// Most clients do not wait for a minute.
func TestABackendThatClientsLeaveLosesItsShare(t *testing.T) {
	s := startRedis(t)
	c := &offsetClock{}
	r := startRouter(t, s, func(cfg *Config) { cfg.Clock = c })
	hung, requests := silent(t)
	s.list("app", hung, named(t, "up").URL)
	leave := func(after time.Duration, seen int32) {
		t.Helper()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		done := make(chan error, 1)
		go func() {
			_, err := r.do(r.request("GET", "app", "/", nil).WithContext(ctx))
			done <- err
		}()
		eventually(t, "the request to arrive", func() bool { return requests.Load() == seen })
		c.forward(after)
		cancel()
		<-done
		eventually(t, "the router to notice", func() bool { state, _ := r.state(hung); return state.InFlight == 0 })
	}
	leave(time.Second, 1) // too soon to say
	r.wants("app", 200, "up")
	r.router.table.mu.Lock()
	b := r.router.table.backends[hung]
	r.router.table.mu.Unlock()
	if b.hangs.Load() {
		t.Error("a client that leaves after a second is taken for a backend that hangs")
	}
	leave(6*time.Second, 2)
	r.wants("app", 200, "up")
	eventually(t, "the backend to be on trial", b.hangs.Load)

	// One waits there; the others do not.
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	waits := make(chan struct{})
	go func() {
		defer close(waits)
		_, _ = r.do(r.request("GET", "app", "/", nil).WithContext(ctx))
	}()
	eventually(t, "the request to arrive", func() bool { return requests.Load() == 3 })
	if got := spread(r, "app", 10); got["up"] != 10 {
		t.Errorf("got %v", got)
	}
	cancel()
	<-waits
}

// A slow path is not a backend that hangs.
func TestABackendThatAnswersOthersDoesNotHang(t *testing.T) {
	s := startRedis(t)
	r := startRouter(t, s)
	arrived := make(chan struct{})
	b := serving(t, func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			close(arrived)
			<-r.Context().Done()
		}
	})
	s.list("app", b.URL, b.URL)
	s.do("HSET", "settings:app", "timeout", "600ms")
	slow := make(chan int, 1)
	go func() {
		got, _ := r.do(r.request("GET", "app", "/slow", nil))
		slow <- got.status
	}()
	<-arrived
	r.wants("app", 200, "")
	if status := <-slow; status != 504 {
		t.Errorf("the slow request got %d", status)
	}
	if strings.Contains(r.log.String(), "hangs") || s.client.Exists(t.Context(), "dead:app").Val() != 0 {
		t.Errorf("it is marked:\n%s", r.log)
	}
}

// An upload that the backend does not take ends, and one that the client is slow
// with does not count against the backend.
func TestUploadsToABackendThatHangs(t *testing.T) {
	s := startRedis(t)
	r := startRouter(t, s)
	hung, _ := silent(t)
	s.list("app", hung)
	s.do("HSET", "settings:app", "timeout", "150ms")
	got, err := r.do(r.request("POST", "app", "/", io.LimitReader(zeros{}, 64<<20)))
	if err == nil && got.status != 504 {
		t.Errorf("%+v", got)
	}
	eventually(t, "the backend to be marked", func() bool { return strings.Contains(r.log.String(), "backend hangs; marked dead") })

	count := serving(t, func(w http.ResponseWriter, r *http.Request) {
		if n, _ := io.Copy(io.Discard, r.Body); n == 2 {
			_, _ = io.WriteString(w, "both")
		}
	})
	s.list("slow", count.URL)
	s.do("HSET", "settings:slow", "timeout", "400ms")
	body, say := io.Pipe()
	go func() {
		_, _ = say.Write([]byte("1"))
		pause(800 * time.Millisecond)
		_, _ = say.Write([]byte("2"))
		_ = say.Close()
	}()
	if got, err := r.do(r.request("POST", "slow", "/", body)); err != nil || got.body != "both" {
		t.Errorf("a slow client got %+v, %v", got, err)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

func TestHealthChecks(t *testing.T) {
	for _, key := range []string{"app.example.com", "*.example.com"} {
		t.Run(key, func(t *testing.T) {
			t.Parallel()
			s := startRedis(t)
			r := startRouter(t, s)
			var sick atomic.Bool
			var asked atomic.Value
			b := serving(t, func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/up" {
					asked.Store(r.Host)
					if sick.Load() {
						w.WriteHeader(302)
					}
					return
				}
				_, _ = io.WriteString(w, "b")
			})
			s.list(key, b.URL, named(t, "other").URL)
			s.do("HSET", "settings:"+key, "health", "/up", "health_interval", "100ms", "health_threshold", "2")
			even := func() bool { return spread(r, "app.example.com", 4)["b"] == 2 }
			eventually(t, "b to have its share", even)
			sick.Store(true)
			eventually(t, "b to be avoided", func() bool { return spread(r, "app.example.com", 4)["other"] == 4 })
			if want := strings.TrimPrefix(key, "*."); asked.Load() != want {
				t.Errorf("it was asked for %q, not %q", asked.Load(), want)
			}
			exact := key[0] != '*'
			if exact {
				eventually(t, "the mark", func() bool { return s.client.SIsMember(context.Background(), "dead:"+key, 0).Val() })
			}
			sick.Store(false)
			eventually(t, "b to be back", even)
			if exact && s.client.Exists(context.Background(), "dead:"+key).Val() != 0 {
				t.Error("the mark is still in Redis")
			}
			// The checks end with the setting.
			s.do("DEL", "settings:"+key)
			r.get("app.example.com", "/")
			eventually(t, "the checks to end", func() bool {
				r.router.table.mu.Lock()
				defer r.router.table.mu.Unlock()
				return !r.router.table.frontends[key].checks
			})
		})
	}
}
