package servers

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync/atomic"

	"github.com/mepc/mepc-run/internal/clock"
	"github.com/mepc/mepc-run/internal/failure"
)

// Send is client.Do for the functions of modules: its errors, and those of reading
// the answer's body, have a kind. A server that cannot be reached is Unavailable; a
// request that was sent, might change something and got no answer is Unknown. The
// client's transport is that of Access. The URL is in no error: it may be a secret.
func Send(client *http.Client, req *http.Request) (*http.Response, error) {
	ctx := req.Context()
	var asked atomic.Bool
	trace := &httptrace.ClientTrace{WroteHeaders: func() { asked.Store(true) }}
	res, err := client.Do(req.WithContext(httptrace.WithClientTrace(ctx, trace)))
	if err != nil {
		return nil, explain(ctx, err, request{method: req.Method, host: req.URL.Host, asked: asked.Load()})
	}
	res.Body = &answer{res.Body, ctx, request{method: req.Method, host: req.URL.Host, asked: true, status: res.Status}}
	return res, nil
}

// answer is a body that explains why it breaks off.
type answer struct {
	io.ReadCloser
	ctx context.Context
	of  request
}

// Read reads the body.
func (a *answer) Read(p []byte) (int, error) {
	n, err := a.ReadCloser.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = explain(a.ctx, err, a.of)
	}
	return n, err
}

// request is what is known of a request that failed.
type request struct {
	method, host string
	asked        bool   // the server has got the head of the request
	status       string // it has begun to answer
}

func (c request) mutates() bool {
	return c.method != http.MethodGet && c.method != http.MethodHead && c.method != http.MethodOptions
}

// explain turns an error of net/http into a failure. The URL is in none: it may
// be a secret.
func explain(ctx context.Context, err error, c request) error {
	why := reason(err)
	switch known := failure.As(err); {
	case known != nil && (ctx.Err() == nil || known.Kind == failure.NotModelled): // by a rehearsal's world, or by who follows redirects
		return known
	case c.asked && c.mutates():
		if ctx.Err() != nil {
			why = context.Cause(ctx).Error()
		}
		if ctx.Err() != nil && !clock.TimedOut(ctx) {
			return context.Cause(ctx)
		}
		return failure.New(failure.Unknown, "%s; %s was sent to %s and may have been done", c.progress(why), c.method, c.host)
	case ctx.Err() != nil && c.mutates():
		return away("no connection to %s: %s", c.host, context.Cause(ctx).Error()).WithHint("nothing was sent")
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case strings.Contains(why, "tls: certificate required"), strings.Contains(why, "tls: bad certificate"):
		return failure.New(failure.Auth, "TLS with %s: %s", c.host, why).
			WithHint("the server wants a certificate of ours, and one that it knows: cert and key name the files")
	case isTLS(err):
		return failure.New(failure.Auth, "TLS with %s: %s", c.host, why).
			WithHint("ca names a file of certificates to trust; insecure=true takes any")
	case strings.Contains(why, "server gave HTTP response to HTTPS client"):
		return failure.New(failure.Refused, "%s does not speak TLS", c.host).WithHint("write http://")
	case strings.Contains(why, "malformed HTTP"), strings.Contains(why, "unsupported protocol scheme"),
		strings.Contains(why, "server response headers exceeded"), strings.Contains(why, "Location"):
		return failure.New(failure.Refused, "%s gave an answer that cannot be read: %s", c.host, why)
	}
	return away("%s: %s", c.host, c.progress(why))
}

func (c request) progress(why string) string {
	if c.status != "" {
		return fmt.Sprintf("the answer (%s) broke off: %s", c.status, why)
	}
	return why
}

func away(format string, args ...any) *failure.Error {
	e := failure.New(failure.Unavailable, format, args...)
	e.Retryable = true
	return e
}

func isTLS(err error) bool {
	var unknown x509.UnknownAuthorityError
	var host x509.HostnameError
	var invalid x509.CertificateInvalidError
	var verify *tls.CertificateVerificationError
	var alert tls.AlertError
	var record tls.RecordHeaderError
	return errors.As(err, &unknown) || errors.As(err, &host) || errors.As(err, &invalid) ||
		errors.As(err, &verify) || errors.As(err, &alert) || errors.As(err, &record)
}

// reason says what happened without naming the URL.
func reason(err error) string {
	var at *url.Error
	if errors.As(err, &at) {
		err = at.Err
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return "the server closed the connection"
	}
	return err.Error()
}
