package serve_test

import (
	"bytes"
	"net/http/httptest"
	"strings"
	"testing"
)

// A page of another port of the same host has the user's cookie sent with what it asks
// for. It starts nothing.
func TestAWebhookTakesNoCookie(t *testing.T) {
	t.Parallel()
	s, q := newServer(t, 10, nil, `on.webhook() params{image = {}}`)
	for _, c := range []struct {
		name   string
		header [2]string
		status int
	}{
		{"the cookie", [2]string{"Cookie", "mepc_token=" + strings.ReplaceAll(token, " ", "x")}, 401},
		{"the token as the cookie has it", [2]string{"Cookie", `mepc_token="` + token + `"`}, 401},
		{"the token", [2]string{"Authorization", "Bearer " + token}, 202},
		{"a wrong token", [2]string{"Authorization", "Bearer x" + token}, 401},
		{"a token of no scheme", [2]string{"Authorization", token}, 401},
	} {
		r := httptest.NewRequestWithContext(t.Context(), "POST", "/webhooks/r0", strings.NewReader("{}"))
		r.Header.Set(c.header[0], c.header[1])
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		if w.Code != c.status {
			t.Errorf("%s: %d %s", c.name, w.Code, w.Body)
		}
	}
	if n := q.Counts(); len(n) > 1 {
		t.Errorf("%v", n)
	}
}

// Events that match does not want are answered, and start nothing; the first webhook
// that an event matches is taken.
func TestMatchFilters(t *testing.T) {
	t.Parallel()
	s, q := newServer(t, 100, nil, `
on.webhook{secret = "hub", match = {action = "published", ["release.draft"] = false}, params = {from = "release"}}
on.webhook{secret = "hub", match = {action = {"created", "moved"}, n = 1}, params = {from = "tag"}, repeats = true}
params{from = {}}`)
	if err := q.Pause("the test"); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		body   string
		status int
		says   string
	}{
		{`{"action": "published", "release": {"draft": false}}`, 202, `"from":"release"`},
		{`{"action": "published", "release": {"draft": true}}`, 200, "its action is not created or moved"},
		{`{"action": "published"}`, 200, `"ignored"`},
		{`{"action": ["published"], "release": {"draft": false}}`, 200, `"ignored"`},
		{`{"action": "moved", "n": 1}`, 202, `"from":"tag"`},
		{`{"action": "moved", "n": "1"}`, 200, `"ignored"`},
		{`{}`, 200, `"ignored"`},
	} {
		r := httptest.NewRequestWithContext(t.Context(), "POST", "/webhooks/r0", strings.NewReader(c.body))
		r.Header.Set("X-Hub-Signature-256", sign(c.body))
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		if w.Code != c.status || !strings.Contains(w.Body.String(), c.says) {
			t.Errorf("%s: %d %s, want %d and %s", c.body, w.Code, w.Body, c.status, c.says)
		}
	}
	_, before := q.List()
	for _, body := range []string{`{"action": "moved", "n": 1}`, `{"action": "published", "release": {"draft": false}}`} {
		r := httptest.NewRequestWithContext(t.Context(), "POST", "/webhooks/r0", strings.NewReader(body))
		r.Header.Set("X-Hub-Signature-256", sign(body))
		s.ServeHTTP(httptest.NewRecorder(), r)
	}
	if _, waiting := q.List(); len(waiting) != len(before)+1 {
		t.Errorf("%d wait, and of two bodies that came again only one repeats", len(waiting))
	}
}

// A webhook whose secret is of no use is said where people look, and not only to who
// calls it.
func TestASecretThatIsTooShortIsSaid(t *testing.T) {
	t.Parallel()
	s, _ := newServer(t, 10, nil, `on.webhook{secret = "short"} params{}`, `on.webhook{secret = "nowhere"} params{}`)
	for path, says := range map[string][]string{
		"/api/v1/status":  {"r0: r0.lua:1: the webhook accepts nothing: the secret short cannot be used: it has fewer than 16", "the secret nowhere cannot be used: it is not declared"},
		"/api/v1/recipes": {`"warnings":["r0.lua:1`},
	} {
		r := httptest.NewRequestWithContext(t.Context(), "GET", path, nil)
		r.Header.Set("Authorization", "Bearer "+token)
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		for _, text := range says {
			if !strings.Contains(w.Body.String(), text) {
				t.Errorf("%s lacks %q: %s", path, text, w.Body)
			}
		}
	}
}

// The log has the reason of a refusal, and no more lines than it can bear.
func TestRefusedWebhooksAreInTheLog(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	s, _ := newServer(t, 10, &log)
	for range 1000 {
		r := httptest.NewRequestWithContext(t.Context(), "POST", "/webhooks/shop%0aX", strings.NewReader("{}"))
		s.ServeHTTP(httptest.NewRecorder(), r)
	}
	for range 1000 {
		r := httptest.NewRequestWithContext(t.Context(), "POST", "/webhooks/shop", strings.NewReader("{}"))
		s.ServeHTTP(httptest.NewRecorder(), r)
	}
	lines := strings.Count(log.String(), "\n")
	if !strings.Contains(log.String(), `msg="a webhook is refused" recipe=shop from=192.0.2.1 reason="no webhook of this name takes the request"`) || lines > 100 {
		t.Errorf("%d lines:\n%s", lines, log.String()[:min(log.Len(), 2000)])
	}
}
