package router

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// authority is an ACME server: it checks challenges as a real one does, at the
// router's addresses instead of the ports 80 and 443, and no signatures.
type authority struct {
	*httptest.Server
	t          *testing.T
	challenges []string // the types that it offers
	http, tls  string   // where it asks

	mu      sync.Mutex
	key     *ecdsa.PrivateKey
	root    *x509.Certificate
	orders  []*order
	refuses bool
}

type order struct {
	name  string
	valid bool
	cert  []byte
}

func startAuthority(t *testing.T, challenges ...string) *authority {
	t.Helper()
	a := &authority{t: t, challenges: challenges}
	var err error
	if a.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		t.Fatal(err)
	}
	a.root = &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority"}, NotBefore: now().Add(-time.Hour), NotAfter: now().Add(time.Hour * 24 * 365),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, a.root, a.root, &a.key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	if a.root, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	a.Server = httptest.NewTLSServer(http.HandlerFunc(a.serve))
	t.Cleanup(a.Close)
	return a
}

// made returns how many certificates were ordered.
func (a *authority) made() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.orders)
}

func (a *authority) refuse(yes bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.refuses = yes
}

func (a *authority) serve(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	w.Header().Set("Replay-Nonce", strconv.FormatInt(now().UnixNano(), 16))
	var signed struct{ Payload string }
	_ = json.NewDecoder(r.Body).Decode(&signed)
	payload, _ := base64.RawURLEncoding.DecodeString(signed.Payload)
	say := func(status int, v any) {
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(v)
	}
	part := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	var o *order
	if len(part) > 1 {
		if n, err := strconv.Atoi(part[1]); err == nil && n < len(a.orders) {
			o = a.orders[n]
		}
	}
	switch part[0] {
	case "dir":
		say(200, map[string]string{"newNonce": a.URL + "/nonce", "newAccount": a.URL + "/account", "newOrder": a.URL + "/order"})
	case "nonce":
	case "account":
		w.Header().Set("Location", a.URL+"/account/1")
		say(201, map[string]string{"status": "valid"})
	case "order":
		if o == nil {
			if a.refuses {
				say(429, map[string]any{"type": "urn:ietf:params:acme:error:rateLimited", "detail": "too many certificates", "status": 429})
				return
			}
			var asked struct{ Identifiers []struct{ Value string } }
			_ = json.Unmarshal(payload, &asked)
			o = &order{name: asked.Identifiers[0].Value}
			part = append(part, strconv.Itoa(len(a.orders)))
			a.orders = append(a.orders, o)
			w.Header().Set("Location", a.URL+"/order/"+part[1])
			say(201, a.order(o, part[1]))
			return
		}
		say(200, a.order(o, part[1]))
	case "authz":
		var all []map[string]string
		for _, kind := range a.challenges {
			all = append(all, map[string]string{"type": kind, "url": a.URL + "/challenge/" + part[1] + "/" + kind, "token": "token" + part[1], "status": "pending"})
		}
		say(200, map[string]any{"status": o.status(), "identifier": map[string]string{"type": "dns", "value": o.name}, "challenges": all})
	case "challenge":
		a.mu.Unlock()
		err := a.validate(part[2], o.name, "token"+part[1])
		a.mu.Lock()
		if o.valid = err == nil; err != nil {
			a.t.Errorf("%s of %s: %v", part[2], o.name, err)
		}
		say(200, map[string]string{"type": part[2], "url": a.URL + r.URL.Path, "token": "token" + part[1], "status": "processing"})
	case "finalize":
		var asked struct{ CSR string }
		_ = json.Unmarshal(payload, &asked)
		der, _ := base64.RawURLEncoding.DecodeString(asked.CSR)
		o.cert = a.sign(der)
		say(200, a.order(o, part[1]))
	case "cert":
		_, _ = w.Write(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: o.cert}))
		_, _ = w.Write(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.root.Raw}))
	}
}

func (o *order) status() string {
	if o.valid {
		return "valid"
	}
	return "pending"
}

func (a *authority) order(o *order, n string) map[string]any {
	status := "pending"
	switch {
	case o.cert != nil:
		status = "valid"
	case o.valid:
		status = "ready"
	}
	return map[string]any{
		"status": status, "identifiers": []map[string]string{{"type": "dns", "value": o.name}},
		"authorizations": []string{a.URL + "/authz/" + n}, "finalize": a.URL + "/finalize/" + n, "certificate": a.URL + "/cert/" + n,
	}
}

func (a *authority) sign(csr []byte) []byte {
	req, err := x509.ParseCertificateRequest(csr)
	if err != nil {
		a.t.Error(err)
		return nil
	}
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(now().UnixNano()), DNSNames: req.DNSNames, NotBefore: now().Add(-time.Hour), NotAfter: now().Add(90 * 24 * time.Hour),
	}, a.root, req.PublicKey, a.key)
	if err != nil {
		a.t.Error(err)
	}
	return der
}

// validate asks for what only the router of the name can have.
func (a *authority) validate(kind, name, token string) error {
	if kind == "http-01" {
		req, err := http.NewRequest("GET", "http://"+a.http+"/.well-known/acme-challenge/"+token, nil)
		if err != nil {
			return err
		}
		req.Host = name
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		if err == nil && (resp.StatusCode != 200 || !strings.HasPrefix(string(b), token+".")) {
			err = fmt.Errorf("answer %d %q", resp.StatusCode, b)
		}
		return err
	}
	c, err := tls.Dial("tcp", a.tls, &tls.Config{ServerName: name, NextProtos: []string{"acme-tls/1"}, InsecureSkipVerify: true})
	if err != nil {
		return err
	}
	defer c.Close()
	for _, e := range c.ConnectionState().PeerCertificates[0].Extensions {
		if e.Id.Equal(asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 1, 31}) {
			return nil
		}
	}
	return fmt.Errorf("%v is no answer to a challenge", c.ConnectionState().PeerCertificates[0].DNSNames)
}

// secured asks for host by HTTPS, trusting the authority alone.
func (a *authority) secured(r *running, host string) (string, error) {
	roots := x509.NewCertPool()
	roots.AddCert(a.root)
	tr := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, ServerName: host}, ForceAttemptHTTP2: true}
	defer tr.CloseIdleConnections()
	req, err := http.NewRequest("GET", "https://"+r.router.TLSAddr().String(), nil)
	if err != nil {
		return "", err
	}
	req.Host = host
	resp, err := (&http.Client{Transport: tr, Timeout: 20 * time.Second}).Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return string(b) + resp.Header.Get("Strict-Transport-Security"), err
}

func TestCertificatesOfAnAuthority(t *testing.T) {
	for _, kind := range []string{"http-01", "tls-alpn-01"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			s := startRedis(t)
			a := startAuthority(t, kind)
			start := func() *running {
				r := startRouter(t, s, func(c *Config) {
					c.ListenTLS, c.ACME, c.ACMEDirectory = "127.0.0.1:0", true, a.URL+"/dir"
					c.ACMERoots = x509.NewCertPool()
					c.ACMERoots.AddCert(a.Certificate())
				})
				a.http, a.tls = r.addr, r.router.TLSAddr().String()
				return r
			}
			r := start()
			s.list("app.example.com", named(t, "up").URL)
			s.list("*.example.com", named(t, "wild").URL)
			s.do("HSET", "settings:app.example.com", "redirect", "https", "hsts", "60")
			for range 2 {
				if got, err := a.secured(r, "app.example.com"); err != nil || got != "upmax-age=60" {
					t.Fatalf("%q, %v\n%s", got, err, r.log)
				}
			}
			if got := r.get("app.example.com", "/"); got.status != 308 || got.header.Get("Strict-Transport-Security") != "" {
				t.Errorf("by HTTP: %+v", got)
			}
			if !strings.Contains(r.metrics(), `mepc_router_certificate_days_left{name="app.example.com"} 89.`) {
				t.Errorf("no days left in\n%s", r.metrics())
			}
			// Another router on the same Redis has the certificate, too.
			if got, err := a.secured(start(), "app.example.com"); err != nil || got != "upmax-age=60" {
				t.Errorf("the second router: %q, %v", got, err)
			}
			// Names without a list of their own spend nothing.
			for _, host := range []string{"any.example.com", "example.org", ""} {
				if _, err := a.secured(r, host); err == nil {
					t.Errorf("there is a certificate for %q", host)
				}
			}
			if n := a.made(); n != 1 {
				t.Errorf("%d certificates were ordered", n)
			}
			a.refuse(true)
			s.list("late.example.com", named(t, "late").URL)
			for range 2 {
				if _, err := a.secured(r, "late.example.com"); err == nil {
					t.Error("there is a certificate that was refused")
				}
			}
			if n := strings.Count(r.log.String(), "there is no certificate for a host"); n != 1 {
				t.Errorf("the refusal is logged %d times:\n%s", n, r.log)
			}
			if got, err := a.secured(r, "app.example.com"); err != nil || got != "upmax-age=60" {
				t.Errorf("the others: %q, %v", got, err)
			}
		})
	}
}

func TestSeveralCertificatesByName(t *testing.T) {
	s := startRedis(t)
	dir := t.TempDir()
	var certs, keys []string
	for _, name := range []string{"a.example.com", "b.example.com"} {
		cert, key := filepath.Join(dir, name+".pem"), filepath.Join(dir, name+".key")
		writePair(t, cert, key, name)
		certs, keys = append(certs, cert), append(keys, key)
	}
	r := startRouter(t, s, func(c *Config) {
		c.ListenTLS, c.TLSCert, c.TLSKey = "127.0.0.1:0", strings.Join(certs, ","), strings.Join(keys, ",")
	})
	for asked, want := range map[string]string{
		"a.example.com": "a.example.com", "B.example.com": "b.example.com", "c.example.com": "a.example.com", "": "a.example.com",
	} {
		c, err := tls.Dial("tcp", r.router.TLSAddr().String(), &tls.Config{ServerName: asked, InsecureSkipVerify: true})
		if err != nil {
			t.Fatal(err)
		}
		if got := c.ConnectionState().PeerCertificates[0].Subject.CommonName; got != want {
			t.Errorf("asked for %q: %q", asked, got)
		}
		_ = c.Close()
	}
}
