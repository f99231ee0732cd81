package app_test

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// recorded puts proxies in front of DOCKER_HOST and REDIS_URL, which must be unix
// sockets. At the script's end it fails unless both were asked, and all that they
// saw were reads.
func recorded(t *testing.T, ts *testscript.TestScript) {
	r := &recording{}
	r.docker(ts, strings.TrimPrefix(ts.Getenv("DOCKER_HOST"), "unix://"))
	u, err := url.Parse(ts.Getenv("REDIS_URL"))
	ts.Check(err)
	r.redis(ts, u)
	ts.Defer(func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		if len(r.requests) == 0 || len(r.commands) == 0 {
			t.Errorf("the proxies saw %d requests and %d commands", len(r.requests), len(r.commands))
		}
		for _, req := range r.requests {
			if method, _, _ := strings.Cut(req, " "); method != "GET" && method != "HEAD" {
				t.Errorf("the engine was sent %s", req)
			}
		}
		for _, cmd := range r.commands {
			if !slices.Contains([]string{"HELLO", "SCAN", "TYPE", "PTTL", "GET", "LRANGE", "SMEMBERS"}, cmd) {
				t.Errorf("Redis was sent %s", cmd)
			}
		}
		t.Logf("seen: %d requests, %d commands", len(r.requests), len(r.commands))
	})
}

type recording struct {
	mu       sync.Mutex
	requests []string
	commands []string
}

func (r *recording) docker(ts *testscript.TestScript, socket string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	proxy := &httputil.ReverseProxy{
		Rewrite: func(p *httputil.ProxyRequest) { p.Out.URL.Scheme, p.Out.URL.Host = "http", "engine" },
		Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", socket)
		}},
	}
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		r.mu.Lock()
		r.requests = append(r.requests, req.Method+" "+req.URL.Path)
		r.mu.Unlock()
		proxy.ServeHTTP(w, req)
	})}
	go srv.Serve(l)
	ts.Defer(func() { srv.Close() })
	ts.Setenv("DOCKER_HOST", "tcp://"+l.Addr().String())
}

func (r *recording) redis(ts *testscript.TestScript, u *url.URL) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	ts.Defer(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go r.relay(c, u.Path)
		}
	}()
	front := &url.URL{Scheme: "redis", User: u.User, Host: l.Addr().String()}
	ts.Setenv("REDIS_URL", front.String())
}

// relay passes commands on as it reads them.
func (r *recording) relay(c net.Conn, socket string) {
	defer c.Close()
	back, err := net.Dial("unix", socket)
	if err != nil {
		return
	}
	defer back.Close()
	go io.Copy(c, back)
	in := bufio.NewReader(io.TeeReader(c, back))
	for {
		count, err := length(in, '*')
		if err != nil {
			return
		}
		for i := range count {
			size, err := length(in, '$')
			if err != nil {
				return
			}
			word := make([]byte, size+2)
			if _, err := io.ReadFull(in, word); err != nil {
				return
			}
			if i == 0 {
				r.mu.Lock()
				r.commands = append(r.commands, strings.ToUpper(string(word[:size])))
				r.mu.Unlock()
			}
		}
	}
}

func length(r *bufio.Reader, kind byte) (int, error) {
	line, err := r.ReadString('\n')
	if err != nil || line[0] != kind {
		return 0, io.ErrUnexpectedEOF
	}
	return strconv.Atoi(strings.TrimSpace(line[1:]))
}
