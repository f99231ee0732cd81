package router

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	// handshakeTimeout bounds a backend's TLS handshake.
	handshakeTimeout = 5 * time.Second

	// keepIdle is the time a connection is kept without a request: much shorter
	// than any server keeps it (2 s and more), so that it is not closed by the one
	// just when the other uses it.
	keepIdle = 500 * time.Millisecond
)

// backend is one URL of the lists, with its own connections: a backend that
// leaves takes its idle connections with it and touches no one else's.
type backend struct {
	url    string // as listed
	target *url.URL
	token  string // in cookies
	// kept keeps connections; once makes one for each request. See the package
	// comment.
	// http2 is for hosts whose settings want it. It sends a request again only
	// where HTTP/2 says that the backend did not begin it.
	kept, once, http2 *http.Transport
	cfg               *Config

	// A backend hangs when a request got no answer in its time, and nor did any
	// other that was there meanwhile. From then on it is tried by one at a time, until
	// it answers.
	hangs      atomic.Bool
	answeredAt atomic.Int64 // Unix nanoseconds

	// Guarded by the table's lock.
	listedIn int       // frontends that list it
	left     time.Time // when listedIn became 0
	stats    stats
}

// newBackend parses what a list holds and prepares its transports.
func newBackend(listed string, cfg *Config) (*backend, error) {
	u, err := url.Parse(listed)
	if err != nil {
		return nil, fmt.Errorf("backend %q: %w", listed, err)
	}
	if (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return nil, fmt.Errorf("backend %q is not a URL such as http://10.0.0.7:8080", listed)
	}
	d := &dialer{tcp: net.Dialer{Timeout: cfg.DialTimeout, KeepAlive: 15 * time.Second}}
	kept := &http.Transport{
		DialContext:            d.dial,
		DialTLSContext:         d.dialTLS,
		DisableCompression:     true, // what the client asked for is the client's business
		MaxIdleConnsPerHost:    256,
		IdleConnTimeout:        keepIdle,
		ExpectContinueTimeout:  time.Second,
		MaxResponseHeaderBytes: 1 << 20,
	}
	single := &dialer{tcp: d.tcp, single: true}
	once := kept.Clone()
	once.DialContext, once.DialTLSContext = single.dial, single.dialTLS
	once.DisableKeepAlives = true
	once.WriteBufferSize = 1 // see conn.head
	http2 := kept.Clone()
	http2.DialContext, http2.DialTLSContext = d.plain, nil
	http2.IdleConnTimeout = 90 * time.Second
	http2.Protocols = &http.Protocols{}
	http2.Protocols.SetHTTP2(true)
	http2.Protocols.SetUnencryptedHTTP2(true)
	return &backend{url: listed, target: u, token: tokenOf(listed), kept: kept, once: once, http2: http2, cfg: cfg}, nil
}

// onTrial reports whether b hangs and something waits for it. The table's lock is held.
func (b *backend) onTrial() bool { return b.hangs.Load() && b.stats.inFlight > 0 }

// answered notes that b answers.
func (b *backend) answered(now time.Time) {
	b.answeredAt.Store(now.UnixNano())
	b.hangs.Store(false)
}

// ignored notes that what was sent at that time got no answer, and reports whether b hangs.
func (b *backend) ignored(sent time.Time) bool {
	if b.answeredAt.Load() >= sent.UnixNano() {
		return false
	}
	b.hangs.Store(true)
	return true
}

// send makes one attempt to send out, of x, to b. out is not changed; its body is
// read only when a connection stands.
func (b *backend) send(out *http.Request, x *exchange) (*http.Response, error) {
	a := newAttempt(x.ctx, httptrace.ContextClientTrace(out.Context()), x.want.patience(b.cfg))
	req := out.WithContext(a.ctx)
	u := *out.URL
	u.Scheme, u.Host = b.target.Scheme, b.target.Host
	req.URL = &u
	via := b.kept
	switch {
	case x.body != nil:
		req.Body = io.NopCloser(bytes.NewReader(x.body))
	case out.Body != nil && out.Body != http.NoBody:
		// A failed attempt closes the body it was given, and the next needs it.
		req.Body, via = io.NopCloser(out.Body), b.once
	}
	if x.once {
		via = b.once
	}
	if x.want.http2 && out.Header.Get("Upgrade") == "" {
		via = b.http2
	}
	resp, err := via.RoundTrip(req)
	err = a.end(err)
	return resp, err
}

// closeIdle drops the kept connections; those in use are closed when their
// request is done, unless another request has begun meanwhile.
func (b *backend) closeIdle() {
	b.kept.CloseIdleConnections()
	b.once.CloseIdleConnections()
	b.http2.CloseIdleConnections()
}

// dialer makes a backend's connections. single says that each is for one request.
type dialer struct {
	tcp    net.Dialer
	single bool
}

// plain is for HTTP/2, which has many requests on one connection.
func (d *dialer) plain(ctx context.Context, network, addr string) (net.Conn, error) {
	c, err := d.tcp.DialContext(ctx, network, addr)
	if err != nil {
		return nil, &dialError{err}
	}
	return c, nil
}

func (d *dialer) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	raw, err := d.tcp.DialContext(ctx, network, addr)
	if err != nil {
		return nil, &dialError{err}
	}
	return d.conn(raw, raw), nil
}

func (d *dialer) dialTLS(ctx context.Context, network, addr string) (net.Conn, error) {
	raw, err := d.tcp.DialContext(ctx, network, addr)
	if err != nil {
		return nil, &dialError{err}
	}
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, errors.Join(err, raw.Close())
	}
	ctx, cancel := context.WithTimeout(ctx, handshakeTimeout)
	defer cancel()
	secure := tls.Client(raw, &tls.Config{ServerName: host})
	if err := secure.HandshakeContext(ctx); err != nil {
		return nil, &dialError{errors.Join(err, raw.Close())}
	}
	return d.conn(secure, raw), nil
}

func (d *dialer) conn(c, raw net.Conn) *conn {
	out := &conn{Conn: c, raw: raw}
	if d.single {
		out.head = &bytes.Buffer{}
	}
	return out
}

// dialError says that no connection came about: nothing was sent.
type dialError struct{ err error }

func (e *dialError) Error() string { return e.err.Error() }
func (e *dialError) Unwrap() error { return e.err }

// ourFault reports whether a dial failed for want of something on this machine,
// which says nothing about the backend.
func ourFault(err error) bool {
	for _, no := range []syscall.Errno{syscall.EMFILE, syscall.ENFILE, syscall.EADDRNOTAVAIL, syscall.ENOBUFS, syscall.ENOMEM} {
		if errors.Is(err, no) {
			return true
		}
	}
	return false
}
