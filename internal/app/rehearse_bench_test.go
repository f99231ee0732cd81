package app

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mepc/mepc-run/internal/state"
)

// benchState is one release behind a router.
func benchState() *state.State {
	return &state.State{
		Format: state.Format,
		Engines: []state.Engine{{
			Images: []state.Image{{Ref: "mepc/app:1.0", Expose: []string{"8080"}}, {Ref: "mepc/app:1.1", Expose: []string{"8080"}}},
			Containers: []state.Container{{
				Name: "app-old", Image: "mepc/app:1.0", Labels: map[string]string{"mepc.app": "app", "mepc.release": "old", "mepc.replica": "1"},
				Networks: []state.Endpoint{{Network: "bridge", IP: "172.17.0.2"}},
			}},
		}},
		Redis: map[string]state.RedisKey{"frontend:appserver": {List: []string{"app", "http://172.17.0.2:8080"}}},
	}
}

func benchCommand() *runner {
	c := newRunner(&invocation{env: Env{Getenv: func(string) string { return "" }}, abort: context.Background()})
	c.flags.groups()
	c.flags.Routers = []string{"http://127.0.0.1:8080"}
	return c
}

// BenchmarkRehearseBluegreen is all of a rehearsal in process: a fresh world, its
// clients, the modules, the recipe, the plan.
func BenchmarkRehearseBluegreen(b *testing.B) {
	c := benchCommand()
	m := newMeasure(b)
	for b.Loop() {
		m.begin()
		s := &stage{runner: c, name: "bluegreen", params: map[string]any{"image": "mepc/app:1.1"}, world: worldOf(b, benchState())}
		p, err := s.play(b.Context())
		if err != nil || s.result.Err != nil {
			b.Fatal(err, s.result.Err)
		}
		if p.Summary.Add != 2 || p.Summary.Change != 2 { // the container and what its app serves
			b.Fatalf("%+v", p.Summary)
		}
		m.end()
	}
	m.report()
}

// BenchmarkRehearseFleet is a deployment to a hundred engines: from the plan's view,
// shipped to, started on, switched to at once, and the old release stopped on each.
func BenchmarkRehearseFleet(b *testing.B) {
	const hosts = 100
	image := state.Image{Ref: "mepc/app:1.1", Expose: []string{"8080"}, Layers: []state.Layer{{DiffID: "sha256:" + strings.Repeat("a", 64), Size: 1_000_000}}}
	st := &state.State{
		Format:  state.Format,
		Engines: []state.Engine{{Name: "unix:///var/run/docker.sock", Host: "127.0.0.1", Images: []state.Image{image}}},
	}
	var engines []any
	for i := range hosts {
		ip := fmt.Sprintf("10.0.0.%d", i+1)
		st.Engines = append(st.Engines, state.Engine{Name: "ssh://deploy@" + ip, Host: ip})
		engines = append(engines, "ssh://deploy@"+ip+"="+ip)
	}
	c := benchCommand()
	m := newMeasure(b)
	for b.Loop() {
		m.begin()
		s := &stage{runner: c, name: "fleet", params: map[string]any{"image": "mepc/app:1.1", "engines": engines}, world: worldOf(b, st)}
		p, err := s.play(b.Context())
		if err != nil || s.result.Err != nil {
			b.Fatal(err, s.result.Err)
		}
		if p.Summary.Add != 2*hosts+1 { // an image and a container each, and the list
			b.Fatalf("%+v", p.Summary)
		}
		m.end()
	}
	m.report()
}

// canary looks at a page each five seconds for 25 minutes.
const canary = `
local until_ = now() + 25 * 60
while now() < until_ do
  assert(http.get("http://127.0.0.1:8080/", {headers={Host="appserver"}, fresh=true}).ok)
  sleep("5s")
end`

// BenchmarkRehearseCanary is a recipe that waits for 25 minutes, with 300 probes.
func BenchmarkRehearseCanary(b *testing.B) {
	name := filepath.Join(b.TempDir(), "canary.lua")
	if err := os.WriteFile(name, []byte(canary), 0o600); err != nil {
		b.Fatal(err)
	}
	c := benchCommand()
	m := newMeasure(b)
	for b.Loop() {
		m.begin()
		s := &stage{runner: c, name: name, world: worldOf(b, benchState())}
		if _, err := s.play(b.Context()); err != nil || s.result.Err != nil {
			b.Fatal(err, s.result.Err)
		}
		m.end()
	}
	m.report()
}

// measure takes times that mean something on a machine that others use, too: the
// CPU time of all rounds, and how long the fastest twentieth of them took, which
// nobody came between.
type measure struct {
	b      *testing.B
	cpu    time.Duration
	start  time.Time
	rounds []time.Duration
}

func newMeasure(b *testing.B) *measure {
	b.ReportAllocs()
	return &measure{b: b, cpu: cpuTime()}
}

func (m *measure) begin() { m.start = time.Now() }
func (m *measure) end()   { m.rounds = append(m.rounds, time.Since(m.start)) }

func (m *measure) report() {
	slices.Sort(m.rounds)
	n := len(m.rounds)
	m.b.ReportMetric(float64(cpuTime()-m.cpu)/float64(n)/1e3, "cpu-us/op")
	m.b.ReportMetric(float64(m.rounds[n/20])/1e3, "p5-us/op")
}

// cpuTime returns the CPU time the process has used.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
