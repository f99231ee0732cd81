// Package engine is the only constructor of clients: to Docker engines, to
// Redis, to anything that speaks HTTP or TCP. A World says where their bytes
// go; Live's go to real sockets. Start with World.
package engine

import (
	"context"
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

// World makes the clients of one run. It is safe for concurrent use. Close it
// when the run is over.
type World struct {
	opts  Options
	clock clock.Clock
	dial  func(ctx context.Context, network, address string) (net.Conn, error)
	// What carries HTTP to an engine, what carries it elsewhere, and how a Redis
	// client is made: Rehearsal puts its own in their place.
	dockerWire  func(t target, wire *http.Transport) (http.RoundTripper, error)
	httpWire    func(*http.Transport)
	redisClient func(t *redisTarget) (redis.UniversalClient, error)
	noTakeover  bool    // connections to engines cannot be taken over, past dockerWire
	project     string  // the directory that files are in; empty: any
	drafts      *drafts // where files are written; nil: on disk
	approved    func(question string) (bool, error)

	mu      sync.Mutex
	shared  *http.Transport
	engines map[DockerEndpoint]*dockerEngine
	stores  map[string]redis.UniversalClient
}

// Live returns the real world.
func Live(opts Options) *World {
	if opts.Getenv == nil {
		opts.Getenv = func(string) string { return "" }
	}
	d := &net.Dialer{Timeout: 10 * time.Second}
	w := &World{
		opts: opts, clock: clock.Wall{}, dial: d.DialContext,
		dockerWire: func(_ target, wire *http.Transport) (http.RoundTripper, error) { return wire, nil },
		httpWire:   func(*http.Transport) {},
		engines:    map[DockerEndpoint]*dockerEngine{}, stores: map[string]redis.UniversalClient{},
	}
	w.redisClient = func(t *redisTarget) (redis.UniversalClient, error) {
		conf, err := t.tlsConfig()
		if err != nil {
			return nil, err
		}
		return t.client(w.redisDialer(conf)), nil
	}
	return w
}

// Clock returns the world's time.
func (w *World) Clock() clock.Clock { return w.clock }

// AtOnce returns how many of n calls may be made at once: one in a rehearsal,
// where nothing is won by more and the order is to be the same every time.
func (w *World) AtOnce(n int) int {
	if w.drafts != nil {
		return 1
	}
	return n
}

// Stores returns the Redis clients that were made so far, by what people call
// them; and the run's own when the operator names one.
func (w *World) Stores(ctx context.Context) (map[string]redis.UniversalClient, error) {
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
func (w *World) DockerNamed(ctx context.Context, name string) (*client.Client, error) {
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
func (w *World) Engines(ctx context.Context) map[string]*client.Client {
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

// Rehearsed reports whether this is no real world.
func (w *World) Rehearsed() bool { return w.drafts != nil }

// Listen returns a listener that engines on this machine reach, on the same address
// each time where that is free: an engine remembers by it what it pushed where. It is
// one of 127.0.0.0/8, from which an engine takes plain HTTP, and which no other
// machine reaches. There is none in a rehearsal.
func (w *World) Listen(ctx context.Context) (net.Listener, error) {
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
func (w *World) Approved(question string) (bool, error) { return w.approved(question) }

// Dial connects to address, for TCP probes.
func (w *World) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	return w.dial(ctx, network, address)
}

// Transport returns a new HTTP transport whose connections this world makes.
// It takes no proxy from the environment. The caller closes its idle
// connections.
func (w *World) Transport() *http.Transport {
	t := &http.Transport{
		DialContext: w.dial, ForceAttemptHTTP2: true,
		TLSHandshakeTimeout: 10 * time.Second, MaxIdleConns: 100, IdleConnTimeout: 30 * time.Second,
	}
	w.httpWire(t)
	return t
}

// Shared returns the Transport whose connections requests reuse.
func (w *World) Shared() *http.Transport {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.shared == nil {
		w.shared = w.Transport()
	}
	return w.shared
}

// Close closes every client.
func (w *World) Close() {
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
