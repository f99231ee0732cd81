package router

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestErrorsOfTheRouterSayWhatIsWrong(t *testing.T) {
	s := startRedis(t)
	block := make(chan struct{})
	slow := serving(t, func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-block:
		case <-r.Context().Done():
		}
	})
	defer close(block)
	cuts := serving(t, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	r := startRouter(t, s, func(c *Config) { c.ResponseTimeout = 100 * time.Millisecond })
	s.list("empty")
	s.list("down", refusing(t), refusing(t))
	s.list("slow", slow.URL)
	s.list("cut", cuts.URL)
	for _, c := range []struct {
		host   string
		status int
		body   string
	}{
		{"nobody.example.com", 404, `router: "nobody.example.com" is not in the routing table`},
		{"empty", 503, `router: "empty" has no backend`},
		{"down", 502, `router: no backend of "down" could be reached`},
		{"slow", 504, `router: a backend of "slow" did not answer in time`},
		{"cut", 502, `router: a backend of "cut" broke off before it answered`},
	} {
		got := r.get(c.host, "/")
		if got.status != c.status || got.body != c.body+"\n" {
			t.Errorf("%s: %d %q, want %d %q", c.host, got.status, got.body, c.status, c.body)
		}
		if got.header.Get(errorHeader) != "error" || got.header.Get("Content-Type") != "text/plain; charset=utf-8" {
			t.Errorf("%s: header %v", c.host, got.header)
		}
	}
	own := serving(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(502) })
	s.list("own", own.URL)
	if got := r.get("own", "/"); got.status != 502 || got.header.Get(errorHeader) != "" {
		t.Errorf("a backend's own 502 came as %+v", got)
	}
}

func TestAFailedDialIsRetriedWithTheBody(t *testing.T) {
	s := startRedis(t)
	r := startRouter(t, s)
	echo := serving(t, func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		_, _ = w.Write(b)
	})
	s.list("app", refusing(t), refusing(t), echo.URL, refusing(t))
	body := strings.Repeat("payload ", 10_000)
	for range 8 {
		s.do("DEL", "dead:app")
		got, err := r.do(r.request("POST", "app", "/", io.NopCloser(strings.NewReader(body))))
		if err != nil || got.status != 200 || got.body != body {
			t.Fatalf("POST: %v, %d, %d bytes\n%s", err, got.status, len(got.body), r.log)
		}
	}
}

// The list is read again before the retry: the switch came between.
func TestARetryReadsTheListAgain(t *testing.T) {
	s := startRedis(t)
	r := startRouter(t, s)
	down, up := refusing(t), named(t, "up")
	s.list("app", down)
	x := &exchange{host: "app", keys: lookups("app"), want: &settings{}}
	if err := r.router.reader.refresh(context.Background(), "app"); err != nil {
		t.Fatal(err)
	}
	if err := r.router.table.pick(x, false); err != nil || x.backend.url != down {
		t.Fatal(err)
	}
	r.router.table.release(x, failDial)
	x.tried = append(x.tried, down)
	s.list("app", up.URL)
	x.ctx = context.WithValue(t.Context(), exchangeKey{}, x)
	resp, err := r.router.proxy.RoundTrip(r.request("GET", "app", "/", nil).WithContext(x.ctx))
	if err != nil || x.backend.url != up.URL {
		t.Fatalf("%v", err)
	}
	_ = resp.Body.Close()
	r.router.table.finish(x)
}

// rawBackend accepts connections and hands each to handle.
func rawBackend(t *testing.T, handle func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	t.Cleanup(func() { _ = l.Close(); wg.Wait() })
	wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { defer conn.Close(); handle(conn) })
		}
	})
	return "http://" + l.Addr().String()
}

func TestARequestThatMayHaveBeenSeenIsNotSentAgain(t *testing.T) {
	s := startRedis(t)
	r := startRouter(t, s)
	var seen atomic.Int32
	cut := func(conn net.Conn) {
		if req, err := http.ReadRequest(bufio.NewReader(conn)); err == nil {
			_, _ = io.Copy(io.Discard, req.Body)
			seen.Add(1)
		}
	}
	s.list("app", rawBackend(t, cut), rawBackend(t, cut))
	for i, method := range []string{"POST", "PUT", "DELETE", "PATCH", "GET"} {
		got, err := r.do(r.request(method, "app", "/", strings.NewReader("x")))
		if err != nil || got.status != 502 {
			t.Errorf("%s: %+v, %v", method, got, err)
		}
		if n := seen.Load(); n != int32(i+1) {
			t.Errorf("%s: backends saw %d requests after %d", method, n, i+1)
		}
	}
}

func TestForwardedHeaders(t *testing.T) {
	s := startRedis(t)
	var got http.Header
	var host, uri string
	b := serving(t, func(_ http.ResponseWriter, r *http.Request) {
		got, host, uri = r.Header.Clone(), r.Host, r.RequestURI
	})
	s.list("shop.example.com", b.URL+"/ignored?too=1")
	send := func(r *running) {
		req := r.request("GET", "Shop.Example.com:8080", "/a%2Fb//c?x=1;y=2&%zz", nil)
		req.Header.Set("X-Forwarded-For", "10.9.9.9")
		req.Header.Set("X-Forwarded-Proto", "https")
		req.Header.Set("X-Forwarded-Host", "evil.example.com")
		req.Header.Set("Connection", "X-Hop")
		req.Header.Set("X-Hop", "1")
		req.Header.Set("Proxy-Authorization", "secret")
		req.Header.Set("Te", "trailers")
		req.Header.Set("Cookie", "a=b")
		if _, err := r.do(req); err != nil {
			t.Fatal(err)
		}
	}
	check := func(h, want string) {
		t.Helper()
		if v := strings.Join(got[h], "|"); v != want {
			t.Errorf("%s is %q, want %q", h, v, want)
		}
	}
	send(startRouter(t, s))
	if host != "Shop.Example.com:8080" || uri != "/a%2Fb//c?x=1;y=2&%zz" {
		t.Errorf("the backend saw host %q and URI %q", host, uri)
	}
	check("X-Forwarded-For", "127.0.0.1")
	check("X-Forwarded-Proto", "http")
	check("X-Forwarded-Host", "Shop.Example.com:8080")
	check("X-Hop", "")
	check("Proxy-Authorization", "")
	check("Cookie", "a=b")

	send(startRouter(t, s, func(c *Config) { c.TrustForwarded = true }))
	check("X-Forwarded-For", "10.9.9.9, 127.0.0.1")
	check("X-Forwarded-Proto", "https")
	check("X-Forwarded-Host", "evil.example.com")
}

// However it is spelt, what a client says of itself reaches no backend as a proxy's
// word.
func TestNobodyForwardsInTheRoutersName(t *testing.T) {
	s := startRedis(t)
	var got http.Header
	s.list("app", serving(t, func(_ http.ResponseWriter, r *http.Request) { got = r.Header.Clone() }).URL)
	names := []string{
		"X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-Port", "X-Forwarded-Server",
		"X-Forwarded-Ssl", "X-Forwarded-Prefix", "X-Forwarded-Anything", "X-Real-Ip", "Forwarded",
		"X_Forwarded_For", "X-Forwarded_Proto", "X_Real_IP", "x_real-ip",
	}
	for _, trusted := range []bool{false, true} {
		r := startRouter(t, s, func(c *Config) { c.TrustForwarded = trusted })
		req := r.request("GET", "app", "/", nil)
		for _, name := range names {
			req.Header[name] = []string{"spoofed"}
		}
		if _, err := r.do(req); err != nil {
			t.Fatal(err)
		}
		if spoofed := strings.Contains(fmt.Sprint(got), "spoofed"); spoofed != trusted {
			t.Errorf("trusted %v: the backend got %v", trusted, got)
		}
	}
}

func TestHopByHopHeadersOfTheResponseAreDropped(t *testing.T) {
	s := startRedis(t)
	r := startRouter(t, s)
	b := serving(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Connection", "X-Hop")
		w.Header().Set("X-Hop", "1")
		w.Header().Set("Keep-Alive", "timeout=5")
		w.Header().Set("X-End", "1")
	})
	s.list("app", b.URL)
	got := r.get("app", "/")
	for h, want := range map[string]string{"X-Hop": "", "Keep-Alive": "", "X-End": "1"} {
		if v := got.header.Get(h); v != want {
			t.Errorf("%s: %q, want %q", h, v, want)
		}
	}
}

func TestEventsAreFlushedAtOnce(t *testing.T) {
	s := startRedis(t)
	r := startRouter(t, s)
	next := make(chan struct{})
	b := serving(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for i := range 3 {
			fmt.Fprintf(w, "data: %d\n\n", i)
			_ = http.NewResponseController(w).Flush()
			select {
			case <-next:
			case <-r.Context().Done():
				return
			}
		}
	})
	s.list("app", b.URL)
	resp, err := r.client.Do(r.request("GET", "app", "/", nil))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	for i := range 3 { // the next event is sent only when this one has been read
		for lines.Scan() && lines.Text() == "" {
		}
		if want := fmt.Sprintf("data: %d", i); lines.Text() != want {
			t.Fatalf("read %q, want %q", lines.Text(), want)
		}
		if st, _ := r.state(b.URL); st.InFlight != 1 {
			t.Errorf("a response that is still coming counts as %d in flight", st.InFlight)
		}
		next <- struct{}{}
	}
}

func TestAClientThatGoesAwayIsNotTheBackendsFault(t *testing.T) {
	s := startRedis(t)
	access := &lockedBuffer{}
	r := startRouter(t, s, func(c *Config) { c.AccessLog = access })
	arrived := make(chan struct{}, 10)
	b := serving(t, func(_ http.ResponseWriter, r *http.Request) {
		arrived <- struct{}{}
		_, _ = io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
	})
	s.list("app", b.URL)

	// While waiting for the response.
	ctx, cancel := context.WithCancel(context.Background())
	go func() { <-arrived; cancel() }()
	if _, err := r.do(r.request("GET", "app", "/", nil).WithContext(ctx)); err == nil {
		t.Error("the client did not go away")
	}
	// In the middle of an upload.
	conn, err := net.Dial("tcp", r.addr)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(conn, "POST / HTTP/1.1\r\nHost: app\r\nContent-Length: 100000\r\n\r\nhalf")
	<-arrived
	_ = conn.Close()

	eventually(t, "both to be counted out", func() bool {
		st, _ := r.state(b.URL)
		return st.Total == 2 && st.InFlight == 0
	})
	if st, _ := r.state(b.URL); st.Errors != 0 {
		t.Errorf("counted as %d errors: %v", st.Errors, st.ErrorsBy)
	}
	eventually(t, "the access log", func() bool { return strings.Count(access.String(), `HTTP/1.1" 499 `) == 2 })
}

func TestOddRequestsAreAnswered(t *testing.T) {
	s := startRedis(t)
	r := startRouter(t, s)
	s.list("app", named(t, "a").URL)
	for request, want := range map[string]string{
		"GET / HTTP/1.0\r\n\r\n":                                                        "400",
		"GET / HTTP/1.1\r\nHost: \r\n\r\n":                                              "400",
		"CONNECT app:443 HTTP/1.1\r\nHost: app\r\n\r\n":                                 "405",
		"GET http://app/x HTTP/1.1\r\nHost: other\r\n\r\n":                              "200",
		"GET / HTTP/1.0\r\nHost: app\r\n\r\n":                                           "200",
		"GET / HTTP/1.1\r\nHost: <script>\r\n\r\n":                                      "400",
		"OPTIONS * HTTP/1.1\r\nHost: app\r\n\r\n":                                       "200",
		"GET / HTTP/1.1\r\nHost: " + strings.Repeat("a.", 200) + "x\r\n\r\n":            "400",
		"GET / HTTP/1.1\r\nHost: app\r\nX-Big: " + strings.Repeat("x", 80<<10) + "\r\n": "431",
	} {
		conn, err := net.Dial("tcp", r.addr)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(conn, request)
		line, err := bufio.NewReader(conn).ReadString('\n')
		if err != nil || len(line) < 12 || line[9:12] != want {
			t.Errorf("%.60q: %q %v, want %s", request, line, err, want)
		}
		_ = conn.Close()
	}
}

func TestTheAccessLogHasALineARequest(t *testing.T) {
	s := startRedis(t)
	access := &lockedBuffer{}
	r := startRouter(t, s, func(c *Config) { c.AccessLog = access })
	b := named(t, "hello")
	s.list("app", b.URL)
	req := r.request("GET", "App:80", "/x?y=1", nil)
	req.Header.Set("User-Agent", "te\"st\t")
	req.Header.Set("Referer", "http://from/")
	if _, err := r.do(req); err != nil {
		t.Fatal(err)
	}
	r.get("nobody", "/")
	eventually(t, "two lines", func() bool { return strings.Count(access.String(), "\n") == 2 })
	lines := strings.Split(access.String(), "\n")
	// Date and duration vary.
	trim := func(l string) string {
		a, rest, _ := strings.Cut(l, "[")
		_, b, _ := strings.Cut(rest, "]")
		return a + "[]" + b[:strings.LastIndexByte(b, ' ')]
	}
	want := []string{
		`127.0.0.1 - - [] "GET /x?y=1 HTTP/1.1" 200 5 "http://from/" "te\"st" app ` + b.URL,
		`127.0.0.1 - - [] "GET / HTTP/1.1" 404 45 "-" "Go-http-client/1.1" nobody -`,
	}
	if diff := cmp.Diff(want, []string{trim(lines[0]), trim(lines[1])}); diff != "" {
		t.Error(diff)
	}
}
