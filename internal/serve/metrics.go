package serve

import (
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/mepc/mepc-run/internal/queue"
)

// numbers are the metrics for Prometheus.
type numbers struct {
	registry *prometheus.Registry
	answers  *prometheus.CounterVec
	handler  http.Handler
}

func newNumbers(s *Server) *numbers {
	n := &numbers{
		registry: prometheus.NewRegistry(),
		answers: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "mepc_http_answers_total", Help: "Answered requests, by route and status.",
		}, []string{"route", "status"}),
	}
	gauge := func(name, help string, value func() int) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, func() float64 { return float64(value()) })
	}
	n.registry.MustRegister(
		n.answers, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), ended{s.opts.Queue},
		gauge("mepc_runs_running", "Runs in progress.", func() int { running, _ := s.opts.Queue.List(); return len(running) }),
		gauge("mepc_requests_waiting", "Requests waiting to be run.", func() int { _, waiting := s.opts.Queue.List(); return len(waiting) }),
		gauge("mepc_queue_paused", "1 while the queue is paused.", func() int {
			if s.opts.Queue.Paused() != "" {
				return 1
			}
			return 0
		}),
		gauge("mepc_recipes", "Loaded recipes.", func() int { return len(s.opts.Recipes.Recipes()) }),
		gauge("mepc_recipes_troubled", "Recipes whose newest files were rejected.", func() int {
			n := 0
			for _, r := range s.opts.Recipes.Recipes() {
				if r.Trouble != "" {
					n++
				}
			}
			return n
		}),
	)
	n.handler = promhttp.HandlerFor(n.registry, promhttp.HandlerOpts{})
	return n
}

// ended counts the requests that have ended since the server began.
type ended struct{ queue *queue.Queue }

var endedDesc = prometheus.NewDesc("mepc_requests_ended_total", "Ended requests, by recipe and result.", []string{"recipe", "status"}, nil)

// Describe implements prometheus.Collector.
func (ended) Describe(ch chan<- *prometheus.Desc) { ch <- endedDesc }

// Collect implements prometheus.Collector.
func (e ended) Collect(ch chan<- prometheus.Metric) {
	for of, n := range e.queue.Counts() {
		ch <- prometheus.MustNewConstMetric(endedDesc, prometheus.CounterValue, float64(n), of.Recipe, of.Status)
	}
}

func (s *Server) metrics(c *call) (any, error) {
	s.numbers.handler.ServeHTTP(c.w, c.Request)
	return nil, nil
}
