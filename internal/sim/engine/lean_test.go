package engine

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/client"
	"github.com/google/go-cmp/cmp"

	"github.com/mepc/mepc-run/internal/clock"
	"github.com/mepc/mepc-run/internal/sim/timeline"
	"github.com/mepc/mepc-run/internal/state"
)

func TestLeanLeavesOutWhatSaysNothing(t *testing.T) {
	for in, want := range map[string]string{
		`{}`:                          `{}`,
		`{"a":0,"b":1,"c":null}`:      `{"b":1}`,
		`{"a":"","b":[],"c":{}}`:      `{"b":[],"c":{}}`,
		`{"a":false,"b":true,"c":10}`: `{"b":true,"c":10}`,
		`{"a":{"x":0,"y":[0,""]}}`:    `{"a":{"x":0,"y":[0,""]}}`,
		`{"a":"},\"{","b":"\\"}`:      `{"a":"},\"{","b":"\\"}`,
		`{"a":[{"x":","}],"b":0}`:     `{"a":[{"x":","}]}`,
	} {
		if got := string(lean([]byte(in))); got != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
	}
}

func TestLeanDecodesToTheSame(t *testing.T) {
	want := container.HostConfig{
		Binds: []string{"/a:/b"}, NetworkMode: "bridge", RestartPolicy: container.RestartPolicy{Name: "always"}, ShmSize: 1,
		Links: []string{}, Privileged: true, Resources: container.Resources{Memory: 1 << 20, CpusetCpus: "0,1"},
	}
	b, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	var got container.HostConfig
	if err := json.Unmarshal(lean(b), &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestATerseEngineSaysTheSame(t *testing.T) {
	e := New(timeline.New(clock.NewVirtual(state.Epoch())), "default")
	err := e.Restore(0, state.Engine{
		Images: []state.Image{{Ref: "app:1", Expose: []string{"80"}}},
		Containers: []state.Container{
			{Name: "db", Image: "app:1"},
			{Name: "app", Image: "app:1", Links: []string{"db:db"}, Env: []string{"A=1"}, Restart: "always"},
		},
	}, state.Epoch())
	if err != nil {
		t.Fatal(err)
	}
	said := map[string]container.InspectResponse{}
	for name, transport := range map[string]http.RoundTripper{"full": e, "terse": e.Terse()} {
		c, err := client.NewClientWithOpts(client.WithHost("tcp://sim"), client.WithHTTPClient(&http.Client{Transport: transport}), client.WithVersion("1.41"))
		if err != nil {
			t.Fatal(err)
		}
		for range 2 { // the second time from memory
			if said[name], err = c.ContainerInspect(t.Context(), "app"); err != nil {
				t.Fatal(err)
			}
		}
	}
	if diff := cmp.Diff(said["full"], said["terse"]); diff != "" {
		t.Error(diff)
	}
	if said["terse"].HostConfig.Links[0] != "/db:/app/db" {
		t.Errorf("links: %v", said["terse"].HostConfig.Links)
	}
}
