package app

import (
	"crypto/tls"
	"log/slog"
	"net"
	"path/filepath"
	"testing"
	"time"

	"github.com/mepc/mepc-run/internal/clock"
	"github.com/mepc/mepc-run/internal/lab"
)

// How certificates are read again is tested in internal/router.
func TestARenewedCertificateIsTaken(t *testing.T) {
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	plain, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Close()
	clk, log := clock.NewVirtual(time.Now()), slog.New(slog.DiscardHandler)
	if _, err := serverTLS(cert, key, clk, log); err == nil {
		t.Error("a missing certificate is not an error")
	}
	for i, name := range []string{"first", "second"} {
		if err := lab.WriteCertificate(cert, key, name, time.Now()); err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			config, err := serverTLS(cert, key, clk, log)
			if err != nil {
				t.Fatal(err)
			}
			go greet(tls.NewListener(plain, config))
		}
		if err := clk.Sleep(t.Context(), time.Minute); err != nil {
			t.Fatal(err)
		}
		c, err := tls.Dial("tcp", plain.Addr().String(), &tls.Config{InsecureSkipVerify: true}) // it is the name that is tested
		if err != nil {
			t.Fatal(err)
		}
		if got := c.ConnectionState().PeerCertificates[0].Subject.CommonName; got != name {
			t.Errorf("the certificate is that of %s, want %s", got, name)
		}
		_ = c.Close()
	}
}

// greet completes handshakes.
func greet(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		_ = c.(*tls.Conn).Handshake()
		_ = c.Close()
	}
}
