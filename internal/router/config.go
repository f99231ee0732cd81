package router

import (
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/mepc/mepc-run/internal/clock"
)

// Config is all a Router needs to know. Zero values mean the defaults given
// here; a negative duration means "no limit" where that is said.
type Config struct {
	// Listen is the host:port for plain HTTP, ListenTLS the one for HTTPS (with
	// HTTP/2). One may be empty. Port 0 takes a free one, see Router.Addr.
	Listen    string
	ListenTLS string
	// Admin is the host:port of the admin server (see admin.go); empty is off.
	// It has no authentication: keep it on loopback.
	Admin string

	// TLSCert and TLSKey are PEM files, read again when they change. Several have
	// commas between them; the first serves names that none is for.
	TLSCert string
	TLSKey  string
	// ACME has an authority certify each host that has a list of its own, when it is
	// first asked for; its terms are taken as agreed to. Certificates, and their keys,
	// are kept in Redis. See certificates.go.
	ACME bool
	// ACMEDirectory is the authority's; Let's Encrypt.
	ACMEDirectory string
	// ACMEEmail is the address the authority writes to.
	ACMEEmail string
	// ACMERoots verify the authority itself; nil means the machine's.
	ACMERoots *x509.CertPool

	// Redis must have ContextTimeoutEnabled and MaxRetries -1, so that
	// RedisTimeout holds. The caller closes it after Run has returned.
	Redis redis.UniversalClient
	// RedisTimeout bounds one read of the lists; 250 ms.
	RedisTimeout time.Duration
	// DeadTTL is the time a backend that could not be dialled is avoided; 30 s.
	// Redis counts in whole seconds.
	DeadTTL time.Duration

	// DialTimeout bounds connecting to a backend; 2 s.
	DialTimeout time.Duration
	// ResponseTimeout bounds the wait for a backend's response header, after the
	// request was sent; 60 s, negative for no limit. Past it the client gets 504.
	ResponseTimeout time.Duration

	// BodyTimeout bounds the wait for the next byte of a request's body; 1 min.
	BodyTimeout time.Duration
	// ReadHeaderTimeout bounds the reading of a request's header; 10 s.
	ReadHeaderTimeout time.Duration
	// IdleTimeout closes client connections without a request; 2 min.
	IdleTimeout time.Duration
	// MaxHeaderBytes bounds a request's header; 64 KiB.
	MaxHeaderBytes int

	// Inherited are listeners that were opened before the router, by systemd: each
	// serves the one of the addresses above that has its port.
	Inherited []net.Listener
	// TakeOver has the router that runs with the same admin address (without one, the
	// same first address) hand its sockets over and stop. See handover.go.
	TakeOver bool
	// Linger is the time for which, once Run's context has ended, connections are still
	// accepted, and idle ones left open to be closed after one more answer; 1 s,
	// negative for not at all.
	Linger time.Duration
	// Grace is the time that requests in flight, WebSockets included, may go on after
	// Run's context has ended; 30 s.
	Grace time.Duration

	// Keeper keeps the table, for a start while Redis is away; nil is none.
	Keeper Keeper

	// TrustForwarded keeps the X-Forwarded-Proto and X-Forwarded-Host that a
	// request brings. Set it only behind a proxy that sets them itself.
	TrustForwarded bool

	// AddressRate and AddressInFlight bound what one client address may ask: requests
	// a second, and at one time. 0 means no limit.
	AddressRate, AddressInFlight int

	// AccessLog gets one line a request (see accesslog.go); nil is off. AccessJSON
	// has it in JSON.
	AccessLog  io.Writer
	AccessJSON bool
	// Log gets what an operator should know; nil discards it.
	Log *slog.Logger
	// Clock defaults to the machine's.
	Clock clock.Clock
}

// Validate reports the first thing in c that cannot work.
func (c *Config) Validate() error {
	if c.Listen == "" && c.ListenTLS == "" {
		return errors.New("router: no address to listen on: set Listen or ListenTLS, such as :8080")
	}
	for _, a := range []struct{ name, addr string }{
		{"Listen", c.Listen}, {"ListenTLS", c.ListenTLS}, {"Admin", c.Admin},
	} {
		if a.addr == "" {
			continue
		}
		if _, _, err := net.SplitHostPort(a.addr); err != nil {
			return fmt.Errorf("router: %s address: %w; it is host:port, such as 127.0.0.1:8080 or :8080", a.name, err)
		}
	}
	switch {
	case (c.TLSCert == "") != (c.TLSKey == ""), strings.Count(c.TLSCert, ",") != strings.Count(c.TLSKey, ","):
		return errors.New("router: TLSCert and TLSKey go together")
	case c.ListenTLS != "" && c.TLSCert == "" && !c.ACME:
		return errors.New("router: ListenTLS needs TLSCert and TLSKey, or ACME")
	case c.ListenTLS == "" && c.ACME:
		return errors.New("router: ACME needs ListenTLS")
	case c.ListenTLS == "" && c.TLSCert != "":
		return errors.New("router: TLSCert and TLSKey need ListenTLS")
	case c.RedisTimeout < 0, c.DeadTTL < 0, c.DialTimeout < 0, c.BodyTimeout < 0, c.ReadHeaderTimeout < 0, c.IdleTimeout < 0, c.Grace < 0:
		return errors.New("router: a timeout is negative")
	case c.DeadTTL%time.Second != 0:
		return fmt.Errorf("router: DeadTTL is %v: Redis keeps it in whole seconds", c.DeadTTL)
	case c.AddressRate < 0, c.AddressInFlight < 0:
		return errors.New("router: a limit is negative")
	case c.MaxHeaderBytes < 0:
		return errors.New("router: MaxHeaderBytes is negative")
	}
	return checkClient(c.Redis)
}

// checkClient refuses a client on which our timeouts would not hold: by default
// go-redis ignores a context's deadline and tries three more times.
func checkClient(client redis.UniversalClient) error {
	var obeys bool
	switch c := client.(type) {
	case nil:
		return errors.New("router: no Redis client")
	case *redis.Client:
		obeys = c.Options().ContextTimeoutEnabled && c.Options().MaxRetries <= 0
	case *redis.ClusterClient:
		obeys = c.Options().ContextTimeoutEnabled
	default:
		return nil // a Ring or a test's own: nothing to ask
	}
	if !obeys {
		return errors.New("router: the Redis client needs ContextTimeoutEnabled: true and MaxRetries: -1")
	}
	return nil
}

// withDefaults returns c with every zero value replaced.
func (c Config) withDefaults() Config {
	orDuration := func(d *time.Duration, def time.Duration) {
		if *d == 0 {
			*d = def
		}
	}
	orDuration(&c.RedisTimeout, 250*time.Millisecond)
	orDuration(&c.DeadTTL, 30*time.Second)
	orDuration(&c.DialTimeout, 2*time.Second)
	orDuration(&c.ResponseTimeout, time.Minute)
	orDuration(&c.BodyTimeout, time.Minute)
	orDuration(&c.ReadHeaderTimeout, 10*time.Second)
	orDuration(&c.IdleTimeout, 2*time.Minute)
	orDuration(&c.Grace, 30*time.Second)
	orDuration(&c.Linger, time.Second)
	if c.MaxHeaderBytes == 0 {
		c.MaxHeaderBytes = 64 << 10
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Clock == nil {
		c.Clock = clock.Wall{}
	}
	return c
}
