package app

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/internal/plan"
	"github.com/mepc/mepc-run/internal/state"
	"github.com/mepc/mepc-run/rehearsal"
)

// rehearsed returns the plan of a rehearsal in state, and how the run failed.
func rehearsed(tb testing.TB, name string, params map[string]any, st *state.State, shuffle int64) (*plan.Plan, error) {
	tb.Helper()
	c := newRunner(&invocation{env: Env{Getenv: func(string) string { return "" }}, abort: context.Background()})
	c.flags.groups() // the defaults
	c.flags.Routers = []string{"http://127.0.0.1:8080"}
	s := &stage{runner: c, name: name, params: params, world: worldOf(tb, st), shuffle: shuffle}
	p, err := s.play(tb.Context())
	if err != nil {
		tb.Fatal(err)
	}
	return p, s.result.Err
}

func TestTheSameRehearsalGivesTheSameBytes(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	params := map[string]any{"image": "mepc/app:1.1", "replicas": "5", "drain": "25m"}
	orders := map[string]bool{}
	for _, seed := range []int64{0, 7, 8, 9} {
		var first []byte
		for run := range 6 {
			runtime.GOMAXPROCS(1 + run%4)
			p, failed := rehearsed(t, "bluegreen", params, benchState(), seed)
			if failed != nil {
				t.Fatal(failed)
			}
			data, err := p.Encode()
			if err != nil {
				t.Fatal(err)
			}
			if first == nil {
				first = data
				var order strings.Builder
				for _, e := range p.Effects() {
					order.WriteString(e.Op + e.Target + "\n")
				}
				orders[order.String()] = true
			}
			if !bytes.Equal(first, data) {
				t.Fatalf("seed %d: run %d differs:\n%s\nfrom\n%s", seed, run+1, data, first)
			}
		}
	}
	if len(orders) < 2 {
		t.Error("no seed changes the order of parallel branches")
	}
}

func TestALongDrainRehearsesAtOnce(t *testing.T) {
	begin := time.Now()
	if _, failed := rehearsed(t, "bluegreen", map[string]any{"image": "mepc/app:1.1", "drain": "240h", "drain_max": "300h"}, benchState(), 0); failed != nil {
		t.Fatal(failed)
	}
	if took := time.Since(begin); took > 10*time.Second {
		t.Errorf("it took %s", took)
	}
}

func TestSeveralEnginesAreToldApart(t *testing.T) {
	dir := t.TempDir()
	recipe := filepath.Join(dir, "two.lua")
	err := os.WriteFile(recipe, []byte(`
local r = redis.connect()
for _, url in ipairs{"unix:///a.sock", "unix:///b.sock"} do
  local e = docker.connect(url)
  e:create{name = "app", image = "mepc/app:1.1"}
  e:start("app")
  r:rpush("ips", e:inspect("app").ip)
end
docker.connect("unix:///c.sock")
`), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	images := []state.Image{{Ref: "mepc/app:1.1"}}
	p, failed := rehearsed(t, recipe, nil, &state.State{Engines: []state.Engine{
		{Name: "unix:///a.sock", Images: images}, {Name: "unix:///b.sock", Images: images, Bridge: "172.30.0.0/16"},
	}}, 0)
	if failure.KindOf(failed) != failure.NotModelled {
		t.Errorf("an engine that the world does not have: %v", failed)
	}
	var b bytes.Buffer
	if err := p.Write(&b, plan.Style{}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"RPUSH ips <ip of app on unix:///a.sock>", "RPUSH ips <ip of app on unix:///b.sock>",
		"containers (unix:///a.sock)\n    + app: ", "containers (unix:///b.sock)\n    + app: ",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in\n%s", want, b.String())
		}
	}
}

func TestSecretParametersAreInNoPlan(t *testing.T) {
	recipe := filepath.Join(t.TempDir(), "secret.lua")
	err := os.WriteFile(recipe, []byte(`
local p = params{token = {type = "secret", required = true}, name = {required = true}}
redis.connect():set("token", p.token)
log("token is " .. tostring(p.token))
`), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	p, failed := rehearsed(t, recipe, map[string]any{"token": "s3cr3t-token", "name": "x"}, &state.State{}, 0)
	if failed != nil {
		t.Fatal(failed)
	}
	data, err := p.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(data, []byte("s3cr3t")) {
		t.Errorf("%s", data)
	}
	if got := fmt.Sprint(p.Recipe.Params, p.Recipe.SecretParams); got != "map[name:x] [token]" {
		t.Error(got)
	}
}

// worldOf returns a world in which st is true.
func worldOf(tb testing.TB, st *state.State) *rehearsal.World {
	tb.Helper()
	data, err := st.Encode()
	if err != nil {
		tb.Fatal(err)
	}
	w, err := rehearsal.ReadWorld(bytes.NewReader(data), "test.json")
	if err != nil {
		tb.Fatal(err)
	}
	return w
}
