package servers

import (
	"cmp"
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

const (
	defaultRedis = "redis://127.0.0.1:6379"
	redisDial    = 5 * time.Second
	redisConns   = 32              // to one server; opened as they are needed
	redisIdle    = 2 * time.Minute // before the usual five minutes after which proxies cut
)

// Redis returns a client of the Redis that url names (see RedisForms), and what
// to call it: the URL without password and options. An empty url means the
// operator's choice: Options.Redis, else REDIS_URL, else the local one. Nothing
// is sent yet. The client never sends a command twice, and keeps to the
// deadline of the context, which must have one. World.Close closes it.
func (w *Clients) Redis(_ context.Context, url string) (redis.UniversalClient, string, error) {
	url = cmp.Or(url, w.opts.Redis, w.opts.Getenv("REDIS_URL"), defaultRedis)
	t, err := parseRedisURL(url)
	if err != nil {
		return nil, "", err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if c := w.stores[url]; c != nil {
		return c, t.endpoint(), nil
	}
	// go-redis prints what it also returns.
	redis.SetLogger(silent{})
	c, err := w.redisClient(t)
	if err != nil {
		return nil, "", err
	}
	w.stores[url] = c
	return c, t.endpoint(), nil
}

// redisClient makes a client as the run is wired.
func (w *Clients) redisClient(t *redisTarget) (redis.UniversalClient, error) {
	var wire RedisWire
	if w.wire.Redis != nil {
		named := *t
		named.db = 0
		var err error
		if wire, err = w.wire.Redis(named.endpoint()); err != nil {
			return nil, err
		}
	}
	if wire.Single != nil {
		single := redisTarget{db: t.db, kind: redisServer, scheme: "redis", addrs: []string{"single:6379"}, buffer: 4 << 10}
		c, _ := single.client(wire.Single).(*redis.Client)
		wire.Ready(c)
		return c, nil
	}
	conf, err := t.tlsConfig()
	if err != nil {
		return nil, err
	}
	dial := w.redisDialer(conf)
	if wire.Conn == nil {
		return t.client(dial), nil
	}
	return t.client(func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := dial(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		return wire.Conn(c), nil
	}), nil
}

type silent struct{}

func (silent) Printf(context.Context, string, ...any) {}

// client makes the client. The settings that differ from go-redis' defaults:
// no retries, for they would repeat effects; deadlines by context only; RESP3,
// whose maps, doubles and booleans need no guessing; no SETINFO, no maintenance
// notifications, no second pool for pipelines.
func (t *redisTarget) client(dial Dialer) redis.UniversalClient {
	dial = protectedDial(dial)
	login := func(ctx context.Context) (string, string, error) {
		if h := handshakeOf(ctx); h != nil {
			h.underway.Store(true)
		}
		return t.user, t.password, nil
	}
	done := func(ctx context.Context, _ *redis.Conn) error {
		if h := handshakeOf(ctx); h != nil {
			h.underway.Store(false)
		}
		return nil
	}
	switch t.kind {
	case redisCluster:
		return redis.NewClusterClient(&redis.ClusterOptions{
			Addrs: t.addrs, Dialer: dial, OnConnect: done, CredentialsProviderContext: login,
			Protocol: 3, MaxRetries: -1, DialerRetries: 1, DialTimeout: redisDial,
			ReadTimeout: -1, WriteTimeout: -1, ContextTimeoutEnabled: true,
			PoolSize: redisConns, PipelinePoolSize: -1, ConnMaxIdleTime: redisIdle,
			DisableIdentity: true, DisableRoutingPolicies: true,
			MaintNotificationsConfig: noNotifications(),
		})
	case redisSentinel:
		return redis.NewFailoverClient(&redis.FailoverOptions{
			SentinelAddrs: t.addrs, MasterName: t.master,
			SentinelUsername: t.sentinelUser, SentinelPassword: t.sentinelPassword,
			Dialer: dial, OnConnect: done, CredentialsProviderContext: login, DB: t.db,
			Protocol: 3, MaxRetries: -1, DialerRetries: 1, DialTimeout: redisDial,
			ReadTimeout: -1, WriteTimeout: -1, ContextTimeoutEnabled: true,
			PoolSize: redisConns, PipelinePoolSize: -1, ConnMaxIdleTime: redisIdle,
			DisableIdentity: true,
		})
	}
	network := "tcp"
	if t.scheme == "unix" {
		network = "unix"
	}
	return redis.NewClient(&redis.Options{
		Network: network, Addr: t.addrs[0],
		Dialer: dial, OnConnect: done, CredentialsProviderContext: login, DB: t.db,
		Protocol: 3, MaxRetries: -1, DialerRetries: 1, DialTimeout: redisDial,
		ReadTimeout: -1, WriteTimeout: -1, ContextTimeoutEnabled: true,
		PoolSize: redisConns, PipelinePoolSize: -1, ConnMaxIdleTime: redisIdle,
		DisableIdentity:          true,
		MaintNotificationsConfig: noNotifications(),
		ReadBufferSize:           t.buffer, WriteBufferSize: t.buffer,
	})
}

func noNotifications() *maintnotifications.Config {
	return &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
}

// redisDialer returns the dialer of clients that speak TLS as conf says, or
// none for nil. go-redis leaves TLS to a dialer that is not its own.
func (w *Clients) redisDialer(conf *tls.Config) Dialer {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		ctx, cancel := context.WithTimeout(ctx, redisDial)
		defer cancel()
		conn, err := w.wire.Dial(ctx, network, addr)
		if err != nil {
			return nil, &DialError{Addr: addr, Err: err}
		}
		conn = &boundedConn{conn, maxReply}
		if conf == nil {
			return conn, nil
		}
		c := conf.Clone()
		if c.ServerName == "" {
			c.ServerName, _, _ = net.SplitHostPort(addr)
		}
		secured := tls.Client(conn, c)
		if err := secured.HandshakeContext(ctx); err != nil {
			conn.Close()
			return nil, &DialError{Addr: addr, TLS: true, Err: err}
		}
		return secured, nil
	}
}

// DialError says that no connection to a Redis came about, so nothing was sent.
type DialError struct {
	Addr string // host:port, or a path
	TLS  bool   // it was reached, but TLS was not agreed on
	Err  error
}

// Error names the address and the cause.
func (e *DialError) Error() string {
	if e.TLS {
		return fmt.Sprintf("TLS with %s: %v", e.Addr, e.Err)
	}
	return e.Err.Error()
}

// Unwrap returns the cause.
func (e *DialError) Unwrap() error { return e.Err }

// Handshake tells whether a command on its way to Redis still waits for its
// connection to be greeted, so that nothing of it was sent yet.
type Handshake struct{ underway atomic.Bool }

// Underway reports whether the connection is being greeted: HELLO, AUTH, SELECT.
func (h *Handshake) Underway() bool { return h.underway.Load() }

type handshakeKey struct{}

// WatchHandshake returns a context whose Redis commands tell the Handshake.
func WatchHandshake(ctx context.Context) (context.Context, *Handshake) {
	h := &Handshake{}
	return context.WithValue(ctx, handshakeKey{}, h), h
}

func handshakeOf(ctx context.Context) *Handshake {
	h, _ := ctx.Value(handshakeKey{}).(*Handshake)
	return h
}
