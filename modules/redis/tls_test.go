package redis_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/internal/lab"
)

// certificates writes a CA and a certificate that it signed for localhost, and
// returns the directory.
func certificates(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	ca := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test CA"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "localhost"},
		NotBefore: ca.NotBefore, NotAfter: ca.NotAfter,
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	caKey, key := newKey(t), newKey(t)
	write := func(name, kind string, der []byte, err error) {
		if err != nil {
			t.Fatal(err)
		}
		text := pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, ca, ca, &caKey.PublicKey, caKey)
	write("ca.pem", "CERTIFICATE", der, err)
	der, err = x509.CreateCertificate(rand.Reader, leaf, ca, &key.PublicKey, caKey)
	write("cert.pem", "CERTIFICATE", der, err)
	der, err = x509.MarshalECPrivateKey(key)
	write("key.pem", "EC PRIVATE KEY", der, err)
	return dir
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func TestTLS(t *testing.T) {
	dir, port := certificates(t), freePort(t)
	b, _, _ := start(t, lab.RedisOptions{Args: []string{
		fmt.Sprint("tls-port ", port), "tls-cert-file " + dir + "/cert.pem", "tls-key-file " + dir + "/key.pem",
		"tls-ca-cert-file " + dir + "/ca.pem", "tls-auth-clients yes",
	}})
	full := fmt.Sprintf("rediss://localhost:%d/2?ca=%s/ca.pem&cert=%[2]s/cert.pem&key=%[2]s/key.pem", port, dir)
	b.url = full
	b.must(`r:set("k", 1) r:multi(function(tx) tx:get("k") end)`)
	if want := fmt.Sprintf("rediss://localhost:%d/2", port); b.events.ends[0].Op.Endpoint != want {
		t.Errorf("endpoint %s", b.events.ends[0].Op.Endpoint)
	}
	b.url = fmt.Sprintf("rediss://127.0.0.1:%d?cert=%s/cert.pem&key=%[2]s/key.pem", port, dir)
	b.fails(failure.Auth, `r:get("k")`, "TLS with 127.0.0.1", "certificate", "ca")
	b.url += "&insecure=true"
	b.must(`r:get("k")`)
	b.url = full + "&server_name=elsewhere"
	b.fails(failure.Auth, `r:get("k")`, "elsewhere")
	b.url = fmt.Sprintf("rediss://localhost:%d?ca=%s/ca.pem", port, dir)
	if _, err := b.run(`r:set("k", 1)`); failure.KindOf(err) != failure.Unavailable && failure.KindOf(err) != failure.Auth {
		t.Errorf("without a client certificate: %v", err)
	}
	b.url = fmt.Sprintf("redis://localhost:%d", port)
	b.fails(failure.Unavailable, `r:set("k", 1)`, "rediss://", "Nothing was sent")
	b.url = "rediss://localhost:6379?ca=/nowhere/ca.pem"
	b.fails(failure.Invalid, ``, "/nowhere/ca.pem")
}
