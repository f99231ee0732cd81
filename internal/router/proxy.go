package router

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"sync"
	"sync/atomic"
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
)

// exchange is one request's way through the router. It belongs to the request's
// own goroutine, except for the upload flag.
type exchange struct {
	host  string   // as the keys have it
	keys  []string // lookups of host
	began time.Time
	tried []string // URLs that could not be dialled

	// Set by table.pick.
	frontend *frontend
	backend  *backend

	wait         time.Duration // from sending to the response header
	fail         failure
	status       int
	bytes        int64
	backendURL   string      // of the last attempt
	uploadBroken atomic.Bool // reading the client's body failed
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
	bg     *workers
	active *activity
	access *accessLog
	rp     *httputil.ReverseProxy
}

func newProxy(cfg *Config, t *table, rd *reader, bg *workers) *proxy {
	p := &proxy{cfg: cfg, table: t, reader: rd, bg: bg, active: newActivity(), access: newAccessLog(cfg)}
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

	x := &exchange{began: p.cfg.Clock.Now()}
	rec := &recorder{ResponseWriter: w, x: x}
	// ReverseProxy panics when a response breaks off half-way, to break the
	// client's too; what is counted must be counted all the same.
	defer p.access.write(r, x)
	defer p.table.finish(x)

	var err error
	if x.host, err = hostKey(r.Host); err != nil {
		refuse(rec, http.StatusBadRequest, err.Error())
		return
	}
	if r.Method == http.MethodConnect {
		refuse(rec, http.StatusMethodNotAllowed, "CONNECT is not served here")
		return
	}
	if err := takeBody(rec, r); err != nil {
		refuse(rec, http.StatusBadRequest, "the request's body broke off: "+err.Error())
		return
	}
	x.keys = lookups(x.host)
	p.rp.ServeHTTP(rec, r.WithContext(context.WithValue(r.Context(), exchangeKey{}, x)))
}

// smallBody is up to where a body is read whole before the request is sent on.
const smallBody = 64 << 10

// takeBody makes r's body fit to be sent on while the response may already be
// coming. A small one is read first: a backend that answers without reading it
// would leave net/http with a body half read, upon which it closes the client's
// connection without having said so, and the client's next request fails. For
// others, without full duplex, net/http swallows up to 256 KiB of what is still
// coming when the response begins: a backend that answers while it reads would
// silently lose them. HTTP/2 does both right anyway.
func takeBody(w http.ResponseWriter, r *http.Request) error {
	switch {
	case r.ContentLength > smallBody || r.ContentLength < 0:
		_ = http.NewResponseController(w).EnableFullDuplex()
	case r.ContentLength > 0:
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return err
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
	}
	return nil
}

// rewrite sets the forwarding headers. The Host header stays the client's, and
// so does the query, of which ReverseProxy would drop what it cannot parse.
func (p *proxy) rewrite(pr *httputil.ProxyRequest) {
	pr.Out.URL.RawQuery = pr.In.URL.RawQuery
	pr.Out.Header["X-Forwarded-For"] = pr.In.Header["X-Forwarded-For"]
	pr.SetXForwarded()
	if !p.cfg.TrustForwarded {
		return
	}
	for _, h := range []string{"X-Forwarded-Proto", "X-Forwarded-Host"} {
		if v := pr.In.Header[h]; len(v) > 0 {
			pr.Out.Header[h] = v
		}
	}
}

// RoundTrip reads the list, picks a backend and sends out to it; only when it
// could not be dialled it does so again.
func (p *proxy) RoundTrip(out *http.Request) (*http.Response, error) {
	ctx, x := out.Context(), exchangeOf(out)
	if out.Body != nil {
		// A failed attempt closes the body it was given, and the next needs it.
		// ReverseProxy closes the real one.
		out.Body = &upload{out.Body, x}
	}
	var dialled error
	for {
		readErr := p.reader.refresh(ctx, x.host)
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if err := p.table.pick(x, readErr != nil); err != nil {
			if dialled != nil {
				return nil, dialled
			}
			return nil, err
		}
		b := x.backend
		x.backendURL = b.url
		sent := p.cfg.Clock.Now()
		resp, err := b.send(out)
		if err == nil {
			x.wait = max(p.cfg.Clock.Now().Sub(sent), 1)
			x.answered(resp)
			return resp, nil
		}
		var dial *dialError
		if ctx.Err() != nil || !errors.As(err, &dial) {
			return nil, err
		}
		dialled = err
		if !ourFault(err) {
			p.suspect(x)
		}
		p.table.release(x, failDial)
		if len(x.tried) == maxAttempts {
			return nil, dialled
		}
	}
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

// suspect marks x's backend dead: here at once, in Redis on the side.
func (p *proxy) suspect(x *exchange) {
	s, ok := p.table.suspect(x.host, x.frontend, x.backend.url)
	if !ok {
		return
	}
	p.bg.start(func() {
		ctx, cancel := context.WithTimeout(p.reader.ctx, p.cfg.RedisTimeout)
		defer cancel()
		err := writeMark(ctx, p.cfg.Redis, s, p.cfg.DeadTTL)
		p.table.settle(s, err)
		switch {
		case err == nil:
			p.cfg.Log.Warn("backend cannot be reached; marked dead", "backend", s.url, "host", s.host, "for", p.cfg.DeadTTL)
		case !errors.Is(err, errListChanged):
			p.cfg.Log.Warn("backend cannot be reached; avoided by this router alone", "backend", s.url, "host", s.host, "error", err)
		}
	})
}

// fail answers for a request that no backend answered.
func (p *proxy) fail(w http.ResponseWriter, r *http.Request, err error) {
	x := exchangeOf(r)
	var timeout net.Error
	var dial *dialError
	switch {
	case context.Cause(r.Context()) == errStopping:
		refuse(w, http.StatusServiceUnavailable, "the router is stopping")
		return
	case r.Context().Err() != nil:
		w.WriteHeader(statusClientGone) // nobody reads it, and no backend is to blame
		return
	case x.uploadBroken.Load():
		refuse(w, http.StatusBadRequest, "the request's body is broken")
		return
	case errors.Is(err, errUnknownHost):
		refuse(w, http.StatusNotFound, fmt.Sprintf("%q is not in the routing table", x.host))
		return
	case errors.Is(err, errRedisAway):
		refuse(w, http.StatusServiceUnavailable, fmt.Sprintf("the routing table cannot be read just now, and %q was not asked for before", x.host))
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
	case errors.As(err, &timeout) && timeout.Timeout():
		x.fail = failTimeout
		refuse(w, http.StatusGatewayTimeout, fmt.Sprintf("a backend of %q did not answer in time", x.host))
	default:
		x.fail = failCut
		refuse(w, http.StatusBadGateway, fmt.Sprintf("a backend of %q broke off before it answered", x.host))
	}
	p.cfg.Log.Warn("request failed", "host", x.host, "method", r.Method, "backend", x.backendURL, "error", err)
}

// refuse writes a response of the router's own. The text is for whoever sits at
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

// upload is the client's body: it outlives failed dials, and tells a client that
// stopped sending from a backend that stopped reading.
type upload struct {
	io.Reader
	x *exchange
}

func (u *upload) Read(b []byte) (int, error) {
	n, err := u.Reader.Read(b)
	if err != nil && err != io.EOF {
		u.x.uploadBroken.Store(true)
	}
	return n, err
}

func (u *upload) Close() error { return nil }

// download is a backend's body, and notices when the backend breaks off.
type download struct {
	io.ReadCloser
	ctx context.Context
	x   *exchange
}

func (d *download) Read(b []byte) (int, error) {
	n, err := d.ReadCloser.Read(b)
	if err != nil && err != io.EOF && d.ctx.Err() == nil {
		d.x.fail = failCut
	}
	return n, err
}

// recorder notes status and size. Flush and Hijack are found through Unwrap.
type recorder struct {
	http.ResponseWriter
	x *exchange
}

func (r *recorder) WriteHeader(status int) {
	if status >= 200 || status == http.StatusSwitchingProtocols {
		r.x.status = status
	}
	r.ResponseWriter.WriteHeader(status)
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
