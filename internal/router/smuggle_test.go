package router

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// speak sends raw bytes to the router, closes its side of the connection when half
// says so, and returns the status of each response and whether the router closed.
func (r *running) speak(raw string) (statuses []int, closed bool) {
	r.t.Helper()
	conn, err := net.Dial("tcp", r.addr)
	if err != nil {
		r.t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second)) // ends a hang
	go func() { _, _ = io.WriteString(conn, raw) }()
	in := bufio.NewReader(conn)
	for {
		resp, err := http.ReadResponse(in, nil)
		if err != nil {
			return statuses, true
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		statuses = append(statuses, resp.StatusCode)
		if resp.Close {
			_, err := in.ReadByte()
			return statuses, err != nil
		}
	}
}

// smuggled is a request that hides behind another. Were it served, a backend would
// see its path.
const smuggled = "GET /smuggled HTTP/1.1\r\nHost: app\r\nConnection: close\r\n\r\n"

// smugglers are requests after which a server may not parse another one.
var smugglers = map[string]string{
	"a chunk size that is none":        "Transfer-Encoding: chunked\r\n\r\nzz\r\n",
	"a chunk size that is negative":    "Transfer-Encoding: chunked\r\n\r\n-1\r\n",
	"a chunk size that is too long":    "Transfer-Encoding: chunked\r\n\r\nfffffffffffffffffff\r\n",
	"a chunk size with a sign":         "Transfer-Encoding: chunked\r\n\r\n+0\r\n\r\n",
	"a chunk size in another notation": "Transfer-Encoding: chunked\r\n\r\n0x0\r\n\r\n",
	"a chunk that is longer":           "Transfer-Encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n",
	"a chunk without its end":          "Transfer-Encoding: chunked\r\n\r\n1\r\na0\r\n\r\n",
	"a bad chunk after a good one":     "Transfer-Encoding: chunked\r\n\r\n1\r\na\r\nx\r\n",
	"a bare line feed in a chunk":      "Transfer-Encoding: chunked\r\n\r\n0;a\nb\r\n\r\n",
	"a size on a line that has no end": "Transfer-Encoding: chunked\r\n\r\n" + strings.Repeat("0", 70_000),
	"a length beside chunks":           "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
	"chunks before a length":           "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
	"two lengths":                      "Content-Length: 0\r\nContent-Length: 5\r\n\r\n",
	"two lengths in one":               "Content-Length: 0, 5\r\n\r\n",
	"a length with a sign":             "Content-Length: +0\r\n\r\n",
	"a length that is negative":        "Content-Length: -1\r\n\r\n",
	"two encodings":                    "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
	"an encoding that is not known":    "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
	"identity and chunked":             "Transfer-Encoding: identity, chunked\r\n\r\n0\r\n\r\n",
	"chunked twice":                    "Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
	"a space before the colon":         "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
	"a header that is folded":          "Content-Length: 0\r\nTransfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
	"a vertical tab in the encoding":   "Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
	"a NUL in a header":                "X: \x00\r\nContent-Length: 0\r\n\r\n",
	"a carriage return in a header":    "X: a\rContent-Length: 9\r\n\r\n",
	"two hosts":                        "Host: other\r\nContent-Length: 0\r\n\r\n",
	"a line without a colon":           "Content-Length\r\n\r\n",
}

// Whatever the way in which a request's end is unclear: nothing that comes after
// it is a request.
func TestNothingIsSmuggled(t *testing.T) {
	s := startRedis(t)
	r := startRouter(t, s)
	var got atomic.Bool
	for _, answer := range []string{"after it was read", "before it was read", "never reading"} {
		b := serving(t, func(w http.ResponseWriter, req *http.Request) {
			if req.URL.Path == "/smuggled" {
				got.Store(true)
			}
			switch answer {
			case "before it was read":
				_ = http.NewResponseController(w).EnableFullDuplex()
				w.WriteHeader(http.StatusAccepted)
				_ = http.NewResponseController(w).Flush()
				_, _ = io.Copy(io.Discard, req.Body)
			case "after it was read":
				_, _ = io.Copy(io.Discard, req.Body)
			}
		})
		s.list("app", b.URL)
		for name, head := range smugglers {
			for _, host := range []string{"app", "nobody"} {
				statuses, closed := r.speak("POST / HTTP/1.1\r\nHost: " + host + "\r\n" + head + smuggled)
				if !closed || len(statuses) > 1 {
					t.Errorf("%s, host %s, answered %s: %v, closed: %v", name, host, answer, statuses, closed)
				}
				if got.Swap(false) {
					t.Errorf("%s, host %s, answered %s: a request was smuggled", name, host, answer)
				}
			}
		}
	}
}

// Bodies broken at random: at most as many requests are served as were whole.
func TestBodiesBrokenAtRandomSmuggleNothing(t *testing.T) {
	s := startRedis(t)
	r := startRouter(t, s)
	var got atomic.Bool
	b := serving(t, func(_ http.ResponseWriter, req *http.Request) {
		if req.URL.Path == "/smuggled" {
			got.Store(true)
		}
		_, _ = io.Copy(io.Discard, req.Body)
	})
	s.list("app", b.URL)
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		body := []byte("4\r\nwiki\r\n5;x=y\r\npedia\r\n0\r\nX-T: 1\r\n\r\n")
		at := rnd.IntN(len(body) - 4)
		body[at] = "\x00\r\n\tzZ9-+ ;:"[rnd.IntN(12)]
		raw := fmt.Sprintf("POST / HTTP/1.1\r\nHost: app\r\nTransfer-Encoding: chunked\r\n\r\n%s%s", body, smuggled)
		if statuses, closed := r.speak(raw); len(statuses) > 1 || !closed || got.Swap(false) {
			t.Errorf("%q: %v, closed: %v", body, statuses, closed)
		}
	}
}

// What is well formed goes on on its connection, except after chunks.
func TestOrdinaryRequestsShareAConnection(t *testing.T) {
	s := startRedis(t)
	r := startRouter(t, s)
	s.list("app", named(t, "b").URL)
	for name, test := range map[string]struct {
		first string
		want  int
	}{
		"no body":       {"GET / HTTP/1.1\r\nHost: app\r\n\r\n", 2},
		"a small body":  {"POST / HTTP/1.1\r\nHost: app\r\nContent-Length: 3\r\n\r\nabc", 2},
		"a big body":    {"POST / HTTP/1.1\r\nHost: app\r\nContent-Length: 100000\r\n\r\n" + strings.Repeat("x", 100_000), 1},
		"chunks":        {"POST / HTTP/1.1\r\nHost: app\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", 1},
		"unknown host":  {"POST / HTTP/1.1\r\nHost: nobody\r\nContent-Length: 3\r\n\r\nabc", 2},
		"not permitted": {"CONNECT app:80 HTTP/1.1\r\nHost: app:80\r\n\r\n", 1},
	} {
		statuses, closed := r.speak(test.first + "GET / HTTP/1.1\r\nHost: app\r\nConnection: close\r\n\r\n")
		if len(statuses) < test.want || !closed {
			t.Errorf("%s: %v, closed: %v", name, statuses, closed)
		}
	}
}
