package serve_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/docker/docker/client"
	"github.com/redis/go-redis/v9"

	"github.com/mepc/mepc-run/internal/clock"
	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/internal/journal"
	"github.com/mepc/mepc-run/internal/lint"
	"github.com/mepc/mepc-run/internal/queue"
	"github.com/mepc/mepc-run/internal/reload"
	"github.com/mepc/mepc-run/internal/serve"
	"github.com/mepc/mepc-run/modules/on"
	"github.com/mepc/mepc-run/modules/std"
	"github.com/mepc/mepc-run/runtime"
)

const token, secret = "a token of twenty-four..", "a secret of twenty-four."

// open opens a server of one recipe, whose runs cannot be started.
func open(t *testing.T) (*httptest.Server, *queue.Queue) {
	t.Helper()
	return openFor(t, 3)
}

// openFor opens one where the given number of requests may wait.
func openFor(t testing.TB, most int) (*httptest.Server, *queue.Queue) {
	t.Helper()
	s, q := newServer(t, most, nil)
	hs := httptest.NewServer(s)
	t.Cleanup(hs.Close)
	return hs, q
}

// nothing is a rehearser, and servers, that are not there.
type nothing struct{}

func (nothing) Rehearse(context.Context, *reload.Recipe, map[string]any, string) ([]byte, error) {
	return nil, failure.New(failure.Unavailable, "no rehearsals here")
}

// newServer makes a server of the recipe shop and others, with its log in log.
func newServer(t testing.TB, most int, log io.Writer, others ...string) (*serve.Server, *queue.Queue) {
	t.Helper()
	dir := t.TempDir()
	for i, text := range others {
		if err := os.WriteFile(fmt.Sprintf("%s/r%d.lua", dir, i), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	recipe := `on.webhook{secret = "hub", fields = {image = "push.ref"}}
params{image = {required = true}, n = {type = "integer", default = 1}, key = {type = "secret"}}`
	if err := os.WriteFile(dir+"/shop.lua", []byte(recipe), 0o644); err != nil {
		t.Fatal(err)
	}
	host := runtime.New(runtime.Options{Modules: append(std.Modules(std.Options{}), on.New())})
	loader := &reload.Loader{Host: host, Linter: lint.New(host, runtime.Limits{}), Library: reload.Files{}}
	tree, err := reload.Open(reload.Options{
		Dir: dir, Load: loader.Load, Library: reload.Files{}, Clock: clock.Wall{}, Told: func(*reload.Recipe, error) {},
	})
	if err != nil {
		t.Fatal(err)
	}
	tree.Load(t.Context())
	logger := slog.New(slog.DiscardHandler)
	if log != nil {
		logger = slog.New(slog.NewTextHandler(log, nil))
	}
	q, err := queue.Open(queue.Options{
		Journal: journal.Open(t.TempDir(), clock.Wall{}), Clock: clock.Wall{}, Log: logger, Workers: 1, Max: most, Keep: 100,
		Start: func(*queue.Request, queue.Attempt, *os.File) (queue.Process, error) { return nil, errors.New("no") },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = q.Close(context.Background()) })
	return serve.New(serve.Options{
		Queue: q, Journal: journal.Open(t.TempDir(), clock.Wall{}), Recipes: tree, Clock: clock.Wall{}, Log: logger, Version: "test", Token: token,
		Rehearse: nothing{},
		Servers: serve.Servers{
			Docker: func(context.Context) (*client.Client, error) {
				return nil, failure.New(failure.Unavailable, "no engine here")
			},
			Redis: func(context.Context) (redis.UniversalClient, error) {
				return nil, failure.New(failure.Unavailable, "no Redis here")
			},
		},
		Secrets: map[string]func() (string, error){
			"hub":   func() (string, error) { return secret, nil },
			"short": func() (string, error) { return "short", nil },
		},
	}), q
}

// ask returns the status and the answer.
func ask(t *testing.T, s *httptest.Server, method, path, body string, header ...string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, s.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(text)
}

func sign(body string) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(body))
	return "sha256=" + hex.EncodeToString(mac.Sum(nil))
}

func TestWhoMayAskForWhat(t *testing.T) {
	t.Parallel()
	s, q := open(t)
	if err := q.Pause("the test"); err != nil {
		t.Fatal(err)
	}
	auth := []string{"Authorization", "Bearer " + token}
	hook := `{"push": {"ref": "mepc/app:1.1"}}`
	for _, c := range []struct {
		name, method, path, body string
		header                   []string
		status                   int
		says                     string
	}{
		{"no token", "GET", "/api/v1/recipes", "", nil, 401, "the token is wrong or missing"},
		{"a wrong token", "GET", "/api/v1/recipes", "", []string{"Authorization", "Bearer x" + token}, 401, ""},
		{"the token", "GET", "/api/v1/recipes", "", auth, 200, `"triggers":["webhook signed with the secret hub"]`},
		{"the cookie", "GET", "/api/v1/status", "", []string{"Cookie", "mepc_token=" + strings.ReplaceAll(token, " ", "x")}, 401, ""},
		{"the page", "GET", "/", "", nil, 200, "<main"},
		{"another page", "GET", "/nothing", "", nil, 404, ""},
		{"a login", "POST", "/page/login", `{"token": "wrong"}`, nil, 401, "not the server's token"},
		{"of another site", "POST", "/page/login", `{"token": "` + token + `"}`, []string{"Sec-Fetch-Site", "cross-site"}, 403, ""},
		{"health", "GET", "/healthz", "", nil, 204, ""},
		{"readiness", "GET", "/readyz", "", nil, 204, ""},
		{"numbers", "GET", "/metrics", "", auth, 200, "mepc_queue_paused 1"},
		{"no JSON", "POST", "/api/v1/recipes/shop/runs", "{", auth, 400, "the request's body"},
		{"an unknown key", "POST", "/api/v1/recipes/shop/runs", `{"parms": {}}`, auth, 400, "parms"},
		{"no recipe", "POST", "/api/v1/recipes/shpo/runs", `{}`, auth, 404, "did you mean"},
		{"no parameter", "POST", "/api/v1/recipes/shop/runs", `{}`, auth, 400, "image"},
		{"a wrong parameter", "POST", "/api/v1/recipes/shop/runs", `{"params": {"image": "x", "n": "y"}}`, auth, 400, "n"},
		{"a secret", "POST", "/api/v1/recipes/shop/runs", `{"params": {"image": "x", "key": "y"}}`, auth, 400, "is a secret"},
		{"too large", "POST", "/api/v1/recipes/shop/runs", `{"who": "` + strings.Repeat("x", 2<<20) + `"}`, auth, 413, "larger than"},
		{"a webhook without a signature", "POST", "/webhooks/shop", hook, nil, 401, "sign its body"},
		{"a webhook with the token, where a secret is wanted", "POST", "/webhooks/shop", hook, auth, 401, ""},
		{"a wrong signature", "POST", "/webhooks/shop", hook + " ", []string{"X-Hub-Signature-256", sign(hook)}, 401, ""},
		{"a webhook of no recipe", "POST", "/webhooks/nothing", hook, []string{"X-Hub-Signature-256", sign(hook)}, 401, "sign its body"},
		{"a signature", "POST", "/webhooks/shop", hook, []string{"X-Hub-Signature-256", sign(hook), "X-GitHub-Delivery", "1"}, 202, `"image":"mepc/app:1.1"`},
		{"again", "POST", "/webhooks/shop", hook, []string{"X-Hub-Signature-256", sign(hook), "X-GitHub-Delivery", "1"}, 202, `"delivery":"1"`},
		{"without the field", "POST", "/webhooks/shop", `{}`, []string{"X-Hub-Signature-256", sign(`{}`)}, 400, "image"},
		{"a run", "POST", "/api/v1/recipes/shop/runs", `{"params": {"image": "x"}}`, auth, 202, `"state":"queued"`},
		{"the same signed body under another name", "POST", "/webhooks/shop", hook, []string{"X-Hub-Signature-256", sign(hook), "X-GitHub-Delivery", "2"}, 202, `"delivery":"1"`},
		{"a field of another type", "POST", "/webhooks/shop", `{"push": {"ref": [1]}}`, []string{"X-Hub-Signature-256", sign(`{"push": {"ref": [1]}}`)}, 400, "image"},
		{"a body that is not an object", "POST", "/webhooks/shop", `null`, []string{"X-Hub-Signature-256", sign(`null`)}, 400, "not a JSON object"},
		{"another", "POST", "/api/v1/recipes/shop/runs", `{"params": {"image": "x"}}`, auth, 202, ""},
		{"too many", "POST", "/api/v1/recipes/shop/runs", `{"params": {"image": "x"}}`, auth, 503, "the queue is full"},
		{"a run that is none", "GET", "/api/v1/runs/nothing", "", auth, 404, ""},
		{"above the directory", "GET", "/api/v1/runs/..%2f..%2fetc", "", auth, 404, ""},
		{"a limit", "GET", "/api/v1/runs?limit=x", "", auth, 400, "limit"},
	} {
		status, text := ask(t, s, c.method, c.path, c.body, c.header...)
		if status != c.status || !strings.Contains(text, c.says) {
			t.Errorf("%s: %d %s; want %d, and %q in it", c.name, status, text[:min(len(text), 300)], c.status, c.says)
		}
	}
	if _, waiting := q.List(); len(waiting) != 3 {
		t.Errorf("%d requests wait, want 3", len(waiting))
	}
}

// The description has every route, and names no type that it does not have.
func TestOpenAPIDescribesWhatThereIs(t *testing.T) {
	t.Parallel()
	s, _ := open(t)
	status, text := ask(t, s, "GET", "/api/v1/openapi.json", "")
	var doc struct {
		Paths      map[string]map[string]struct{ Responses map[string]any }
		Components struct{ Schemas map[string]any }
	}
	if err := json.Unmarshal([]byte(text), &doc); err != nil || status != 200 {
		t.Fatalf("%d, %v", status, err)
	}
	for _, r := range serve.Routes() {
		method, path, _ := strings.Cut(r, " ")
		if op, ok := doc.Paths[path][strings.ToLower(method)]; !ok || len(op.Responses) < 2 {
			t.Errorf("%s is not described", r)
		}
	}
	for _, part := range strings.Split(text, `"$ref":"#/components/schemas/`)[1:] {
		name, _, _ := strings.Cut(part, `"`)
		if doc.Components.Schemas[name] == nil {
			t.Errorf("there is no schema %s", name)
		}
	}
}

// TestThePageIsSmall weighs what a browser loads of it before its first view.
func TestThePageIsSmall(t *testing.T) {
	t.Parallel()
	s, _ := open(t)
	sum := 0
	for _, path := range []string{"/", "/page/app.css", "/page/app.js", "/page/dom.js", "/page/now.js", "/page/recipes.js", "/page/run.js"} {
		res, err := http.Get(s.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(res.Body)
		res.Body.Close()
		if err != nil || res.StatusCode != http.StatusOK {
			t.Errorf("%s: %d, %v", path, res.StatusCode, err)
		}
		sum += len(data)
	}
	if sum > 60_000 {
		t.Errorf("the page is %d bytes", sum)
	}
}
