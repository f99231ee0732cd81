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
	"github.com/mepc/mepc-run/internal/state"
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
	s, err := state.Decode(b)
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
	read, err := state.Decode(file)
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

func TestStatesThatMakeNoSense(t *testing.T) {
	app := state.Image{Ref: "app:1"}
	for _, c := range []struct {
		name string
		e    state.Engine
		want string
	}{
		{"an image without a name", state.Engine{Images: []state.Image{{}}}, "an image needs a ref, or an id when it has no tag"},
		{"an image twice", state.Engine{Images: []state.Image{app, app}}, "has the same ID as"},
		{"a bad reference", state.Engine{Images: []state.Image{{Ref: "UPPER:1"}}}, "repository name must be lowercase"},
		{"a bad port", state.Engine{Images: []state.Image{{Ref: "a", Expose: []string{"http"}}}}, `"http" is not a port`},
		{"a container of no image", state.Engine{Containers: []state.Container{{Name: "aa", Image: "nope:1"}}}, `container "aa": No such image: nope:1`},
		{"two containers of one name", state.Engine{Images: []state.Image{app}, Containers: []state.Container{{Name: "aa", Image: "app:1"}, {Name: "aa", Image: "app:1"}}}, "is already in use"},
		{"an unknown status", state.Engine{Images: []state.Image{app}, Containers: []state.Container{{Name: "aa", Image: "app:1", Status: "sleeping"}}}, `status "sleeping" is none of`},
		{"an unknown network", state.Engine{Images: []state.Image{app}, Containers: []state.Container{{Name: "aa", Image: "app:1", Networks: []state.Endpoint{{Network: "nope"}}}}}, "network nope not found"},
		{"health without a check", state.Engine{Images: []state.Image{app}, Containers: []state.Container{{Name: "aa", Image: "app:1", Health: "healthy"}}}, "there is no health check"},
		{"an address outside", state.Engine{Images: []state.Image{app}, Containers: []state.Container{{Name: "aa", Image: "app:1", Networks: []state.Endpoint{{Network: "bridge", IP: "10.0.0.1"}}}}}, "address 10.0.0.1 in network bridge"},
		{"an address twice", state.Engine{Images: []state.Image{app}, Containers: []state.Container{
			{Name: "aa", Image: "app:1", Networks: []state.Endpoint{{Network: "bridge", IP: "172.17.0.2"}}},
			{Name: "bb", Image: "app:1", Networks: []state.Endpoint{{Network: "bridge", IP: "172.17.0.2"}}},
		}}, "Address already in use"},
		{"a restart policy", state.Engine{Images: []state.Image{app}, Containers: []state.Container{{Name: "aa", Image: "app:1", Restart: "sometimes"}}}, "invalid restart policy 'sometimes'"},
		{"the network bridge", state.Engine{Networks: []state.Network{{Name: "bridge"}}}, "always there"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := sim.New(sim.Options{State: &state.State{Engines: []state.Engine{c.e}}})
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v\n  want %s", err, c.want)
			}
		})
	}
	_, err := sim.New(sim.Options{State: &state.State{Redis: map[string]state.RedisKey{"k": {}}}})
	if err == nil || !strings.Contains(err.Error(), `redis key "k": exactly one of`) {
		t.Errorf("a key without a value: %v", err)
	}
}
