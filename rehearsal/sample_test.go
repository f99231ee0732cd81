package rehearsal_test

import (
	"flag"
	"os"
	"strings"
	"testing"

	inner "github.com/mepc/mepc-run/internal/rehearsal"
	"github.com/mepc/mepc-run/internal/state"
	"github.com/mepc/mepc-run/modules/lock"
	"github.com/mepc/mepc-run/recipes"
	"github.com/mepc/mepc-run/rehearsal"
	"github.com/mepc/mepc-run/runtime"
)

var update = flag.Bool("update", false, "write sample.json")

// before is the sample world before its first deployment.
const before = `{"mepc_world": 1, "engines": [{"images": [
 {"ref": "shop:1.0", "expose": ["8000"], "behaviour": {"start_delay": "1s"}},
 {"ref": "shop:1.1", "expose": ["8000"], "behaviour": {"start_delay": "1s"}},
 {"ref": "shop:broken", "expose": ["8000"], "behaviour": {"unhealthy": true, "logs": ["shop: no database at db:5432, trying again"]}}]}],
 "routers": [{"address": "127.0.0.1:8080"}]}`

func sampleHost() *runtime.Host {
	return runtime.New(runtime.Options{
		Modules: append(modules([]string{rehearsal.SampleRouter}), lock.New(lock.Options{})), Library: recipes.FS,
	})
}

func bluegreen(t *testing.T, host *runtime.Host) *runtime.Recipe {
	t.Helper()
	source, err := recipes.FS.ReadFile("bluegreen.lua")
	if err != nil {
		t.Fatal(err)
	}
	recipe, err := host.LoadString("bluegreen.lua", string(source))
	if err != nil {
		t.Fatal(err)
	}
	return recipe
}

// remake writes sample.json: what bluegreen leaves after its first deployment.
func remake(t *testing.T, host *runtime.Host) {
	st, err := state.Decode([]byte(before))
	if err != nil {
		t.Fatal(err)
	}
	stage, err := inner.New(st, inner.Options{Host: host})
	if err != nil {
		t.Fatal(err)
	}
	defer stage.Close()
	run, err := stage.Run(t.Context(), "bluegreen", bluegreen(t, host), runtime.RunOptions{Params: map[string]any{"image": "shop:1.0"}, Seed: 1})
	if err != nil || run.Err != nil {
		t.Fatal(err, run.Err)
	}
	after, err := stage.World.State()
	if err != nil {
		t.Fatal(err)
	}
	after.Source = rehearsal.SampleSource
	data, err := after.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile("sample.json", data, 0o644); err != nil { //nolint:gosec // it is a source file
		t.Fatal(err)
	}
}

func TestTheSampleWorldIsThereToDeployIn(t *testing.T) {
	host := sampleHost()
	if *update {
		remake(t, host)
		return
	}
	recipe := bluegreen(t, host)
	rehearse := func(image string) *rehearsal.Result {
		res, err := rehearsal.Run(t.Context(), rehearsal.Sample(), host, recipe, rehearsal.Options{
			Routers: []string{rehearsal.SampleRouter}, RunOptions: runtime.RunOptions{Params: map[string]any{"image": image}},
		})
		if err != nil {
			t.Fatal(err)
		}
		return res
	}
	if res := rehearse("shop:1.0"); res.Err != nil || !res.Plan.Nothing() {
		t.Errorf("what serves is deployed again (%v); has bluegreen changed? go test ./rehearsal -run Sample -update", res.Err)
	}
	if res := rehearse("shop:1.1"); res.Err != nil || res.Plan.Nothing() {
		t.Errorf("nothing is deployed: %v", res.Err)
	}
	if res := rehearse("shop:broken"); res.Err == nil || !strings.Contains(res.Err.Error(), "not healthy") {
		t.Errorf("a broken image is deployed: %v", res.Err)
	}
}
