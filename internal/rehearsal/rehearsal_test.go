package rehearsal_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/internal/rehearsal"
	"github.com/mepc/mepc-run/internal/state"
	"github.com/mepc/mepc-run/modules/docker"
	"github.com/mepc/mepc-run/modules/http"
	"github.com/mepc/mepc-run/modules/lock"
	"github.com/mepc/mepc-run/modules/redis"
	"github.com/mepc/mepc-run/modules/std"
	"github.com/mepc/mepc-run/runtime"
)

// furnish returns a stage with one container and a routing list.
func furnish(t *testing.T, opts rehearsal.Options) *rehearsal.Stage {
	t.Helper()
	opts.Source = "the test's"
	opts.Host = runtime.New(runtime.Options{Modules: append(std.Modules(std.Options{}),
		docker.New(docker.Allow{}), redis.New(redis.Allow{}), http.New(), lock.New(lock.Options{}))})
	s, err := rehearsal.New(&state.State{
		Engines: []state.Engine{{
			Images:     []state.Image{{Ref: "mepc/app:1.0", Expose: []string{"8080"}}},
			Containers: []state.Container{{Name: "app", Image: "mepc/app:1.0"}},
		}},
		Redis: map[string]state.RedisKey{"list": {List: []string{"a"}}},
	}, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func play(t *testing.T, s *rehearsal.Stage, src string) *rehearsal.Run {
	t.Helper()
	recipe, err := s.Host.LoadString("r.lua", src)
	if err != nil {
		t.Fatal(err)
	}
	r, err := s.Run(t.Context(), "r.lua", recipe, runtime.RunOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestARunSeesWhatTheOneBeforeDid(t *testing.T) {
	s := furnish(t, rehearsal.Options{})
	if r := play(t, s, `docker.stop("app")`); r.Err != nil || r.Effects != 1 {
		t.Errorf("%d effects: %v", r.Effects, r.Err)
	}
	if r := play(t, s, `docker.stop("app") return docker.inspect("app").state.running`); r.Err != nil || r.Effects != 0 || r.Value != false {
		t.Errorf("%d effects, %v: %v", r.Effects, r.Value, r.Err)
	}
}

func TestAHostOutsideIsAssumedUnlessTheStageIsStrict(t *testing.T) {
	const src = `http.get("http://example.com/")`
	r := play(t, furnish(t, rehearsal.Options{}), src)
	if r.Err != nil || len(r.Plan.Assumed) != 1 || !strings.Contains(r.Plan.Assumed[0], "example.com") {
		t.Errorf("%v: %v", r.Plan.Assumed, r.Err)
	}
	r = play(t, furnish(t, rehearsal.Options{Strict: true}), src)
	if failure.KindOf(r.Err) != failure.NotModelled {
		t.Errorf("strict: %v", r.Err)
	}
}

func TestAFaultIsWhatTheServerOrTheNetworkWouldSay(t *testing.T) {
	for name, tc := range map[string]struct {
		fault   rehearsal.Fault
		src     string
		kind    failure.Kind
		message string
		done    bool
	}{
		"an engine that says no":  {rehearsal.Fault{Op: "docker.stop", Kind: failure.Conflict}, `docker.stop("app")`, failure.Conflict, "a fault of the spec", false},
		"in words of its own":     {rehearsal.Fault{Op: "docker.stop", Kind: failure.Refused, Message: "no space left"}, `docker.stop("app")`, failure.Refused, "no space left", false},
		"an engine that is away":  {rehearsal.Fault{Op: "docker.stop", Kind: failure.Unavailable}, `docker.stop("app")`, failure.Unavailable, "connection refused", false},
		"a reply that is lost":    {rehearsal.Fault{Op: "docker.stop"}, `docker.stop("app")`, "", "", true}, // the module looks
		"an answer that is late":  {rehearsal.Fault{Op: "docker.stop", Kind: failure.Timeout}, `docker.stop("app")`, "", "", true},
		"another target":          {rehearsal.Fault{Op: "docker.stop", Target: "db", Kind: failure.Refused}, `docker.stop("app")`, "", "", true},
		"the second of one call":  {rehearsal.Fault{Op: "docker.stop", Nth: 2, Kind: failure.Refused}, `docker.stop("app")`, "", "", true},
		"all after the first":     {rehearsal.Fault{Op: "docker.stop", After: 1, Kind: failure.Refused}, `docker.stop("app") docker.stop("app")`, failure.Refused, "a fault", true},
		"Redis that says no":      {rehearsal.Fault{Op: "redis.rpush", Kind: failure.Refused}, `redis.connect():rpush("list", "b")`, failure.Refused, "OOM", false},
		"Redis that is away":      {rehearsal.Fault{Op: "redis.rpush", Kind: failure.Unavailable}, `redis.connect():rpush("list", "b")`, failure.Unavailable, "connection refused", false},
		"Redis' reply lost":       {rehearsal.Fault{Op: "redis.rpush"}, `redis.connect():rpush("list", "b")`, failure.Unknown, "may have been done", true},
		"within a transaction":    {rehearsal.Fault{Op: "redis.rpush"}, `redis.connect():multi(function(tx) tx:rpush("list", "b") end)`, failure.Unknown, "may have been done", true},
		"a request that is lost":  {rehearsal.Fault{Op: "http.get", Kind: failure.Unavailable}, `http.get("http://172.17.0.2:8080/")`, failure.Unavailable, "connection refused", false},
		"a server that says no":   {rehearsal.Fault{Op: "http.get", Kind: failure.Refused, Message: "go away"}, `local r = http.get("http://172.17.0.2:8080/") fail(r.status .. " " .. r.body)`, failure.Script, "500 go away", false},
		"a request of no answer":  {rehearsal.Fault{Op: "http.post"}, `http.post("http://172.17.0.2:8080/")`, failure.Unknown, "", false},
		"a command of that name":  {rehearsal.Fault{Op: "redis.RPUSH", Kind: failure.Conflict}, `redis.connect():rpush("list", "b")`, failure.Conflict, "WRONGTYPE", false},
		"a command of other name": {rehearsal.Fault{Op: "redis.lpush", Kind: failure.Conflict}, `redis.connect():rpush("list", "b")`, "", "", true},
	} {
		t.Run(name, func(t *testing.T) {
			faults := &rehearsal.Faults{}
			faults.Plant(tc.fault)
			s := furnish(t, rehearsal.Options{Wire: faults})
			faults.Switch(true)
			r := play(t, s, tc.src)
			var kind failure.Kind
			if r.Err != nil {
				kind = failure.KindOf(r.Err)
			}
			if kind != tc.kind || r.Err != nil && !strings.Contains(r.Err.Error(), tc.message) {
				t.Errorf("%s: %v", kind, r.Err)
			}
			if changed(t, s) != tc.done {
				t.Errorf("done: %v", !tc.done)
			}
			if happened := len(faults.Idle()) == 0; happened != (tc.kind != "" || strings.Contains(name, "lost") || strings.Contains(name, "late")) {
				t.Errorf("it happened: %v", happened)
			}
		})
	}
}

// changed reports whether the container was stopped or the list grew.
func changed(t *testing.T, s *rehearsal.Stage) bool {
	t.Helper()
	st, err := s.World.State()
	if err != nil {
		t.Fatal(err)
	}
	return st.Engines[0].Containers[0].Status == "exited" || len(st.Redis["list"].List) > 1
}

func TestFaultsThatAreOffOrClearedDoNothing(t *testing.T) {
	faults := &rehearsal.Faults{}
	faults.Plant(rehearsal.Fault{Op: "docker.stop", Kind: failure.Refused})
	s := furnish(t, rehearsal.Options{Wire: faults})
	if r := play(t, s, `docker.stop("app")`); r.Err != nil {
		t.Errorf("off: %v", r.Err)
	}
	faults.Switch(true)
	faults.Clear()
	if r := play(t, s, `docker.start("app")`); r.Err != nil || len(faults.Idle()) != 0 {
		t.Errorf("cleared: %v", r.Err)
	}
}

func TestAWorldThatMakesNoSenseIsAnError(t *testing.T) {
	_, err := rehearsal.New(&state.State{Engines: []state.Engine{{Containers: []state.Container{{Name: "app", Image: "none"}}}}}, rehearsal.Options{Source: "it"})
	if failure.KindOf(err) != failure.Invalid || !strings.Contains(err.Error(), "No such image") {
		t.Errorf("%v", err)
	}
}

var _ rehearsal.Wire = (*rehearsal.Faults)(nil)

func TestSecretParametersAreNamedOnly(t *testing.T) {
	s := furnish(t, rehearsal.Options{})
	recipe, err := s.Host.LoadString("r.lua", `params{token = {type = "secret"}, name = {}}`)
	if err != nil {
		t.Fatal(err)
	}
	r, err := s.Run(context.Background(), "r.lua", recipe, runtime.RunOptions{Params: map[string]any{"token": "s3cr3t", "name": "x"}})
	if err != nil || r.Err != nil {
		t.Fatal(err, r.Err)
	}
	if p := r.Plan.Recipe; len(p.SecretParams) != 1 || p.SecretParams[0] != "token" || len(p.Params) != 1 {
		t.Errorf("%+v", p)
	}
}

// An effect is compared with what it changed, not with all that is there.
func TestTwiceTheEffectsCostTwiceAsMuch(t *testing.T) {
	cost := func(n int) float64 {
		var run *rehearsal.Run
		allocations := testing.AllocsPerRun(1, func() {
			run = play(t, furnish(t, rehearsal.Options{}), fmt.Sprintf(`for i = 1, %d do docker.create{name = "c" .. i, image = "mepc/app:1.0"} end`, n))
		})
		if run.Err != nil || run.Plan.Summary.Add != n {
			t.Fatalf("%d added: %v", run.Plan.Summary.Add, run.Err)
		}
		return allocations
	}
	if less, more := cost(100), cost(400); more > 5*less {
		t.Errorf("100 effects cost %.0f allocations, and 400 %.0f", less, more)
	}
}

// What the recorder sees of each effect adds up, whichever way it was brought about.
func TestEveryKindOfChangeIsSeen(t *testing.T) {
	s := furnish(t, rehearsal.Options{})
	r := play(t, s, `
docker.create{name = "new", image = "mepc/app:1.0"}
docker.start("new")
docker.network_create("shop")
docker.rename("new", "newer")
docker.tag("mepc/app:1.0", "mepc/app:2")
docker.stop("app")
docker.remove("app")
docker.volume_create("data")`)
	if r.Err != nil {
		t.Fatal(r.Err)
	}
	var got []string
	for _, e := range r.Plan.Effects() {
		got = append(got, e.Op+": "+strings.Join(e.Changes, "; "))
	}
	want := []string{
		"docker.create: + container new: mepc/app:1.0, created",
		"docker.start: ~ container new: created -> running",
		"docker.network_create: + network shop: bridge",
	}
	for i, w := range want {
		if got[i] != w {
			t.Errorf("%q, want %q", got[i], w)
		}
	}
	for _, g := range got {
		if strings.HasSuffix(g, ": ") {
			t.Errorf("%q changed nothing", g)
		}
	}
}
