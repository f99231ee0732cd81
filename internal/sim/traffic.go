package sim

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"syscall"
	"time"
)

// answer is what a container or a router says to a request.
type answer struct {
	status int
	header map[string]string
	body   string
	delay  time.Duration
	drop   bool
	hang   bool // nothing ever comes
}

// serve says how the container answers a request for path.
func (c *ctr) serve(path string, now time.Time) answer {
	if c.status == paused {
		return answer{hang: true}
	}
	r := c.behaviour.Answer(path, now.Sub(c.started), c.name+" "+c.version)
	return answer{status: r.Status, header: r.Header, body: r.Body, delay: r.Delay.Std(), drop: r.Drop}
}

// Answer is the response to a request for path of a container that has run for so
// long. Where no path has an entry it says hello.
func (b *Behaviour) Answer(path string, ran time.Duration, hello string) Response {
	r, ok := b.Paths[path]
	if !ok {
		r, ok = b.Paths["*"]
	}
	switch {
	case ok && ran < r.After.Std():
		return Response{Status: http.StatusServiceUnavailable, Body: "not ready\n", Delay: r.Delay}
	case ok:
		r.Status = cmp.Or(r.Status, http.StatusOK)
		return r
	case !b.Passes(ran):
		return Response{Status: http.StatusServiceUnavailable, Body: "not ready\n"}
	}
	return Response{Status: http.StatusOK, Body: hello + "\n"}
}

// ask sends a request to a place and returns the answer. Callers do not hold
// the lock.
func (w *World) ask(p place, req *http.Request) (answer, error) {
	if p.router != nil {
		if p.admin {
			return w.askAdmin(req, p.router.rate), nil
		}
		return w.askRouter(p.router, req)
	}
	now := w.lock()
	defer w.unlock()
	if p.service != nil {
		return p.engine.serve(p.service, req.URL.Path, now)
	}
	if !p.box.running() {
		return answer{}, errReset
	}
	return p.box.serve(req.URL.Path, now), nil
}

var errReset = fmt.Errorf("read: %w", syscall.ECONNRESET)

// RoundTrip answers req as whoever is at its host does, without a connection. It
// is the transport of an http.Client for probes and for traffic; what an answer
// takes on the clock passes under the request's context.
func (w *World) RoundTrip(req *http.Request) (*http.Response, error) {
	defer closeBody(req)
	if req.URL.Scheme != "http" {
		return nil, fmt.Errorf("%s%s in the simulated world", NotModelled, req.URL.Scheme)
	}
	address := req.URL.Host
	if req.URL.Port() == "" {
		address += ":80"
	}
	now := w.lock()
	p, err := w.reach("tcp", address, now)
	w.unlock()
	if err != nil {
		return nil, err
	}
	if req.Body != nil {
		if _, err := io.Copy(io.Discard, req.Body); err != nil {
			return nil, err
		}
	}
	a, err := w.ask(p, req)
	if err != nil {
		return nil, err
	}
	if err := w.pass(req.Context(), a); err != nil {
		return nil, err
	}
	return a.response(req), nil
}

// pass lets the time of an answer pass.
func (w *World) pass(ctx context.Context, a answer) error {
	if a.hang {
		return w.await(ctx, func(time.Time) bool { return false })
	}
	if a.delay > 0 {
		if err := w.sleep(ctx, a.delay); err != nil {
			return err
		}
	}
	if a.drop {
		return errReset
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
func (w *World) Get(ctx context.Context, url, host string) (status int, body string, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, "", err
	}
	req.Host = host
	if host == "" {
		req.Host = req.URL.Host
	}
	resp, err := w.RoundTrip(req)
	if err != nil {
		return 0, "", err
	}
	b, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(b), errors.Join(err, resp.Body.Close())
}
