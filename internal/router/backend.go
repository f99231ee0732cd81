package router

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"syscall"
	"time"
)

// backend is one URL of the lists, with its own connections: a backend that
// leaves takes its idle connections with it and touches no one else's.
type backend struct {
	url    string // as listed
	target *url.URL
	// kept serves what may be repeated on a stale connection, once the rest; see
	// the package comment.
	kept, once *http.Transport

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
	d := &net.Dialer{Timeout: cfg.DialTimeout, KeepAlive: 15 * time.Second}
	kept := &http.Transport{
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			conn, err := d.DialContext(ctx, network, addr)
			if err != nil {
				return nil, &dialError{err}
			}
			return conn, nil
		},
		DisableCompression:     true, // what the client asked for is the client's business
		MaxIdleConnsPerHost:    256,
		IdleConnTimeout:        30 * time.Second,
		TLSHandshakeTimeout:    5 * time.Second,
		ExpectContinueTimeout:  time.Second,
		ResponseHeaderTimeout:  max(cfg.ResponseTimeout, 0),
		MaxResponseHeaderBytes: 1 << 20,
	}
	once := kept.Clone()
	once.DisableKeepAlives = true
	return &backend{url: listed, target: u, kept: kept, once: once}, nil
}

// send makes one attempt to send out to b. out is not changed; its body is read
// only when a connection stands.
func (b *backend) send(out *http.Request) (*http.Response, error) {
	req := new(http.Request)
	*req = *out
	u := *out.URL
	u.Scheme, u.Host = b.target.Scheme, b.target.Host
	req.URL = &u
	if repeatable(out) {
		return b.kept.RoundTrip(req)
	}
	return b.once.RoundTrip(req)
}

// repeatable reports whether net/http itself may send req again when a kept-alive
// connection turns out to be dead.
func repeatable(req *http.Request) bool {
	if req.Body != nil && req.Body != http.NoBody {
		return false
	}
	switch req.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace:
		return true
	}
	return false
}

// closeIdle drops the kept connections; those in use are closed when their
// request is done, unless another request has begun meanwhile.
func (b *backend) closeIdle() {
	b.kept.CloseIdleConnections()
	b.once.CloseIdleConnections()
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
