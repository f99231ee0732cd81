package app

import (
	"crypto/tls"
	"log/slog"
	"net"
	"os"
	"sync"
	"time"

	"github.com/mepc/mepc-run/internal/failure"
)

// certificate is a server's, read again when its file has changed: certificates are
// renewed while the server goes on.
type certificate struct {
	cert, key string
	log       *slog.Logger

	mu   sync.Mutex
	pair *tls.Certificate
	of   time.Time // of the file when it was read
}

// get returns the certificate. One that cannot be read leaves the last in force.
func (c *certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	info, err := os.Stat(c.cert)
	if err == nil && info.ModTime().Equal(c.of) {
		return c.pair, nil
	}
	var pair tls.Certificate
	if err == nil {
		pair, err = tls.LoadX509KeyPair(c.cert, c.key)
	}
	switch {
	case err == nil:
		c.pair, c.of = &pair, info.ModTime()
	case c.pair == nil:
		return nil, failure.Wrap(failure.Auth, err, "read the certificate %s", c.cert)
	default:
		c.log.Error("the new certificate cannot be read, and the last one stays", "file", c.cert, "error", err)
	}
	return c.pair, nil
}

// withTLS serves TLS at l.
func withTLS(l net.Listener, cert, key string, log *slog.Logger) (net.Listener, error) {
	c := &certificate{cert: cert, key: key, log: log}
	if _, err := c.get(nil); err != nil {
		return nil, err
	}
	return tls.NewListener(l, &tls.Config{GetCertificate: c.get, MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}}), nil
}
