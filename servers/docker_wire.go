package servers

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync"
	"time"

	"github.com/docker/cli/cli/connhelper"

	"github.com/mepc/mepc-run/internal/failure"
)

// Exchange is what became of one call to an engine, as its failure needs to
// know it: the client rewrites what went wrong on the way and drops the status
// of answers that are not errors. It is used for one call.
type Exchange struct {
	Endpoint string // as people know it
	Mutates  bool   // whether the call changes the engine's state, if it gets there

	mu   sync.Mutex
	sent bool  // the request, or part of it, may have reached the engine
	code int   // the HTTP status of the last answer, 0 before it
	err  error // the transport's own error
}

type exchangeKey struct{}

// Watch returns the context under which the call's requests must be made.
func (x *Exchange) Watch(ctx context.Context) context.Context {
	return context.WithValue(ctx, exchangeKey{}, x)
}

// NotModified reports whether the engine answered 304: it was as wanted
// already.
func (x *Exchange) NotModified() bool { return x.status() == http.StatusNotModified }

// Sent reports whether the request, or a part of it, may have reached the
// engine.
func (x *Exchange) Sent() bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.sent
}

func (x *Exchange) status() int {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.code
}

func (x *Exchange) state() (sent bool, code int, err error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.sent, x.code, x.err
}

// watcher is the RoundTripper that tells the Exchange.
type watcher struct{ base http.RoundTripper }

func (t watcher) RoundTrip(req *http.Request) (*http.Response, error) {
	req = protected(req)
	x, ok := req.Context().Value(exchangeKey{}).(*Exchange)
	if !ok {
		return t.base.RoundTrip(req)
	}
	x.mu.Lock()
	x.code, x.err = 0, nil
	x.mu.Unlock()
	trace := &httptrace.ClientTrace{WroteHeaders: func() {
		x.mu.Lock()
		x.sent = true
		x.mu.Unlock()
	}}
	resp, err := t.base.RoundTrip(req.WithContext(httptrace.WithClientTrace(req.Context(), trace)))
	x.mu.Lock()
	defer x.mu.Unlock()
	if err != nil {
		x.err = err
		return nil, err
	}
	x.code = resp.StatusCode
	return resp, nil
}

// dockerTransport makes what carries requests to t: carrier, a watcher over wire,
// in whose place Wiring.Engine may put another. The client wants an
// *http.Transport besides, whose dialer it uses for connections that are taken
// over (exec, attach): that is shell.
func (w *Clients) dockerTransport(t target) (shell, wire *http.Transport, carrier http.RoundTripper, err error) {
	dial := w.dockerDialer(t)
	wire = &http.Transport{
		DialContext: dial, TLSClientConfig: t.tls, TLSHandshakeTimeout: 10 * time.Second,
		MaxIdleConns: 16, MaxIdleConnsPerHost: 16, IdleConnTimeout: 30 * time.Second,
		DisableCompression: true,
		TLSNextProto:       map[string]func(string, *tls.Conn) http.RoundTripper{}, // HTTP/1.1, as the docker CLI
	}
	shell = &http.Transport{DialContext: dial, TLSClientConfig: t.tls, TLSNextProto: wire.TLSNextProto}
	carrier = wire
	if w.wire.Engine != nil {
		shell.DialContext = refuseTakeover
		carrier, err = w.wire.Engine(Engine{Name: t.name, Asked: t.asked, clients: w}, wire)
	}
	return shell, wire, watcher{carrier}, err
}

// refuseTakeover is the dialer of connections that a client takes over, as exec
// and attach do.
func refuseTakeover(context.Context, string, string) (net.Conn, error) {
	return nil, failure.New(failure.NotModelled, "a connection to the engine cannot be taken over here")
}

// dialError marks an error before anything could be sent.
type dialError struct{ error }

func (e dialError) Unwrap() error { return e.error }

func (w *Clients) dockerDialer(t target) func(ctx context.Context, network, address string) (net.Conn, error) {
	if t.ssh != "" {
		return func(ctx context.Context, network, address string) (net.Conn, error) {
			// BatchMode: nobody is there to answer a question. A host that
			// known_hosts does not have is refused, not asked about.
			helper, err := connhelper.GetConnectionHelperWithSSHOpts(t.ssh, []string{
				"-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=yes", "-o", "ConnectTimeout=10",
			})
			if err != nil {
				return nil, dialError{err}
			}
			c, err := helper.Dialer(ctx, network, address)
			if err != nil {
				return nil, dialError{err}
			}
			return c, nil
		}
	}
	scheme, rest, _ := strings.Cut(t.url, "://")
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		if scheme == "unix" {
			network, address = "unix", rest // the URL in the request has a name in its place
		}
		c, err := w.wire.Dial(ctx, network, address)
		if err != nil {
			return nil, dialError{err}
		}
		return c, nil
	}
}

func certPool(pem []byte) (*x509.CertPool, error) {
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, errors.New("ca.pem has no certificate")
	}
	return pool, nil
}
