package traffic

import (
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strings"

	"github.com/mepc/mepc-run/internal/state"
)

// splitOutside splits a key of State.Outside.
func splitOutside(key string) (method, address string, err error) {
	method, address, found := strings.Cut(key, " ")
	if !found {
		method, address = "", key
	}
	u, err := url.Parse(strings.TrimSuffix(address, "*"))
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.RawQuery != "" || method != strings.ToUpper(method) {
		return "", "", fmt.Errorf("outside: %q is not a URL such as https://hooks.example/deploys, or \"POST https://hooks.example/*\"", key)
	}
	return method, address, nil
}

// SetOutside says what a server that is not of the world answers; see
// State.Outside. It takes the place of what was said for the same key.
func (t *Traffic) SetOutside(key string, r state.Response) error {
	if _, _, err := splitOutside(key); err != nil {
		return err
	}
	t.timeline.Lock()
	defer t.timeline.Unlock()
	next := maps.Clone(t.outside) // a clone of the world may have this one
	if next == nil {
		next = map[string]state.Response{}
	}
	next[key] = r
	t.outside = next
	return nil
}

// AskOutside answers req as State.Outside says. It returns nil when that says
// nothing about it.
func (t *Traffic) AskOutside(req *http.Request) (*http.Response, error) {
	u := *req.URL
	u.RawQuery, u.Fragment, u.User = "", "", nil
	u.Path = cmp.Or(u.Path, "/")
	asked := u.String()
	t.timeline.Lock()
	all := t.outside
	t.timeline.Unlock()
	best, score := state.Response{}, -1
	for key, r := range all {
		method, address, err := splitOutside(key)
		if err != nil || method != "" && method != req.Method {
			continue
		}
		prefix, open := strings.CutSuffix(address, "*")
		if !open && asked != address && asked != address+"/" || open && !strings.HasPrefix(asked, prefix) {
			continue
		}
		n := 4 * len(prefix) // the longest address counts, then the one without *, then the one with a method
		if !open {
			n += 2
		}
		if method != "" {
			n++
		}
		if n > score {
			best, score = r, n
		}
	}
	if score < 0 {
		return nil, nil
	}
	a := answer{status: cmp.Or(best.Status, http.StatusOK), header: best.Header, body: best.Body, delay: best.Delay.Std(), drop: best.Drop}
	if err := t.pass(req.Context(), a); err != nil {
		return nil, err
	}
	return a.response(req), nil
}
