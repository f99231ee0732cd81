package app_test

import (
	"context"
	"crypto/tls"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/mepc/mepc-run/internal/lab"
)

// server starts a server that misbehaves as its kind says and points DOCKER_HOST
// and REDIS_URL to it; $ADDRESS is its host:port.
func server(ts *testscript.TestScript, _ bool, args []string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	ts.Setenv("ADDRESS", l.Addr().String())
	ts.Setenv("DOCKER_HOST", "tcp://"+l.Addr().String())
	ts.Setenv("REDIS_URL", "redis://"+l.Addr().String())
	answer := func(w http.ResponseWriter, _ *http.Request) {}
	switch args[0] {
	case "away": // nobody listens
		ts.Check(l.Close())
		return
	case "hung": // takes connections and says nothing
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				go func() {
					defer c.Close()
					io.Copy(io.Discard, c)
				}()
			}
		}()
		ts.Defer(func() { l.Close() })
		return
	case "old": // an engine of 2013
		answer = func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Api-Version", "1.8") }
	case "cut": // an engine that goes away once it has read a call
		answer = func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Api-Version", "1.41")
			if r.URL.Path != "/_ping" {
				panic(http.ErrAbortHandler)
			}
		}
	case "web": // no engine at all
		answer = func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "<html>", http.StatusNotFound) }
	case "tls": // an engine that wants TLS
	default:
		ts.Fatalf("no server %s", args[0])
	}
	s := httptest.NewUnstartedServer(http.HandlerFunc(answer))
	s.Listener.Close()
	s.Listener = l
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	if args[0] == "tls" {
		s.TLS = &tls.Config{}
		s.StartTLS()
	} else {
		s.Start()
	}
	ts.Defer(s.Close)
}

// startRedis starts a Redis that wants a password, on the socket $SOCKET.
func startRedis(ts *testscript.TestScript, _ bool, args []string) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	r, err := lab.StartRedis(ctx, lab.RedisOptions{Password: args[0]})
	ts.Check(err)
	ts.Defer(func() { ts.Check(r.Stop()) })
	u, err := url.Parse(r.URL())
	ts.Check(err)
	ts.Setenv("SOCKET", u.Path)
}

// ownRedis starts a Redis for one test; atEnd registers its stop. In one that
// tests share, a list that a test left behind may hold an address that the engine
// gives to another test's container later, which bluegreen then leaves alone.
func ownRedis(atEnd func(func())) (*lab.Redis, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	r, err := lab.StartRedis(ctx, lab.RedisOptions{})
	if err == nil {
		atEnd(func() { _ = r.Stop() }) // what is left of one, the next lab clears
	}
	return r, err
}
