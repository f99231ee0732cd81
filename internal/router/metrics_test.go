package router

import (
	"encoding/json"
	"io"
	"net/http"
	"net/netip"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

func (r *running) metrics() string {
	r.t.Helper()
	resp, err := http.Get(r.admin + "/metrics")
	if err != nil {
		r.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != 200 {
		r.t.Fatalf("%d, %v: %s", resp.StatusCode, err, b)
	}
	return string(b)
}

func TestMetrics(t *testing.T) {
	s := startRedis(t)
	r := startRouter(t, s)
	up, down := named(t, "up"), refusing(t)
	s.list("app", up.URL, down)
	for range 4 {
		r.wants("app", 200, "up")
	}
	r.wants("nobody", 404, "")
	for _, want := range []string{
		`mepc_router_responses_total{status="200"} 4`, `mepc_router_responses_total{status="404"} 1`,
		`mepc_router_requests_total{host="app"} 4`, `mepc_router_in_flight{host="app"} 0`,
		`mepc_router_response_seconds_count{host="app"} 4`, `mepc_router_response_seconds_bucket{host="app",le="+Inf"} 4`,
		`mepc_router_backend_requests_total{backend="` + up.URL + `"} 4`,
		`mepc_router_backend_failures_total{backend="` + down + `",kind="dial"} `,
		`mepc_router_backend_dead{backend="` + down + `",host="app"} 1`,
		"mepc_router_redis_up 1\n", "mepc_router_redis_age_seconds ", "mepc_router_stopping 0\n",
	} {
		eventually(t, want, func() bool { return strings.Contains(r.metrics(), want) })
	}
}

// What the docs and the dashboard ask for is there.
func TestMetricsInTheDocsExist(t *testing.T) {
	read := func(name string) string {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	var names []string
	for _, m := range regexp.MustCompile(`metric\("(\w+)"`).FindAllStringSubmatch(read("metrics.go"), -1) {
		names = append(names, "mepc_router_"+m[1])
	}
	dashboard, docs := read("../../docs/router-dashboard.json"), read("../../docs/router.md")
	if !json.Valid([]byte(dashboard)) {
		t.Error("the dashboard is not JSON")
	}
	for _, name := range regexp.MustCompile(`mepc_router_\w+`).FindAllString(dashboard+docs, -1) {
		if !slices.Contains(names, strings.TrimSuffix(name, "_bucket")) {
			t.Errorf("there is no metric %s", name)
		}
	}
}

func TestHistogramsCountUpToTheirBounds(t *testing.T) {
	var h histogram
	for _, d := range []time.Duration{time.Microsecond, 5 * time.Millisecond, 6 * time.Millisecond, time.Minute} {
		h.record(d)
	}
	got := h.buckets()
	if got[.005] != 2 || got[.01] != 3 || got[30] != 3 || h.n != 4 {
		t.Errorf("%v of %d", got, h.n)
	}
}

func TestRequestIDs(t *testing.T) {
	s := startRedis(t)
	log := &lockedBuffer{}
	seen := serving(t, func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.Header.Get("X-Request-Id")) })
	s.list("app", seen.URL)
	for _, trust := range []bool{false, true} {
		r := startRouter(t, s, func(c *Config) { c.TrustForwarded, c.AccessLog, c.AccessJSON = trust, log, true })
		for _, theirs := range []string{"", "from-outside", "a b", strings.Repeat("x", 129)} {
			req := r.request("GET", "app", `/?"`, nil)
			req.Header.Set("X-Request-Id", theirs)
			got, err := r.do(req)
			if err != nil {
				t.Fatal(err)
			}
			if kept := got.body == theirs; kept != (trust && theirs == "from-outside") || !plain(got.body) {
				t.Errorf("trust %v: %q became %q", trust, theirs, got.body)
			}
			eventually(t, "the line", func() bool { return strings.Contains(log.String(), `"request_id":"`+got.body+`"`) })
		}
	}
	for line := range strings.Lines(log.String()) {
		var l accessLine
		if err := json.Unmarshal([]byte(line), &l); err != nil || l.Status != 200 || l.Host != "app" || l.Backend != seen.URL || l.URI != `/?"` {
			t.Errorf("%s: %+v, %v", line, l, err)
		}
	}
}

func TestOneAddressIsLimited(t *testing.T) {
	s := startRedis(t)
	c := &offsetClock{}
	r := startRouter(t, s, func(cfg *Config) { cfg.AddressInFlight = 1 })
	url, arrived, release := slowBackend(t)
	s.list("slow", url)
	done := make(chan int, 1)
	go func() {
		got, _ := r.do(r.request("GET", "slow", "/", nil))
		done <- got.status
	}()
	<-arrived
	if got := r.get("slow", "/"); got.status != 429 || got.header.Get("Retry-After") != "1" || got.header.Get(errorHeader) != "error" {
		t.Errorf("%+v", got)
	}
	close(release)
	if status := <-done; status != 200 {
		t.Errorf("the first got %d", status)
	}

	l := newLimiter(&Config{AddressRate: 5})
	a, b := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2")
	at := c.Now()
	allowed := 0
	for range 20 {
		if l.enter(a, at) {
			allowed++
			l.leave(a)
		}
	}
	if allowed != 10 || !l.enter(b, at) || l.enter(a, at.Add(time.Millisecond)) || !l.enter(a, at.Add(300*time.Millisecond)) {
		t.Errorf("%d of 20 at once", allowed)
	}
	l.leave(a)
	l.sweep(at.Add(time.Minute))
	if len(l.clients) != 1 { // b is in flight
		t.Errorf("%d are remembered", len(l.clients))
	}
}

func TestClientAddresses(t *testing.T) {
	for _, c := range []struct {
		remote, forwarded string
		trust             bool
		want              string
	}{
		{"10.0.0.1:5", "1.2.3.4", false, "10.0.0.1"},
		{"10.0.0.1:5", "9.9.9.9, 1.2.3.4", true, "1.2.3.4"},
		{"10.0.0.1:5", "", true, "10.0.0.1"},
		{"[2001:db8:1:2:3:4:5:6]:5", "", false, "2001:db8:1:2::"},
		{"[::ffff:10.0.0.1]:5", "", false, "10.0.0.1"},
		{"10.0.0.1:5", "rubbish", true, "invalid IP"},
	} {
		r := &http.Request{RemoteAddr: c.remote, Header: http.Header{}}
		if c.forwarded != "" {
			r.Header.Set("X-Forwarded-For", c.forwarded)
		}
		if got := clientOf(r, c.trust).String(); got != c.want {
			t.Errorf("%+v: %s", c, got)
		}
	}
}
