package router

import (
	"crypto/tls"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mepc/mepc-run/internal/lab"
)

// writePair writes a self-signed pair for name.
func writePair(t *testing.T, cert, key, name string) {
	t.Helper()
	if err := lab.WriteCertificate(cert, key, name, now()); err != nil {
		t.Fatal(err)
	}
}

func TestCertificatesAreReadAgainWhenTheyChange(t *testing.T) {
	s := startRedis(t)
	c := &offsetClock{}
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "c.pem"), filepath.Join(dir, "k.pem")
	writePair(t, cert, key, "first")
	var proto string
	b := serving(t, func(_ http.ResponseWriter, r *http.Request) { proto = r.Header.Get("X-Forwarded-Proto") })
	s.list("app", b.URL)
	r := startRouter(t, s, func(cfg *Config) {
		cfg.ListenTLS, cfg.TLSCert, cfg.TLSKey, cfg.Clock = "127.0.0.1:0", cert, key, c
	})
	// served makes a request on a new connection and returns the certificate's name.
	served := func() string {
		t.Helper()
		tr := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, ForceAttemptHTTP2: true} // it is the name that is tested
		defer tr.CloseIdleConnections()
		req, err := http.NewRequest("GET", "https://"+r.router.TLSAddr().String(), nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Host = "app"
		resp, err := tr.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != 200 || resp.ProtoMajor != 2 || proto != "https" {
			t.Errorf("%s %s, the backend was told %q", resp.Status, resp.Proto, proto)
		}
		return resp.TLS.PeerCertificates[0].Subject.CommonName
	}
	if got := served(); got != "first" {
		t.Errorf("served %q", got)
	}
	r.wants("app", 200, "") // plain HTTP beside it

	writePair(t, cert, key, "second")
	if got := served(); got != "first" {
		t.Errorf("looked at the files again within a second: %q", got)
	}
	c.forward(2 * time.Second)
	if got := served(); got != "second" {
		t.Errorf("served %q", got)
	}

	// Half a pair, then none, then a whole one.
	for _, breakIt := range []func(){
		func() { _ = os.WriteFile(key, []byte("not yet"), 0o600) },
		func() { _ = os.Remove(cert) },
	} {
		breakIt()
		for range 3 {
			c.forward(2 * time.Second)
			if got := served(); got != "second" {
				t.Errorf("served %q", got)
			}
		}
	}
	if n := strings.Count(r.log.String(), "the old one stays in use"); n != 2 {
		t.Errorf("two failures were logged %d times", n)
	}
	writePair(t, cert, key, "third")
	c.forward(2 * time.Second)
	if got := served(); got != "third" {
		t.Errorf("served %q", got)
	}
}
