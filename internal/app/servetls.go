package app

import (
	"crypto/tls"
	"net"

	"github.com/mepc/mepc-run/internal/failure"
)

// withTLS makes of l a listener that speaks TLS, with a certificate that is read
// now: one that cannot be is told at the start.
func withTLS(l net.Listener, cert, key string) (net.Listener, error) {
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		return nil, failure.Wrap(failure.Auth, err, "read the certificate %s", cert)
	}
	return tls.NewListener(l, &tls.Config{
		Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"},
	}), nil
}
