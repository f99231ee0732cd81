package router

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/mepc/mepc-run/internal/failure"
)

// checker asks the backends of frontends whose settings want it for their health.
// Where as many checks in a row as the threshold fail, the backend is marked dead,
// and the mark is renewed until they pass; where as many pass, it is lifted.
type checker struct {
	cfg    *Config
	table  *table
	reader *reader
	bg     *workers
	marks  *marker
}

// streak counts checks of a backend that came out the same, in a row.
type streak struct {
	failed, passed int
	since          time.Time // when the first of them began
}

// start begins to check the frontend of a key, until its settings or its list are gone.
func (c *checker) start(key string) {
	c.bg.keep(func() {
		ctx, streaks := c.reader.ctx, make(map[string]*streak)
		for {
			f, ok := c.table.checked(key)
			if !ok {
				return
			}
			if c.cfg.Clock.Sleep(ctx, f.want.health.interval) != nil {
				return
			}
			if !c.reader.isAway() { // a failure says nothing to requests
				_ = c.reader.read(ctx, map[string]struct{}{key: {}})
			}
			if f, ok = c.table.checked(key); !ok {
				return
			}
			c.round(ctx, f, streaks)
		}
	})
}

// checked returns what f is at the moment; ok is false, and the checks are over,
// when there is nothing to check any more.
func (t *table) checked(key string) (now frontend, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	f := t.frontends[key]
	if f == nil {
		return frontend{}, false
	}
	if f.checks = f.exists && f.want.health.path != ""; !f.checks {
		return frontend{}, false
	}
	return frontend{key: f.key, list: f.list, peers: f.peers, want: f.want}, true
}

// round checks every backend of f once.
func (c *checker) round(ctx context.Context, f frontend, streaks map[string]*streak) {
	began := c.cfg.Clock.Now()
	failed := make([]error, len(f.peers))
	var asking failure.Crew
	for i, p := range f.peers {
		asking.Go(func() { failed[i] = c.ask(ctx, &f, p.backend) }, func(bug error) { failed[i] = bug })
	}
	asking.Wait()
	if ctx.Err() != nil {
		return
	}
	old := make(map[string]*streak, len(streaks))
	for url, s := range streaks {
		old[url] = s
		delete(streaks, url)
	}
	for i, p := range f.peers {
		s := old[p.url]
		if s == nil {
			s = &streak{}
		}
		streaks[p.url] = s
		if failed[i] == nil {
			if s.passed == 0 {
				*s = streak{since: began}
			}
			if s.passed++; s.passed >= f.want.health.threshold && !c.marks.acquit(&f, p.url, s.since) {
				*s = streak{passed: 1, since: began} // marked meanwhile: it has to pass anew
			}
			continue
		}
		if s.failed == 0 {
			*s = streak{since: began}
		}
		if s.failed++; s.failed >= f.want.health.threshold {
			c.marks.suspect(f.key, &f, p.url, "fails its health check ("+failed[i].Error()+")")
		}
	}
}

// ask makes one check, on a connection of its own.
func (c *checker) ask(ctx context.Context, f *frontend, b *backend) error {
	ctx, cancel := context.WithTimeout(ctx, min(f.want.health.interval, cmp.Or(f.want.timeout, time.Hour)))
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, b.target.Scheme+"://"+b.target.Host+f.want.health.path, nil)
	if err != nil {
		return err
	}
	req.Host = strings.TrimPrefix(strings.TrimPrefix(f.key, "*"), ".")
	if req.Host == "" {
		req.Host = b.target.Host
	}
	req.Header.Set("User-Agent", "mepc-run-router")
	req.Header.Set("X-Forwarded-Proto", c.scheme())
	resp, err := b.once.RoundTrip(req)
	if err != nil {
		if ctx.Err() != nil {
			return errNoAnswer
		}
		return err
	}
	_ = resp.Body.Close()
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return fmt.Errorf("status %d", resp.StatusCode)
	}
	return nil
}

// scheme is that of most requests.
func (c *checker) scheme() string {
	if c.cfg.ListenTLS != "" || c.cfg.TrustForwarded {
		return "https"
	}
	return "http"
}
