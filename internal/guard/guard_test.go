package guard_test

import (
	"context"
	"strings"
	"testing"

	"github.com/mepc/mepc-run/internal/engine"
	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/internal/guard"
	"github.com/mepc/mepc-run/internal/sim"
	"github.com/mepc/mepc-run/modules/docker"
	"github.com/mepc/mepc-run/modules/lock"
	"github.com/mepc/mepc-run/modules/redis"
	"github.com/mepc/mepc-run/modules/std"
	"github.com/mepc/mepc-run/runtime"
)

// world has app-old with the traffic of www, by its address, app-new without any,
// and by-name, which its list calls by its name.
func world() *sim.State {
	list := func(items ...string) sim.RedisKey { return sim.RedisKey{List: items} }
	app := map[string]string{"mepc.app": "app"}
	return &sim.State{
		Engines: []sim.EngineState{{
			Images:   []sim.Image{{Ref: "mepc/app:1"}, {Ref: "mepc/app:2"}},
			Networks: []sim.Network{{Name: "side"}},
			Containers: []sim.Container{
				{Name: "app-old", Image: "mepc/app:1", Labels: app, Networks: []sim.Endpoint{{Network: "side"}, {Network: "bridge", IP: "172.17.0.2"}}},
				{Name: "app-new", Image: "mepc/app:2", Labels: app, Networks: []sim.Endpoint{{Network: "bridge", IP: "172.17.0.3"}}},
				{Name: "by-name", Image: "mepc/app:1"},
				{Name: "stopped", Image: "mepc/app:1", Status: "exited"},
			},
		}},
		Redis: map[string]sim.RedisKey{
			"frontend:www": list("app", "http://172.17.0.2:8080"), "frontend:named": list("x", "http://by-name:8080"), "frontend:other": list("x"),
		},
	}
}

// run runs a recipe under the guards, with those lifted that are named.
func run(t *testing.T, source string, lifted ...string) error {
	t.Helper()
	w, err := sim.New(sim.Options{State: world()})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	clients := engine.Rehearsal(engine.Options{}, w, engine.Stage{})
	defer clients.Close()
	host := runtime.New(runtime.Options{Modules: append(std.Modules(std.Options{}), docker.New(docker.AllowAll()), redis.New(redis.Allow{}), lock.New(lock.Options{}))})
	recipe, err := host.LoadString("r.lua", "local r = redis.connect()\n"+source)
	if err != nil {
		t.Fatal(err)
	}
	is := func(name string) bool { return strings.Contains(strings.Join(lifted, " "), name) }
	_, err = host.Run(context.Background(), recipe, runtime.RunOptions{
		World: clients, Clock: clients.Clock(), Guards: []runtime.Guard{guard.New(clients, is, func(text string) { t.Errorf("warned: %s", text) })},
	})
	return err
}

func TestGuards(t *testing.T) {
	t.Parallel()
	const add = `r:linsert("frontend:www", "AFTER", "app", "http://172.17.0.3:8080") `
	for _, c := range []struct {
		source string
		lifts  string // what lifts the guard; empty: none refuses it
		says   string
	}{
		{`docker.stop("app-old")`, guard.Routed, "the routing list of www points to it"},
		{`docker.kill("app-old")`, guard.Routed, "app-old has traffic"},
		{`docker.kill("app-old", {signal = "HUP"})`, "", ""},
		{`docker.remove("app-old", {force = true})`, guard.Routed, ""},
		{`docker.pause("app-old")`, guard.Routed, ""},
		{`docker.restart("app-old")`, guard.Routed, ""},
		{`docker.stop("by-name")`, guard.Routed, "the routing list of named"},
		{`docker.rename("by-name", "another")`, guard.Routed, "by-name has traffic"},
		{`docker.rename("app-old", "another")`, "", ""},
		{`docker.network_disconnect("bridge", "app-old")`, guard.Routed, "at http://172.17.0.2:8080"},
		{`docker.network_disconnect("side", "app-old")`, "", ""},
		{`docker.stop("app-new") docker.remove("stopped") docker.update("app-old", {restart = "always"})`, "", ""},
		{add + `r:ltrim("frontend:www", 0, 1) docker.stop("app-old")`, "", ""},

		{`r:del("frontend:www")`, guard.EmptyList, "would be left without a backend"},
		{`r:ltrim("frontend:www", 0, 0)`, guard.EmptyList, ""},
		{`r:lrem("frontend:www", 0, "http://172.17.0.2:8080")`, guard.EmptyList, ""},
		{`r:rpop("frontend:www")`, guard.EmptyList, ""},
		{`r:expire("frontend:www", 60)`, guard.EmptyList, ""},
		{`r:multi(function(m) m:del("frontend:www") m:rpush("frontend:www", "app", "http://172.17.0.3:8080") end)`, "", ""},
		{`r:multi(function(m) m:rpush("frontend:www", "x") m:del("frontend:www") end)`, guard.EmptyList, ""},
		{`r:lset("frontend:www", 1, "http://172.17.0.3:8080")`, "", ""},
		{`r:del("frontend:other") r:set("frontend", 1) r:del("frontend")`, "", ""},

		{`lock("app", {redis = r}) ` + add, guard.Versions, "the run ends with 2 versions of app in frontend:www: app-new, app-old"},
		{`lock("app", {redis = r, versions = 2}) ` + add, "", ""},
		{`lock("app", {redis = r}) ` + add + `r:ltrim("frontend:www", 0, 1)`, "", ""},
		{`lock("another", {redis = r}) ` + add, "", ""},
		{add, "", ""},
		{`lock("app", {redis = r}) defer("back", function() r:ltrim("frontend:www", 0, 1) return "back" end) ` + add, guard.Versions, ""},
	} {
		err := run(t, c.source)
		switch {
		case c.lifts == "" && err != nil:
			t.Errorf("%s: %v", c.source, err)
		case c.lifts == "":
		case failure.KindOf(err) != failure.Denied || !strings.Contains(err.Error(), c.says) || !strings.Contains(failure.As(err).Hint, "--allow "+c.lifts):
			t.Errorf("%s: %v; want a refusal that says %q, and how to lift %s", c.source, err, c.says, c.lifts)
		default:
			if err := run(t, c.source, c.lifts); err != nil {
				t.Errorf("%s, with %s lifted: %v", c.source, c.lifts, err)
			}
		}
	}
}
