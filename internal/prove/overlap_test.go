package prove_test

import (
	"strings"
	"testing"

	"github.com/mepc/mepc-run/internal/prove"
)

// locked deploys under a lock that TAKE takes, and stops whatever else is of the app.
const locked = `
local p = params{name = {required = true}}
local r, key = redis.connect(), "frontend:appserver"
TAKE
defer("unlock", function() r:del("lock") end)
if not docker.find(p.name) then docker.create{name = p.name, image = "mepc/app:1.1", labels = {["mepc.app"] = "app"}, restart = "always"} end
docker.start(p.name)
local url = "http://" .. docker.inspect(p.name).ip .. ":8080"
if r:lindex(key, 1) ~= url then
  r:multi(function(tx) tx:linsert(key, "AFTER", "app", url) tx:ltrim(key, 0, 1) end)
end
for _, c in ipairs(docker.list{labels = {["mepc.app"] = "app"}}) do
  if c.name ~= p.name then docker.stop(c.name) end
end
r:del("lock")`

// A lock that is looked at and then taken lets two in: it takes two runs that are
// interrupted, each once, to see that.
func TestALockThatIsLookedAtAndThenTakenIsCaught(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		take string
		bad  bool
	}{
		"check, then set": {`if r:exists("lock") > 0 then fail("locked") end r:set("lock", "me", "EX", 30)`, true},
		"set if not set":  {`if not r:set("lock", "me", "EX", 30, "NX") then fail("locked") end`, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			recipe := strings.ReplaceAll(locked, "TAKE", tc.take)
			s := &prove.Scenario{
				Name: name, World: redeploy(), Apps: []string{"app"}, Hosts: []string{"appserver"}, Run: source(t, "locked.lua", recipe, params{"name": "app-a"}),
				Others: []prove.Deployer{{Name: "other", Run: source(t, "locked.lua", recipe, params{"name": "app-b"})}},
			}
			var caught *prove.Failure
			for _, f := range explore(t, s, prove.Options{}).Failures {
				if strings.Contains(f.Plan, "overlaps=other@") && f.Rule == prove.Alive {
					caught = &f
				}
			}
			if !tc.bad {
				if caught != nil {
					t.Errorf("%s\n%s", caught.Plan, text(t, caught.Story))
				}
				return
			}
			if caught == nil {
				t.Fatal("two runs under one lock were not seen")
			}
			if lines := strings.Count(text(t, caught.Story), "\n"); lines > 25 || !strings.Contains(text(t, caught.Story), "they go on") {
				t.Errorf("its story has %d lines:\n%s", lines, text(t, caught.Story))
			}
		})
	}
}
