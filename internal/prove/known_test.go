package prove_test

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mepc/mepc-run/internal/prove"
)

// planted are recipes with a bug, and one without.
var planted = map[string]string{
	"errors are swallowed": `
local r, key = redis.connect(), "frontend:appserver"
if r:lindex(key, 1) ~= "http://172.17.0.3:8080" then return end
if not docker.find("app-new") then docker.create{name = "app-new", image = "mepc/app:1.1", labels = {["mepc.app"] = "app"}, restart = "always"} end
docker.start("app-new")
try(function()
  r:multi(function(tx) tx:linsert(key, "AFTER", "app", "http://" .. docker.inspect("app-new").ip .. ":8080") tx:ltrim(key, 0, 1) end)
end)`,
	"what an undo leaves": `
local r = redis.connect()
r:set("a", "1")
defer("take it back", function() r:del("a") r:del("b") end)
r:set("b", "1")
docker.restart("app-old")
r:del("a")
r:del("b")`,
	"nothing": `
local r = redis.connect()
if r:get("release") ~= "2" then r:set("release", "2") end
docker.update("app-old", {restart = "always"})
r:get("release")`,
}

// TestWhatIsKnownFromOthersIsAsIfItWerePlayed compares what the explorer says with what
// it says when it knows nothing from another plan.
func TestWhatIsKnownFromOthersIsAsIfItWerePlayed(t *testing.T) {
	t.Parallel()
	for name, text := range planted {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if testing.Short() && name != "nothing" {
				t.Skip("takes seconds")
			}
			s := &prove.Scenario{
				Name: name, World: redeploy(), Apps: []string{"app"}, Hosts: []string{"appserver"}, Run: source(t, "it.lua", text, nil),
				Others: []prove.Deployer{{Name: "other", Run: source(t, "other.lua", `redis.connect():incr("others")`, nil)}}, Repeats: true,
			}
			o := prove.Options{Depth: 2}
			got := explore(t, s, o)
			want, err := prove.Plainly(t.Context(), s, o)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want.Levels, got.Levels); diff != "" {
				t.Errorf("played and known (-, +):\n%s", diff)
			}
			ways := func(r *prove.Report) []string {
				ways := map[string]bool{}
				for _, f := range r.Failures {
					ways[fmt.Sprint(f.Rule, " ", f.Where, " ", f.Text)] = true
				}
				return slices.Sorted(maps.Keys(ways))
			}
			if diff := cmp.Diff(ways(want), ways(got)); diff != "" {
				t.Errorf("played and known (-, +):\n%s", diff)
			}
			if diff := cmp.Diff(want.Coverage, got.Coverage); diff != "" {
				t.Errorf("played and known (-, +):\n%s", diff)
			}
			if name != "nothing" && want.Failed() == 0 || got.Runs >= want.Runs {
				t.Errorf("%d plans fail, %d runs instead of %d", want.Failed(), got.Runs, want.Runs)
			}
			t.Logf("%d plans, %d fail, %d runs instead of %d", got.Tried(), got.Failed(), got.Runs, want.Runs)
		})
	}
}
