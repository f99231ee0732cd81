package http_test

import (
	"bufio"
	"compress/gzip"
	"context"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mepc/mepc-run/internal/effect"
	"github.com/mepc/mepc-run/internal/failure"
	mepchttp "github.com/mepc/mepc-run/modules/http"
	"github.com/mepc/mepc-run/runtime"
	"github.com/mepc/mepc-run/servers"
)

// recorder keeps the calls that passed the gate.
type recorder struct{ ends []effect.Event }

func (r *recorder) Event(ev effect.Event) {
	if ev.Type == effect.OpEnd {
		r.ends = append(r.ends, ev)
	}
}

func (r *recorder) last(t *testing.T) effect.Event {
	t.Helper()
	if len(r.ends) == 0 {
		t.Fatal("nothing passed the gate")
	}
	return r.ends[len(r.ends)-1]
}

// run runs source, in which url is a parameter and token a secret one.
func run(t *testing.T, url, source string) (any, *recorder, error) {
	t.Helper()
	return runIn(t, t.Context(), url, source)
}

func runIn(t *testing.T, ctx context.Context, url, source string) (any, *recorder, error) {
	t.Helper()
	world := servers.Live(servers.Options{})
	defer world.Close()
	given := runtime.Module{Self: &struct{}{}, Funcs: []runtime.Func{
		{Name: "url", Call: runtime.Inline(func(*struct{}, *runtime.Call, *runtime.None) (string, error) { return url, nil })},
		{Name: "token", Call: runtime.Inline(func(_ *struct{}, c *runtime.Call, _ *runtime.None) (runtime.Secret, error) {
			return c.Secret("tok-123456"), nil
		})},
	}}
	host := runtime.New(runtime.Options{Modules: []runtime.Module{mepchttp.New(), given}})
	recipe, err := host.LoadString("recipe.lua", "local url, token = url(), token()\n"+source)
	if err != nil {
		t.Fatal(err)
	}
	rec := &recorder{}
	res, err := host.Run(ctx, recipe, runtime.RunOptions{World: world, Sinks: []runtime.Sink{rec}})
	return res.Value, rec, err
}

func must(t *testing.T, url, source string) any {
	t.Helper()
	v, _, err := run(t, url, source)
	if err != nil {
		t.Fatalf("%s: %s", source, render(err))
	}
	return v
}

func fails(t *testing.T, url, source string, kind failure.Kind, parts ...string) *recorder {
	t.Helper()
	v, rec, err := run(t, url, source)
	e := failure.As(err)
	if e == nil {
		t.Fatalf("%s: got %v, %v; want an error of kind %s", source, v, err, kind)
	}
	text := render(err)
	if e.Kind != kind {
		t.Errorf("%s: kind %s, want %s: %s", source, e.Kind, kind, text)
	}
	for _, p := range parts {
		if !strings.Contains(text, p) {
			t.Errorf("%s: no %q in:\n%s", source, p, text)
		}
	}
	return rec
}

func render(err error) string {
	e := failure.As(err)
	if e == nil {
		return err.Error()
	}
	return strings.Join([]string{e.Error(), "hint: " + e.Hint, e.Details}, "\n")
}

// echo answers with what it was asked.
func echo(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Add("X-Many", "a")
	w.Header().Add("X-Many", "b")
	json.NewEncoder(w).Encode(map[string]any{
		"method": r.Method, "host": r.Host, "type": r.Header.Get("Content-Type"),
		"auth": r.Header.Get("Authorization"), "body": string(body), "bytes": len(body), "agent": r.UserAgent(),
	})
}

func TestRequests(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(echo))
	defer s.Close()
	host := strings.TrimPrefix(s.URL, "http://")
	sent := func(method, host, kind, auth, body string) map[string]any {
		bytes := len(body)
		if body == "[secret]" {
			bytes = len("tok-123456")
		}
		return map[string]any{
			"method": method, "host": host, "type": kind, "auth": auth,
			"body": body, "bytes": float64(bytes), "agent": "mepc-run",
		}
	}
	for source, want := range map[string]any{
		`return http.get(url).json`:                                                           sent("GET", host, "", "", ""),
		`return http.get(url, {headers={Host="appserver"}}).json`:                             sent("GET", "appserver", "", "", ""),
		`return http.get(url, {headers={host="appserver"}}).json`:                             sent("GET", "appserver", "", "", ""),
		`return http.get(url, {headers={Authorization=token}}).json`:                          sent("GET", host, "", "[secret]", ""),
		`return http.post(url, {json={a={1, 2}, b="<x>"}}).json`:                              sent("POST", host, "application/json", "", `{"a":[1,2],"b":"<x>"}`),
		`return http.post(url, {body="\255\0", headers={["content-type"]="x/y"}}).json.bytes`: 2.0,
		`return http.put(url, {body=token}).json`:                                             sent("PUT", host, "", "", "[secret]"),
		`return http.delete(url).json.method`:                                                 "DELETE",
		`return http.request{method="PATCH", url=url, json="x"}.json`:                         sent("PATCH", host, "application/json", "", `"x"`),
		`return http.request{url=url}.json.method`:                                            "GET",
		`local r = http.head(url) return {r.status, r.ok, r.body, r.headers["x-many"]}`:       []any{200.0, true, "", "a, b"},
		`local r = http.get(url) return r.duration > 0 and r.duration < 10`:                   true,
		`return http.get(url, {max_body="1KB"}).status`:                                       200.0,
	} {
		// What the recipe returns is not cleaned of secrets: what the server got is.
		got := must(t, s.URL, source)
		if m, ok := got.(map[string]any); ok {
			for k, v := range m {
				if v == "tok-123456" {
					m[k] = "[secret]"
				}
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: -want +got:\n%s", source, diff)
		}
	}
}

func TestAnyStatusIsAnAnswer(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(http.StatusServiceUnavailable)
		io.WriteString(w, `{"broken`)
	}))
	defer s.Close()
	got := must(t, s.URL, `local r = http.get(url) return {r.status, r.ok, r.body, tostring(r.json)}`)
	if diff := cmp.Diff([]any{503.0, false, `{"broken`, "nil"}, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestGateSeesClassTargetAndHost(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(echo))
	defer s.Close()
	for source, want := range map[string]string{
		`http.get(url, {headers={Host="appserver"}})`: "read http.get [host appserver]",
		`http.head(url)`:                                        "read http.head []",
		`http.post(url, {body="secret thing"})`:                 "write http.post [body 12 bytes]",
		`http.put(url, {json={a=1}})`:                           "write http.put [body json]",
		`http.delete(url)`:                                      "destructive http.delete []",
		`http.request{url=url, method="OPTIONS"}`:               "read http.request [method OPTIONS]",
		`http.request{url=url, method="DELETE"}`:                "destructive http.request [method DELETE]",
		`http.request{url=url, method="PATCH"}`:                 "write http.request [method PATCH]",
		`http.get(url, {headers={Authorization="Basic abcd"}})`: "read http.get []",
	} {
		_, rec, err := run(t, s.URL, source)
		if err != nil {
			t.Fatal(render(err))
		}
		op := rec.last(t).Op
		var args []string
		for _, a := range op.Args {
			args = append(args, a.Name+" "+a.Value)
		}
		if got := fmt.Sprint(op.Class, " ", op.Name, " ", args); got != want || op.Target != s.URL {
			t.Errorf("%s: got %s at %s", source, got, op.Target)
		}
	}
}

func TestASecretURLIsNotShown(t *testing.T) {
	_, rec, err := run(t, "", `http.get("http://127.0.0.1:1/hooks/tok-123456")`)
	if text := render(err) + rec.last(t).Op.Target; strings.Contains(text, "tok-123456") || !strings.Contains(text, "[secret]") {
		t.Error(text)
	}
}

func TestRedirects(t *testing.T) {
	var leaked atomic.Value
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		leaked.Store(r.Header.Get("X-Token") + r.Header.Get("Authorization"))
		io.WriteString(w, "elsewhere")
	}))
	defer elsewhere.Close()
	mux := http.NewServeMux()
	s := httptest.NewServer(mux)
	defer s.Close()
	mux.Handle("/loop", http.RedirectHandler("/loop", http.StatusFound))
	mux.Handle("/near", http.RedirectHandler("/end", http.StatusFound))
	mux.Handle("/far", http.RedirectHandler(elsewhere.URL, http.StatusFound))
	mux.Handle("/file", http.RedirectHandler("file:///etc/passwd", http.StatusFound))
	mux.HandleFunc("/end", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "end "+r.Header.Get("X-Token")) })

	if got := must(t, s.URL, `return http.get(url .. "/near", {headers={["X-Token"]="t"}}).body`); got != "end t" {
		t.Errorf("near: %v", got)
	}
	if got := must(t, s.URL, `return http.get(url .. "/near", {follow=false}).status`); got != 302.0 {
		t.Errorf("not followed: %v", got)
	}
	if got := must(t, s.URL, `return http.get(url .. "/far", {headers={["X-Token"]="t", Authorization="a"}}).body`); got != "elsewhere" || leaked.Load() != "" {
		t.Errorf("far: %v, leaked %q", got, leaked.Load())
	}
	fails(t, s.URL, `http.get(url .. "/loop")`, failure.Refused, "redirected more than ten times", "follow=false")
	fails(t, s.URL, `http.get(url .. "/file")`, failure.Refused, "cannot be read")
}

func TestFreshConnections(t *testing.T) {
	var opened atomic.Int64
	s := httptest.NewUnstartedServer(http.HandlerFunc(echo))
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			opened.Add(1)
		}
	}
	s.Start()
	defer s.Close()
	must(t, s.URL, `for i = 1, 5 do http.get(url) end`)
	if n := opened.Load(); n != 1 {
		t.Errorf("%d connections for 5 requests", n)
	}
	opened.Store(0)
	must(t, s.URL, `for i = 1, 5 do http.get(url, {fresh=true}) end`)
	if n := opened.Load(); n != 5 {
		t.Errorf("%d connections for 5 requests with fresh=true", n)
	}
}

func TestNoProxyFromTheEnvironment(t *testing.T) {
	t.Setenv("HTTP_PROXY", "http://127.0.0.1:1")
	t.Setenv("http_proxy", "http://127.0.0.1:1")
	// The proxy is never taken for loopback, so the name has to be another.
	fails(t, "", `http.get("http://name.invalid/")`, failure.Unavailable, "name.invalid")
	_, _, err := run(t, "", `http.get("http://name.invalid/")`)
	if strings.Contains(render(err), "127.0.0.1:1") {
		t.Error(render(err))
	}
}

func TestBodiesAreBounded(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/bomb" {
			w.Header().Set("Content-Encoding", "gzip")
			z := gzip.NewWriter(w)
			defer z.Close()
			io.CopyN(z, zeros{}, 64<<20)
			return
		}
		io.CopyN(w, zeros{}, 2000)
	}))
	defer s.Close()
	if got := must(t, s.URL, `return #http.get(url, {max_body=2000}).body`); got != 2000.0 {
		t.Errorf("got %v", got)
	}
	fails(t, s.URL, `http.get(url, {max_body=1999})`, failure.Limit, "larger than 1999 bytes", "max_body")
	fails(t, s.URL, `http.get(url .. "/bomb")`, failure.Limit, "larger than 1000000 bytes")
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }

func TestBadArguments(t *testing.T) {
	for source, want := range map[string]string{
		`http.get()`:                                       "url: string expected",
		`http.get("ftp://h/")`:                             "begins with http:// or https://",
		`http.get("127.0.0.1:8080")`:                       "url:",
		`http.get("http:///x")`:                            "the host is missing",
		`http.get("http://u:p@h/")`:                        "give basic = {username",
		`http.get("http://h/\n")`:                          "url: malformed",
		`http.get("http://h/", {headers={["a b"]="x"}})`:   `"a b" is not a name`,
		`http.get("http://h/", {headers={A="x\r\nB: y"}})`: "control characters",
		`http.get("http://h/", {timout="1s"})`:             `did you mean "timeout"?`,
		`http.get("http://h/", {body="x"})`:                `unknown option "body"`,
		`http.get("http://h/", {timeout=0})`:               "timeout",
		`http.post("http://h/", {body="x", json={}})`:      "exclude each other",
		`http.post("http://h/", {json={1/0}})`:             "json:",
		`http.request{url="http://h/", method="get"}`:      "capitals",
		`http.request{url="http://h/", method="A\r\nB"}`:   "not one that can be sent",
		`http.request{url="http://h/", method="CONNECT"}`:  "not one that can be sent",
		`http.request{method="GET"}`:                       "url: string expected",
		`http.get("http://h/", {ca="/nowhere/ca.pem"})`:    "/nowhere/ca.pem",
		`http.options("http://h/")`:                        `no function "options"`,
	} {
		fails(t, "", source, failure.Invalid, want)
	}
}

// raw is a server that does with each connection what f says.
func raw(t *testing.T, f func(net.Conn)) string {
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
			go func() {
				defer c.Close()
				f(c)
			}()
		}
	}()
	return "http://" + l.Addr().String()
}

// request reads one request off c.
func request(c net.Conn) {
	if req, err := http.ReadRequest(bufio.NewReader(c)); err == nil {
		io.Copy(io.Discard, req.Body)
	}
}

func TestMisbehavingServers(t *testing.T) {
	closes := raw(t, func(c net.Conn) { request(c) })
	hangs := raw(t, func(c net.Conn) { io.Copy(io.Discard, c) })
	breaksOff := raw(t, func(c net.Conn) { request(c); io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf") })
	babbles := raw(t, func(c net.Conn) { request(c); io.WriteString(c, "-ERR wrong number of arguments\r\n") })
	endless := raw(t, func(c net.Conn) {
		request(c)
		io.WriteString(c, "HTTP/1.1 200 OK\r\n")
		for {
			if _, err := io.WriteString(c, "A: "+strings.Repeat("x", 4096)+"\r\n"); err != nil {
				return
			}
		}
	})
	for _, tc := range []struct {
		url, source string
		kind        failure.Kind
		outcome     effect.Outcome
		part        string
	}{
		{"http://127.0.0.1:1", `http.get(url)`, failure.Unavailable, effect.Refused, "connection refused"},
		{"http://127.0.0.1:1", `http.post(url)`, failure.Unavailable, effect.Refused, "connection refused"},
		{closes, `http.get(url)`, failure.Unavailable, effect.Refused, "the server closed the connection"},
		{closes, `http.post(url, {body="x"})`, failure.Unknown, effect.Unknown, "POST was sent to"},
		{closes, `http.delete(url)`, failure.Unknown, effect.Unknown, "may have been done"},
		{hangs, `http.get(url, {timeout="100ms"})`, failure.Timeout, effect.Refused, "no answer within 100ms"},
		{hangs, `http.post(url, {timeout="100ms", body="x"})`, failure.Unknown, effect.Unknown, "no answer within 100ms; POST was sent"},
		{breaksOff, `http.get(url)`, failure.Unavailable, effect.Refused, "the answer (200 OK) broke off"},
		{breaksOff, `http.post(url)`, failure.Unknown, effect.Unknown, "the answer (200 OK) broke off"},
		{babbles, `http.get(url)`, failure.Refused, effect.Refused, "malformed HTTP"},
		{endless, `http.get(url)`, failure.Refused, effect.Refused, "cannot be read"},
		{strings.Replace(babbles, "http:", "https:", 1), `http.get(url, {insecure=true, timeout="2s"})`, failure.Auth, effect.Refused, "TLS"},
	} {
		rec := fails(t, tc.url, tc.source, tc.kind, tc.part)
		if got := rec.last(t).Result.Outcome; got != tc.outcome {
			t.Errorf("%s: outcome %s, want %s", tc.source, got, tc.outcome)
		}
	}
}

func TestCtrlCEndsARequest(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	hangs := raw(t, func(c net.Conn) {
		request(c)
		cancel(failure.Wrap(failure.Cancelled, errors.New("SIGINT"), "interrupted"))
		io.Copy(io.Discard, c)
	})
	for _, source := range []string{`http.get(url)`, `http.post(url)`} {
		begin := time.Now()
		_, _, err := runIn(t, ctx, hangs, source)
		if failure.KindOf(err) != failure.Cancelled || time.Since(begin) > time.Minute {
			t.Errorf("%s: %v after %s", source, err, time.Since(begin))
		}
	}
}

func TestTLS(t *testing.T) {
	s := httptest.NewUnstartedServer(http.HandlerFunc(echo))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	defer s.Close()
	ca := filepath.Join(t.TempDir(), "ca.pem")
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	if err := os.WriteFile(ca, block, 0o600); err != nil {
		t.Fatal(err)
	}
	fails(t, s.URL, `http.get(url)`, failure.Auth, "certificate", "insecure=true")
	must(t, s.URL, `http.get(url, {insecure=true})`)
	must(t, s.URL, fmt.Sprintf(`http.get(url, {ca=%q})`, ca))
	fails(t, s.URL, fmt.Sprintf(`http.get(url, {ca=%q})`, os.Args[0]), failure.Invalid, "holds no certificate")
	plain := httptest.NewServer(http.HandlerFunc(echo))
	defer plain.Close()
	fails(t, strings.Replace(plain.URL, "http:", "https:", 1), `http.get(url)`, failure.Refused, "does not speak TLS", "http://")
}

func TestEveryFunctionIsDocumented(t *testing.T) {
	for _, f := range mepchttp.New().Funcs {
		if f.Doc == "" || f.From == "" || f.Returns == "" || len(f.Raises) == 0 || f.Example == "" {
			t.Errorf("http.%s: something is not said: %+v", f.Name, f)
		}
		_, fields := f.Result()
		for _, field := range append(f.Fields(), fields...) {
			if field.Doc == "" {
				t.Errorf("http.%s: %s has no doc", f.Name, field.Name)
			}
		}
	}
}
