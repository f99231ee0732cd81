package engine

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/mepc/mepc-run/internal/sim/wire"
)

// What an engine of this model speaks.
const (
	apiVersion    = "1.41"
	minAPIVersion = "1.12"
)

// RoundTrip answers req as the engine does. It needs no connection: the body of
// the request is read and that of the response written as they come.
func (e *Engine) RoundTrip(req *http.Request) (*http.Response, error) { return e.roundTrip(req, false) }

// Terse returns the engine for a client that decodes answers into structs, as the
// docker client does: what holds nothing is left out of a container's HostConfig
// and Config, two thirds of them, which decodes to the same in half the time.
func (e *Engine) Terse() http.RoundTripper { return terse{e} }

type terse struct{ *Engine }

// RoundTrip is that of the engine.
func (t terse) RoundTrip(req *http.Request) (*http.Response, error) { return t.roundTrip(req, true) }

func (e *Engine) roundTrip(req *http.Request, terse bool) (*http.Response, error) {
	before, after, down := e.faults()
	if down {
		wire.CloseBody(req)
		return nil, wire.Refused("unix", e.name)
	}
	if before != nil {
		resp, err := before(req)
		if resp != nil || err != nil {
			wire.CloseBody(req)
			return resp, err
		}
	}
	r, err := e.handle(req, terse)
	wire.CloseBody(req)
	if err != nil {
		return nil, err
	}
	resp := e.response(req, r)
	if after != nil {
		return after(req, resp)
	}
	return resp, nil
}

// handle finds the route and calls its handler. Its error is one of the
// transport: the call ended before there was an answer.
func (e *Engine) handle(req *http.Request, terse bool) (reply, error) {
	version, path := splitVersion(req.URL.Path)
	if version != "" {
		if r, ok := checkVersion(version); !ok {
			return r, nil
		}
	}
	route, name := findRoute(req.Method, path)
	if route == nil {
		if known(path) {
			return errorReply(notModelled("%s %s", req.Method, path)), nil
		}
		return errorReply(notFound("page not found")), nil
	}
	c := &call{e: e, timeline: e.timeline, ctx: req.Context(), req: req, name: name, terse: terse}
	if req.URL.RawQuery != "" {
		q, err := url.ParseQuery(req.URL.RawQuery)
		if err != nil {
			return errorReply(badRequest("%v", err)), nil
		}
		c.query = q
	}
	if !route.free {
		c.now = e.timeline.Lock()
		defer e.timeline.Unlock()
	}
	r, err := route.handle(c)
	if err == nil {
		return r, nil
	}
	var api *apiError
	if errors.As(err, &api) {
		return errorReply(api), nil
	}
	return reply{}, err
}

func errorReply(err error) reply {
	status := http.StatusInternalServerError
	var api *apiError
	if errors.As(err, &api) {
		status = api.status
	}
	r, _ := jsonReply(status, struct {
		Message string `json:"message"`
	}{err.Error()})
	return r
}

// checkVersion refuses API versions that the engine does not speak.
func checkVersion(v string) (reply, bool) {
	switch {
	case olderThan(apiVersion, v):
		return errorReply(badRequest("client version %s is too new. Maximum supported API version is %s", v, apiVersion)), false
	case olderThan(v, minAPIVersion):
		return reply{
			status: http.StatusBadRequest, ctype: "text/plain; charset=utf-8",
			body: []byte("client version " + v + " is too old. Minimum supported API version is " + minAPIVersion +
				", please upgrade your client to a newer version\n"),
		}, false
	}
	return reply{}, true
}

// olderThan compares versions such as 1.41.
func olderThan(a, b string) bool {
	number := func(s string) int {
		major, minor, _ := strings.Cut(s, ".")
		x, _ := strconv.Atoi(major)
		y, _ := strconv.Atoi(minor)
		return x*1000 + y
	}
	return number(a) < number(b)
}

// response wraps r for the client.
func (e *Engine) response(req *http.Request, r reply) *http.Response {
	h := make(http.Header, 4)
	e.headers(h, r)
	resp := &http.Response{
		StatusCode: r.status, Status: strconv.Itoa(r.status) + " " + http.StatusText(r.status),
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: h, Request: req,
	}
	switch {
	case r.stream != nil:
		resp.Body, resp.ContentLength = r.stream, -1
	case req.Method == http.MethodHead || len(r.body) == 0:
		resp.Body = http.NoBody
	default:
		resp.Body, resp.ContentLength = io.NopCloser(bytes.NewReader(r.body)), int64(len(r.body))
	}
	return resp
}

func (e *Engine) headers(h http.Header, r reply) {
	h["Api-Version"] = []string{apiVersion}
	h["Docker-Experimental"] = []string{"false"}
	if major, _, _ := strings.Cut(e.version, "."); len(major) == 2 && major >= "23" {
		h["Builder-Version"] = []string{"2"}
	}
	h["Ostype"] = []string{"linux"}
	h["Server"] = []string{"Docker/" + e.version + " (linux)"}
	if r.ctype != "" {
		h["Content-Type"] = []string{r.ctype}
	}
	for name, value := range r.header {
		h.Set(name, value)
	}
}

// ServeHTTP answers as RoundTrip does, faults included: a lost connection is a
// panic with http.ErrAbortHandler, as net/http has it.
func (e *Engine) ServeHTTP(rw http.ResponseWriter, req *http.Request) {
	resp, err := e.RoundTrip(req)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	defer resp.Body.Close()
	h := rw.Header()
	for k, v := range resp.Header {
		h[k] = v
	}
	if resp.ContentLength >= 0 && resp.Body != http.NoBody {
		h.Set("Content-Length", strconv.FormatInt(resp.ContentLength, 10))
	}
	rw.WriteHeader(resp.StatusCode)
	flush, _ := rw.(http.Flusher)
	if resp.ContentLength < 0 && flush != nil {
		flush.Flush() // clients wait for the head of what never ends
	}
	buf := make([]byte, 32<<10)
	for {
		n, err := resp.Body.Read(buf)
		if n > 0 {
			if _, err := rw.Write(buf[:n]); err != nil {
				return
			}
			if resp.ContentLength < 0 && flush != nil {
				flush.Flush()
			}
		}
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			panic(http.ErrAbortHandler)
		}
	}
}
