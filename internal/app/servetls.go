package app

import (
	"crypto/tls"
	"log/slog"

	"github.com/mepc/mepc-run/internal/certificate"
	"github.com/mepc/mepc-run/internal/clock"
	"github.com/mepc/mepc-run/internal/failure"
)

// serverTLS returns the configuration of a server whose certificate may be renewed.
func serverTLS(cert, key string, clk clock.Clock, log *slog.Logger) (*tls.Config, error) {
	c, err := certificate.Read(cert, key, clk, log)
	if err != nil {
		return nil, failure.Wrap(failure.Auth, err, "read the certificate %s", cert)
	}
	config := c.Config()
	config.NextProtos = []string{"http/1.1"}
	return config, nil
}
