package router

import (
	"cmp"
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// The admin server:
//
//	GET /-/healthz                200 while serving, 503 when stopping
//	GET /-/frontends              the lists, all of them up to a bound
//	GET /-/inflight               what each backend and frontend is doing
//	GET /-/inflight?backend=URL   the same for these backends alone (repeatable),
//	                              also for ones this router never heard of, and
//	                              for the frontends that list them
//	    ...&host=HOST             reads HOST's list as well (repeatable)
//	GET /metrics                  for Prometheus; reads nothing
//
// The two of lists read Redis before they answer: all lists that the router knows or, with
// a backend, those that held it when they were last read. A drain is over when an
// answer has, for the backend, "listed": false and "in_flight": 0, with "source":
// "redis"; a client that took it out of a host's list names that host.
//
// What is read for the admin server is read beside requests, never in their way,
// and its failure says nothing to them.

const (
	maxScanned = 1000 // frontends taken from SCAN
	scanRounds = 20
	scanCount  = 500
)

// Where the lists in an answer come from.
const (
	sourceRedis     = "redis"           // read for this answer
	sourceLastKnown = "last-known-good" // Redis is away
	sourceStopping  = "stopping"        // another router may be serving beside this one
)

// Inflight is the answer of GET /-/inflight.
type Inflight struct {
	Source    string          `json:"source"`
	At        time.Time       `json:"at"`
	Backends  []BackendState  `json:"backends"`
	Frontends []FrontendState `json:"frontends"`
}

// Numbers are a backend's or a frontend's. A request that was tried on two
// backends counts on both, and once on the frontend.
type Numbers struct {
	InFlight    int               `json:"in_flight"`
	Total       uint64            `json:"total"`        // begun since it was first listed
	Errors      uint64            `json:"errors"`       // the sum of errors_by
	ErrorsBy    map[string]uint64 `json:"errors_by"`    // dial, timeout, cut, 5xx, empty
	LastRequest *time.Time        `json:"last_request"` // when the last one began
	Latency     *LatencyMS        `json:"latency_ms"`   // null when nothing is recent
}

// LatencyMS holds milliseconds to the response header over the last 30 to 60
// seconds, each right to within 5 %.
type LatencyMS struct {
	P50   float64 `json:"p50"`
	P90   float64 `json:"p90"`
	P99   float64 `json:"p99"`
	Count uint64  `json:"count"`
}

// BackendState is one backend of Inflight.
type BackendState struct {
	URL    string   `json:"url"`
	Listed bool     `json:"listed"`
	In     []string `json:"frontends"` // the frontends that list it
	Numbers
}

// FrontendState is one frontend of Inflight.
type FrontendState struct {
	Host string `json:"host"`
	Numbers
}

// Frontends is the answer of GET /-/frontends.
type Frontends struct {
	Source    string          `json:"source"`
	At        time.Time       `json:"at"`
	Complete  bool            `json:"complete"` // every frontend in Redis is here
	Frontends []FrontendLists `json:"frontends"`
}

// FrontendLists is one frontend of Frontends.
type FrontendLists struct {
	Host       string          `json:"host"`
	Exists     bool            `json:"exists"`
	Identifier string          `json:"identifier"`
	ReadAt     time.Time       `json:"read_at"`
	Backends   []BackendListed `json:"backends"`
}

// BackendListed is one backend of a list.
type BackendListed struct {
	URL    string `json:"url"`
	Weight int    `json:"weight"`
	Dead   bool   `json:"dead"`
}

func (r *Router) adminHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /-/healthz", r.healthz)
	mux.HandleFunc("GET /-/frontends", r.frontends)
	mux.HandleFunc("GET /-/inflight", r.inflight)
	mux.Handle("GET /metrics", r.metricsHandler())
	return mux
}

func (r *Router) healthz(w http.ResponseWriter, _ *http.Request) {
	select {
	case <-r.stopping:
		answer(w, http.StatusServiceUnavailable, map[string]string{"status": "stopping"})
	default:
		state := "ok"
		if r.reader.isAway() {
			state = "away" // still 200: the last known lists are being served
		}
		answer(w, http.StatusOK, map[string]string{"status": "ok", "redis": state})
	}
}

func (r *Router) inflight(w http.ResponseWriter, req *http.Request) {
	query := req.URL.Query()
	urls, hosts := query["backend"], query["host"]
	if len(urls) == 0 {
		hosts = append(hosts, r.table.known()...)
	} else {
		hosts = append(hosts, r.table.listing(urls)...)
	}
	out := Inflight{Source: r.look(req.Context(), hosts)}
	out.Backends, out.Frontends, out.At = r.table.numbers(urls)
	out.Source = r.alone(out.Source)
	answer(w, http.StatusOK, out)
}

func (r *Router) frontends(w http.ResponseWriter, req *http.Request) {
	scanned, complete := r.scan(req.Context())
	out := Frontends{Source: r.look(req.Context(), append(r.table.known(), scanned...)), Complete: complete}
	out.Frontends, out.At = r.table.lists()
	out.Source = r.alone(out.Source)
	answer(w, http.StatusOK, out)
}

// lookedAt is the number of hosts that one pipeline of look asks for: few enough that
// requests do not wait for Redis to be done with them.
const lookedAt = 200

// look reads the lists of hosts, and says whether that worked. The catch-all is
// always read: an empty table must not pass for a Redis that was asked.
func (r *Router) look(ctx context.Context, hosts []string) string {
	if r.reader.isAway() {
		return sourceLastKnown
	}
	for some := range slices.Chunk(append(hosts, "*"), lookedAt) {
		set := make(map[string]struct{}, len(some))
		for _, h := range some {
			set[h] = struct{}{}
		}
		if r.reader.read(ctx, set) != nil {
			return sourceLastKnown
		}
	}
	return sourceRedis
}

// alone returns source unless the router stops. To be asked after what the answer
// tells of: another router serves only once this one is stopping.
func (r *Router) alone(source string) string {
	select {
	case <-r.stopping:
		return sourceStopping
	default:
		return source
	}
}

// scan finds frontends nobody asked for yet. On a cluster it would see one node
// only, and leaves it.
func (r *Router) scan(ctx context.Context) (hosts []string, complete bool) {
	client, ok := r.cfg.Redis.(*redis.Client)
	if !ok || r.reader.isAway() {
		return nil, false
	}
	ctx, cancel := context.WithTimeout(ctx, r.cfg.RedisTimeout)
	defer cancel()
	var cursor uint64
	for range scanRounds {
		keys, next, err := client.Scan(ctx, cursor, frontendPrefix+"*", scanCount).Result()
		if err != nil {
			return hosts, false
		}
		for _, k := range keys {
			if len(hosts) == maxScanned {
				return hosts, false
			}
			hosts = append(hosts, strings.TrimPrefix(k, frontendPrefix))
		}
		if cursor = next; cursor == 0 {
			return hosts, true
		}
	}
	return hosts, false
}

// numbers takes the state of the backends asked for and of the frontends that list
// them, of all when none is, at one moment.
func (t *table) numbers(urls []string) (backends []BackendState, frontends []FrontendState, now time.Time) {
	now = t.cfg.Clock.Now()
	backends, frontends = []BackendState{}, []FrontendState{}
	t.mu.Lock()
	defer t.mu.Unlock()
	in := make(map[string][]string)
	for key, f := range t.frontends {
		asked := len(urls) == 0
		for _, p := range f.peers {
			if len(urls) == 0 || slices.Contains(urls, p.url) {
				in[p.url] = append(in[p.url], key)
				asked = true
			}
		}
		if asked {
			frontends = append(frontends, FrontendState{Host: key, Numbers: numbersOf(&f.stats, now)})
		}
	}
	if len(urls) == 0 {
		for url := range t.backends {
			urls = append(urls, url)
		}
	}
	for _, url := range urls {
		s := BackendState{URL: url, In: in[url]}
		if s.Listed = len(s.In) > 0; !s.Listed {
			s.In = []string{}
		}
		slices.Sort(s.In)
		var none stats
		st := &none
		if b := t.backends[url]; b != nil {
			st = &b.stats
		}
		s.Numbers = numbersOf(st, now)
		backends = append(backends, s)
	}
	slices.SortFunc(backends, func(a, b BackendState) int { return cmp.Compare(a.URL, b.URL) })
	slices.SortFunc(frontends, func(a, b FrontendState) int { return cmp.Compare(a.Host, b.Host) })
	return backends, frontends, now
}

func numbersOf(s *stats, now time.Time) Numbers {
	n := Numbers{InFlight: s.inFlight, Total: s.total, Errors: s.errors, ErrorsBy: map[string]uint64{}}
	for k, v := range s.byKind {
		n.ErrorsBy[string(k)] = v
	}
	if !s.last.IsZero() {
		last := s.last
		n.LastRequest = &last
	}
	if q, count := s.latency.quantiles(now, 0.5, 0.9, 0.99); count > 0 {
		ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
		n.Latency = &LatencyMS{ms(q[0]), ms(q[1]), ms(q[2]), count}
	}
	return n
}

// lists takes every list at one moment.
func (t *table) lists() (out []FrontendLists, now time.Time) {
	now = t.cfg.Clock.Now()
	out = []FrontendLists{}
	t.mu.Lock()
	defer t.mu.Unlock()
	for key, f := range t.frontends {
		l := FrontendLists{Host: key, Exists: f.exists, ReadAt: f.readAt, Backends: []BackendListed{}}
		if f.exists {
			l.Identifier = f.list[0]
		}
		dead := t.deadLocked(key, f, now)
		for _, p := range f.peers {
			l.Backends = append(l.Backends, BackendListed{p.url, p.weight, slices.Contains(dead, p.url)})
		}
		out = append(out, l)
	}
	slices.SortFunc(out, func(a, b FrontendLists) int { return cmp.Compare(a.Host, b.Host) })
	return out, now
}

func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	_ = enc.Encode(v)
}
