package prove_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/mepc/mepc-run/internal/prove"
	"github.com/mepc/mepc-run/internal/sim"
	"github.com/mepc/mepc-run/internal/state"
)

// TestEveryRuleIsSeenToBeBroken has a recipe for each rule that breaks it.
func TestEveryRuleIsSeenToBeBroken(t *testing.T) {
	t.Parallel()
	const (
		start = `
local r, key = redis.connect(), "frontend:appserver"
local function up(name)
  if not docker.find(name) then docker.create{name = name, image = "mepc/app:1.1", labels = {["mepc.app"] = "app"}, restart = "always"} end
  docker.start(name)
  docker.wait_healthy(name, {http = {port = 8080}})
  return "http://" .. docker.inspect(name).ip .. ":8080"
end
local function switch(url)
  r:multi(function(tx) tx:linsert(key, "AFTER", "app", url) tx:ltrim(key, 0, 1) tx:del("dead:appserver") end)
end
`
		deployed = "if r:lindex(key, 1) ~= 'http://172.17.0.3:8080' then return end\n"
	)
	for name, tc := range map[string]struct {
		rule    prove.Rule
		recipe  string
		without bool // it is broken without a fault
		depth   int
	}{
		"a list that is deleted and written anew": {
			prove.NeverEmpty, `local url = up("app-new") r:del(key) r:rpush(key, "app", url)`, true, 0,
		},
		"the old one is stopped before the switch": {
			prove.Alive, `local url = up("app-new") docker.stop("app-old") switch(url)`, true, 0,
		},
		"the traffic is sent to another app": {
			prove.Meant, `switch("http://172.17.0.2:8080")`, true, 0,
		},
		"an address goes to another container while it is listed": {
			prove.Meant, deployed + `docker.stop("app-old") up("app-new") switch("http://172.17.0.3:8080")`, true, 0,
		},
		"the new one answers with errors": {
			prove.Answered, `docker.create{name = "app-bad", image = "mepc/bad:1"} docker.start("app-bad") switch("http://" .. docker.inspect("app-bad").ip .. ":8080")`, true, 0,
		},
		"positions that a router found dead are kept": {
			prove.Answered, deployed + `local url = up("app-new") r:sadd("dead:appserver", 0) r:linsert(key, "AFTER", "app", url) r:ltrim(key, 0, 1)`, true, 0,
		},
		"errors are swallowed": {
			prove.Done, deployed + `local url = up("app-new") try(switch, url)`, false, 1,
		},
		"a name that is taken ends the next run": {
			prove.Converges, deployed + `docker.create{name = "app-new", image = "mepc/app:1.1"} switch(up("app-new"))`, false, 1,
		},
		"the old one is stopped by the run that switches only": {
			prove.OneVersion, deployed + `switch(up("app-new")) docker.stop("app-old")`, false, 1,
		},
		"a temporary container has another name each time": {
			prove.NoLeftover, deployed + `local name = "tmp-" .. now() docker.create{name = name, image = "mepc/app:1.1"} docker.remove(name) switch(up("app-new")) docker.stop("app-old")`, false, 1,
		},
		"a lock is given back at the end only": {
			prove.NoLeftover, deployed + `r:set("lock:" .. now(), "me") switch(up("app-new")) r:del("lock:" .. now())`, false, 1,
		},
		"the new one is left by a run that fails": {
			prove.Undone, deployed + `local url = up("app-new") switch(url) docker.stop("app-old")`, false, 1,
		},
		"a lock is not given back by a run that fails": {
			prove.Undone, deployed + `if not r:setnx("lock", "me") then fail("locked") end switch(up("app-new")) docker.stop("app-old") r:del("lock")`, false, 1,
		},
		"each run counts": {
			prove.Idempotent, `r:incr("deployments")`, true, 0,
		},
		"the team's own": {
			prove.Team, `r:del("frontend:shop")`, true, 0,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			world := redeploy()
			world.Engines[0].Images = append(world.Engines[0].Images, state.Image{Ref: "mepc/bad:1", Behaviour: &state.Behaviour{
				Paths: map[string]state.Response{"*": {Status: 500}},
			}})
			s := &prove.Scenario{
				Name: "it", World: world, Apps: []string{"app"}, Hosts: []string{"appserver"}, Run: source(t, "it.lua", start+tc.recipe, nil),
				Invariants: []prove.Invariant{{Name: "the shop is open", Check: func(w *sim.World) (string, error) {
					_, ok, err := w.RedisKey(0, "frontend:shop")
					if !ok {
						return "it is shut", err
					}
					return "", nil
				}}},
			}
			r, err := prove.Explore(t.Context(), s, prove.Options{Depth: max(1, tc.depth)})
			var broken *prove.BrokenError
			if errors.As(err, &broken) {
				if !slices.ContainsFunc(broken.Violations, func(v prove.Violation) bool { return v.Rule == tc.rule }) || !tc.without {
					t.Errorf("%v\n%s", err, text(t, broken.Story))
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			seen := false
			for _, f := range r.Failures {
				seen = seen || f.Rule == tc.rule
			}
			if !seen || tc.without {
				t.Errorf("%s was not seen to be broken:\n%s", tc.rule, full(t, r))
			}
		})
	}
}

// TestTheWorldsOwnFaultsAreExcusedUntilTheNextRun makes sure of both sides.
func TestTheWorldsOwnFaultsAreExcusedUntilTheNextRun(t *testing.T) {
	t.Parallel()
	for plan, want := range map[string]string{
		// The only backend dies and comes back elsewhere; the recipe does not care.
		"docker.info#1:engine-restart": "meant: appserver points to",
		"docker.info#1:dies=app-old":   "",
	} {
		s := &prove.Scenario{
			Name: "it", World: redeploy(), Apps: []string{"app"}, Hosts: []string{"appserver"}, Run: source(t, "it.lua", `docker.info()`, nil),
		}
		faults, err := prove.ParsePlan(plan)
		if err != nil {
			t.Fatal(err)
		}
		story, err := prove.Replay(t.Context(), s, faults)
		if err != nil {
			t.Fatal(err)
		}
		out := text(t, story)
		before, after, _ := strings.Cut(out, "a minute later")
		if strings.Contains(before, "!!") || strings.Contains(after, "!!") != (want != "") || !strings.Contains(out, want) {
			t.Errorf("%s:\n%s", plan, out)
		}
	}
}

func TestPlansAreReadAsTheyAreWritten(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"docker.start#1:lost", "rerun:redis.multi#2.3:crash-before", "docker.find#1:dies=app-1,rerun:end:redis-restart,rerun2:http.get#4:deploys=a b:c",
	} {
		plan, err := prove.ParsePlan(text)
		if err != nil || plan.String() != text {
			t.Errorf("%q was read as %q, %v", text, plan, err)
		}
	}
	for text, want := range map[string]string{
		"":                          "PLACE:KIND",
		"docker.start#1":            "PLACE:KIND",
		"docker.start#1:explodes":   `no fault is called "explodes": known are crash-after, crash-before, cut,`,
		"docker.start:lost":         "does not say which call",
		"docker.start#1.x:lost":     "which request",
		"again:docker.start#1:lost": "neither rerun nor",
		"end:lost":                  "at the end there is none",
		"docker.start#1:dies":       "take a name",
	} {
		if _, err := prove.ParsePlan(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

// TestWhatFindsAllAsItShouldBeIsNoEffect runs what would be an effect if a command's name
// decided.
func TestWhatFindsAllAsItShouldBeIsNoEffect(t *testing.T) {
	t.Parallel()
	const url = `"http://172.17.0.3:8080"`
	for name, tc := range map[string]struct {
		recipe  string
		effects int // of the first run
	}{
		"a list that is right":     {`r:replace_list("frontend:appserver", {"app", ` + url + `}, {"app", ` + url + `})`, 0},
		"a key that is set again":  {`r:set("a", "1") r:hset("b", "c", "2") r:sadd("d", "e") r:zadd("f", 1, "g")`, 4},
		"what is not there":        {`docker.remove("nothing", {missing_ok = true}) r:del("nothing")`, 0},
		"what runs already":        {`docker.start("app-old") docker.update("app-old", {restart = "always"})`, 0},
		"a transaction of nothing": {`r:multi(function(tx) tx:del("nothing") tx:lrem("frontend:appserver", 0, "nobody") end)`, 0},
		"a file":                   {`docker.copy_to("app-old", "/tmp/a", {content = "b"})`, -1},
		"a signal":                 {`docker.kill("app-old", {signal = "HUP"})`, -1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := &prove.Scenario{
				Name: "it", World: redeploy(), Apps: []string{"app"}, Hosts: []string{"appserver"},
				Run: source(t, "it.lua", `local r = redis.connect() `+tc.recipe, nil),
			}
			r, err := prove.Explore(t.Context(), s, prove.Options{})
			var broken *prove.BrokenError
			switch {
			case errors.As(err, &broken) && broken.Violations[0].Rule == prove.Idempotent:
				if tc.effects >= 0 {
					t.Error(err)
				}
			case err != nil:
				t.Fatal(err)
			case tc.effects < 0:
				t.Error("it has no effect")
			case r.Effects != tc.effects:
				t.Errorf("%d effects, want %d", r.Effects, tc.effects)
			}
		})
	}
}
