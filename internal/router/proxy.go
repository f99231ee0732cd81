package router

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httputil"
	"strings"
	"sync"
	"time"
)

const (
	// errorHeader is on every response the router itself made, so that a client
	// can tell our 502 from a backend's.
	errorHeader = "X-Mepc-Router"

	// statusClientGone stands in the access log for a client that did not wait.
	statusClientGone = 499

	// maxAttempts bounds the dials for one request, should the list change
	// under every one of them.
	maxAttempts = 16

	// fresh is for how long a list that was read when the request came will do. Only
	// a request whose body took longer to come has it read again.
	fresh = 10 * time.Millisecond

	// longWait is the time a client must have waited in vain before it left, for its backend to
	// be taken for one that hangs: on trial, but not marked, since that does not prove it.
	longWait = 5 * time.Second
)

// exchange is one request's way through the router. It belongs to the request's
// own goroutine, except for upload.
type exchange struct {
	ctx    context.Context // the request's
	id     string          // of the request
	host   string          // as the keys have it
	keys   []string        // lookups of host
	began  time.Time
	upload *clientBody // nil without a body
	body   []byte      // of a small one, all
	tried  []string    // URLs that could not be dialled
	once   bool        // a kept connection was closed: no other is trusted

	readAt  time.Time // when the list was read, after the request came
	readErr error     // why it could not be
	want    *settings
	visit   string // who asks, where visitors stay with a backend
	secure  bool   // it came by HTTPS

	// Set by table.pick.
	frontend *frontend
	backend  *backend

	wait       time.Duration // from sending to the response header
	fail       mishap
	status     int
	bytes      int64
	backendURL string // of the last attempt
}

type exchangeKey struct{}

func exchangeOf(r *http.Request) *exchange {
	x, _ := r.Context().Value(exchangeKey{}).(*exchange)
	return x
}

// proxy is the handler of the public listeners, and the transport under its own
// httputil.ReverseProxy: which backend, and whether a second, is decided where
// the request is sent.
type proxy struct {
	cfg    *Config
	table  *table
	reader *reader
	active *activity
	access *accessLog
	marks  *marker
	limits *limiter

	answers answers
	rp      *httputil.ReverseProxy

	stopping  <-chan struct{}
	challenge http.Handler // of an authority that certifies hosts; nil without
}

func newProxy(cfg *Config, t *table, rd *reader, bg *workers, stopping <-chan struct{}) *proxy {
	p := &proxy{cfg: cfg, table: t, reader: rd, marks: &marker{cfg, t, rd.ctx, bg}, active: newActivity(), access: newAccessLog(cfg), limits: newLimiter(cfg), stopping: stopping}
	p.rp = &httputil.ReverseProxy{
		Rewrite:      p.rewrite,
		Transport:    p,
		ErrorHandler: p.fail,
		ErrorLog:     slog.NewLogLogger(cfg.Log.Handler(), slog.LevelDebug),
		BufferPool:   &buffers{},
	}
	return p
}

func (p *proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.active.enter()
	defer p.active.leave()

	x := &exchange{began: p.cfg.Clock.Now(), id: requestID(r, p.cfg.TrustForwarded)}
	r.Header[requestIDHeader] = []string{x.id}
	rec := &recorder{ResponseWriter: w, r: r, x: x, stopping: p.stopping}
	// ReverseProxy panics when a response breaks off half-way, to break the
	// client's too; what is counted must be counted all the same.
	defer func() { p.answers.count(x.status); p.access.write(r, x) }()
	defer p.table.finish(x)

	client := clientOf(r, p.cfg.TrustForwarded)
	if !p.limits.enter(client, x.began) {
		x.watchBody(w, r, p.cfg)
		rec.Header().Set("Retry-After", "1")
		refuse(rec, http.StatusTooManyRequests, "too many requests from "+client.String())
		return
	}
	defer p.limits.leave(client)
	var err error
	if x.host, err = hostKey(r.Host); err != nil {
		refuse(rec, http.StatusBadRequest, err.Error())
		return
	}
	if r.Method == http.MethodConnect {
		refuse(rec, http.StatusMethodNotAllowed, "CONNECT is not served here")
		return
	}
	if p.challenge != nil && r.TLS == nil && strings.HasPrefix(r.URL.Path, challengePath) {
		p.challenge.ServeHTTP(rec, r)
		return
	}
	x.watchBody(w, r, p.cfg)
	x.keys = lookups(x.host)
	r = r.WithContext(context.WithValue(r.Context(), exchangeKey{}, x))
	x.ctx = r.Context()
	p.read(x)
	x.want = p.table.settings(x.keys)
	x.secure = r.TLS != nil || p.cfg.TrustForwarded && r.Header.Get("X-Forwarded-Proto") == "https"
	switch {
	case x.want.redirect && !x.secure:
		x.redirect(rec, r)
		return
	case x.want.maxBody > 0 && r.ContentLength > x.want.maxBody:
		x.refuseLarge(rec)
		return
	}
	x.visitor(r, p.cfg.TrustForwarded)
	if err := x.takeBody(w, r); err != nil {
		x.refuseBody(rec)
		return
	}
	p.rp.ServeHTTP(rec, r)
}

// read reads the list of x.
func (p *proxy) read(x *exchange) {
	x.readErr = p.reader.refresh(x.ctx, x.host)
	x.readAt = p.cfg.Clock.Now()
}

// redirect sends the client to the same place by HTTPS.
func (x *exchange) redirect(w http.ResponseWriter, r *http.Request) {
	host := x.host
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	w.Header().Set(errorHeader, "redirect")
	w.Header().Set("Location", "https://"+host+r.URL.RequestURI())
	w.WriteHeader(http.StatusPermanentRedirect)
}

// RoundTrip reads the list, picks a backend and sends out to it. It does so again
// only when no backend can have seen the request.
func (p *proxy) RoundTrip(out *http.Request) (*http.Response, error) {
	ctx, x := out.Context(), exchangeOf(out)
	var unsent error
	for range maxAttempts {
		if unsent != nil || p.cfg.Clock.Now().Sub(x.readAt) > fresh {
			p.read(x)
		}
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if err := p.table.pick(x, x.readErr != nil); err != nil {
			return nil, cmp.Or(unsent, err)
		}
		b := x.backend
		x.backendURL = b.url
		sent := p.cfg.Clock.Now()
		resp, err := b.send(out, x)
		if err == nil {
			now := p.cfg.Clock.Now()
			b.answered(now)
			x.wait = max(now.Sub(sent), 1)
			x.answered(resp)
			x.remember(resp)
			return resp, nil
		}
		var dial *dialError
		switch {
		case ctx.Err() != nil:
			if p.cfg.Clock.Now().Sub(sent) >= longWait && (x.upload == nil || x.upload.ended.Load()) {
				b.ignored(sent)
			}
			return nil, err
		case errors.As(err, &dial):
			if !ourFault(err) {
				p.marks.suspect(x.host, x.frontend, b.url, "cannot be reached")
			}
			p.table.release(x, failDial)
			x.tried = append(x.tried, b.url)
		case err == errNoAnswer:
			if b.ignored(sent) {
				p.marks.suspect(x.host, x.frontend, b.url, "hangs")
			}
			return nil, err
		case err == errUnseen && !x.once:
			x.once = true
			p.table.release(x, failNone)
		default:
			return nil, err
		}
		unsent = err
	}
	return nil, unsent
}

// answered notes what a backend's response says about it, and watches its body.
func (x *exchange) answered(resp *http.Response) {
	if resp.StatusCode >= 500 {
		x.fail = failStatus
	}
	if resp.StatusCode != http.StatusSwitchingProtocols { // whose body must stay writable
		resp.Body = &download{resp.Body, resp.Request.Context(), x}
	}
}

// fail answers for a request that no backend answered.
func (p *proxy) fail(w http.ResponseWriter, r *http.Request, err error) {
	x := exchangeOf(r)
	var dial *dialError
	switch {
	case context.Cause(r.Context()) == errStopping:
		refuse(w, http.StatusServiceUnavailable, "the router is stopping")
		return
	case x.upload != nil && x.upload.stopped.Load(): // which ended the request's context
		x.refuseBody(w)
		return
	case r.Context().Err() != nil:
		w.WriteHeader(statusClientGone) // nobody reads it, and no backend is to blame
		return
	case x.upload != nil && x.upload.broken.Load():
		x.refuseBody(w)
		return
	case errors.Is(err, errUnknownHost):
		refuse(w, http.StatusNotFound, fmt.Sprintf("%q is not in the routing table", x.host))
		return
	case errors.Is(err, errRedisAway):
		refuse(w, http.StatusServiceUnavailable, fmt.Sprintf("the routing table cannot be read at the moment, and %q was never requested before", x.host))
		return
	case errors.Is(err, errNoBackend):
		x.fail = failEmpty
		refuse(w, http.StatusServiceUnavailable, fmt.Sprintf("%q has no backend", x.host))
		return
	case errors.As(err, &dial):
		if x.fail = failDial; ourFault(err) {
			p.cfg.Log.Error("this machine is out of sockets or files", "error", err)
		}
		refuse(w, http.StatusBadGateway, fmt.Sprintf("no backend of %q could be reached", x.host))
	case err == errNoAnswer:
		x.fail = failTimeout
		refuse(w, http.StatusGatewayTimeout, fmt.Sprintf("a backend of %q did not answer in time", x.host))
	default:
		x.fail = failCut
		refuse(w, http.StatusBadGateway, fmt.Sprintf("a backend of %q broke off before it answered", x.host))
	}
	p.cfg.Log.Warn("request failed", "host", x.host, "method", r.Method, "backend", x.backendURL, "error", err)
}

// refuse writes a response of the router's own. The text is for the person who sits at
// the client: it names the host, and no backend.
func refuse(w http.ResponseWriter, status int, text string) {
	h := w.Header()
	h.Set(errorHeader, "error")
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, "router: "+text+"\n")
}

// recorder notes status and size, and ends the client's connection where it must.
// Flush and Hijack are found through Unwrap.
type recorder struct {
	http.ResponseWriter
	r        *http.Request
	x        *exchange
	stopping <-chan struct{}
}

func (r *recorder) WriteHeader(status int) {
	if status >= 200 || status == http.StatusSwitchingProtocols {
		r.x.status = status
	}
	if status >= 200 && (r.x.mustClose(r.r) || r.last()) {
		r.Header().Set("Connection", "close")
	}
	if x := r.x; x.secure && x.want.hsts != "" && r.Header().Get("Strict-Transport-Security") == "" {
		r.Header().Set("Strict-Transport-Security", x.want.hsts)
	}
	r.ResponseWriter.WriteHeader(status)
}

// last reports whether the client's connection is to end with this answer, since the
// router stops: one that is closed between two requests may be closed into the second.
func (r *recorder) last() bool {
	select {
	case <-r.stopping:
		return true
	default:
		return false
	}
}

func (r *recorder) Write(b []byte) (int, error) {
	n, err := r.ResponseWriter.Write(b)
	r.x.bytes += int64(n)
	return n, err
}

func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// buffers lends ReverseProxy its copy buffers.
type buffers struct{ pool sync.Pool }

func (b *buffers) Get() []byte {
	if p, ok := b.pool.Get().(*[]byte); ok {
		return *p
	}
	return make([]byte, 32<<10)
}

func (b *buffers) Put(p []byte) { b.pool.Put(&p) }
