package router

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/mepc/mepc-run/internal/clock"
)

// certCheckEvery is how often, at most, the files are looked at.
const certCheckEvery = time.Second

// certificate is a key pair from files, read again at a handshake when a file has
// changed. A pair that cannot be read leaves the old one in use.
type certificate struct {
	certFile, keyFile string
	clock             clock.Clock
	log               *slog.Logger

	mu      sync.Mutex
	pair    *tls.Certificate
	stamp   stamp // of the files pair was read from
	checked time.Time
	said    string // the last complaint, which is not repeated
}

// stamp tells two versions of the files apart.
type stamp struct {
	certTime, keyTime time.Time
	certSize, keySize int64
}

func newCertificate(cfg *Config) (*certificate, error) {
	c := &certificate{certFile: cfg.TLSCert, keyFile: cfg.TLSKey, clock: cfg.Clock, log: cfg.Log}
	var err error
	if c.stamp, err = c.look(); err == nil {
		err = c.load()
	}
	if err != nil {
		return nil, fmt.Errorf("router: load TLS certificate: %w", err)
	}
	c.checked = c.clock.Now()
	return c, nil
}

func (c *certificate) config() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			return c.current(), nil
		},
	}
}

// current returns the pair to use now.
func (c *certificate) current() *tls.Certificate {
	now := c.clock.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	if now.Sub(c.checked) < certCheckEvery {
		return c.pair
	}
	c.checked = now
	s, err := c.look()
	if err == nil {
		if s == c.stamp {
			return c.pair
		}
		err = c.load()
	}
	switch {
	case err == nil:
		c.stamp, c.said = s, ""
		c.log.Info("TLS certificate read again", "file", c.certFile)
	case c.said != err.Error():
		// Half of a pair is normal for a moment while it is being replaced; it is
		// tried again at the next look.
		c.said = err.Error()
		c.log.Warn("TLS certificate cannot be read; the old one stays in use", "error", err)
	}
	return c.pair
}

func (c *certificate) look() (stamp, error) {
	cert, err := os.Stat(c.certFile)
	if err != nil {
		return stamp{}, err
	}
	key, err := os.Stat(c.keyFile)
	if err != nil {
		return stamp{}, err
	}
	return stamp{cert.ModTime(), key.ModTime(), cert.Size(), key.Size()}, nil
}

func (c *certificate) load() error {
	pair, err := tls.LoadX509KeyPair(c.certFile, c.keyFile)
	if err != nil {
		return err
	}
	c.pair = &pair
	return nil
}
