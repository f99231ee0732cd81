package serve_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/mepc/mepc-run/internal/serve"
)

// pathLike finds what looks like a file of the server.
var pathLike = regexp.MustCompile(`(^|[^\w/:.])/(tmp|proc|home|var|root|work|etc|usr)/|/(serve|runs)/[^"]*\.(json|open)`)

// The worst that stands in the place of a name.
var names = []string{
	"%00", "a%00b", "%2e%2e%2fetc%2fpasswd", "..%5c..", "%ff%fe", "%0a", "%0d%0aX:%20y", strings.Repeat("a", 300), strings.Repeat("%41", 3000), "latest", "*", "-", "%20", "null",
	"20260101T000000-000000", "20260101T000000-000000-2", "20260101T000000-000000-99999", "20260101T000000-000000%00", "20260101T000000-000000.open", "99999999T999999-999999", "shop", "shop.lua",
	"%F0%9F%92%A5", "%e2%80%ae", "con", "1e999", "{id}", "%7Bid%7D", "[", "%25", "%2500", ".",
}

var bodies = []string{
	"", "null", "[]", "{", "}", "1e999", `"x"`, "{}", "{}{}", "\xff\xfe", "\x00", `{"params": null}`, `{"params": []}`, `{"params": {"image": null}}`, `{"params": {"image": {}}}`,
	`{"params": {"image": ["x"]}}`, `{"params": {"image": "\u0000"}}`, `{"params": {"image": "x", "n": 1e308}}`, `{"params": {"image": "x", "n": -0.5}}`, `{"params": {"image": "x", "": 1}}`,
	`{"params": {"image": "x", "key": "s"}}`, `{"params": {"image": "` + "`" + `\ud800"}}`, `{"plan": 1}`, `{"plan": {}}`, `{"plan": null}`, `{"plan": {"recipe": {"name": "shop"}}}`, `{"plan": "\u0000"}`,
	`{"question": -1, "approve": true}`, `{"question": 1e20}`, `{"kill": "yes"}`, `{"kill": true}`, `{"token": 1}`, `{"token": "` + strings.Repeat("x", 10000) + `"}`, `{"world": "live"}`, `{"world": "../x"}`,
	strings.Repeat("[", 20000), strings.Repeat(`{"a":`, 20000), `{"` + strings.Repeat("k", 100000) + `": 1}`, `{"params": {"` + strings.Repeat("k", 20000) + `": 1}}`,
	`{"push": {"ref": {}}}`, `{"push": {"ref": 7}}`, `{"push": null}`, `{"delivery": "\u0000", "params": {"image": "x"}}`, `{"who": "a\nb", "params": {"image": "x"}}`,
}

// Whatever stands in a path, a query, a body or a header of any route, the answer is a
// refusal that tells nothing of the server's files, or what was asked for.
func TestEveryRouteRefusesWhatIsWrong(t *testing.T) {
	t.Parallel()
	s, _ := newServer(t, 3, nil, `on.webhook() params{image = {}}`)
	draw := rand.New(rand.NewPCG(1, 2))
	pick := func(from []string) string { return from[draw.IntN(len(from))] }
	hole := regexp.MustCompile(`\{\w+\}`)
	queries := []string{"app", "recipe", "status", "before", "limit", "x", "%00", ""}
	routes := append(serve.Routes(), "GET /", "POST /page/login", "GET /page/{name}", "PUT /api/v1/runs/{id}", "GET /api/{name}", "PRI *", "DELETE /webhooks/{name}")
	n := 4000
	if os.Getenv("ROUTES") != "" {
		_, _ = fmt.Sscan(os.Getenv("ROUTES"), &n)
	}
	for range n {
		method, path, _ := strings.Cut(pick(routes), " ")
		path = hole.ReplaceAllStringFunc(path, func(string) string { return pick(names) })
		if draw.IntN(2) == 0 {
			path += "?" + pick(queries) + "=" + pick(names)
		}
		if draw.IntN(8) == 0 {
			path += "&" + pick(queries) + "=" + pick(names) + ";%zz"
		}
		body := pick(bodies)
		head := fmt.Sprintf("%s %s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Length: %d\r\n", method, path, token, len(body))
		if draw.IntN(4) == 0 {
			head += "Last-Event-ID: " + pick(names) + "\r\nX-Hub-Signature-256: " + pick(names) + "\r\nX-GitHub-Delivery: " + pick(names) + "\r\n"
		}
		r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(head + "\r\n" + body)))
		if err != nil {
			continue // no server gets that far
		}
		ctx, over := context.WithCancel(t.Context())
		if strings.Contains(path, "events") {
			over() // a stream has no end
		}
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r.WithContext(ctx))
		over()
		text := w.Body.String()
		switch {
		case w.Code >= 500 && w.Code != 502 && w.Code != 503, pathLike.MatchString(text), len(text) > 64<<10:
			t.Errorf("%s%.200q: %d %.500s", head, body, w.Code, text)
		case w.Code >= 400 && strings.Contains(w.Header().Get("Content-Type"), "json"):
			var p struct {
				Error struct{ Kind, Message string }
			}
			if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || p.Error.Kind == "" || p.Error.Message == "" {
				t.Errorf("%s %s: %d %s", method, path, w.Code, text)
			}
		}
	}
}

// FuzzRoutes looks for a request that makes the server fail.
func FuzzRoutes(f *testing.F) {
	s, _ := newServer(f, 3, nil)
	for i, r := range serve.Routes() {
		method, path, _ := strings.Cut(r, " ")
		f.Add(method, path, names[i%len(names)], bodies[i%len(bodies)])
	}
	f.Fuzz(func(t *testing.T, method, path, query, body string) {
		r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(fmt.Sprintf("%s %s?%s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Length: %d\r\n\r\n%s", method, path, query, token, len(body), body))))
		if err != nil {
			return
		}
		ctx, over := context.WithCancel(t.Context())
		over()
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r.WithContext(ctx))
		if w.Code >= 500 && w.Code != 502 && w.Code != 503 || pathLike.MatchString(w.Body.String()) {
			t.Errorf("%d %s", w.Code, w.Body)
		}
	})
}
