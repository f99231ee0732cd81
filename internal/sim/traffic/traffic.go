// Package traffic answers requests in a simulated world: it finds out what takes
// connections at an address, be it a container, a service or a router, and plays
// the routers. Start with New.
package traffic

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/mepc/mepc-run/internal/sim/engine"
	"github.com/mepc/mepc-run/internal/sim/redis"
	"github.com/mepc/mepc-run/internal/sim/timeline"
	"github.com/mepc/mepc-run/internal/sim/wire"
	"github.com/mepc/mepc-run/internal/state"
)

// Traffic carries what goes over the network of a world: requests to containers,
// services and routers.
type Traffic struct {
	timeline *timeline.Timeline
	redis    *redis.Server
	engines  []*engine.Engine
	dns      bool
	counts   counts // has a lock of its own

	// Guarded by the timeline.
	routers []*router
	outside map[string]state.Response // is replaced, and not modified
}

// New makes the traffic between what there is, with the routers and the
// servers outside that a state has. With containerDNS the names of containers
// resolve.
func New(t *timeline.Timeline, r *redis.Server, engines []*engine.Engine, containerDNS bool, s *state.State) (*Traffic, error) {
	n := &Traffic{timeline: t, redis: r, engines: engines, dns: containerDNS, outside: s.Outside}
	for _, r := range s.Routers {
		if r.Dialect != "" && r.Dialect != "hipache" && r.Dialect != traefik {
			return nil, fmt.Errorf("router %q: the dialect is hipache or traefik, not %q", r.Address, r.Dialect)
		}
		n.routers = append(n.routers, &router{address: r.Address, admin: r.Admin, dialect: r.Dialect, rate: r.Rate})
	}
	for key := range s.Outside {
		if _, _, err := splitOutside(key); err != nil {
			return nil, err
		}
	}
	return n, nil
}

// State puts routers and servers outside into a state. Callers hold the lock.
func (t *Traffic) State(s *state.State) {
	for _, r := range t.routers {
		s.Routers = append(s.Routers, state.Router{Address: r.address, Admin: r.admin, Dialect: r.dialect, Rate: r.rate})
	}
	s.Outside = t.outside
}

// Clone returns the same between others; it goes on where t stands. Callers hold
// the lock.
func (t *Traffic) Clone(line *timeline.Timeline, r *redis.Server, engines []*engine.Engine) *Traffic {
	n := &Traffic{timeline: line, redis: r, engines: engines, dns: t.dns, outside: t.outside}
	n.counts.at, n.counts.sent = t.counts.clone()
	for _, r := range t.routers {
		n.routers = append(n.routers, &router{r.address, r.admin, r.dialect, r.rate, maps.Clone(r.next)})
	}
	return n
}

// answer is a container's or a router's response to a request.
type answer struct {
	status int
	header map[string]string
	body   string
	delay  time.Duration
	drop   bool
	hang   bool // nothing ever comes
}

// ask sends a request to a place and returns the answer. Callers do not hold
// the lock.
func (t *Traffic) ask(p place, req *http.Request) (answer, error) {
	if p.router != nil {
		if p.admin {
			return t.askAdmin(req, p.router.rate), nil
		}
		return t.askRouter(p.router, req)
	}
	now := t.timeline.Lock()
	defer t.timeline.Unlock()
	r, err := p.server.Serve(req.URL.Path, now)
	if errors.Is(err, engine.ErrHangs) {
		return answer{hang: true}, nil
	}
	for name, want := range r.Wants {
		got := req.Header.Get(name)
		if strings.EqualFold(name, "Host") {
			got = req.Host
		}
		if got != want {
			return answer{status: http.StatusUnauthorized, body: name + " is wanted\n"}, err
		}
	}
	return answer{status: cmp.Or(r.Status, http.StatusOK), header: r.Header, body: r.Body, delay: r.Delay.Std(), drop: r.Drop}, err
}

// RoundTrip answers req as its host would, without a connection. It
// is the transport of an http.Client for probes and for traffic; what an answer
// takes on the clock passes under the request's context.
func (t *Traffic) RoundTrip(req *http.Request) (*http.Response, error) {
	defer wire.CloseBody(req)
	if req.URL.Scheme != "http" {
		return nil, fmt.Errorf("%s%s in the simulated world", state.NotModelled, req.URL.Scheme)
	}
	address := req.URL.Host
	if req.URL.Port() == "" {
		address += ":80"
	}
	now := t.timeline.Lock()
	p, err := t.reach("tcp", address, now)
	t.timeline.Unlock()
	if err != nil {
		return nil, err
	}
	if req.Body != nil {
		if _, err := io.Copy(io.Discard, req.Body); err != nil {
			return nil, err
		}
	}
	a, err := t.ask(p, req)
	if err != nil {
		return nil, err
	}
	if err := t.pass(req.Context(), a); err != nil {
		return nil, err
	}
	return a.response(req), nil
}

// pass lets the time of an answer pass.
func (t *Traffic) pass(ctx context.Context, a answer) error {
	if a.hang {
		return t.timeline.Await(ctx, func(time.Time) bool { return false })
	}
	if a.delay > 0 {
		if err := t.timeline.Sleep(ctx, a.delay); err != nil {
			return err
		}
	}
	if a.drop {
		return wire.Reset()
	}
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	return nil
}

func (a answer) response(req *http.Request) *http.Response {
	h := make(http.Header, 2+len(a.header))
	h.Set("Content-Type", "text/plain; charset=utf-8")
	for k, v := range a.header {
		h.Set(k, v)
	}
	h.Set("Content-Length", strconv.Itoa(len(a.body)))
	resp := &http.Response{
		StatusCode: a.status, Status: strconv.Itoa(a.status) + " " + http.StatusText(a.status),
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: h, Request: req,
		ContentLength: int64(len(a.body)), Body: http.NoBody,
	}
	if req.Method != http.MethodHead {
		resp.Body = io.NopCloser(bytes.NewReader([]byte(a.body)))
	}
	return resp
}

// Get sends GET url through the world, with the Host header host unless that is
// empty, and returns status and body.
func (t *Traffic) Get(ctx context.Context, url, host string) (status int, body string, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, "", err
	}
	req.Host = host
	if host == "" {
		req.Host = req.URL.Host
	}
	resp, err := t.RoundTrip(req)
	if err != nil {
		return 0, "", err
	}
	b, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(b), errors.Join(err, resp.Body.Close())
}
