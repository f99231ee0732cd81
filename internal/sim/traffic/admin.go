package traffic

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/mepc/mepc-run/internal/state"
)

// counts holds what routers have sent to each backend. Who holds its lock takes no
// other.
type counts struct {
	mu   sync.Mutex
	at   time.Time // until when the clients' requests are in it
	sent map[string]count
}

type count struct{ total, errors float64 }

func (c *counts) add(url string, total, errors float64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.addLocked(url, total, errors)
}

func (c *counts) addLocked(url string, total, errors float64) {
	if c.sent == nil {
		c.sent = map[string]count{}
	}
	n := c.sent[url]
	c.sent[url] = count{n.total + total, n.errors + errors}
}

func (c *counts) clone() (at time.Time, sent map[string]count) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at, maps.Clone(c.sent)
}

// listedBackend is a backend as the lists have it.
type listedBackend struct {
	hosts []string
	share float64 // of each host's requests, summed up
}

// listed returns every backend of every list, and their order.
func (t *Traffic) listed() (map[string]*listedBackend, []string) {
	found := map[string]*listedBackend{}
	var urls []string
	for _, key := range t.redis.Mini().DB(0).Keys() {
		host, ok := strings.CutPrefix(key, "frontend:")
		list := t.redis.List(key)
		if !ok || len(list) < 2 {
			continue
		}
		for _, u := range list[1:] {
			b := found[u]
			if b == nil {
				b = &listedBackend{}
				found[u], urls = b, append(urls, u)
			}
			if !slices.Contains(b.hosts, host) {
				b.hosts = append(b.hosts, host)
			}
			b.share += 1 / float64(len(list)-1)
		}
	}
	return found, urls
}

// count lets the clients' requests since the last time come in, as if the lists
// had been what they are now: who changes a list looks before and after.
func (t *Traffic) count(rate float64, listed map[string]*listedBackend, now time.Time) {
	failing := map[string]float64{} // what share of a backend's requests
	for url := range listed {
		failing[url] = 1
		if b, ran := t.behaves(url, now); b != nil && b.Passes(ran) {
			failing[url] = b.ErrorRate
		}
	}
	c := &t.counts
	c.mu.Lock()
	defer c.mu.Unlock()
	passed := now.Sub(c.at).Seconds()
	if c.at.IsZero() {
		passed = 0
	}
	c.at = now
	for url, b := range listed {
		n := rate * passed * b.share
		c.addLocked(url, n, n*failing[url])
	}
}

// behaves returns what the running container does that a backend's URL leads to,
// and for how long it has run; or nil.
func (t *Traffic) behaves(url string, now time.Time) (*state.Behaviour, time.Duration) {
	t.timeline.Hold()
	defer t.timeline.Unlock()
	p, err := t.reach("tcp", backendAddress(url), now)
	if err != nil || p.server == nil {
		return nil, 0
	}
	return p.server.Behaves(now)
}

// defaultLatency is a container's answer time where its fixture sets none.
const defaultLatency = state.Duration(2 * time.Millisecond)

// numbers holds a router's admin figures for a backend or a host.
type numbers struct {
	InFlight int     `json:"in_flight"`
	Total    int     `json:"total"`
	Errors   int     `json:"errors"`
	Latency  latency `json:"latency_ms"`
}

type latency struct {
	P50   *float64 `json:"p50"`
	P90   *float64 `json:"p90"`
	P99   *float64 `json:"p99"`
	Count int      `json:"count"`
}

// askAdmin answers GET /-/inflight of mepc-run's own router: no request is ever
// in flight, for an answer comes at once. Clients are taken to send rate requests
// a second for each host.
func (t *Traffic) askAdmin(req *http.Request, rate float64) answer {
	if req.URL.Path != "/-/inflight" {
		return answer{status: http.StatusNotFound, body: state.NotModelled + req.Method + " " + req.URL.Path + " of a router's admin server\n"}
	}
	type backend struct {
		URL    string   `json:"url"`
		Listed bool     `json:"listed"`
		In     []string `json:"frontends"`
		numbers
	}
	type frontend struct {
		Host string `json:"host"`
		numbers
	}
	now := t.timeline.Now()
	out := struct {
		Source    string     `json:"source"`
		At        time.Time  `json:"at"`
		Backends  []backend  `json:"backends"`
		Frontends []frontend `json:"frontends"`
	}{Source: "redis", At: now, Backends: []backend{}, Frontends: []frontend{}}
	if t.redis.Down() {
		out.Source = "last-known-good"
	}
	listed, urls := t.listed()
	t.count(rate, listed, now)
	hosts := map[string]numbers{}
	for _, u := range urls {
		n := t.numbers(u, now)
		for _, h := range listed[u].hosts {
			sum := hosts[h]
			hosts[h] = numbers{Total: sum.Total + n.Total, Errors: sum.Errors + n.Errors, Latency: n.Latency}
		}
	}
	for _, h := range slices.Sorted(maps.Keys(hosts)) {
		out.Frontends = append(out.Frontends, frontend{h, hosts[h]})
	}
	if asked := req.URL.Query()["backend"]; len(asked) > 0 {
		urls = asked
	}
	for _, u := range urls {
		b := backend{URL: u, In: []string{}, numbers: t.numbers(u, now)}
		if l := listed[u]; l != nil {
			b.Listed, b.In = true, l.hosts
		}
		out.Backends = append(out.Backends, b)
	}
	b, _ := json.Marshal(out) // strings and numbers
	return answer{status: http.StatusOK, body: string(b) + "\n", header: map[string]string{"Content-Type": "application/json"}}
}

func (t *Traffic) numbers(url string, now time.Time) numbers {
	t.counts.mu.Lock()
	c := t.counts.sent[url]
	t.counts.mu.Unlock()
	n := numbers{Total: int(c.total + 0.5), Errors: int(c.errors + 0.5)}
	if b, _ := t.behaves(url, now); b != nil && n.Total > n.Errors {
		took := b.Latency
		if took == 0 {
			took = defaultLatency
		}
		ms := float64(took) / float64(time.Millisecond)
		n.Latency = latency{&ms, &ms, &ms, n.Total - n.Errors}
	}
	return n
}

// AskAdmin answers req as the admin server of a router on this world's Redis
// does, whatever its address, to which clients send rate requests a second for
// each host.
func (t *Traffic) AskAdmin(req *http.Request, rate float64) (*http.Response, error) {
	return t.askAdmin(req, rate).response(req), nil
}
