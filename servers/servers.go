// Package servers is the only constructor of clients: of Docker engines, of
// Redis, of anything that speaks HTTP or TCP. Start with Live, whose clients reach
// real servers and are a run's RunOptions.World. A Wiring sends their bytes
// elsewhere: package rehearsal does.
//
// A module takes what it needs from Access, and is rehearsed like docker and redis.
//
// What is stable: Access, Live, Options, DockerEndpoint, Send. The rest is for the
// modules of mepc-run and may change. The version is 0, so that names may still change.
package servers

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/docker/docker/client"
	"github.com/redis/go-redis/v9"

	"github.com/mepc/mepc-run/internal/clock"
	"github.com/mepc/mepc-run/internal/failure"
)

// Options says which servers a run talks to when the recipe names none.
type Options struct {
	Docker DockerEndpoint // zero: as the docker CLI finds its own
	Redis  string         // URL; empty: REDIS_URL, else redis://127.0.0.1:6379
	// InsecureTCP allows engines over tcp without TLS on addresses that are not
	// loopback: whoever reaches such an engine is root on its machine.
	InsecureTCP bool
	// Getenv reads the environment; nil: an empty one.
	Getenv func(string) string
}

// DockerEndpoint is where an engine is and how to prove who we are.
type DockerEndpoint struct {
	Host      string // unix:///var/run/docker.sock, tcp://10.0.0.5:2376 or ssh://deploy@host
	Context   string // the name of a Docker context, instead of Host
	CertPath  string // a directory with ca.pem, cert.pem, key.pem
	CA        string // or the files one by one
	Cert      string
	Key       string
	TLSVerify bool // whether the engine's certificate is checked; with certificates given it always is
}

// Dialer makes a connection, as net.Dialer's DialContext does.
type Dialer func(ctx context.Context, network, address string) (net.Conn, error)

// Wiring is where the clients of a run send their bytes, and what its time and
// its files are. The zero value is sockets, the machine's time and its disk.
type Wiring struct {
	Clock clock.Clock
	Dial  Dialer
	Files Files
	// Engine returns what carries requests to an engine in place of wire. A
	// connection to an engine cannot be taken over then: its bytes would get
	// around what Engine returned.
	Engine func(e Engine, wire http.RoundTripper) (http.RoundTripper, error)
	// HTTP readies each transport before it is used.
	HTTP func(*http.Transport)
	// Redis returns how the Redis of that name, which is without a database, is
	// reached.
	Redis func(name string) (RedisWire, error)
	// Approve answers a recipe's approve(); nil: a person does.
	Approve func(question string) (bool, error)
	// Draw returns what no other call has drawn; nil: by chance.
	Draw      func() string
	Rehearsed bool // nothing real is reached
}

// NotModelled begins what a simulated server says to a call that it does not know.
const NotModelled = "not modelled: "

// Engine is an engine that is asked for.
type Engine struct {
	Name    string         // the endpoint as people know it
	Asked   DockerEndpoint // as the recipe names it
	clients *Clients
}

// Default reports whether it is the run's default engine.
func (e Engine) Default() bool {
	d, err := e.clients.resolveDocker(DockerEndpoint{})
	return err == nil && d.name == e.Name
}

// RedisWire is how a Redis is reached. The zero value is: directly.
type RedisWire struct {
	// Conn stands between a connection and the client; it may be nil.
	Conn func(net.Conn) net.Conn
	// Single, when it is not nil, dials one server that stands for whatever the URL
	// names, be it a cluster. Ready then gets each client before its first command.
	Single Dialer
	Ready  func(*redis.Client)
}

// Clients are those of one run. They are safe for concurrent use. Close them when
// the run is over.
type Clients struct {
	opts Options
	wire Wiring

	mu      sync.Mutex
	shared  *http.Transport
	engines map[DockerEndpoint]*dockerEngine
	stores  map[string]redis.UniversalClient
}

// Live returns clients of real servers.
func Live(opts Options) *Clients { return New(opts, Wiring{}) }

// New returns clients that are wired in another way.
func New(opts Options, wire Wiring) *Clients {
	if opts.Getenv == nil {
		opts.Getenv = func(string) string { return "" }
	}
	if wire.Clock == nil {
		wire.Clock = clock.Wall{}
	}
	if wire.Dial == nil {
		wire.Dial = (&net.Dialer{Timeout: 10 * time.Second}).DialContext
	}
	wire.Dial = protectedDial(wire.Dial)
	if wire.Files == nil {
		wire.Files = Disk{}
	}
	return &Clients{opts: opts, wire: wire, engines: map[DockerEndpoint]*dockerEngine{}, stores: map[string]redis.UniversalClient{}}
}

// Clock implements Access.
func (w *Clients) Clock() clock.Clock { return w.wire.Clock }

// AtOnce returns how many of n calls may be made at once: one in a rehearsal,
// where nothing is won by more and the order is to be the same every time.
func (w *Clients) AtOnce(n int) int {
	if w.wire.Rehearsed {
		return 1
	}
	return n
}

// Draw returns a number that names one call, or one run, among all.
func (w *Clients) Draw() string {
	if w.wire.Draw != nil {
		return w.wire.Draw()
	}
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

// Stores returns the Redis clients that were made so far, by what people call
// them; and the run's own when the operator names one.
func (w *Clients) Stores(ctx context.Context) (map[string]redis.UniversalClient, error) {
	if w.opts.Redis != "" || w.opts.Getenv("REDIS_URL") != "" {
		if _, _, err := w.Redis(ctx, ""); err != nil {
			return nil, err
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	all := map[string]redis.UniversalClient{}
	for url, c := range w.stores {
		if t, err := parseRedisURL(url); err == nil {
			all[t.endpoint()] = c
		}
	}
	return all, nil
}

// DockerNamed returns the client of an engine that the run has to do with, by what
// people call it.
func (w *Clients) DockerNamed(ctx context.Context, name string) (*client.Client, error) {
	w.mu.Lock()
	var known *DockerEndpoint
	for ep, e := range w.engines {
		if e.name == name {
			known = &ep
		}
	}
	w.mu.Unlock()
	if known == nil {
		return nil, failure.New(failure.NotFound, "the run has nothing to do with an engine %s", name)
	}
	c, _, err := w.Docker(ctx, *known)
	return c, err
}

// Engines returns the clients of all engines that the run has to do with, by what
// people call them.
func (w *Clients) Engines(ctx context.Context) map[string]*client.Client {
	w.mu.Lock()
	known := map[string]DockerEndpoint{}
	for ep, e := range w.engines {
		known[e.name] = ep
	}
	w.mu.Unlock()
	all := map[string]*client.Client{}
	for name, ep := range known {
		if c, _, err := w.Docker(ctx, ep); err == nil {
			all[name] = c
		}
	}
	return all
}

// Rehearsed implements Access.
func (w *Clients) Rehearsed() bool { return w.wire.Rehearsed }

// Listen returns a listener that engines on this machine reach, on the same address
// each time where that is free: an engine remembers by it what it pushed where. It is
// one of 127.0.0.0/8, from which an engine takes plain HTTP, and which no other
// machine reaches. There is none in a rehearsal.
func (w *Clients) Listen(ctx context.Context) (net.Listener, error) {
	if w.Rehearsed() {
		return nil, errors.New("a rehearsal listens to nobody")
	}
	var lc net.ListenConfig
	for last := byte(112); last < 128; last++ { // 127.m.e.p
		ip := netip.AddrFrom4([4]byte{127, 109, 101, last})
		if l, err := lc.Listen(ctx, "tcp", netip.AddrPortFrom(ip, 5000).String()); err == nil {
			return l, nil
		}
	}
	return lc.Listen(ctx, "tcp", "127.0.0.1:0")
}

// Approved answers a recipe's approve() in a rehearsal.
func (w *Clients) Approved(question string) (bool, error) { return w.wire.Approve(question) }

// Dial implements Access.
func (w *Clients) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	return w.wire.Dial(ctx, network, address)
}

// NewTransport returns a new HTTP transport on the run's wiring, whose settings the
// caller may change. It takes no proxy from the environment. The caller closes its
// idle connections.
func (w *Clients) NewTransport() *http.Transport {
	t := &http.Transport{
		DialContext: w.wire.Dial, ForceAttemptHTTP2: true,
		TLSHandshakeTimeout: 10 * time.Second, MaxIdleConns: 100, IdleConnTimeout: 30 * time.Second,
	}
	if w.wire.HTTP != nil {
		w.wire.HTTP(t)
	}
	return t
}

// Transport implements Access.
func (w *Clients) Transport() *http.Transport {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.shared == nil {
		w.shared = w.NewTransport()
	}
	return w.shared
}

// Close closes every client.
func (w *Clients) Close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.shared != nil {
		w.shared.CloseIdleConnections()
	}
	for _, e := range w.engines {
		e.wire.CloseIdleConnections()
	}
	for _, c := range w.stores {
		c.Close()
	}
	clear(w.engines)
	clear(w.stores)
}
