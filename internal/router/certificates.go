package router

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"golang.org/x/crypto/acme"
	"golang.org/x/crypto/acme/autocert"

	"github.com/mepc/mepc-run/internal/certificate"
)

const (
	challengePath = "/.well-known/acme-challenge/"
	acmePrefix    = "acme:"
	// acmeTimeout bounds one read or write of a certificate in Redis.
	acmeTimeout = 5 * time.Second
	// sayAgain is the interval at which the same trouble with a certificate is logged.
	sayAgain = time.Minute
)

// certificates are those of all hosts: from files, by the name that a client asks
// for, and for hosts that have none, from an authority. A certificate that expired is
// served all the same: the client says what is wrong better than a broken handshake.
type certificates struct {
	cfg       *Config
	files     []*certificate.Certificate
	manager   *autocert.Manager // nil without an authority
	challenge http.Handler      // what the authority asks for by HTTP

	mu     sync.Mutex
	issued map[string]time.Time // when those of the authority expire
	said   map[string]time.Time // what was logged
}

func newCertificates(cfg *Config, t *table, rd *reader) (*certificates, error) {
	c := &certificates{cfg: cfg, issued: make(map[string]time.Time), said: make(map[string]time.Time)}
	keys := strings.Split(cfg.TLSKey, ",")
	for i, name := range strings.Split(cfg.TLSCert, ",") {
		if name == "" {
			continue
		}
		f, err := certificate.Read(name, keys[i], cfg.Clock, cfg.Log)
		if err != nil {
			return nil, err
		}
		c.files = append(c.files, f)
	}
	if !cfg.ACME {
		return c, nil
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	if cfg.ACMERoots != nil {
		transport.TLSClientConfig = &tls.Config{RootCAs: cfg.ACMERoots}
	}
	c.manager = &autocert.Manager{
		Prompt: autocert.AcceptTOS, Cache: acmeCache{cfg.Redis}, Email: cfg.ACMEEmail,
		Client: &acme.Client{DirectoryURL: cfg.ACMEDirectory, HTTPClient: &http.Client{Transport: transport, Timeout: time.Minute}, UserAgent: "mepc-run-router", RetryBackoff: retryAuthority},
		HostPolicy: func(ctx context.Context, host string) error {
			_ = rd.refresh(ctx, host) // else what was last known
			if !t.has(host) {
				return errNotOurs
			}
			return nil
		},
	}
	if cfg.Listen != "" {
		c.challenge = c.manager.HTTPHandler(nil)
	}
	return c, nil
}

// retryAuthority is short: a handshake waits, and the next one tries again in a minute.
func retryAuthority(n int, _ *http.Request, resp *http.Response) time.Duration {
	if n > 3 || resp.StatusCode == http.StatusTooManyRequests {
		return -1
	}
	return time.Duration(n) * 200 * time.Millisecond
}

// errNotOurs refuses a certificate for a name without a list of its own: anyone who asks
// for any name under a wildcard would spend what the authority gives in a week.
var errNotOurs = errors.New("the host has no list of its own")

func (c *certificates) config() *tls.Config {
	conf := &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: c.get, NextProtos: []string{"h2", "http/1.1"}}
	if c.manager != nil {
		conf.NextProtos = append(conf.NextProtos, acme.ALPNProto)
	}
	return conf
}

// get chooses a certificate for a handshake.
func (c *certificates) get(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	name := strings.ToLower(strings.TrimSuffix(hello.ServerName, "."))
	asked := slices.Contains(hello.SupportedProtos, acme.ALPNProto) // by the authority
	if name != "" && !asked {
		for _, f := range c.files {
			if pair := f.Current(); pair.Leaf.VerifyHostname(name) == nil {
				return pair, nil
			}
		}
	}
	err := errors.New("the client names no host")
	if c.manager != nil && name != "" {
		var pair *tls.Certificate
		if pair, err = c.manager.GetCertificate(hello); err == nil {
			if !asked && pair.Leaf != nil {
				c.mu.Lock()
				c.issued[name] = pair.Leaf.NotAfter
				c.mu.Unlock()
			}
			return pair, nil
		}
		c.complain(name, err)
	}
	if len(c.files) > 0 && !asked {
		return c.files[0].Current(), nil
	}
	return nil, fmt.Errorf("there is no certificate for %q: %w", name, err)
}

// complain logs that there is no certificate for name, once in a while.
func (c *certificates) complain(name string, err error) {
	if errors.Is(err, errNotOurs) {
		return // anybody can ask for anything
	}
	now := c.cfg.Clock.Now()
	c.mu.Lock()
	for name, at := range c.said {
		if now.Sub(at) >= sayAgain {
			delete(c.said, name)
		}
	}
	_, said := c.said[name]
	if !said {
		c.said[name] = now
	}
	c.mu.Unlock()
	if !said {
		c.cfg.Log.Warn("there is no certificate for a host", "host", name, "error", err)
	}
}

// expire returns when each certificate does, by name.
func (c *certificates) expire() map[string]time.Time {
	out := make(map[string]time.Time)
	for _, f := range c.files {
		leaf := f.Current().Leaf
		for _, name := range leaf.DNSNames {
			out[name] = leaf.NotAfter
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for name, at := range c.issued {
		out[name] = at
	}
	return out
}

// acmeCache keeps in Redis what autocert has to remember, so that all routers on it
// have one account, one certificate a host, and each other's challenges.
type acmeCache struct{ client redis.UniversalClient }

func (c acmeCache) Get(ctx context.Context, key string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, acmeTimeout)
	defer cancel()
	b, err := c.client.Get(ctx, acmePrefix+key).Bytes()
	if errors.Is(err, redis.Nil) {
		return nil, autocert.ErrCacheMiss
	}
	return b, err
}

func (c acmeCache) Put(ctx context.Context, key string, data []byte) error {
	ctx, cancel := context.WithTimeout(ctx, acmeTimeout)
	defer cancel()
	return c.client.Set(ctx, acmePrefix+key, data, 0).Err()
}

func (c acmeCache) Delete(ctx context.Context, key string) error {
	ctx, cancel := context.WithTimeout(ctx, acmeTimeout)
	defer cancel()
	return c.client.Del(ctx, acmePrefix+key).Err()
}
