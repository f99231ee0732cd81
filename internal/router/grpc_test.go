package router

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
)

// A call as gRPC makes it: both sides speak in turns on one stream, and the outcome is
// in a trailer.
func TestCallsBothWaysByHTTP2(t *testing.T) {
	s := startRedis(t)
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "c.pem"), filepath.Join(dir, "k.pem")
	writePair(t, cert, key, "app")
	r := startRouter(t, s, func(c *Config) { c.ListenTLS, c.TLSCert, c.TLSKey = "127.0.0.1:0", cert, key })
	b := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/grpc")
		w.WriteHeader(200)
		flush := http.NewResponseController(w).Flush
		_ = flush()
		for lines := bufio.NewScanner(r.Body); lines.Scan(); {
			fmt.Fprintf(w, "%s %s\n", r.Proto, lines.Text())
			_ = flush()
		}
		w.Header().Set(http.TrailerPrefix+"Grpc-Status", "0")
	}))
	b.Config.Protocols = &http.Protocols{}
	b.Config.Protocols.SetUnencryptedHTTP2(true)
	b.Start()
	defer b.Close()
	s.list("app", b.URL)
	s.do("HSET", "settings:app", "protocol", "http2")

	tr := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, ForceAttemptHTTP2: true}
	defer tr.CloseIdleConnections()
	body, say := io.Pipe()
	req, err := http.NewRequest("POST", "https://"+r.router.TLSAddr().String()+"/svc/Call", body)
	if err != nil {
		t.Fatal(err)
	}
	req.Host = "app"
	req.Header.Set("Te", "trailers")
	resp, err := tr.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	lines := bufio.NewReader(resp.Body)
	for _, word := range []string{"one", "two"} {
		_, _ = io.WriteString(say, word+"\n")
		if got, err := lines.ReadString('\n'); err != nil || got != "HTTP/2.0 "+word+"\n" {
			t.Fatalf("said %s, heard %q, %v", word, got, err)
		}
	}
	_ = say.Close()
	if _, err := lines.ReadByte(); err != io.EOF || resp.Trailer.Get("Grpc-Status") != "0" || resp.ProtoMajor != 2 {
		t.Errorf("it ended with %v, trailers %v, by %s", err, resp.Trailer, resp.Proto)
	}

	// Ordinary requests, too, and the limits hold: one that does not answer is marked.
	if got, err := r.do(r.request("POST", "app", "/", strings.NewReader("hello\n"))); err != nil || got.body != "HTTP/2.0 hello\n" {
		t.Errorf("%+v, %v", got, err)
	}
	b.Config.Handler = http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	s.do("HSET", "settings:app", "timeout", "100ms")
	r.wants("app", 504, "")
	s.list("app", refusing(t))
	r.wants("app", 502, "could be reached")
}
