package bench

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httputil"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
)

// recorder is an engine's socket before the engine's own: it notes the calls.
type recorder struct {
	host  string
	mu    sync.Mutex
	calls []string
}

var (
	version = regexp.MustCompile(`^/v1\.\d+`)
	object  = regexp.MustCompile(`^/(containers|images)/([^/]+/)*?[^/]+(/json|/start|/stop)?$`)
	lists   = regexp.MustCompile(`^/(containers|images)/(json|create)$`)
)

func record(b *testing.B, engine string) *recorder {
	b.Helper()
	socket := filepath.Join(b.TempDir(), "engine.sock")
	l, err := net.Listen("unix", socket)
	if err != nil {
		b.Fatal(err)
	}
	r := &recorder{host: "unix://" + socket}
	network, address, _ := strings.Cut(engine, "://")
	proxy := &httputil.ReverseProxy{
		Rewrite: func(p *httputil.ProxyRequest) { p.Out.URL.Scheme, p.Out.URL.Host = "http", "engine" },
		Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, address)
		}},
	}
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		path := version.ReplaceAllString(req.URL.Path, "")
		if !lists.MatchString(path) {
			path = object.ReplaceAllString(path, "/$1/*$3")
		}
		r.mu.Lock()
		r.calls = append(r.calls, req.Method+" "+path)
		r.mu.Unlock()
		proxy.ServeHTTP(w, req)
	})}
	go func() { _ = srv.Serve(l) }() // ends with the listener
	b.Cleanup(func() { _ = srv.Close() })
	return r
}

// count returns how often each call was made, in the order of their names.
func (r *recorder) count() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	slices.Sort(r.calls)
	var out []string
	for _, c := range slices.Compact(slices.Clone(r.calls)) {
		n := 0
		for _, other := range r.calls {
			if other == c {
				n++
			}
		}
		out = append(out, fmt.Sprintf("%d %s", n, c))
	}
	return out
}
