package servers

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/client"

	"github.com/mepc/mepc-run/internal/failure"
)

// certificates makes a CA that is also the certificate of 127.0.0.1 and of
// clients, with its key, in PEM.
func certificates(t *testing.T) (ca, cert, key []byte) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "engine"}, NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	b, err := x509.MarshalECPrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	cert = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	return cert, cert, pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: b})
}

// certDir puts certificates where DOCKER_CERT_PATH has them.
func certDir(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	ca, cert, key := certificates(t)
	for name, b := range map[string][]byte{"ca.pem": ca, "cert.pem": cert, "key.pem": key} {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// tlsEngine serves an engine's ping with the certificates in dir, and asks
// clients for theirs.
func tlsEngine(t *testing.T, dir string) string {
	t.Helper()
	pair, err := tls.LoadX509KeyPair(filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"))
	if err != nil {
		t.Fatal(err)
	}
	ca, err := os.ReadFile(filepath.Join(dir, "ca.pem"))
	if err != nil {
		t.Fatal(err)
	}
	pool, err := certPool(ca)
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewUnstartedServer(http.HandlerFunc(pong))
	s.TLS = &tls.Config{Certificates: []tls.Certificate{pair}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: pool}
	s.Config.ErrorLog = quiet()
	s.StartTLS()
	t.Cleanup(s.Close)
	return "tcp://" + s.Listener.Addr().String()
}

func pong(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Api-Version", "1.41")
	w.Header().Set("Ostype", "linux")
}

// engineAt serves h, which gets every request but the ping.
func engineAt(t *testing.T, h http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/_ping") {
			pong(w, r)
			return
		}
		h(w, r)
	}))
	s.Config.ErrorLog = quiet()
	s.Start()
	t.Cleanup(s.Close)
	return "tcp://" + s.Listener.Addr().String()
}

// raw listens and writes what it is given to each connection once a request has
// come.
func raw(t *testing.T, answer string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = c.Read(make([]byte, 4096))
			_, _ = io.WriteString(c, answer)
			c.Close()
		}
	}()
	return "tcp://" + l.Addr().String()
}

func TestAnEngineThatCannotBeReached(t *testing.T) {
	certs, others := certDir(t), certDir(t)
	noCert := t.TempDir()
	ca, err := os.ReadFile(filepath.Join(certs, "ca.pem"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(noCert, "ca.pem"), ca, 0o600); err != nil {
		t.Fatal(err)
	}
	dead := filepath.Join(t.TempDir(), "d.sock")
	l, err := net.Listen("unix", dead)
	if err != nil {
		t.Fatal(err)
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	l.Close()
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	page := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(page.Close)
	kind := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>hello") }))
	t.Cleanup(kind.Close)
	old := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Api-Version", "1.24") }))
	t.Cleanup(old.Close)
	of := func(s *httptest.Server) DockerEndpoint {
		return DockerEndpoint{Host: "tcp://" + s.Listener.Addr().String()}
	}

	for name, tt := range map[string]struct {
		ep   DockerEndpoint
		kind failure.Kind
		want []string
	}{
		"no socket":               {DockerEndpoint{Host: "unix:///nonexistent/d.sock"}, failure.Unavailable, []string{"no engine at unix:///nonexistent/d.sock: there is no such socket", "systemctl start docker"}},
		"a dead socket":           {DockerEndpoint{Host: "unix://" + dead}, failure.Unavailable, []string{"connection refused", "systemctl start docker"}},
		"a closed port":           {DockerEndpoint{Host: "tcp://" + closed.Addr().String()}, failure.Unavailable, []string{"connection refused", "is the engine running?"}},
		"a web server":            {of(page), failure.Unavailable, []string{"is not a Docker engine: 404 page not found", "check the address"}},
		"a friendly web server":   {of(kind), failure.Unavailable, []string{"is not a Docker engine: its answer names no API version"}},
		"another protocol":        {DockerEndpoint{Host: raw(t, "-ERR unknown command 'HEAD'\r\n")}, failure.Unavailable, []string{"is not a Docker engine: malformed HTTP"}},
		"an old engine":           {of(old), failure.Unavailable, []string{"is too old: it speaks API 1.24, and 1.25 is the least", "update the engine"}},
		"plain HTTP to a TLS one": {DockerEndpoint{Host: tlsEngine(t, certs)}, failure.Auth, []string{"wants TLS", "DOCKER_CERT_PATH"}},
		"TLS alerts":              {DockerEndpoint{Host: raw(t, "\x15\x03\x01\x00\x02\x02\x50")}, failure.Auth, []string{"wants TLS"}},
		"TLS to a plain one":      {DockerEndpoint{Host: of(page).Host, CertPath: certs}, failure.Auth, []string{"does not speak TLS", "unset DOCKER_TLS_VERIFY"}},
		"another CA's":            {DockerEndpoint{Host: tlsEngine(t, certs), CertPath: others}, failure.Auth, []string{"shows a certificate that is not trusted", "check ca.pem"}},
		"no client certificate":   {DockerEndpoint{Host: tlsEngine(t, certs), CertPath: noCert}, failure.Auth, []string{"refuses the TLS connection", "client certificate"}},
		"cut":                     {DockerEndpoint{Host: raw(t, "")}, failure.Unavailable, []string{"the connection was cut before it had answered"}},
	} {
		t.Run(name, func(t *testing.T) {
			w := Live(Options{})
			defer w.Close()
			ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
			defer cancel()
			_, _, err := w.Docker(ctx, tt.ep)
			wantFailure(t, err, tt.kind, tt.want...)
			t.Log(err)
		})
	}
}

func TestASocketThatIsNotOurs(t *testing.T) {
	if os.Getuid() == 0 {
		// Root may use every socket: what the kernel says to others is given here.
		x := &Exchange{Endpoint: "unix:///var/run/docker.sock"}
		x.err = dialError{&net.OpError{Op: "dial", Err: os.NewSyscallError("connect", os.ErrPermission)}}
		wantFailure(t, x.Failure(t.Context(), errors.New("client's words")), failure.Auth,
			"you may not use the engine's socket unix:///var/run/docker.sock: permission denied", "usermod -aG docker")
		return
	}
	path := filepath.Join(t.TempDir(), "d.sock")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := os.Chmod(path, 0); err != nil {
		t.Fatal(err)
	}
	_, _, err = Live(Options{}).Docker(t.Context(), DockerEndpoint{Host: "unix://" + path})
	wantFailure(t, err, failure.Auth, "permission denied", "usermod -aG docker")
}

func TestTLSWithTheRightCertificatesWorks(t *testing.T) {
	certs := certDir(t)
	w := Live(Options{})
	defer w.Close()
	c, name, err := w.Docker(t.Context(), DockerEndpoint{Host: tlsEngine(t, certs), CertPath: certs})
	if err != nil {
		t.Fatal(err)
	}
	if c.ClientVersion() != "1.41" || !strings.HasPrefix(name, "tcp://127.0.0.1:") {
		t.Errorf("version %s at %s", c.ClientVersion(), name)
	}
}

// create makes a call that changes something, and inspect one that does not.
func create(ctx context.Context, c *client.Client) error {
	_, err := c.ContainerCreate(ctx, &container.Config{Image: "x"}, nil, nil, nil, "app")
	return err
}

func inspect(ctx context.Context, c *client.Client) error {
	_, err := c.ContainerInspect(ctx, "app")
	return err
}

func TestWhatAnEngineAnswersBecomesAKind(t *testing.T) {
	status := func(code int, text string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(code)
			fmt.Fprintf(w, "{\"message\":%q}", text)
		}
	}
	write := func(text string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, text) }
	}
	cut := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "1000")
		_, _ = io.WriteString(w, `{"Id":`)
		panic(http.ErrAbortHandler)
	}
	abort := func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }
	for name, tt := range map[string]struct {
		answer http.HandlerFunc
		read   failure.Kind // of inspect
		write  failure.Kind // of create
		want   string
	}{
		"400":            {status(400, "bad parameter"), failure.Invalid, failure.Invalid, "bad parameter"},
		"401":            {status(401, "authorization denied by plugin"), failure.Auth, failure.Auth, "authorization denied by plugin"},
		"403":            {status(403, "no"), failure.Auth, failure.Auth, "credentials"},
		"404":            {status(404, "No such container: app"), failure.NotFound, failure.NotFound, "No such container: app"},
		"409":            {status(409, "Conflict."), failure.Conflict, failure.Conflict, "Conflict."},
		"500":            {status(500, "no space left on device"), failure.Refused, failure.Refused, "no space left on device"},
		"503":            {status(503, "starting"), failure.Unavailable, failure.Unavailable, "starting"},
		"500, no words":  {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) }, failure.Refused, failure.Refused, "500"},
		"a newer API":    {status(400, "client version 1.51 is too old. Minimum supported API version is 1.60"), failure.Unavailable, failure.Unavailable, "update mepc-run"},
		"a gateway":      {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(502); fmt.Fprint(w, "<html>Bad Gateway") }, failure.Unavailable, failure.Unavailable, "Bad Gateway"},
		"garbage":        {write("<html>hello"), failure.Unavailable, failure.Unknown, "its answer makes no sense"},
		"half an answer": {cut, failure.Unavailable, failure.Unknown, "the connection was cut before it had answered"},
		"no answer":      {abort, failure.Unavailable, failure.Unknown, "the connection was cut before it had answered"},
		"another type":   {write(`{"Id":7}`), failure.Unavailable, failure.Unknown, "its answer makes no sense"},
		"nothing at all": {write(""), failure.Unavailable, failure.Unknown, "the connection was cut"},
	} {
		t.Run(name, func(t *testing.T) {
			w := Live(Options{})
			defer w.Close()
			c, at, err := w.Docker(t.Context(), DockerEndpoint{Host: engineAt(t, tt.answer)})
			if err != nil {
				t.Fatal(err)
			}
			x := &Exchange{Endpoint: at}
			wantFailure(t, x.Failure(t.Context(), inspect(x.Watch(t.Context()), c)), tt.read, tt.want)
			x = &Exchange{Endpoint: at, Mutates: true}
			err = x.Failure(t.Context(), create(x.Watch(t.Context()), c))
			wantFailure(t, err, tt.write, tt.want)
			if f := failure.As(err); f.Retryable && f.Kind != failure.Unavailable {
				t.Error("a call that may have been done is said to be retryable")
			}
			if !x.Sent() {
				t.Error("nothing is said to have been sent")
			}
		})
	}
}

func TestAHungEngineIsATimeout(t *testing.T) {
	release := make(chan struct{})
	at := engineAt(t, func(http.ResponseWriter, *http.Request) { <-release })
	t.Cleanup(func() { close(release) })
	w := Live(Options{})
	defer w.Close()
	c, name, err := w.Docker(t.Context(), DockerEndpoint{Host: at})
	if err != nil {
		t.Fatal(err)
	}
	for _, mutates := range []bool{false, true} {
		ctx, cancel := context.WithTimeoutCause(t.Context(), 50*time.Millisecond, failure.New(failure.Timeout, "no answer within 50ms"))
		x := &Exchange{Endpoint: name, Mutates: mutates}
		err := x.Failure(ctx, create(x.Watch(ctx), c))
		cancel()
		want := "allow more with timeout="
		if mutates {
			want = "look before trying again"
		}
		wantFailure(t, err, failure.Timeout, "no answer within 50ms", want)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(failure.New(failure.Cancelled, "Ctrl-C"))
	x := &Exchange{Endpoint: name}
	wantFailure(t, x.Failure(ctx, inspect(x.Watch(ctx), c)), failure.Cancelled, "Ctrl-C")
}

func TestAHungEngineDoesNotHoldUpTheFirstCall(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0") // accepts, and never answers
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ctx, cancel := context.WithTimeoutCause(t.Context(), 50*time.Millisecond, failure.New(failure.Timeout, "no answer within 50ms"))
	defer cancel()
	_, _, err = Live(Options{}).Docker(ctx, DockerEndpoint{Host: "tcp://" + l.Addr().String()})
	wantFailure(t, err, failure.Timeout, "slow or hangs")
}

func Test304IsSeen(t *testing.T) {
	w := Live(Options{})
	defer w.Close()
	c, name, err := w.Docker(t.Context(), DockerEndpoint{Host: engineAt(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(304) })})
	if err != nil {
		t.Fatal(err)
	}
	x := &Exchange{Endpoint: name, Mutates: true}
	if err := c.ContainerStart(x.Watch(t.Context()), "app", container.StartOptions{}); err != nil || !x.NotModified() {
		t.Errorf("err %v, not modified %v", err, x.NotModified())
	}
}

func TestNoProxyOfTheEnvironmentIsUsed(t *testing.T) {
	t.Setenv("HTTP_PROXY", "http://127.0.0.1:1")
	t.Setenv("http_proxy", "http://127.0.0.1:1")
	w := Live(Options{})
	defer w.Close()
	shell, wire, _, err := w.dockerTransport(target{url: "tcp://10.0.0.1:2375"})
	if err != nil || shell.Proxy != nil || wire.Proxy != nil {
		t.Error("a proxy is set")
	}
}

func TestClosingTheWorldClosesItsConnections(t *testing.T) {
	closed := make(chan struct{}, 1)
	s := httptest.NewUnstartedServer(http.HandlerFunc(pong))
	s.Config.ConnState = func(_ net.Conn, st http.ConnState) {
		if st == http.StateClosed {
			closed <- struct{}{}
		}
	}
	s.Start()
	defer s.Close()
	w := Live(Options{})
	if _, _, err := w.Docker(t.Context(), DockerEndpoint{Host: "tcp://" + s.Listener.Addr().String()}); err != nil {
		t.Fatal(err)
	}
	w.Close()
	select {
	case <-closed:
	case <-time.After(5 * time.Second):
		t.Error("the connection is still open")
	}
}
