package router

import (
	"net/http"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// latencyBounds are the buckets of the histograms, in seconds.
var latencyBounds = [...]float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30}

// histogram counts times to the response header since the beginning.
type histogram struct {
	counts [len(latencyBounds)]uint64 // each with those before it left out
	n      uint64
	sum    float64
}

func (h *histogram) record(d time.Duration) {
	s := d.Seconds()
	h.n++
	h.sum += s
	if i, _ := slices.BinarySearch(latencyBounds[:], s); i < len(h.counts) {
		h.counts[i]++
	}
}

// buckets returns how many were at most each bound, as Prometheus counts.
func (h *histogram) buckets() map[float64]uint64 {
	out, sum := make(map[float64]uint64, len(latencyBounds)), uint64(0)
	for i, bound := range latencyBounds {
		sum += h.counts[i]
		out[bound] = sum
	}
	return out
}

// answers counts responses to clients by status.
type answers [600]atomic.Uint64

func (a *answers) count(status int) {
	if status > 0 && status < len(a) {
		a[status].Add(1)
	}
}

// metrics shows the table to Prometheus. What it tells is taken when it is asked for.
type metrics struct{ router *Router }

func metric(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("mepc_router_"+name, help, labels, nil)
}

var (
	answersMetric  = metric("responses_total", "Responses to clients, by status.", "status")
	requestsMetric = metric("requests_total", "Requests for a host's list.", "host")
	failuresMetric = metric("failures_total", "Requests that failed, by how: dial, timeout, cut, 5xx, empty.", "host", "kind")
	flightMetric   = metric("in_flight", "Requests being served, WebSockets included.", "host")
	latencyMetric  = metric("response_seconds", "Time to a backend's response header.", "host")
	backendMetric  = metric("backend_requests_total", "Requests sent to a backend.", "backend")
	backendFailed  = metric("backend_failures_total", "Requests that a backend failed, by how.", "backend", "kind")
	backendFlight  = metric("backend_in_flight", "Requests that a backend is serving.", "backend")
	deadMetric     = metric("backend_dead", "1 for a backend that is marked dead for a host.", "host", "backend")
	redisUp        = metric("redis_up", "1 while Redis answers.")
	redisAge       = metric("redis_age_seconds", "Time since Redis was last read.")
	certMetric     = metric("certificate_days_left", "Days until a certificate expires.", "name")
	stoppingMetric = metric("stopping", "1 while the router stops.")
)

// Describe implements prometheus.Collector. What there will be depends on the table.
func (m metrics) Describe(ch chan<- *prometheus.Desc) { ch <- redisUp }

// Collect implements prometheus.Collector.
func (m metrics) Collect(ch chan<- prometheus.Metric) {
	send := func(d *prometheus.Desc, kind prometheus.ValueType, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, kind, v, labels...)
	}
	const counter, gauge = prometheus.CounterValue, prometheus.GaugeValue
	yes := func(b bool) float64 {
		if b {
			return 1
		}
		return 0
	}
	r := m.router
	now := r.cfg.Clock.Now()
	for status := range r.proxy.answers {
		if n := r.proxy.answers[status].Load(); n > 0 {
			send(answersMetric, counter, float64(n), strconv.Itoa(status))
		}
	}
	send(redisUp, gauge, yes(!r.reader.isAway()))
	if at := r.table.readAt.Load(); at > 0 {
		send(redisAge, gauge, now.Sub(time.Unix(0, at)).Seconds())
	}
	send(stoppingMetric, gauge, yes(r.alone(sourceRedis) == sourceStopping))
	for name, expires := range r.certs.expire() {
		send(certMetric, gauge, expires.Sub(now).Hours()/24, name)
	}
	for _, f := range r.table.counts(now) {
		send(f.total, counter, float64(f.stats.total), f.name)
		send(f.flight, gauge, float64(f.stats.inFlight), f.name)
		for kind, n := range f.stats.byKind {
			send(f.failed, counter, float64(n), f.name, string(kind))
		}
		for _, url := range f.dead {
			send(deadMetric, gauge, 1, f.name, url)
		}
		if f.total == requestsMetric {
			ch <- prometheus.MustNewConstHistogram(latencyMetric, f.stats.all.n, f.stats.all.sum, f.stats.all.buckets(), f.name)
		}
	}
}

// counted holds the counters of one frontend or backend.
type counted struct {
	total, flight, failed *prometheus.Desc
	name                  string
	stats                 stats
	dead                  []string
}

// counts takes all of them at one moment.
func (t *table) counts(now time.Time) (out []counted) {
	t.mu.Lock()
	defer t.mu.Unlock()
	copied := func(s *stats) stats {
		c := stats{inFlight: s.inFlight, total: s.total, all: s.all, byKind: make(map[mishap]uint64, len(s.byKind))}
		for k, v := range s.byKind {
			c.byKind[k] = v
		}
		return c
	}
	for key, f := range t.frontends {
		out = append(out, counted{requestsMetric, flightMetric, failuresMetric, key, copied(&f.stats), t.deadLocked(key, f, now)})
	}
	for url, b := range t.backends {
		out = append(out, counted{backendMetric, backendFlight, backendFailed, url, copied(&b.stats), nil})
	}
	return out
}

func (r *Router) metricsHandler() http.Handler {
	registry := prometheus.NewRegistry()
	registry.MustRegister(metrics{r}, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return promhttp.HandlerFor(registry, promhttp.HandlerOpts{})
}
