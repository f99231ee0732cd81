// Package certificate has TLS certificates from files, which are renewed while
// servers go on. Start with Read.
package certificate

import (
	"crypto/tls"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/mepc/mepc-run/internal/clock"
)

// checkEvery is the shortest interval between two looks at the files.
const checkEvery = time.Second

// Certificate is a key pair from files, read again at a handshake when a file has
// changed. A pair that cannot be read leaves the old one in use.
type Certificate struct {
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

// Read reads the files. log gets a line when they are reloaded, or cannot be.
func Read(certFile, keyFile string, clk clock.Clock, log *slog.Logger) (*Certificate, error) {
	c := &Certificate{certFile: certFile, keyFile: keyFile, clock: clk, log: log}
	var err error
	if c.stamp, err = c.look(); err == nil {
		err = c.load()
	}
	if err != nil {
		return nil, err
	}
	c.checked = c.clock.Now()
	return c, nil
}

// Config returns the configuration of a server with the certificate.
func (c *Certificate) Config() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			return c.Current(), nil
		},
	}
}

// Current returns the pair to use now.
func (c *Certificate) Current() *tls.Certificate {
	now := c.clock.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	if now.Sub(c.checked) < checkEvery {
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
		c.log.Info("TLS certificate reloaded", "file", c.certFile)
	case c.said != err.Error():
		// Half of a pair is normal for a moment while it is being replaced; it is
		// tried again at the next look.
		c.said = err.Error()
		c.log.Warn("TLS certificate cannot be read; the old one stays in use", "error", err)
	}
	return c.pair
}

func (c *Certificate) look() (stamp, error) {
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

func (c *Certificate) load() error {
	pair, err := tls.LoadX509KeyPair(c.certFile, c.keyFile)
	if err != nil {
		return err
	}
	c.pair = &pair
	return nil
}
