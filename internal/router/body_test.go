package router

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
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

// A slow upload reaches the backend as it comes, be its length known or not.
func TestASlowBodyIsSentOnAsItComes(t *testing.T) {
	s := startRedis(t)
	r := startRouter(t, s)
	read := make(chan string)
	b := serving(t, func(_ http.ResponseWriter, req *http.Request) {
		piece := make([]byte, 100)
		for {
			n, err := req.Body.Read(piece)
			if n > 0 {
				read <- string(piece[:n])
			}
			if err != nil {
				return
			}
		}
	})
	s.list("app", b.URL)
	for name, length := range map[string]int64{"known": smallBody + 5, "unknown": -1} {
		body, in := io.Pipe()
		req := r.request("POST", "app", "/", body)
		req.ContentLength = length
		done := make(chan reply, 1)
		go func() {
			got, _ := r.do(req)
			done <- got
		}()
		for _, piece := range []string{"one", "two"} {
			_, _ = io.WriteString(in, piece)
			select {
			case got := <-read:
				if got != piece {
					t.Errorf("length %s: the backend read %q, want %q", name, got, piece)
				}
			case <-time.After(20 * time.Second):
				t.Fatalf("length %s: %q was held back", name, piece)
			}
		}
		go func() {
			_, _ = in.Write(make([]byte, max(length-6, 0)))
			_ = in.Close()
		}()
		for wait := true; wait; {
			select {
			case <-read:
			case got := <-done:
				if wait = false; got.status != 200 {
					t.Errorf("length %s: %+v", name, got)
				}
			}
		}
	}
}

func TestABodyThatStopsEnds(t *testing.T) {
	s := startRedis(t)
	r := startRouter(t, s, func(c *Config) { c.BodyTimeout = 50 * time.Millisecond })
	b := serving(t, func(_ http.ResponseWriter, req *http.Request) { _, _ = io.Copy(io.Discard, req.Body) })
	s.list("app", b.URL)
	for _, length := range []string{"Content-Length: 10", "Content-Length: 1000000", "Transfer-Encoding: chunked"} {
		statuses, closed := r.speak("POST / HTTP/1.1\r\nHost: app\r\n" + length + "\r\n\r\n3\r\nabc\r\n")
		if len(statuses) != 1 || statuses[0] != http.StatusRequestTimeout || !closed {
			t.Errorf("%s: %v, closed: %v", length, statuses, closed)
		}
	}
	if st, _ := r.state(b.URL); st.InFlight != 0 {
		t.Errorf("%d in flight", st.InFlight)
	}
}

func TestTrailersPassBothWays(t *testing.T) {
	s := startRedis(t)
	r := startRouter(t, s)
	var got http.Header
	b := serving(t, func(w http.ResponseWriter, req *http.Request) {
		_, _ = io.Copy(io.Discard, req.Body)
		got = req.Trailer
		w.Header().Set("Trailer", "Sum")
		fmt.Fprint(w, "body")
		w.Header().Set("Sum", "2")
	})
	s.list("app", b.URL)
	req := r.request("POST", "app", "/", io.MultiReader(strings.NewReader("body")))
	req.Trailer = http.Header{"Sum": {"1"}}
	resp, err := r.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body)
	if got.Get("Sum") != "1" || resp.Trailer.Get("Sum") != "2" {
		t.Errorf("the backend got %v, the client %v", got, resp.Trailer)
	}
}
