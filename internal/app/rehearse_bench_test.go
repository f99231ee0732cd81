package app

import (
	"context"
	"testing"

	"github.com/mepc/mepc-run/internal/sim"
)

// benchState is one release behind a router.
func benchState() *sim.State {
	return &sim.State{
		Format: sim.Format,
		Engines: []sim.EngineState{{
			Images: []sim.Image{{Ref: "mepc/app:1.0", Expose: []string{"8080"}}, {Ref: "mepc/app:1.1", Expose: []string{"8080"}}},
			Containers: []sim.Container{{
				Name: "app-old", Image: "mepc/app:1.0", Labels: map[string]string{"mepc.app": "app", "mepc.release": "old", "mepc.replica": "1"},
				Networks: []sim.Endpoint{{Network: "bridge", IP: "172.17.0.2"}},
			}},
		}},
		Redis: map[string]sim.RedisKey{"frontend:appserver": {List: []string{"app", "http://172.17.0.2:8080"}}},
	}
}

// BenchmarkRehearseBluegreen is all of a rehearsal in process: a fresh world, its
// clients, the modules, the recipe, the plan.
func BenchmarkRehearseBluegreen(b *testing.B) {
	c := &command{env: Env{Getenv: func(string) string { return "" }}, abort: context.Background()}
	c.flags.groups()
	c.flags.routers = []string{"http://127.0.0.1:8080"}
	b.ReportAllocs()
	for b.Loop() {
		s := &stage{command: c, name: "bluegreen", params: map[string]any{"image": "mepc/app:1.1"}, source: "bench", state: benchState()}
		p, err := s.play(b.Context())
		if err != nil || s.failed != nil {
			b.Fatal(err, s.failed)
		}
		if p.Summary.Add != 2 || p.Summary.Change != 2 {
			b.Fatalf("%+v", p.Summary)
		}
	}
}
