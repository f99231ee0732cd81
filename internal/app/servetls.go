package app

import (
	"crypto/tls"
	"log/slog"
	"net"

	"github.com/mepc/mepc-run/internal/certificate"
	"github.com/mepc/mepc-run/internal/clock"
	"github.com/mepc/mepc-run/internal/failure"
)

// withTLS serves TLS at l, with a certificate that may be renewed.
func withTLS(l net.Listener, cert, key string, clk clock.Clock, log *slog.Logger) (net.Listener, error) {
	c, err := certificate.Read(cert, key, clk, log)
	if err != nil {
		return nil, failure.Wrap(failure.Auth, err, "read the certificate %s", cert)
	}
	config := c.Config()
	config.NextProtos = []string{"http/1.1"}
	return tls.NewListener(l, config), nil
}
