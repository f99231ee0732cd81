package servers

import (
	"context"
	"net/http"
	"strings"

	"github.com/docker/docker/api/types"
	"github.com/docker/docker/api/types/versions"
	"github.com/docker/docker/client"

	"github.com/mepc/mepc-run/internal/failure"
)

// oldestAPI is the oldest Engine API that is spoken: that of Docker 1.13, the
// first whose version can be negotiated.
const oldestAPI = "1.25"

// dockerEngine is one engine's client, made when it was first asked for.
type dockerEngine struct {
	client *client.Client
	wire   *http.Transport // has the connections; the client cannot close them itself
	name   string
	secure bool // over TLS
	ready  bool // the version is negotiated
}

// Docker returns the client of the engine at ep and the endpoint as people know
// it, such as "unix:///var/run/docker.sock". The zero ep is the run's default.
//
// The first call for an engine asks for its version, so that whoever gets a
// client can count on an engine that answered and whose API is known. An error
// is a *failure.Error that says what is wrong with the endpoint, and what to do
// about it; the next call tries again.
//
// Requests are made under a context of Exchange.Watch.
func (w *Clients) Docker(ctx context.Context, ep DockerEndpoint) (*client.Client, string, error) {
	e, err := w.dockerEngine(ep)
	if err != nil {
		return nil, "", err
	}
	w.mu.Lock()
	ready := e.ready
	w.mu.Unlock()
	if ready {
		return e.client, e.name, nil
	}
	ping, err := shakeHands(ctx, e)
	if err != nil {
		return nil, e.name, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if !e.ready { // two calls may have asked at once
		e.client.NegotiateAPIVersionPing(ping)
		e.ready = true
	}
	return e.client, e.name, nil
}

// DockerName returns ep as people know it, without connecting. Where ep makes
// no sense it returns what was given; Docker says what is wrong.
func (w *Clients) DockerName(ep DockerEndpoint) string {
	e, err := w.dockerEngine(ep)
	if err != nil {
		return ep.Host
	}
	return e.name
}

func (w *Clients) dockerEngine(ep DockerEndpoint) (*dockerEngine, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if e := w.engines[ep]; e != nil {
		return e, nil
	}
	t, err := w.resolveDocker(ep)
	if err != nil {
		return nil, err
	}
	t.asked = ep
	shell, wire, carrier, err := w.dockerTransport(t)
	if err != nil {
		return nil, err
	}
	scheme := "http"
	if t.tls != nil {
		scheme = "https"
	}
	calls := &http.Client{Transport: shell, CheckRedirect: client.CheckRedirect}
	c, err := client.NewClientWithOpts(
		client.WithHost(t.url), // before WithHTTPClient: it would set the transport's dialer
		client.WithHTTPClient(calls),
		client.WithScheme(scheme),
		client.WithUserAgent("mepc-run"),
	)
	if err != nil {
		return nil, failure.Wrap(failure.Invalid, err, "engine %s", t.name).WithHint("%s", endpointHint)
	}
	calls.Transport = carrier // without the tracing that the client puts around, which nobody reads
	e := &dockerEngine{client: c, wire: wire, name: t.name, secure: t.tls != nil}
	w.engines[ep] = e
	return e, nil
}

// shakeHands asks the engine for its version.
func shakeHands(ctx context.Context, e *dockerEngine) (types.Ping, error) {
	x := &Exchange{Endpoint: e.name}
	ping, err := e.client.Ping(x.Watch(ctx))
	switch {
	case err != nil && x.status() == 0:
		return ping, x.Failure(ctx, err)
	case err != nil && wantsTLS(err.Error()):
		return ping, x.Failure(ctx, err)
	case err != nil:
		// Whatever the server said, it is no answer of an engine to a ping.
		return ping, notAnEngine(e.name, strings.TrimPrefix(err.Error(), daemonPrefix))
	case ping.APIVersion == "":
		return ping, notAnEngine(e.name, "its answer names no API version")
	case versions.LessThan(ping.APIVersion, oldestAPI):
		return ping, failure.New(failure.Unavailable, "the engine at %s is too old: it speaks API %s, and %s is the least",
			e.name, ping.APIVersion, oldestAPI).WithHint("update the engine to Docker 1.13 or later")
	}
	return ping, nil
}

func notAnEngine(name, why string) error {
	return failure.New(failure.Unavailable, "what answers at %s is not a Docker engine: %s", name, why).
		WithHint("check the address: %s", endpointHint)
}
