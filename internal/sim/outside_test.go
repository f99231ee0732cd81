package sim

import (
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/mepc/mepc-run/internal/state"
)

func TestTheFittingAnswerFromOutside(t *testing.T) {
	t.Parallel()
	w, err := New(Options{State: &state.State{Outside: map[string]state.Response{
		"https://hooks.example/*":            {Status: 404},
		"https://hooks.example/deploys":      {Body: "noted"},
		"POST https://hooks.example/deploys": {Status: 202, Header: map[string]string{"Retry-After": "1"}},
		"http://slow.example":                {Delay: state.Duration(time.Minute)},
		"http://rude.example":                {Drop: true},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	began := w.Clock().Now()
	for _, c := range []struct {
		method, url string
		status      int // 0: nobody answers
		body        string
	}{
		{"GET", "https://hooks.example/deploys?by=me", 200, "noted"},
		{"POST", "https://hooks.example/deploys", 202, ""},
		{"GET", "https://hooks.example/deploys/1", 404, ""},
		{"GET", "http://hooks.example/deploys", 0, ""},
		{"GET", "https://hooks.example.com/", 0, ""},
		{"GET", "http://slow.example", 200, ""},
		{"GET", "http://slow.example/more", 0, ""},
	} {
		req, err := http.NewRequestWithContext(t.Context(), c.method, c.url, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := w.AskOutside(req)
		switch {
		case err != nil:
			t.Errorf("%s %s: %v", c.method, c.url, err)
		case resp == nil || c.status == 0:
			if resp != nil || c.status != 0 {
				t.Errorf("%s %s: got %v, want status %d", c.method, c.url, resp, c.status)
			}
		default:
			body, _ := io.ReadAll(resp.Body)
			if resp.StatusCode != c.status || string(body) != c.body {
				t.Errorf("%s %s: got %d %q, want %d %q", c.method, c.url, resp.StatusCode, body, c.status, c.body)
			}
		}
	}
	if took := w.Clock().Now().Sub(began); took != time.Minute {
		t.Errorf("the answers took %v of the world's time, want 1m", took)
	}
	req, _ := http.NewRequestWithContext(t.Context(), "GET", "http://rude.example/", nil)
	if resp, err := w.AskOutside(req); err == nil {
		t.Errorf("a connection that was dropped answers %v", resp)
	}

	// What is said later counts in this world, and not in its clone.
	clone, err := w.Clone(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer clone.Close()
	if err := w.SetOutside("http://rude.example", state.Response{}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.AskOutside(req); err != nil {
		t.Error(err)
	}
	if _, err := clone.AskOutside(req); err == nil {
		t.Error("the clone has what its origin was told later")
	}
	for _, key := range []string{"hooks.example", "ftp://hooks.example/", "post https://hooks.example/", "https://hooks.example/?a=b", ""} {
		if w.SetOutside(key, state.Response{}) == nil {
			t.Errorf("%q is taken for a URL", key)
		}
	}
}
