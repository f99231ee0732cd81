package e2e

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// load is an audience that asks the router for the app without end: GET and
// POST, on fresh and on kept connections, some requests slow.
type load struct {
	t    *testing.T
	stop context.CancelFunc
	done sync.WaitGroup

	mu       sync.Mutex
	served   int
	failures []string
}

// visitor is one of the audience.
type visitor struct {
	method, path string
	fresh        bool
}

var audience = []visitor{
	{"GET", "/version", true},
	{"GET", "/version", false},
	{"GET", "/", true},
	{"GET", "/", false},
	{"POST", "/", true},
	{"POST", "/", false},
	{"GET", "/slow?ms=300", true},
	{"GET", "/slow?ms=300", false},
	{"GET", "/slow?ms=300&early=1", false},
}

// load starts the audience, which asks until end, or the test, ends it.
func (s *stage) load() *load {
	s.t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	l := &load{t: s.t, stop: stop}
	for _, c := range audience {
		l.done.Go(func() {
			transport := &http.Transport{DisableKeepAlives: c.fresh}
			defer transport.CloseIdleConnections()
			hc := &http.Client{Transport: transport, Timeout: 10 * time.Second}
			for ctx.Err() == nil {
				err := c.ask(hc, s.router, s.app)
				l.mu.Lock()
				if err == nil {
					l.served++
				} else {
					l.failures = append(l.failures, fmt.Sprintf("%s %s %s: %v", time.Now().Format("05.000"), c.method, c.path, err))
				}
				l.mu.Unlock()
				time.Sleep(10 * time.Millisecond)
			}
		})
	}
	s.t.Cleanup(func() { stop(); l.done.Wait() })
	return l
}

// ask makes one request.
func (c *visitor) ask(hc *http.Client, router, host string) error {
	var body io.Reader
	if c.method == http.MethodPost {
		body = strings.NewReader("name=value")
	}
	req, err := http.NewRequest(c.method, router+c.path, body)
	if err != nil {
		return err
	}
	req.Host = host
	res, err := hc.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return fmt.Errorf("after %q: %w", text, err)
	}
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("status %d: %.100s", res.StatusCode, text)
	}
	return nil
}

// end stops the audience and checks that nobody's request failed.
func (l *load) end() {
	l.t.Helper()
	l.stop()
	l.done.Wait()
	if len(l.failures) > 0 {
		shown := l.failures[:min(5, len(l.failures))]
		l.t.Errorf("%d of %d requests failed, such as\n%s", len(l.failures), l.served+len(l.failures), strings.Join(shown, "\n"))
	}
	if l.served == 0 {
		l.t.Error("nothing was served")
	}
	l.t.Logf("%d requests served, %d failed", l.served, len(l.failures))
}
