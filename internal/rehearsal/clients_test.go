package rehearsal

import (
	"context"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/internal/sim"
	"github.com/mepc/mepc-run/internal/state"
	"github.com/mepc/mepc-run/servers"
)

func rehearsed(t *testing.T, policy Policy) *servers.Clients {
	t.Helper()
	world, err := sim.New(sim.Options{State: &state.State{
		Engines: []state.Engine{{
			Name:   "unix:///var/run/docker.sock",
			Images: []state.Image{{Ref: "mepc/app:1.0", Expose: []string{"8080"}}},
			Containers: []state.Container{
				{Name: "app", Image: "mepc/app:1.0", Networks: []state.Endpoint{{Network: "bridge", IP: "172.17.0.2"}}},
				{Name: "down", Image: "mepc/app:1.0", Status: "exited", Publish: []state.Publish{{Port: "8080/tcp", Host: 9090}}},
			},
		}},
		Redis:   map[string]state.RedisKey{"frontend:a": {List: []string{"a", "http://172.17.0.2:8080"}}},
		Routers: []state.Router{{Address: "127.0.0.1:8080"}, {Address: "127.0.0.1:443"}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	w := Clients(servers.Options{}, world, policy)
	t.Cleanup(func() { w.Close(); world.Close() })
	return w
}

// get asks by the transport that recipes have.
func get(t *testing.T, w *servers.Clients, url string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(url, "127.0.0.1") {
		req.Host = "a"
	}
	resp, err := w.Transport().RoundTrip(req)
	if err != nil {
		return string(failure.KindOf(err)) + ": " + err.Error()
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.Status + " " + strings.TrimSpace(string(b))
}

func TestWhatIsOutsideOfTheWorldIsAssumedOrAnError(t *testing.T) {
	var assumed []string
	w := rehearsed(t, Policy{Assume: func(s string) { assumed = append(assumed, s) }})
	strict := rehearsed(t, Policy{})
	for url, want := range map[string]struct{ loose, strict string }{
		"http://172.17.0.2:8080/":              {"200 OK app 1.0", "200 OK app 1.0"},
		"http://127.0.0.1:8080/":               {"200 OK app 1.0", "200 OK app 1.0"},
		"https://127.0.0.1/":                   {"200 OK app 1.0", "200 OK app 1.0"},
		"http://172.17.0.9:8080/":              {"internal: dial", "internal: dial"}, // an address of the engine's
		"http://127.0.0.1:9090/":               {"internal: dial", "internal: dial"}, // a port that is published by what does not run
		"http://app:8080/":                     {"internal: dial", "internal: dial"}, // no name on the engine's machine
		"https://hooks.example.com/T0/SECRET":  {"200 OK ", "not_modelled: GET https://hooks.example.com: "},
		"http://127.0.0.1:9999/":               {"200 OK ", "not_modelled: "},
		"http://10.1.2.3:8081/-/inflight":      {`200 OK {"source":"redis"`, "not_modelled: "},
		"http://[2001:db8::1]:80/index.html":   {"200 OK ", "not_modelled: "},
		"http://nowhere.invalid/-/frontends/x": {"200 OK ", "not_modelled: "},
	} {
		if got := get(t, w, url); !strings.HasPrefix(got, want.loose) {
			t.Errorf("%s: %q, want %q", url, got, want.loose)
		}
		if got := get(t, strict, url); !strings.HasPrefix(got, want.strict) {
			t.Errorf("%s, nothing assumed: %q, want %q", url, got, want.strict)
		}
	}
	slices.Sort(assumed)
	if diff := cmp.Diff([]string{
		"GET http://127.0.0.1:9999 was not sent: 200 and an empty body were taken for its answer",
		"GET http://[2001:db8::1]:80 was not sent: 200 and an empty body were taken for its answer",
		"GET http://nowhere.invalid was not sent: 200 and an empty body were taken for its answer",
		"GET https://hooks.example.com was not sent: 200 and an empty body were taken for its answer",
		"TLS with 127.0.0.1:443 was not rehearsed: it was taken as agreed on",
		"http://10.1.2.3:8081 was taken for the admin server of a router on this Redis, with no request in flight, and 10 requests a second without errors",
	}, assumed); diff != "" {
		t.Error(diff)
	}
}

func TestAnotherEngineAndAnotherRedisAreNotModelled(t *testing.T) {
	var needs []Need
	w := rehearsed(t, Policy{Missing: func(n Need) { needs = append(needs, n) }})
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	other := servers.DockerEndpoint{Host: "unix:///run/other.sock"}
	if _, _, err := w.Docker(ctx, other); failure.KindOf(err) != failure.NotModelled {
		t.Errorf("another engine: %v", err)
	}
	if diff := cmp.Diff([]Need{{Engine: &other}}, needs); diff != "" {
		t.Error(diff)
	}
	for _, url := range []string{"redis://one:6379", "redis://one:6379/2"} {
		rdb, _, err := w.Redis(ctx, url)
		if err != nil || rdb.Ping(ctx).Err() != nil {
			t.Errorf("%s: %v", url, err)
		}
	}
	if _, _, err := w.Redis(ctx, "redis://two:6379"); failure.KindOf(err) != failure.NotModelled {
		t.Errorf("another Redis: %v", err)
	}
}

func TestCommandsThatTheSimulatedRedisDoesNotKnowAreNotModelled(t *testing.T) {
	w := rehearsed(t, Policy{})
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	rdb, _, err := w.Redis(ctx, "")
	if err != nil {
		t.Fatal(err)
	}
	if err := rdb.Do(ctx, "LATENCY", "DOCTOR").Err(); failure.KindOf(err) != failure.NotModelled {
		t.Errorf("alone: %v", err)
	}
	p := rdb.TxPipeline()
	p.Set(ctx, "a", "b", 0)
	p.Do(ctx, "LATENCY", "DOCTOR")
	if _, err := p.Exec(ctx); failure.KindOf(err) != failure.NotModelled {
		t.Errorf("in a transaction: %v", err)
	}
	if err := rdb.LIndex(ctx, "nothing", 0).Err(); failure.KindOf(err) == failure.NotModelled {
		t.Errorf("an answer of nil: %v", err)
	}
}

func TestARehearsalsFilesAreSeenByItAlone(t *testing.T) {
	w := rehearsed(t, Policy{})
	name := filepath.Join(t.TempDir(), "app.tar")
	f, err := w.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write([]byte("tar")); err != nil {
		t.Fatal(err)
	}
	if _, _, err := w.Open(name); err == nil {
		t.Error("it is there before Commit")
	}
	if err := f.Commit(); err != nil {
		t.Fatal(err)
	}
	r, size, err := w.Open(name)
	if err != nil || size != 3 {
		t.Fatalf("%v, %d bytes", err, size)
	}
	if b, _ := io.ReadAll(r); string(b) != "tar" {
		t.Errorf("%q", b)
	}
	if _, err := os.Stat(name); err == nil {
		t.Error("it is on disk")
	}
	if _, err := w.Create(filepath.Join(name, "no", "dir")); err == nil {
		t.Error("a file in a directory that is not there was created")
	}
}
