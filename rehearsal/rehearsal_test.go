package rehearsal_test

import (
	"strings"
	"testing"

	"github.com/mepc/mepc-run/modules/docker"
	"github.com/mepc/mepc-run/modules/http"
	"github.com/mepc/mepc-run/modules/redis"
	"github.com/mepc/mepc-run/modules/std"
	"github.com/mepc/mepc-run/rehearsal"
	"github.com/mepc/mepc-run/runtime"
)

func modules(routers []string) []runtime.Module {
	return append(std.Modules(std.Options{Routers: routers}), docker.New(docker.Allow{}), redis.New(redis.Allow{}), http.New())
}

func rehearse(t *testing.T, w *rehearsal.World, source string, opts rehearsal.Options) *rehearsal.Result {
	t.Helper()
	host := runtime.New(runtime.Options{Modules: modules(opts.Routers)})
	recipe, err := host.LoadString("r.lua", source)
	if err != nil {
		t.Fatal(err)
	}
	res, err := rehearsal.Run(t.Context(), w, host, recipe, opts)
	if err != nil {
		t.Fatal(err)
	}
	return res
}

const file = `{"mepc_world": 1, "redis": {"frontend:a": {"list": ["a", "http://10.0.0.1:80"]}}}`

func world(t *testing.T) *rehearsal.World {
	t.Helper()
	w, err := rehearsal.ReadWorld(strings.NewReader(file), "w.json")
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func TestAWorldServesAnyNumberOfRehearsals(t *testing.T) {
	w := world(t)
	const source = `redis.connect():rpush("frontend:a", "http://10.0.0.2:80")`
	first, second := rehearse(t, w, source, rehearsal.Options{}), rehearse(t, w, source, rehearsal.Options{})
	one, err := first.Plan.Encode()
	if err != nil {
		t.Fatal(err)
	}
	two, err := second.Plan.Encode()
	if err != nil || string(one) != string(two) {
		t.Errorf("the plans differ: %v\n%s\n%s", err, one, two)
	}
	back, err := rehearsal.ReadPlan(one)
	if err != nil || len(back.Changes) != 1 || back.Changes[0].Name != "frontend:a" {
		t.Errorf("%v: %v", back, err)
	}
	if changed := w.Changed(back); len(changed) != 0 {
		t.Errorf("stale: %q", changed)
	}
	if changed := rehearsal.Empty().Changed(back); len(changed) != 1 {
		t.Errorf("in another world: %q", changed)
	}
}

func TestTheGuardsHoldUnlessTheyAreLifted(t *testing.T) {
	const source = `redis.connect():del("frontend:a")`
	if res := rehearse(t, world(t), source, rehearsal.Options{}); runtime.Catch(res.Err) == nil || runtime.Catch(res.Err).Kind != runtime.Denied {
		t.Errorf("%v", res.Err)
	}
	if res := rehearse(t, world(t), source, rehearsal.Options{Allow: []string{"empty-lists"}}); res.Err != nil {
		t.Error(res.Err)
	}
}

func TestRoutersAreInTheWorld(t *testing.T) {
	const source = `return http.get("http://127.0.0.1:8080/", {headers = {Host = "nowhere"}}).status`
	opts := rehearsal.Options{Strict: true, Routers: []string{"http://localhost:8080"}}
	if res := rehearse(t, world(t), source, opts); res.Err != nil {
		t.Error(res.Err)
	}
	host := runtime.New(runtime.Options{Modules: modules(nil)})
	recipe, err := host.LoadString("r.lua", source)
	if err != nil {
		t.Fatal(err)
	}
	opts.Routers = []string{"8080"}
	if _, err := rehearsal.Run(t.Context(), world(t), host, recipe, opts); err == nil {
		t.Error("8080 is taken for a URL")
	}
	opts.Routers = nil
	if res := rehearse(t, world(t), source, opts); res.Err == nil {
		t.Error("a router that nobody named answers")
	}
}

func TestAWorldFileThatMakesNoSenseIsAnError(t *testing.T) {
	for _, text := range []string{"", "{}", `{"mepc_world": 9}`, `{"mepc_world": 1, "engine": {}}`} {
		if _, err := rehearsal.ReadWorld(strings.NewReader(text), "w.json"); err == nil || !strings.Contains(err.Error(), "w.json") {
			t.Errorf("%s: %v", text, err)
		}
	}
}
