package router

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
	"time"
)

func TestABrokenUploadIsNotTheBackendsFault(t *testing.T) {
	s := startRedis(t)
	r := startRouter(t, s)
	b := serving(t, func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) })
	s.list("app", b.URL)
	conn, err := net.Dial("tcp", r.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprint(conn, "POST / HTTP/1.1\r\nHost: app\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\nnot a length\r\n")
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil || resp.StatusCode != http.StatusBadRequest {
		t.Errorf("%v %v", resp, err)
	}
	eventually(t, "the count", func() bool {
		st, _ := r.state(b.URL)
		return st.Total == 1 && st.InFlight == 0 && st.Errors == 0
	})
}

func TestAResponseThatBreaksOffBreaksOffForTheClient(t *testing.T) {
	s := startRedis(t)
	r := startRouter(t, s)
	b := serving(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "100")
		fmt.Fprint(w, "half")
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	})
	s.list("app", b.URL)
	if got, err := r.do(r.request("GET", "app", "/", nil)); err == nil {
		t.Errorf("the client took %q for whole", got.body)
	}
	eventually(t, "the count", func() bool {
		st, _ := r.state(b.URL)
		return st.InFlight == 0 && st.ErrorsBy["cut"] == 1 && st.Errors == 1
	})
}

func TestBigAndChunkedBodiesPassBothWays(t *testing.T) {
	s := startRedis(t)
	r := startRouter(t, s)
	b := serving(t, func(w http.ResponseWriter, r *http.Request) {
		// Echoing while the request still comes: without this net/http's server
		// itself would swallow part of it.
		_ = http.NewResponseController(w).EnableFullDuplex()
		w.Header().Set("Trailer", "X-Sum")
		n, _ := io.Copy(w, r.Body)
		w.Header().Set("X-Sum", fmt.Sprint(n))
	})
	s.list("app", b.URL)
	body := bytes.Repeat([]byte("0123456789"), 300_000)
	for _, known := range []bool{true, false} {
		var rd io.Reader = bytes.NewReader(body)
		if !known {
			rd = io.MultiReader(rd)
		}
		resp, err := r.client.Do(r.request("POST", "app", "/", rd))
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if err != nil || !bytes.Equal(got, body) || resp.Trailer.Get("X-Sum") != "3000000" {
			t.Errorf("length known %v: %v, %d bytes, trailer %v", known, err, len(got), resp.Trailer)
		}
	}
}

func TestABackendMayAnswerWhileItReads(t *testing.T) {
	s := startRedis(t)
	r := startRouter(t, s)
	b := serving(t, func(w http.ResponseWriter, r *http.Request) {
		c := http.NewResponseController(w)
		_ = c.EnableFullDuplex()
		w.WriteHeader(200)
		_ = c.Flush()
		n, err := io.Copy(io.Discard, r.Body)
		fmt.Fprint(w, n, err)
	})
	s.list("app", b.URL)
	body, in := io.Pipe()
	go func() {
		for range 1000 {
			_, _ = in.Write(make([]byte, 1000))
		}
		_ = in.Close()
	}()
	if got, err := r.do(r.request("POST", "app", "/", body)); err != nil || got.body != "1000000 <nil>" {
		t.Errorf("the backend read %s, %v", got.body, err)
	}
}

// A backend refuses an upload half-way and the client waits to hear it.
func TestAnEarlyRefusalReachesTheClient(t *testing.T) {
	s := startRedis(t)
	r := startRouter(t, s)
	b := serving(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusRequestEntityTooLarge) })
	s.list("app", b.URL)
	conn, err := net.Dial("tcp", r.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprint(conn, "POST / HTTP/1.1\r\nHost: app\r\nContent-Length: 10000000\r\n\r\nhalf")
	_ = conn.SetReadDeadline(now().Add(5 * time.Second))
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil || resp.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("%v %v", resp, err)
	}
}

func TestASmallBodyIsSentOnOnceItIsWhole(t *testing.T) {
	s := startRedis(t)
	r := startRouter(t, s)
	asked := make(chan struct{}, 2)
	b := serving(t, func(w http.ResponseWriter, _ *http.Request) {
		asked <- struct{}{}
		http.Error(w, "not read", http.StatusMethodNotAllowed)
	})
	s.list("app", b.URL)
	conn, err := net.Dial("tcp", r.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	answers := bufio.NewReader(conn)
	for range 2 { // the connection is good for another request afterwards
		fmt.Fprint(conn, "POST / HTTP/1.1\r\nHost: app\r\nContent-Length: 8\r\n\r\nhalf")
		eventually(t, "the request under way", func() bool {
			r.router.proxy.active.mu.Lock()
			defer r.router.proxy.active.mu.Unlock()
			return r.router.proxy.active.n > 0
		})
		select {
		case <-asked:
			t.Fatal("the backend was asked before the body was there")
		default:
		}
		fmt.Fprint(conn, "half")
		resp, err := http.ReadResponse(answers, nil)
		if err != nil || resp.StatusCode != http.StatusMethodNotAllowed || resp.Close {
			t.Fatalf("%v %v", resp, err)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		<-asked
	}
}
