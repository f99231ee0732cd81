package sim

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// counts are what routers have sent to each backend. Who holds its lock takes no
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
func (w *World) listed() (map[string]*listedBackend, []string) {
	found := map[string]*listedBackend{}
	var urls []string
	for _, key := range w.store.redis().DB(0).Keys() {
		host, ok := strings.CutPrefix(key, "frontend:")
		list := w.store.list(key)
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
func (w *World) count(rate float64, listed map[string]*listedBackend, now time.Time) {
	failing := map[string]float64{} // what share of a backend's requests
	for url := range listed {
		failing[url] = 1
		if box := w.boxAt(url, now); box != nil && box.behaviour.Passes(now.Sub(box.started)) {
			failing[url] = box.behaviour.ErrorRate
		}
	}
	c := &w.counts
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

// boxAt returns the running container that a backend's URL leads to, or nil.
func (w *World) boxAt(url string, now time.Time) *ctr {
	w.mu.Lock()
	defer w.mu.Unlock()
	p, err := w.reach("tcp", backendAddress(url), now)
	if err != nil || p.box == nil || !p.box.running() {
		return nil
	}
	return p.box
}

// defaultLatency is what a container takes to answer whose fixture does not say.
const defaultLatency = Duration(2 * time.Millisecond)

// numbers are what a router's admin server says of a backend or a host.
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
func (w *World) askAdmin(req *http.Request, rate float64) answer {
	if req.URL.Path != "/-/inflight" {
		return answer{status: http.StatusNotFound, body: NotModelled + req.Method + " " + req.URL.Path + " of a router's admin server\n"}
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
	now := w.clock.Now()
	out := struct {
		Source    string     `json:"source"`
		At        time.Time  `json:"at"`
		Backends  []backend  `json:"backends"`
		Frontends []frontend `json:"frontends"`
	}{Source: "redis", At: now, Backends: []backend{}, Frontends: []frontend{}}
	if w.redisDown() {
		out.Source = "last-known-good"
	}
	listed, urls := w.listed()
	w.count(rate, listed, now)
	hosts := map[string]numbers{}
	for _, u := range urls {
		n := w.numbers(u, now)
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
		b := backend{URL: u, In: []string{}, numbers: w.numbers(u, now)}
		if l := listed[u]; l != nil {
			b.Listed, b.In = true, l.hosts
		}
		out.Backends = append(out.Backends, b)
	}
	b, _ := json.Marshal(out) // strings and numbers
	return answer{status: http.StatusOK, body: string(b) + "\n", header: map[string]string{"Content-Type": "application/json"}}
}

func (w *World) numbers(url string, now time.Time) numbers {
	w.counts.mu.Lock()
	c := w.counts.sent[url]
	w.counts.mu.Unlock()
	n := numbers{Total: int(c.total + 0.5), Errors: int(c.errors + 0.5)}
	if box := w.boxAt(url, now); box != nil && n.Total > n.Errors {
		took := box.behaviour.Latency
		if took == 0 {
			took = defaultLatency
		}
		ms := float64(took) / float64(time.Millisecond)
		n.Latency = latency{&ms, &ms, &ms, n.Total - n.Errors}
	}
	return n
}
