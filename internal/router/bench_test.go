package router

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
)

// BenchmarkOverhead compares the router with a bare httputil.ReverseProxy to the
// same backend: alternating requests of one client in one run, so that the ratio
// holds where the machine's own speed does not. Read x_get, x_post: the medians'
// ratios, and us_router: the router's median.
func BenchmarkOverhead(b *testing.B) {
	s := startRedis(b)
	r := startRouter(b, s, func(c *Config) { c.Log = slog.New(slog.DiscardHandler) })
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = io.WriteString(w, "ok")
	}))
	defer backend.Close()
	s.list("app", backend.URL)
	target, err := url.Parse(backend.URL)
	if err != nil {
		b.Fatal(err)
	}
	bare := httptest.NewServer(&httputil.ReverseProxy{
		Rewrite: func(pr *httputil.ProxyRequest) {
			pr.SetURL(target)
			pr.SetXForwarded()
		},
		Transport: &http.Transport{MaxIdleConnsPerHost: 256},
	})
	defer bare.Close()

	for _, method := range []string{"GET", "POST"} {
		b.Run(method, func(b *testing.B) {
			took := map[string][]time.Duration{}
			one := func(name, base string) {
				var body io.Reader
				if method == "POST" {
					body = strings.NewReader("order")
				}
				req, err := http.NewRequest(method, base, body)
				if err != nil {
					b.Fatal(err)
				}
				req.Host = "app"
				began := now()
				resp, err := r.client.Do(req)
				if err != nil || resp.StatusCode != 200 {
					b.Fatal(resp, err)
				}
				_, _ = io.Copy(io.Discard, resp.Body)
				_ = resp.Body.Close()
				took[name] = append(took[name], now().Sub(began))
			}
			for b.Loop() {
				one("router", "http://"+r.addr)
				one("bare", bare.URL)
				one("direct", backend.URL)
			}
			median := func(name string) float64 {
				slices.Sort(took[name])
				return took[name][len(took[name])/2].Seconds() * 1e6
			}
			b.ReportMetric(median("router"), "us_router")
			b.ReportMetric(median("bare"), "us_bare")
			b.ReportMetric(median("direct"), "us_direct")
			b.ReportMetric(median("router")/median("bare"), "x_bare")
		})
	}
}

// BenchmarkLoad is the same under 16 clients at once, where reads are shared.
func BenchmarkLoad(b *testing.B) {
	s := startRedis(b)
	r := startRouter(b, s, func(c *Config) { c.Log = slog.New(slog.DiscardHandler) })
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") }))
	defer backend.Close()
	s.list("app", backend.URL)
	target, err := url.Parse(backend.URL)
	if err != nil {
		b.Fatal(err)
	}
	bare := httptest.NewServer(&httputil.ReverseProxy{
		Rewrite:   func(pr *httputil.ProxyRequest) { pr.SetURL(target); pr.SetXForwarded() },
		Transport: &http.Transport{MaxIdleConnsPerHost: 256},
	})
	defer bare.Close()
	for _, c := range []struct{ name, base string }{{"bare", bare.URL}, {"router", "http://" + r.addr}} {
		b.Run(c.name, func(b *testing.B) {
			b.SetParallelism(8)
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					req, err := http.NewRequest("GET", c.base, nil)
					if err != nil {
						b.Error(err)
						return
					}
					req.Host = "app"
					resp, err := r.client.Do(req)
					if err != nil {
						b.Error(err)
						return
					}
					_, _ = io.Copy(io.Discard, resp.Body)
					_ = resp.Body.Close()
				}
			})
		})
	}
}
