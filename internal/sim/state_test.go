package sim_test

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/network"
	"github.com/google/go-cmp/cmp"

	"github.com/mepc/mepc-run/internal/sim"
)

var (
	removeAll      = image.RemoveOptions{Force: true, PruneChildren: true}
	networkOptions = network.CreateOptions{}
)

// busy is a world in which most things that a State holds are there.
func busy(t *testing.T) *sim.World {
	t.Helper()
	b, err := os.ReadFile("testdata/world.json")
	if err != nil {
		t.Fatal(err)
	}
	s, err := sim.Decode(b)
	if err != nil {
		t.Fatal(err)
	}
	w, err := sim.New(sim.Options{State: s})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Close)
	return w
}

func TestAWorldFileKeepsAWorld(t *testing.T) {
	w := busy(t)
	run(t, w, "made", "mepc/app:1.0", &container.HostConfig{PublishAllPorts: true})
	pass(t, w, 3*time.Second)
	before, err := w.State()
	if err != nil {
		t.Fatal(err)
	}
	file, err := before.Encode()
	if err != nil {
		t.Fatal(err)
	}
	read, err := sim.Decode(file)
	if err != nil {
		t.Fatalf("%v\n%s", err, file)
	}
	again, err := sim.New(sim.Options{State: read})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(again.Close)
	after, err := again.State()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, after); diff != "" {
		t.Errorf("(-before +after)\n%s", diff)
	}
	if twice, _ := after.Encode(); string(twice) != string(file) {
		t.Error("the same state gives different bytes")
	}
}

func TestAWorldFileIsRestored(t *testing.T) {
	w := busy(t)
	if c := inspect(t, w, "app-1"); address(c) != "172.17.0.9" || c.State.Health.Status != "healthy" {
		t.Errorf("app-1 is at %s and %v", address(c), c.State.Health)
	}
	if got := answers(t, w, "shop", 1); got != "app-1" {
		t.Errorf("through the router: %s", got)
	}
	if c := inspect(t, w, "done"); c.State.Status != "exited" || c.State.ExitCode != 2 {
		t.Errorf("done is %s (%d)", c.State.Status, c.State.ExitCode)
	}
	if ttl := redisClient(t, w).TTL(t.Context(), "lock").Val(); ttl != 30*time.Second {
		t.Errorf("lock lives %v", ttl)
	}
}

func TestBadWorldFilesSayWhere(t *testing.T) {
	for _, c := range []struct{ name, file, want string }{
		{"empty", "", "line 1: the world file ends too early"},
		{"no object", "[]", "line 1: the world file is not an object"},
		{"not a world file", "{}", `line 1: this is no world file: it needs "mepc_world": 1`},
		{"of the future", `{"mepc_world": 9}`, "line 1: the world file has the format 9; this program knows 1"},
		{"cut off", "{\"mepc_world\": 1,\n\"engines\": [", "line 2: the world file ends too early"},
		{"no JSON", "{\"mepc_world\": 1,\n\n x}", "line 3: invalid character 'x'"},
		{"an unknown key", "{\"mepc_world\": 1,\n\"engines\": [{\n\"imges\": []}]}", `line 3: engines, entry 1: unknown key "imges" (did you mean "images"?)`},
		{"an unknown key of a fixture", "{\"mepc_world\": 1,\"engines\": [{\"images\": [{\"ref\":\"a\",\n\"behaviour\": {\"start_dealy\":\"2s\"}}]}]}", `line 2: behaviour: unknown key "start_dealy" (did you mean "start_delay"?)`},
		{"a key like no other", "{\"mepc_world\": 1,\n\"zzzzzzzz\": 1}", `line 2: the world file: unknown key "zzzzzzzz" (known are approvals, engines, mepc_world`},
		{"a key twice", "{\"mepc_world\": 1,\n\"source\": \"a\",\n\"source\": \"b\"}", `line 3: the world file: "source" is given twice`},
		{"a wrong type", "{\"mepc_world\": 1,\n\"engines\": {}}", "line 2: engines is not a list"},
		{"a wrong scalar", "{\"mepc_world\": 1,\n\"source\": 5}", "line 2: source is not a string"},
		{"a wrong entry", "{\"mepc_world\": 1,\"engines\": [{\"images\":[{\"ref\":\"a\",\n\"cmd\": [\"x\",\n5]}]}]}", "line 3: cmd, entry 2 is not a string"},
		{"a bad duration", "{\"mepc_world\": 1,\"engines\": [{\"images\":[{\"ref\":\"a\",\"behaviour\":{\n\"start_delay\": \"2 apples\"}}]}]}", `line 2: start_delay: "2 apples" is not a duration such as "2s" or "1m30s"`},
		{"more behind the end", "{\"mepc_world\": 1}\n{}", "line 2: there is more after the end"},
		{"nesting", strings.Repeat(`{"redis":{"a":`, 100), "line 1: "},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := sim.Decode([]byte(c.file))
			if err == nil || !strings.HasPrefix(err.Error(), c.want) {
				t.Errorf("%v\n  want %s", err, c.want)
			}
		})
	}
}

func TestStatesThatMakeNoSense(t *testing.T) {
	app := sim.Image{Ref: "app:1"}
	for _, c := range []struct {
		name string
		e    sim.EngineState
		want string
	}{
		{"an image without a name", sim.EngineState{Images: []sim.Image{{}}}, "an image needs a ref, or an id when it has no tag"},
		{"an image twice", sim.EngineState{Images: []sim.Image{app, app}}, "has the same ID as"},
		{"a bad reference", sim.EngineState{Images: []sim.Image{{Ref: "UPPER:1"}}}, "repository name must be lowercase"},
		{"a bad port", sim.EngineState{Images: []sim.Image{{Ref: "a", Expose: []string{"http"}}}}, `"http" is not a port`},
		{"a container of no image", sim.EngineState{Containers: []sim.Container{{Name: "aa", Image: "nope:1"}}}, `container "aa": No such image: nope:1`},
		{"two containers of one name", sim.EngineState{Images: []sim.Image{app}, Containers: []sim.Container{{Name: "aa", Image: "app:1"}, {Name: "aa", Image: "app:1"}}}, "is already in use"},
		{"an unknown status", sim.EngineState{Images: []sim.Image{app}, Containers: []sim.Container{{Name: "aa", Image: "app:1", Status: "sleeping"}}}, `status "sleeping" is none of`},
		{"an unknown network", sim.EngineState{Images: []sim.Image{app}, Containers: []sim.Container{{Name: "aa", Image: "app:1", Networks: []sim.Endpoint{{Network: "nope"}}}}}, "network nope not found"},
		{"health without a check", sim.EngineState{Images: []sim.Image{app}, Containers: []sim.Container{{Name: "aa", Image: "app:1", Health: "healthy"}}}, "there is no health check"},
		{"an address outside", sim.EngineState{Images: []sim.Image{app}, Containers: []sim.Container{{Name: "aa", Image: "app:1", Networks: []sim.Endpoint{{Network: "bridge", IP: "10.0.0.1"}}}}}, "address 10.0.0.1 in network bridge"},
		{"an address twice", sim.EngineState{Images: []sim.Image{app}, Containers: []sim.Container{
			{Name: "aa", Image: "app:1", Networks: []sim.Endpoint{{Network: "bridge", IP: "172.17.0.2"}}},
			{Name: "bb", Image: "app:1", Networks: []sim.Endpoint{{Network: "bridge", IP: "172.17.0.2"}}},
		}}, "Address already in use"},
		{"a restart policy", sim.EngineState{Images: []sim.Image{app}, Containers: []sim.Container{{Name: "aa", Image: "app:1", Restart: "sometimes"}}}, "invalid restart policy 'sometimes'"},
		{"the network bridge", sim.EngineState{Networks: []sim.Network{{Name: "bridge"}}}, "always there"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := sim.New(sim.Options{State: &sim.State{Engines: []sim.EngineState{c.e}}})
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v\n  want %s", err, c.want)
			}
		})
	}
	_, err := sim.New(sim.Options{State: &sim.State{Redis: map[string]sim.RedisKey{"k": {}}}})
	if err == nil || !strings.Contains(err.Error(), `redis key "k": exactly one of`) {
		t.Errorf("a key without a value: %v", err)
	}
}
