package sim_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/redis/go-redis/v9"
)

// subject is a world to run the corpus in: the simulated one or the real one.
type subject struct {
	prefix string // of names, so that cases do not meet
	engine func(*http.Request) (*http.Response, error)
	redis  *redis.Client
	get    func(url, host string) (int, string, error)
	sleep  func(time.Duration)
	now    func() time.Time
	began  time.Time // the case

	tar  []byte // the last save
	last string // the last Id that was answered
	seen []string
	ips  []string
}

// run does the steps of a case and returns what each of them answered.
func (s *subject) run(t *testing.T, steps []string) []string {
	t.Helper()
	s.seen, s.ips, s.last, s.tar, s.began = nil, nil, "", nil, s.now()
	var out []string
	for _, step := range steps {
		answer := s.step(t, step)
		if ofTheMachine(step) {
			answer = "depends on the machine"
		}
		out = append(out, answer)
	}
	s.sweep(t)
	return out
}

// sweep removes the case's containers. An engine keeps its last 256 events only,
// and the health checks of what still runs would push out those of later cases.
func (s *subject) sweep(t *testing.T) {
	t.Helper()
	var left []struct{ ID string }
	s.fetch(t, `/containers/json?all=1&filters={"name":["^/`+s.prefix+`"]}`, &left)
	for _, c := range left {
		s.call(t, "DELETE", "/containers/"+c.ID+"?force=1", "", nil)
	}
}

func (s *subject) step(t *testing.T, step string) string {
	t.Helper()
	call, projection, _ := strings.Cut(step, " | ")
	call = s.expand(t, call)
	verb, rest, _ := strings.Cut(call, " ")
	switch verb {
	case "SLEEP":
		d, err := time.ParseDuration(rest)
		if err != nil {
			t.Fatalf("%s: %v", step, err)
		}
		s.sleep(d)
		return ""
	case "UNTIL":
		return s.until(t, rest)
	case "LISTENS":
		return s.listens(t, rest)
	case "REDIS":
		return s.redisStep(t, rest)
	case "FETCH":
		address, host, _ := strings.Cut(rest, " ")
		status, body, err := s.get(address, host)
		if err != nil {
			return s.normal(errorClass(err))
		}
		if projection == "status" {
			body = ""
		}
		return s.normal(fmt.Sprint(status, " ", body))
	case "BUILD":
		query, dockerfile, _ := strings.Cut(rest, " :: ")
		body := contextTar(t, strings.ReplaceAll(dockerfile, `\n`, "\n"))
		return s.answer(t, "POST", "/build?"+query, "application/x-tar", body, projection)
	case "EVENTS":
		return s.events(t, rest)
	case "SAVE":
		status, body := s.call(t, "GET", rest, "", nil)
		s.tar = body
		if status != http.StatusOK {
			return s.text(status, body, projection)
		}
		return s.normal(tarNames(t, body))
	case "PUTTAR":
		words := strings.Fields(rest)
		return s.answer(t, "PUT", words[0], "application/x-tar", filesTar(t, words[1:]), projection)
	case "GETTAR":
		status, body := s.call(t, "GET", rest, "", nil)
		if status != http.StatusOK {
			return s.text(status, body, projection)
		}
		return s.normal(tarFiles(t, body))
	case "STAT":
		return s.stat(t, rest)
	case "LOAD":
		kind, query, _ := strings.Cut(rest, " ")
		return s.answer(t, "POST", "/images/load"+query, "application/x-tar", s.broken(t, kind), projection)
	}
	path, body, _ := strings.Cut(rest, " ")
	path = strings.ReplaceAll(path, "~", " ")
	return s.answer(t, verb, path, "application/json", []byte(body), projection)
}

func (s *subject) answer(t *testing.T, method, path, ctype string, body []byte, projection string) string {
	t.Helper()
	status, b := s.call(t, method, path, ctype, body)
	return s.text(status, b, projection)
}

func (s *subject) call(t *testing.T, method, path, ctype string, body []byte) (int, []byte) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute) // ends what hangs
	defer cancel()
	path, query, _ := strings.Cut(path, "?")
	u := "http://engine/v1.41" + path
	if query != "" {
		u += "?" + escapeQuery(query)
	}
	var r io.Reader
	if len(body) > 0 {
		r = bytes.NewReader(body)
	}
	req, err := http.NewRequestWithContext(ctx, method, u, r)
	if err != nil {
		t.Fatal(err)
	}
	if ctype != "" {
		req.Header.Set("Content-Type", ctype)
	}
	resp, err := s.engine(req)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	var id struct{ ID string }
	if json.Unmarshal(b, &id) == nil && id.ID != "" && method == "POST" {
		s.last = id.ID
	}
	return resp.StatusCode, b
}

// escapeQuery encodes values such as JSON, and leaves the names alone.
func escapeQuery(q string) string {
	var out []string
	for _, pair := range strings.Split(q, "&") {
		k, v, _ := strings.Cut(pair, "=")
		out = append(out, k+"="+url.QueryEscape(v))
	}
	return strings.Join(out, "&")
}

var reference = regexp.MustCompile(`<([a-z][a-z0-9]*)(?:\.([a-z]+))?>`)

// expand puts names in for <x>, and what is known of the container for <x.id>,
// <x.ip> and <x.port>. <last> is the ID that was last answered.
func (s *subject) expand(t *testing.T, text string) string {
	t.Helper()
	return reference.ReplaceAllStringFunc(text, func(m string) string {
		g := reference.FindStringSubmatch(m)
		name := s.prefix + g[1]
		switch {
		case g[1] == "last":
			return s.last
		case g[2] == "":
			return name
		case g[2] == "image":
			var v struct{ ID string }
			s.fetch(t, "/images/"+name+":1/json", &v)
			return v.ID
		}
		var c container.InspectResponse
		s.fetch(t, "/containers/"+name+"/json", &c)
		switch g[2] {
		case "id":
			return c.ID
		case "ip":
			for _, n := range c.NetworkSettings.Networks {
				if n.IPAddress != "" {
					return n.IPAddress
				}
			}
		case "port":
			for _, b := range c.NetworkSettings.Ports {
				if len(b) > 0 {
					return b[0].HostPort
				}
			}
		}
		return "192.0.2.1" // nothing there
	})
}

func (s *subject) fetch(t *testing.T, path string, v any) {
	t.Helper()
	status, b := s.call(t, "GET", path, "", nil)
	if status != http.StatusOK {
		t.Fatalf("GET %s: %d %s", path, status, b)
	}
	if err := json.Unmarshal(b, v); err != nil {
		t.Fatal(err)
	}
}

// until repeats a GET until a projection has a value: "path | projection = value".
func (s *subject) until(t *testing.T, rest string) string {
	t.Helper()
	path, want, _ := strings.Cut(rest, " ")
	projection, value, _ := strings.Cut(want, "=")
	var got string
	for range 400 {
		_, body := s.call(t, "GET", path, "", nil)
		if got = project(body, projection); got == value {
			return value
		}
		s.sleep(25 * time.Millisecond)
	}
	return "never " + value + ", but " + got
}

// listens waits until the app of a container answers: from then on it also handles
// signals.
func (s *subject) listens(t *testing.T, container string) string {
	t.Helper()
	address := s.expand(t, "http://<"+strings.TrimPrefix(container, s.prefix)+".ip>:8080/")
	for range 400 {
		if _, _, err := s.get(address, ""); err == nil {
			return "listens"
		}
		s.sleep(25 * time.Millisecond)
	}
	return "does not listen"
}

// events lists what happened to the containers of these names.
func (s *subject) events(t *testing.T, rest string) string {
	t.Helper()
	words := strings.Fields(rest)
	s.sleep(100 * time.Millisecond)
	status, body := s.call(t, "GET", fmt.Sprintf("/events?since=%d&until=%d&filters=%s", s.began.Unix()-1, s.now().Unix()+1, words[0]), "", nil)
	if status != http.StatusOK {
		return s.text(status, body, "")
	}
	var out []string
	for dec := json.NewDecoder(bytes.NewReader(body)); ; {
		var e struct {
			Type, Action, Status, From string
			Actor                      struct{ Attributes map[string]string }
		}
		if dec.Decode(&e) != nil {
			break
		}
		if a := e.Actor.Attributes; slices.Contains(words[1:], a["name"]) {
			out = append(out, fmt.Sprint(e.Type, " ", e.Action, " ", e.Status == e.Action, " ", e.From, " ", a))
		}
	}
	return s.normal(strings.Join(out, "\n"))
}

func (s *subject) redisStep(t *testing.T, rest string) string {
	t.Helper()
	var args []any
	for _, a := range strings.Fields(rest) {
		args = append(args, a)
	}
	v, err := s.redis.Do(t.Context(), args...).Result()
	if errors.Is(err, redis.Nil) {
		return "nil"
	}
	if err != nil {
		return s.normal("error " + err.Error())
	}
	return s.normal(redisText(v))
}

func redisText(v any) string {
	switch v := v.(type) {
	case []any:
		var out []string
		for _, e := range v {
			out = append(out, redisText(e))
		}
		return "[" + strings.Join(out, " ") + "]"
	case map[any]any:
		var out []string
		for k, e := range v {
			out = append(out, redisText(k)+":"+redisText(e))
		}
		sort.Strings(out)
		return "{" + strings.Join(out, " ") + "}"
	}
	return fmt.Sprintf("%v", v)
}

// text returns the part of an answer that is compared: the status, and the whole body or the
// projections of it.
func (s *subject) text(status int, body []byte, projection string) string {
	if projection == "status" {
		return fmt.Sprint(status)
	}
	body = apart(body)
	if projection == "" || status >= 300 {
		return s.normal(fmt.Sprintf("%d %s", status, strings.TrimSpace(string(body))))
	}
	var out []string
	for _, p := range strings.Fields(projection) {
		out = append(out, p+"="+project(body, p))
	}
	return s.normal(fmt.Sprintf("%d %s", status, strings.Join(out, " ")))
}

// project picks a part of a JSON document: State.Status, [].Names, and with keys:
// in front the names of its fields. lines: is the last line of a stream.
func project(body []byte, path string) string {
	if path == "lines:last" {
		lines := strings.Split(strings.TrimSpace(string(body)), "\n")
		return lines[len(lines)-1]
	}
	path, keys := strings.CutPrefix(path, "keys:")
	var v any
	if err := json.Unmarshal(body, &v); err != nil {
		return "not JSON: " + string(body)
	}
	v = pick(v, strings.Split(path, "."))
	if mounts, ok := v.([]any); ok && strings.HasSuffix(path, "Mounts") {
		sortByJSON(mounts) // the real engine ranges over a map
	}
	if m, ok := v.(map[string]any); ok && keys {
		names := make([]string, 0, len(m))
		for k := range m {
			names = append(names, k)
		}
		sort.Strings(names)
		return strings.Join(names, ",")
	}
	b, _ := json.Marshal(v)
	return string(b)
}

func sortByJSON(list []any) {
	sort.Slice(list, func(i, j int) bool {
		a, _ := json.Marshal(list[i])
		b, _ := json.Marshal(list[j])
		return bytes.Compare(a, b) < 0
	})
}

func pick(v any, path []string) any {
	if len(path) == 0 || path[0] == "" {
		return v
	}
	switch t := v.(type) {
	case map[string]any:
		if path[0] == "*" {
			names := make([]string, 0, len(t))
			for k := range t {
				names = append(names, k)
			}
			sort.Strings(names)
			var out []any
			for _, k := range names {
				out = append(out, pick(t[k], path[1:]))
			}
			return out
		}
		return pick(t[path[0]], path[1:])
	case []any:
		if path[0] == "#" {
			return len(t)
		}
		var out []any
		for _, e := range t {
			if v := pick(e, path[1:]); v != nil {
				out = append(out, v)
			}
		}
		return out
	}
	return nil
}
