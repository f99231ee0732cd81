package router

import (
	"bytes"
	"crypto/x509"
	"encoding/binary"
	"encoding/json"
	"encoding/pem"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The same against Let's Encrypt's own test server, which checks signatures, too, and
// refuses some nonces on purpose: make test-acme.
func TestCertificatesOfPebble(t *testing.T) {
	program := os.Getenv("MEPC_TEST_PEBBLE")
	if program == "" {
		t.Skip("MEPC_TEST_PEBBLE names no pebble: make test-acme")
	}
	s := startRedis(t)
	own := httptest.NewTLSServer(http.NotFoundHandler()) // for its certificate
	own.Close()
	roots := x509.NewCertPool()
	roots.AddCert(own.Certificate())
	api, management := freeAddr(t), freeAddr(t)
	r := startRouter(t, s, func(c *Config) {
		c.ListenTLS, c.ACME, c.ACMEDirectory, c.ACMERoots = "127.0.0.1:0", true, "https://"+api+"/dir", roots
	})
	startPebble(t, program, own, r, api, management)

	client := own.Client()
	issuer := &authority{}
	eventually(t, "pebble to answer", func() bool {
		resp, err := client.Get("https://" + management + "/roots/0")
		if err != nil {
			return false
		}
		defer resp.Body.Close()
		b, _ := io.ReadAll(resp.Body)
		block, _ := pem.Decode(b)
		issuer.root, err = x509.ParseCertificate(block.Bytes)
		return err == nil
	})
	for _, host := range []string{"one.example.com", "two.example.com"} {
		s.list(host, named(t, host).URL)
		if got, err := issuer.secured(r, host); err != nil || got != host {
			t.Errorf("%s: %q, %v\n%s", host, got, err, r.log)
		}
	}
	if _, err := issuer.secured(r, "three.example.com"); err == nil {
		t.Error("there is a certificate for a host without a list")
	}
}

func startPebble(t *testing.T, program string, own *httptest.Server, r *running, api, management string) {
	t.Helper()
	dir := t.TempDir()
	write := func(name, kind string, der []byte) string {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	key, err := x509.MarshalPKCS8PrivateKey(own.TLS.Certificates[0].PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	config, err := json.Marshal(map[string]any{"pebble": map[string]any{
		"listenAddress": api, "managementListenAddress": management,
		"certificate": write("c.pem", "CERTIFICATE", own.Certificate().Raw), "privateKey": write("k.pem", "PRIVATE KEY", key),
		"httpPort": r.router.Addr().(*net.TCPAddr).Port, "tlsPort": r.router.TLSAddr().(*net.TCPAddr).Port,
		"profiles": map[string]any{"default": map[string]any{"description": "of the test", "validityPeriod": 7776000}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "config.json")
	if err := os.WriteFile(file, config, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "-config", file, "-dnsserver", everyNameIsHere(t))
	cmd.Env = append(os.Environ(), "PEBBLE_VA_NOSLEEP=1")
	said := &lockedBuffer{}
	cmd.Stdout, cmd.Stderr = said, said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Log(said.String())
		}
	})
}

// everyNameIsHere starts a DNS server, over TCP, to which every name is 127.0.0.1.
func everyNameIsHere(t *testing.T) (addr string) {
	t.Helper()
	return strings.TrimPrefix(rawBackend(t, func(c net.Conn) {
		for {
			length := make([]byte, 2)
			if _, err := io.ReadFull(c, length); err != nil {
				return
			}
			b := make([]byte, binary.BigEndian.Uint16(length))
			if _, err := io.ReadFull(c, b); err != nil || len(b) < 17 {
				return
			}
			// The question, without what may follow it, and an answer if it is for an address.
			end := 12 + bytes.IndexByte(b[12:], 0) + 5
			answer := append([]byte{b[0], b[1], 0x81, 0x80, 0, 1, 0, 0, 0, 0, 0, 0}, b[12:end]...)
			if binary.BigEndian.Uint16(b[end-4:]) == 1 {
				answer[7] = 1
				answer = append(answer, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 127, 0, 0, 1)
			}
			_, _ = c.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(answer))), answer...))
		}
	}), "http://")
}
