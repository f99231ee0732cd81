package http_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/mepc/mepc-run/internal/failure"
)

func TestLogins(t *testing.T) {
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.Header.Get("Authorization")) }))
	defer elsewhere.Close()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/away" {
			http.Redirect(w, r, elsewhere.URL, http.StatusFound)
			return
		}
		user, password, _ := r.BasicAuth()
		fmt.Fprintf(w, "%s|%s|%s", user, password, r.Header.Get("Authorization"))
	}))
	defer s.Close()
	for source, want := range map[string]string{
		`http.get(url, {basic = {username = "ci", password = token}})`:               "ci|tok-123456|Basic Y2k6dG9rLTEyMzQ1Ng==",
		`http.post(url, {bearer = token})`:                                           "||Bearer tok-123456",
		`http.get(url .. "/away", {basic = {username = "a", password = "b"}})`:       "",
		`http.get(url .. "/away", {bearer = "abc"})`:                                 "",
		`http.request{url = url, basic = {username = "\195\169", password = "p w"}}`: "é|p w|Basic w6k6cCB3",
	} {
		if got := must(t, s.URL, fmt.Sprintf("local body = %s.body return body == %q or body", source, want)); got != true {
			t.Errorf("%s: %q", source, got)
		}
	}
	for source, text := range map[string]string{
		`http.get(url, {basic = {username = "a:b", password = "c"}})`:              "basic.username: it has a colon",
		`http.get(url, {basic = {username = "a"}})`:                                "basic.password: string expected",
		`http.get(url, {bearer = "a\nb"})`:                                         "bearer: it has characters",
		`http.get(url, {bearer = "a", basic = {username = "a", password = "b"}})`:  "exclude each other",
		`http.get(url, {bearer = "a", headers = {authorization = "x"}})`:           "exclude each other",
		`http.get(url, {cert = "c.pem"})`:                                          "cert and key are given together",
		`http.get(url, {cert = "/nonexistent/c.pem", key = "/nonexistent/k.pem"})`: "cert and key: open /nonexistent/c.pem",
	} {
		fails(t, s.URL, source, failure.Invalid, text)
	}
}

func TestAServerThatWantsACertificateGetsOurs(t *testing.T) {
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, len(r.TLS.PeerCertificates))
	}))
	s.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert}
	s.StartTLS()
	defer s.Close()
	dir := t.TempDir()
	own := s.TLS.Certificates[0]
	key, err := x509.MarshalPKCS8PrivateKey(own.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{
		"cert.pem": {Type: "CERTIFICATE", Bytes: own.Certificate[0]}, "key.pem": {Type: "PRIVATE KEY", Bytes: key},
	} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	files := fmt.Sprintf(`ca = %q, cert = %q, key = %[3]q`, filepath.Join(dir, "cert.pem"), filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"))
	if got := must(t, s.URL, `return http.get(url, {`+files+`}).body`); got != "1" {
		t.Errorf("the server saw %v certificates", got)
	}
	fails(t, s.URL, fmt.Sprintf(`http.get(url, {ca = %q})`, filepath.Join(dir, "cert.pem")), failure.Auth, "certificate")
}
