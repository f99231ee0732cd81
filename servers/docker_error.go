package servers

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"net"
	"net/http"
	"strings"
	"syscall"

	"github.com/containerd/errdefs"

	"github.com/mepc/mepc-run/internal/failure"
)

const daemonPrefix = "Error response from daemon: "

// lookFirst is what to do when nobody knows whether a call was carried out.
const lookFirst = "it may or may not have taken effect: look before trying again"

// Failure says what err, which a call under Watch returned, means: this is the
// one place where an engine's failures become kinds. The engine's own words are
// kept. ctx is the context that was given to Watch.
func (x *Exchange) Failure(ctx context.Context, err error) error {
	known := failure.As(err)
	switch sent, code, wire := x.state(); {
	case err == nil:
		return nil
	case ctx.Err() != nil && (known == nil || known == failure.As(context.Cause(ctx))):
		return x.ended(context.Cause(ctx), sent)
	case known == nil && errors.Is(err, context.DeadlineExceeded): // on the clock of a rehearsal
		return x.ended(err, sent)
	case known != nil:
		return err
	case wire != nil:
		return x.unreachable(wire, sent)
	case code >= http.StatusBadRequest:
		return x.refused(err, code)
	case code == 0:
		// Nothing was sent: the client itself refused the arguments.
		return failure.Wrap(clientKind(err), err, "engine %s", x.Endpoint)
	case strings.HasPrefix(err.Error(), daemonPrefix): // in a stream, after a status of 200
		return failure.New(failure.Refused, "%s", words(err))
	}
	return x.cut(err)
}

// words returns what the engine said, without what every error begins with.
func words(err error) string { return strings.TrimPrefix(err.Error(), daemonPrefix) }

// ended says that the run, or its patience, ended before the call.
func (x *Exchange) ended(cause error, sent bool) error {
	known := failure.As(cause)
	if known == nil {
		if !errors.Is(cause, context.DeadlineExceeded) {
			return cause
		}
		known = failure.New(failure.Timeout, "the time is up")
	}
	e := *known // the cause may be shared by other calls
	if e.Kind != failure.Timeout || e.Hint != "" {
		return &e
	}
	switch {
	case x.Mutates && sent:
		e.Hint = "the engine at " + x.Endpoint + " is slow or hangs; " + lookFirst
	default:
		e.Hint = "the engine at " + x.Endpoint + " is slow or hangs: see its log (`journalctl -u docker`), or allow more with timeout="
		e.Retryable = !x.Mutates
	}
	return &e
}

// unreachable says why there was no answer.
func (x *Exchange) unreachable(err error, sent bool) error {
	var dial dialError
	var network *net.OpError // of a wiring of its own
	atDial := errors.As(err, &dial) || errors.As(err, &network) && network.Op == "dial"
	fail := func(kind failure.Kind, format string, args ...any) *failure.Error {
		e := failure.New(kind, format, args...)
		e.Cause, e.Retryable = err, kind == failure.Unavailable && (!sent || !x.Mutates)
		return e
	}
	socket := strings.HasPrefix(x.Endpoint, "unix://")
	text := err.Error()
	var (
		host    *net.DNSError
		timeout net.Error
		unknown x509.UnknownAuthorityError
		name    x509.HostnameError
		invalid x509.CertificateInvalidError
		record  tls.RecordHeaderError
		alert   tls.AlertError
	)
	switch {
	case atDial && socket && errors.Is(err, fs.ErrNotExist):
		return fail(failure.Unavailable, "no engine at %s: there is no such socket", x.Endpoint).
			WithHint("is the engine running? `systemctl start docker`; or name another with --docker or DOCKER_HOST")
	case atDial && errors.Is(err, fs.ErrPermission):
		return fail(failure.Auth, "you may not use the engine's socket %s: permission denied", x.Endpoint).
			WithHint("run as root, or join the socket's group: `sudo usermod -aG docker $USER`, then log in again")
	case atDial && errors.Is(err, syscall.ECONNREFUSED):
		return fail(failure.Unavailable, "no engine at %s: connection refused", x.Endpoint).
			WithHint("is the engine running? `systemctl start docker`; or name another with --docker or DOCKER_HOST")
	case atDial && errors.As(err, &host):
		return fail(failure.Unavailable, "no engine at %s: %v", x.Endpoint, host).WithHint("check the host's name; %s", endpointHint)
	case atDial && errors.As(err, &timeout) && timeout.Timeout():
		return fail(failure.Unavailable, "no engine at %s: no connection within 10s", x.Endpoint).
			WithHint("is the machine up, and does a firewall let you through?")
	case atDial:
		return fail(failure.Unavailable, "no engine at %s: %v", x.Endpoint, dial.error)
	case errors.As(err, &unknown), errors.As(err, &name), errors.As(err, &invalid):
		return fail(failure.Auth, "the engine at %s shows a certificate that is not trusted: %v", x.Endpoint, tlsWords(err)).
			WithHint("check ca.pem in DOCKER_CERT_PATH (or ca=), and that the URL has a name the certificate is for")
	case errors.As(err, &record), strings.Contains(text, "server gave HTTP response to HTTPS client"):
		return fail(failure.Auth, "the engine at %s does not speak TLS", x.Endpoint).
			WithHint("unset DOCKER_TLS_VERIFY and DOCKER_CERT_PATH for it, or use its TLS port (2376)")
	case errors.As(err, &alert), strings.Contains(text, "remote error: tls:"):
		return fail(failure.Auth, "the engine at %s refuses the TLS connection: %v", x.Endpoint, tlsWords(err)).
			WithHint("it may want a client certificate: set DOCKER_CERT_PATH to a directory with ca.pem, cert.pem and key.pem that it accepts")
	case strings.Contains(text, `malformed HTTP response "\x15\x03`), wantsTLS(text):
		return x.tlsWanted()
	case strings.Contains(text, "malformed HTTP"):
		return fail(failure.Unavailable, "what answers at %s is not a Docker engine: %s", x.Endpoint, failure.Innermost(err).Error()).
			WithHint("check the address: %s", endpointHint)
	case strings.Contains(text, "command [ssh "):
		return x.sshFailed(err, sent)
	}
	return x.cutBy(err, sent)
}

// wantsTLS recognises what servers say to plain HTTP on a TLS port.
func wantsTLS(text string) bool {
	return strings.Contains(text, "HTTP request to an HTTPS server")
}

func (x *Exchange) tlsWanted() error {
	return failure.New(failure.Auth, "the engine at %s wants TLS", x.Endpoint).
		WithHint("set DOCKER_TLS_VERIFY=1 and DOCKER_CERT_PATH to a directory with ca.pem, cert.pem and key.pem")
}

func tlsWords(err error) string { return strings.TrimPrefix(failure.Innermost(err).Error(), "tls: ") }

// sshFailed takes the words of ssh out of an error that the helper made of it.
func (x *Exchange) sshFailed(err error, sent bool) error {
	_, said, _ := strings.Cut(err.Error(), "stderr=")
	said = strings.Join(strings.Fields(said), " ")
	switch {
	case strings.Contains(said, "Host key verification failed"):
		return failure.New(failure.Auth, "the host key of %s is not known, or has changed: %s", x.Endpoint, said).
			WithHint("compare its fingerprint, then put it into known_hosts by logging in once with ssh")
	case strings.Contains(said, "Permission denied"):
		return failure.New(failure.Auth, "%s: %s", x.Endpoint, said).
			WithHint("ssh must log in without asking: use a key that the host accepts, or ssh-agent")
	case x.Mutates && sent && !strings.Contains(said, "connect to host") && !strings.Contains(said, "command not found"):
		return failure.New(failure.Unknown, "the connection to %s was cut before it had answered: %s", x.Endpoint, said).
			WithHint("%s", lookFirst)
	}
	e := failure.New(failure.Unavailable, "no engine at %s: %s", x.Endpoint, said).
		WithHint("try `ssh HOST docker version` by hand; the host needs the docker CLI 18.09 or later")
	e.Retryable = true
	return e
}

// cut says that the connection ended before the answer did.
func (x *Exchange) cut(err error) error {
	return x.cutBy(err, x.Sent())
}

func (x *Exchange) cutBy(err error, sent bool) error {
	why := failure.Innermost(err).Error()
	var syntax *json.SyntaxError
	var typed *json.UnmarshalTypeError
	garbled := errors.As(err, &syntax) || errors.As(err, &typed)
	switch {
	case garbled:
		why = "its answer makes no sense: " + why
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		why = "the connection was cut before it had answered"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		why = "the connection was cut before it had answered: " + why
	}
	if x.Mutates && sent {
		e := failure.New(failure.Unknown, "the engine at %s: %s", x.Endpoint, why).WithHint("%s", lookFirst)
		e.Cause = err
		return e
	}
	e := failure.New(failure.Unavailable, "the engine at %s: %s", x.Endpoint, why)
	e.Cause, e.Retryable = err, !garbled
	if !garbled {
		e.Hint = "it may have stopped: `systemctl status docker` on its machine says"
	}
	return e
}

// refused says what an engine's error status means.
func (x *Exchange) refused(err error, code int) error {
	text := words(err)
	switch {
	case wantsTLS(text):
		return x.tlsWanted()
	case strings.Contains(text, "client version") && strings.Contains(text, "is too old"):
		return failure.New(failure.Unavailable, "the engine at %s is too new for this program: %s", x.Endpoint, text).
			WithHint("update mepc-run")
	}
	e := failure.New(statusKind(code), "%s", text)
	e.Cause = err
	// The engine's gateway, or the engine while it starts, answered for it.
	e.Retryable = code == http.StatusServiceUnavailable
	if e.Kind == failure.Auth {
		e.Hint = "a proxy or an authorization plugin stands before the engine: check the credentials it wants"
	}
	return e
}

func statusKind(code int) failure.Kind {
	switch code {
	case http.StatusBadRequest, http.StatusUnprocessableEntity:
		return failure.Invalid
	case http.StatusUnauthorized, http.StatusForbidden:
		return failure.Auth
	case http.StatusNotFound:
		return failure.NotFound
	case http.StatusConflict, http.StatusPreconditionFailed:
		return failure.Conflict
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return failure.Unavailable
	case http.StatusNotImplemented: // only the simulated engine says so
		return failure.NotModelled
	}
	return failure.Refused
}

// clientKind is for errors that the client returns without asking the engine.
func clientKind(err error) failure.Kind {
	switch {
	case isNotFound(err):
		return failure.NotFound
	case errdefs.IsInvalidArgument(err):
		return failure.Invalid
	}
	return failure.Internal
}

func isNotFound(err error) bool { return errdefs.IsNotFound(err) || errors.Is(err, fs.ErrNotExist) }
