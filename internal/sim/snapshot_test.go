package sim_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/client"
	"github.com/docker/go-connections/nat"
	"github.com/google/go-cmp/cmp"

	"github.com/mepc/mepc-run/internal/lab"
	"github.com/mepc/mepc-run/internal/sim"
	"github.com/mepc/mepc-run/internal/snapshot"
	"github.com/mepc/mepc-run/internal/state"
)

// recorder notes what is sent.
type recorder struct {
	next http.RoundTripper
	mu   sync.Mutex
	sent []string
}

func (r *recorder) RoundTrip(req *http.Request) (*http.Response, error) {
	r.mu.Lock()
	r.sent = append(r.sent, req.Method)
	r.mu.Unlock()
	return r.next.RoundTrip(req)
}

func TestASnapshotOfASimulatedEngineIsThatEngine(t *testing.T) {
	w := busy(t)
	rec := &recorder{next: w.Engine("")}
	cli, err := client.NewClientWithOpts(client.WithHost("tcp://sim"), client.WithHTTPClient(&http.Client{Transport: rec}), client.WithVersion("1.41"))
	if err != nil {
		t.Fatal(err)
	}
	s, err := snapshot.Take(t.Context(), w.Clock().Now(), cli, redisClient(t, w))
	if err != nil {
		t.Fatal(err)
	}
	for _, method := range rec.sent {
		if method != http.MethodGet {
			t.Errorf("a snapshot sends %s", method)
		}
	}
	if names := slices.Sorted(func(yield func(string) bool) {
		for k := range s.Redis {
			if !yield(k) {
				return
			}
		}
	}); !slices.Equal(names, []string{"dead:shop", "frontend:shop"}) {
		t.Errorf("keys %v, want those of routing", names)
	}
	again, err := sim.New(sim.Options{State: s})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(again.Close)
	first, second := w.Engine(""), again.Engine("")
	for _, path := range []string{"/containers/json?all=1", "/containers/app-1/json", "/containers/db/json", "/containers/new/json", "/images/mepc/app:1.0/json", "/networks/back"} {
		if diff := cmp.Diff(plain(t, first, path), plain(t, second, path)); diff != "" {
			t.Errorf("%s (-world +world of its snapshot)\n%s", path, diff)
		}
	}
}

// plain is the answer of a GET without what is made up anew: endpoints, process
// IDs, when a tag was set, and the environment, which a snapshot hides.
func plain(t *testing.T, e *sim.Engine, path string) any {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), "GET", "http://e"+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := e.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	var v any
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatalf("%s: %s", path, b)
	}
	return strip(v)
}

func strip(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for _, k := range []string{"EndpointID", "Pid", "LastTagTime", "Env", "NetworkID"} {
			delete(v, k)
		}
		for k, e := range v {
			v[k] = strip(e)
		}
	case []any:
		for i, e := range v {
			v[i] = strip(e)
		}
	}
	return v
}

func TestASnapshotOfARealEngine(t *testing.T) {
	l := lab.ForTest(t)
	if err := lab.SampleImages(t.Context(), l.Engine, "1.0"); err != nil {
		t.Fatal(err)
	}
	cli, err := l.Engine.Client()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cli.Close() })
	rdb, err := l.Redis.Client()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { rdb.Close() })

	db, app, host := l.Name("db"), l.Name("app"), l.Name("host")
	make := func(name string, c *container.Config, h *container.HostConfig) {
		t.Helper()
		created, err := cli.ContainerCreate(t.Context(), c, h, nil, nil, name)
		if err != nil {
			t.Fatal(err)
		}
		if err := cli.ContainerStart(t.Context(), created.ID, container.StartOptions{}); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			cli.ContainerRemove(t.Context(), created.ID, container.RemoveOptions{Force: true})
		})
	}
	make(db, &container.Config{Image: lab.DBImage}, nil)
	make(app, &container.Config{Image: "mepc/app:1.0", Env: []string{"DB_PASSWORD=tiger-9", "MODE=canary-7"}, Labels: map[string]string{"mepc.app": "app", "api_token": "canary-8"}, Cmd: []string{"/app"}}, &container.HostConfig{
		Links: []string{db + ":db"}, RestartPolicy: container.RestartPolicy{Name: "always"},
		PortBindings: nat.PortMap{"8080/tcp": []nat.PortBinding{{HostIP: "127.0.0.1"}}},
	})
	real, err := cli.ContainerInspect(t.Context(), app)
	if err != nil {
		t.Fatal(err)
	}
	url := "http://" + address(real) + ":8080"
	rdb.RPush(t.Context(), "frontend:"+host, "app", url)
	rdb.Set(t.Context(), l.Name("session"), "canary-6", 0)

	s, err := snapshot.Take(t.Context(), time.Now(), cli, rdb)
	if err != nil {
		t.Fatal(err)
	}
	file, err := s.Encode()
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{"tiger-9", "canary-6", "canary-7", "canary-8"} {
		if bytes.Contains(file, []byte(secret)) {
			t.Errorf("the snapshot holds the secret %s", secret)
		}
	}
	if s, err = state.Decode(file); err != nil {
		t.Fatal(err)
	}
	s.Routers = []state.Router{{Address: "127.0.0.1:8080"}}
	w, err := sim.New(sim.Options{State: s})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Close)
	got := inspect(t, w, app)
	type seen struct {
		ID, Image, Name, Status, IP, Policy string
		Links                               []string
		Ports                               nat.PortMap
		Labels                              string
	}
	look := func(c container.InspectResponse) seen {
		return seen{
			c.ID, c.Image, c.Name, c.State.Status, address(c), string(c.HostConfig.RestartPolicy.Name),
			c.HostConfig.Links, c.NetworkSettings.Ports, c.Config.Labels["mepc.app"],
		}
	}
	if diff := cmp.Diff(look(real), look(got)); diff != "" {
		t.Errorf("(-real +simulated)\n%s", diff)
	}
	if status, body, err := w.Get(t.Context(), throughRouter, host); status != 200 || !strings.Contains(body, app) {
		t.Errorf("through the router: %d %s %v", status, body, err)
	}
}
