package servers

import (
	"context"
	"net"
	"net/http"

	"github.com/docker/docker/client"
	"github.com/redis/go-redis/v9"

	"github.com/mepc/mepc-run/internal/clock"
)

// Access is what a module may ask of a run's servers. A module that takes its
// connections and its time from here, and from nowhere else, is rehearsed like
// docker and redis: it notices no difference, and nothing real is reached.
//
//	Self: runtime.PerRun(func(a servers.Access) *slack { return &slack{a} })
type Access interface {
	// Rehearsed reports whether nothing real is reached.
	Rehearsed() bool
	// Transport returns the transport of HTTP requests, the same each time. Send
	// gives their errors a kind.
	Transport() *http.Transport
	// Docker returns the client of an engine and the engine's name; the zero ep is
	// the run's default. Requests are made under a context of Exchange.Watch.
	Docker(ctx context.Context, ep DockerEndpoint) (*client.Client, string, error)
	// Redis returns the client of the Redis that url names, and its name; an empty
	// url is the run's default. It needs contexts that have a deadline, as those of
	// effects do.
	Redis(ctx context.Context, url string) (redis.UniversalClient, string, error)
	// Dial makes a connection, as net.Dialer's DialContext does.
	Dial(ctx context.Context, network, address string) (net.Conn, error)
	// Clock returns the run's time. A rehearsal does not wait for it to pass.
	Clock() Clock
}

// Clock tells the time and waits.
type Clock = clock.Clock

var _ Access = (*Clients)(nil)
