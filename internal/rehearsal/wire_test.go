package rehearsal

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"syscall"
	"testing"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/client"
	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/servers"
)

// badWire fails every call after it was carried on, or instead.
type badWire struct {
	before, after error
	carried       []string
}

func (b *badWire) http(req *http.Request, next http.RoundTripper) (*http.Response, error) {
	if b.before != nil {
		return nil, b.before
	}
	resp, err := next.RoundTrip(req)
	b.carried = append(b.carried, req.Method)
	if b.after != nil {
		return nil, b.after
	}
	return resp, err
}

func (b *badWire) Engine(req *http.Request, next http.RoundTripper) (*http.Response, error) {
	return b.http(req, next)
}

func (b *badWire) HTTP(req *http.Request, next http.RoundTripper) (*http.Response, error) {
	return b.http(req, next)
}

func (b *badWire) Redis(_ context.Context, cmds []redis.Cmder, next func() error) error {
	if b.before != nil {
		return b.before
	}
	err := next()
	for _, c := range cmds {
		b.carried = append(b.carried, c.Name())
	}
	return errors.Join(err, b.after)
}

func TestAWireFailsCallsAsANetworkDoes(t *testing.T) {
	refused := &net.OpError{Op: "dial", Net: "unix", Err: syscall.ECONNREFUSED}
	for name, tc := range map[string]struct {
		before, after error
		kind          failure.Kind
		sent          bool
	}{
		"nobody answers":       {refused, nil, failure.Unavailable, false},
		"cut before an answer": {io.EOF, nil, failure.Unknown, true},
		"the reply is lost":    {nil, io.EOF, failure.Unknown, true},
	} {
		t.Run(name, func(t *testing.T) {
			wire := &badWire{}
			w := rehearsed(t, Policy{Wire: wire})
			cli, endpoint, err := w.Docker(t.Context(), servers.DockerEndpoint{})
			if err != nil {
				t.Fatal(err)
			}
			wire.before, wire.after = tc.before, tc.after
			x := &servers.Exchange{Endpoint: endpoint, Mutates: true}
			err = x.Failure(t.Context(), stop(x.Watch(t.Context()), cli))
			if failure.KindOf(err) != tc.kind || x.Sent() != tc.sent {
				t.Errorf("kind %s, sent %v: %v", failure.KindOf(err), x.Sent(), err)
			}
		})
	}
}

func stop(ctx context.Context, cli *client.Client) error {
	return cli.ContainerStop(ctx, "app", container.StopOptions{})
}

func TestAWireCarriesEverything(t *testing.T) {
	wire := &badWire{}
	w := rehearsed(t, Policy{Wire: wire})
	cli, _, err := w.Docker(t.Context(), servers.DockerEndpoint{})
	if err != nil {
		t.Fatal(err)
	}
	rdb, _, err := w.Redis(t.Context(), "")
	if err != nil || rdb.Ping(t.Context()).Err() != nil { // greets
		t.Fatal(err)
	}
	wire.carried = nil
	if err := stop(t.Context(), cli); err != nil {
		t.Fatal(err)
	}
	rdb.Get(t.Context(), "a")
	if _, err := rdb.TxPipelined(t.Context(), func(p redis.Pipeliner) error {
		p.Set(t.Context(), "a", "b", 0)
		return p.Del(t.Context(), "a").Err()
	}); err != nil {
		t.Fatal(err)
	}
	get(t, w, "http://127.0.0.1:8080/")
	if diff := cmp.Diff([]string{"POST", "get", "multi", "set", "del", "exec", "GET"}, wire.carried); diff != "" {
		t.Error(diff)
	}
	wire.after = io.EOF
	if err := rdb.Set(t.Context(), "a", "b", 0).Err(); !errors.Is(err, io.EOF) {
		t.Errorf("a lost reply of Redis: %v", err)
	}
}
