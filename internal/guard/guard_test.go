package guard_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/mepc/mepc-run/internal/clock"
	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/internal/guard"
	"github.com/mepc/mepc-run/internal/rehearsal"
	"github.com/mepc/mepc-run/internal/sim"
	"github.com/mepc/mepc-run/internal/state"
	"github.com/mepc/mepc-run/modules/docker"
	"github.com/mepc/mepc-run/modules/lock"
	"github.com/mepc/mepc-run/modules/redis"
	"github.com/mepc/mepc-run/modules/std"
	"github.com/mepc/mepc-run/runtime"
	"github.com/mepc/mepc-run/servers"
)

// world has app-old with the traffic of www, by its address, app-new without any,
// and by-name, which its list calls by its name.
func world() *state.State {
	list := func(items ...string) state.RedisKey { return state.RedisKey{List: items} }
	app := map[string]string{"mepc.app": "app"}
	return &state.State{
		Engines: []state.Engine{{
			Images:   []state.Image{{Ref: "mepc/app:1"}, {Ref: "mepc/app:2"}},
			Networks: []state.Network{{Name: "side"}},
			Containers: []state.Container{
				{Name: "app-old", Image: "mepc/app:1", Labels: app, Networks: []state.Endpoint{{Network: "side"}, {Network: "bridge", IP: "172.17.0.2"}}},
				{Name: "app-new", Image: "mepc/app:2", Labels: app, Networks: []state.Endpoint{{Network: "bridge", IP: "172.17.0.3"}}},
				{Name: "by-name", Image: "mepc/app:1"},
				{Name: "stopped", Image: "mepc/app:1", Status: "exited"},
			},
		}},
		Redis: map[string]state.RedisKey{
			"frontend:www": list("app", "http://172.17.0.2:8080"), "frontend:named": list("x", "http://by-name:8080"), "frontend:other": list("x"),
		},
	}
}

// run runs a recipe under the guards, with those lifted that are named.
func run(t *testing.T, source string, lifted ...string) error {
	t.Helper()
	return runIn(t, world(), nil, source, lifted...)
}

// runIn is run in a world, over a wire that may be nil.
func runIn(t *testing.T, in *state.State, over *wire, source string, lifted ...string) error {
	t.Helper()
	w, err := sim.New(sim.Options{State: in})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	var policy rehearsal.Policy
	if over != nil {
		over.clock = w.Clock()
		policy.Wire = over
	}
	clients := rehearsal.Clients(servers.Options{}, w, policy)
	defer clients.Close()
	host := runtime.New(runtime.Options{Modules: append(std.Modules(std.Options{}), docker.New(docker.AllowAll()), redis.New(redis.Allow{}), lock.New(lock.Options{}))})
	recipe, err := host.LoadString("r.lua", "local r = redis.connect()\n"+source)
	if err != nil {
		t.Fatal(err)
	}
	is := func(name string) bool { return strings.Contains(strings.Join(lifted, " "), name) }
	_, err = host.Run(context.Background(), recipe, runtime.RunOptions{
		World: clients, Clock: clients.Clock(), Guards: []runtime.Guard{guard.New(clients, is, redis.Explain)},
	})
	return err
}

// wire counts the ways to Redis and back, of which each takes a while. From the trip
// breaks on nobody answers; likewise for an engine's looks at one container.
type wire struct {
	clock   clock.Clock
	each    time.Duration
	trips   int
	breaks  int // 0: never
	blind   bool
	refusal string
}

func (w *wire) HTTP(req *http.Request, next http.RoundTripper) (*http.Response, error) {
	return next.RoundTrip(req)
}

func (w *wire) Engine(req *http.Request, next http.RoundTripper) (*http.Response, error) {
	if w.blind && strings.HasSuffix(req.URL.Path, "/json") {
		return nil, &net.OpError{Op: "dial", Net: "unix", Err: syscall.ECONNREFUSED}
	}
	return next.RoundTrip(req)
}

type refused string

func (r refused) Error() string { return string(r) }
func (refused) RedisError()     {}

func (w *wire) Redis(ctx context.Context, _ []goredis.Cmder, next func() error) error {
	w.trips++
	if err := w.clock.Sleep(ctx, w.each); err != nil {
		return err
	}
	switch {
	case w.breaks == 0 || w.trips < w.breaks:
		return next()
	case w.refusal != "":
		return refused(w.refusal)
	}
	return &servers.DialError{Addr: "10.0.0.1:6379", Err: &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}}
}

// crowded is world with a number of other lists.
func crowded(n int) *state.State {
	s := world()
	for i := range n {
		s.Redis[fmt.Sprintf("frontend:h%d.example.com", i)] = state.RedisKey{List: []string{"h", fmt.Sprintf("http://10.1.%d.%d:80", i/250, 1+i%250)}}
	}
	return s
}

// TestALookIsCompleteOrRefuses has a Redis that is slow, large, away, or closed.
func TestALookIsCompleteOrRefuses(t *testing.T) {
	t.Parallel()
	crowd := crowded(1500)
	for name, c := range map[string]struct {
		in     *state.State
		over   wire
		source string
		kind   failure.Kind
		guard  string
		most   int // ways to Redis and back
	}{
		"many lists far away":        {crowd, wire{each: 2 * time.Second}, `docker.stop("app-old")`, failure.Denied, guard.Routed, 4},
		"many lists, none of it":     {crowd, wire{}, `docker.stop("app-new")`, "", "", 4},
		"nobody answers":             {world(), wire{breaks: 1}, `docker.stop("app-new")`, failure.Unavailable, guard.Routed, 1},
		"it hangs":                   {world(), wire{each: time.Hour}, `docker.stop("app-new")`, failure.Unavailable, guard.Routed, 1},
		"it breaks on the way":       {crowd, wire{breaks: 3}, `docker.stop("app-new")`, failure.Unavailable, guard.Routed, 3},
		"it is loading":              {world(), wire{breaks: 1, refusal: "LOADING Redis is loading the dataset in memory"}, `docker.kill("app-new")`, failure.Unavailable, guard.Routed, 1},
		"a password is wanted":       {world(), wire{breaks: 1, refusal: "NOAUTH Authentication required."}, `docker.remove("app-new", {force = true})`, failure.Unavailable, guard.Routed, 1},
		"the container is not shown": {world(), wire{blind: true}, `docker.stop("app-new")`, failure.Unavailable, guard.Routed, 0},
		"what is not there":          {world(), wire{}, `docker.remove("none", {missing_ok = true})`, "", "", 0},
		"a stopped one needs none":   {world(), wire{breaks: 1}, `docker.remove("stopped")`, "", "", 0},
		"a list before its change":   {world(), wire{breaks: 1}, `r:ltrim("frontend:www", 0, 1)`, failure.Unavailable, "", 1},
		"a list that hangs":          {world(), wire{each: time.Hour}, `r:ltrim("frontend:www", 0, 1)`, failure.Unavailable, guard.EmptyList, 1},
		"at the end":                 {world(), wire{breaks: 4}, `lock("app") r:rpush("frontend:www", "http://172.17.0.2:8080")`, failure.Unavailable, guard.Versions, 4},
		"a part of the end":          {world(), wire{breaks: 4, refusal: "NOPERM"}, `lock("app") r:rpush("frontend:www", "http://172.17.0.2:8080")`, failure.Unavailable, guard.Versions, 4},
	} {
		t.Run(name, func(t *testing.T) {
			over := c.over
			err := runIn(t, c.in, &over, c.source)
			switch {
			case over.trips > c.most:
				t.Errorf("%d ways to Redis, want %d at most", over.trips, c.most)
			case c.kind == "" && err != nil, c.kind != "" && failure.KindOf(err) != c.kind:
				t.Fatalf("%v; want the kind %q", err, c.kind)
			case c.guard != "" && !strings.Contains(failure.As(err).Hint, "--allow "+c.guard):
				t.Errorf("%v: the hint is %q, want how to lift %s", err, failure.As(err).Hint, c.guard)
			}
			over = c.over
			if c.guard == guard.Routed {
				if err := runIn(t, c.in, &over, c.source, guard.Routed); err != nil && !over.blind {
					t.Errorf("with %s lifted: %v", c.guard, err)
				}
			}
		})
	}
}

// Two engines may know one image by two IDs: containers of one release are one version,
// and those of two are two.
func TestAReleaseIsAVersionWhateverItsImagesAreCalled(t *testing.T) {
	t.Parallel()
	for second, refused := range map[string]bool{"r1": false, "r2": true} {
		in := world()
		for i, release := range []string{"r1", second} {
			in.Engines[0].Containers[i].Labels = map[string]string{"mepc.app": "app", "mepc.release": release}
		}
		err := runIn(t, in, nil, `lock("app", {redis = r}) r:linsert("frontend:www", "AFTER", "app", "http://172.17.0.3:8080")`)
		if (failure.KindOf(err) == failure.Denied) != refused {
			t.Errorf("release r1 beside %s: %v", second, err)
		}
	}
}

func TestGuards(t *testing.T) {
	t.Parallel()
	const add = `r:linsert("frontend:www", "AFTER", "app", "http://172.17.0.3:8080") `
	for _, c := range []struct {
		source string
		lifts  string // what lifts the guard; empty: none refuses it
		says   string
	}{
		{`docker.stop("app-old")`, guard.Routed, "the routing list of www points to it"},
		{`docker.kill("app-old")`, guard.Routed, "app-old has traffic"},
		{`docker.kill("app-old", {signal = "HUP"})`, "", ""},
		{`docker.remove("app-old", {force = true})`, guard.Routed, ""},
		{`docker.pause("app-old")`, guard.Routed, ""},
		{`docker.restart("app-old")`, guard.Routed, ""},
		{`docker.stop("by-name")`, guard.Routed, "the routing list of named"},
		{`docker.rename("by-name", "another")`, guard.Routed, "by-name has traffic"},
		{`docker.rename("app-old", "another")`, "", ""},
		{`docker.network_disconnect("bridge", "app-old")`, guard.Routed, "at http://172.17.0.2:8080"},
		{`docker.network_disconnect("side", "app-old")`, "", ""},
		{`docker.stop("app-new") docker.remove("stopped") docker.update("app-old", {restart = "always"})`, "", ""},
		{add + `r:ltrim("frontend:www", 0, 1) docker.stop("app-old")`, "", ""},

		{`r:del("frontend:www")`, guard.EmptyList, "would be left without a backend"},
		{`r:ltrim("frontend:www", 0, 0)`, guard.EmptyList, ""},
		{`r:lrem("frontend:www", 0, "http://172.17.0.2:8080")`, guard.EmptyList, ""},
		{`r:rpop("frontend:www")`, guard.EmptyList, ""},
		{`r:expire("frontend:www", 60)`, guard.EmptyList, ""},
		{`r:multi(function(m) m:del("frontend:www") m:rpush("frontend:www", "app", "http://172.17.0.3:8080") end)`, "", ""},
		{`r:multi(function(m) m:rpush("frontend:www", "x") m:del("frontend:www") end)`, guard.EmptyList, ""},
		{`r:lset("frontend:www", 1, "http://172.17.0.3:8080")`, "", ""},
		{`r:del("frontend:other") r:set("frontend", 1) r:del("frontend")`, "", ""},

		{`lock("app", {redis = r}) ` + add, guard.Versions, "the run ends with 2 versions of app in frontend:www: app-new, app-old"},
		{`lock("app", {redis = r, versions = 2}) ` + add, "", ""},
		{`lock("app", {redis = r}) ` + add + `r:ltrim("frontend:www", 0, 1)`, "", ""},
		{`lock("another", {redis = r}) ` + add, "", ""},
		{add, "", ""},
		{`lock("app", {redis = r}) defer("back", function() r:ltrim("frontend:www", 0, 1) return "back" end) ` + add, guard.Versions, ""},
	} {
		err := run(t, c.source)
		switch {
		case c.lifts == "" && err != nil:
			t.Errorf("%s: %v", c.source, err)
		case c.lifts == "":
		case failure.KindOf(err) != failure.Denied || !strings.Contains(err.Error(), c.says) || !strings.Contains(failure.As(err).Hint, "--allow "+c.lifts):
			t.Errorf("%s: %v; want a refusal that says %q, and how to lift %s", c.source, err, c.says, c.lifts)
		default:
			if err := run(t, c.source, c.lifts); err != nil {
				t.Errorf("%s, with %s lifted: %v", c.source, c.lifts, err)
			}
		}
	}
}
