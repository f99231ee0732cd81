package sim_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/mepc/mepc-run/internal/sim"
	"github.com/mepc/mepc-run/internal/state"
)

const throughRouter = "http://127.0.0.1:8080/"

// two makes a world with two running containers and returns their URLs.
func two(t *testing.T) (*sim.World, string, string) {
	t.Helper()
	w := newWorld(t, state.Container{Name: "aa", Image: "mepc/app:1.0"}, state.Container{Name: "bb", Image: "mepc/app:1.1"})
	url := func(name string) string { return "http://" + address(inspect(t, w, name)) + ":8080" }
	return w, url("aa"), url("bb")
}

func answers(t *testing.T, w *sim.World, host string, n int) string {
	t.Helper()
	var out []string
	for range n {
		status, body, err := w.Get(t.Context(), throughRouter, host)
		if err != nil {
			t.Fatal(err)
		}
		name, _, _ := strings.Cut(body, " ")
		if status != 200 {
			name = fmt.Sprint(status)
		}
		out = append(out, name)
	}
	return strings.Join(out, " ")
}

func TestTheRouterFollowsTheListInForce(t *testing.T) {
	w, a, b := two(t)
	rdb := redisClient(t, w)
	ctx := t.Context()
	do := func(args ...any) {
		t.Helper()
		if err := rdb.Do(ctx, args...).Err(); err != nil {
			t.Fatal(err)
		}
	}
	if got := answers(t, w, "shop.example.com", 1); got != "404" {
		t.Errorf("no list: %s", got)
	}
	do("RPUSH", "frontend:shop.example.com", "shop", a)
	if got := answers(t, w, "Shop.Example.com:8080", 2); got != "aa aa" {
		t.Errorf("one backend, another spelling of the host: %s", got)
	}
	do("LINSERT", "frontend:shop.example.com", "AFTER", "shop", b)
	if got := answers(t, w, "shop.example.com", 4); got != "bb aa bb aa" && got != "aa bb aa bb" {
		t.Errorf("two backends: %s", got)
	}
	do("RPUSH", "frontend:shop.example.com", b)
	if got := answers(t, w, "shop.example.com", 6); strings.Count(got, "bb") != 4 {
		t.Errorf("a weight of two of three: %s", got)
	}
	do("LTRIM", "frontend:shop.example.com", "0", "1")
	if got := answers(t, w, "shop.example.com", 3); got != "bb bb bb" {
		t.Errorf("after the switch: %s", got)
	}
	do("RPUSH", "frontend:*.example.com", "any", a)
	if got := answers(t, w, "other.example.com", 1); got != "aa" {
		t.Errorf("a wildcard: %s", got)
	}
}

func TestAStaleDeadEntryTakesTheNewBackendOut(t *testing.T) {
	w, a, b := two(t)
	rdb := redisClient(t, w)
	ctx := t.Context()
	rdb.RPush(ctx, "frontend:app", "app", a)
	if !w.Engine("").Kill("aa") {
		t.Fatal("a did not run")
	}
	if got := answers(t, w, "app", 1); got != "502" {
		t.Errorf("the only backend is gone: %s", got)
	}
	if dead := rdb.SMembers(ctx, "dead:app").Val(); len(dead) != 1 || dead[0] != "0" {
		t.Errorf("dead set %v, want 0", dead)
	}
	// A careless switch: the entry 0 now is the new backend.
	rdb.LInsertAfter(ctx, "frontend:app", "app", b)
	rdb.LTrim(ctx, "frontend:app", 0, 1)
	if got := answers(t, w, "app", 1); got != "502" {
		t.Errorf("with a stale dead entry: %s, want an outage", got)
	}
	if rdb.Del(ctx, "dead:app"); answers(t, w, "app", 1) != "bb" {
		t.Error("without the stale entry the new backend does not answer")
	}
	rdb.SAdd(ctx, "dead:app", "0")
	rdb.Expire(ctx, "dead:app", 30*time.Second)
	pass(t, w, 31*time.Second)
	if got := answers(t, w, "app", 1); got != "bb" {
		t.Errorf("after the dead entry's time: %s", got)
	}
}

func TestTheRouterAnswersForItsAdmin(t *testing.T) {
	w, err := sim.New(sim.Options{State: &state.State{
		Redis:   map[string]state.RedisKey{"frontend:app": {List: []string{"app", "http://172.17.0.2:80"}}},
		Routers: []state.Router{{Address: "127.0.0.1:80", Admin: "127.0.0.1:8081"}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	_, body, err := w.Get(t.Context(), "http://127.0.0.1:8081/-/inflight?backend=http://172.17.0.2:80&backend=http://x", "")
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Source   string
		Backends []struct {
			URL      string
			Listed   bool
			InFlight int `json:"in_flight"`
		}
	}
	if err := json.Unmarshal([]byte(body), &got); err != nil {
		t.Fatal(err)
	}
	if got.Source != "redis" || len(got.Backends) != 2 || !got.Backends[0].Listed || got.Backends[1].Listed {
		t.Errorf("%s", body)
	}
}

func TestClientsAreCountedByTheListsWeights(t *testing.T) {
	w, err := sim.New(sim.Options{State: &state.State{
		Engines: []state.Engine{{
			Images: []state.Image{{Ref: "app:1"}, {Ref: "app:2", Behaviour: &state.Behaviour{ErrorRate: 0.5, Latency: state.Duration(30 * time.Millisecond)}}},
			Containers: []state.Container{
				{Name: "one", Image: "app:1", Networks: []state.Endpoint{{Network: "bridge", IP: "172.17.0.2"}}},
				{Name: "two", Image: "app:2", Networks: []state.Endpoint{{Network: "bridge", IP: "172.17.0.3"}}},
			},
		}},
		Redis:   map[string]state.RedisKey{"frontend:shop": {List: []string{"shop", "http://172.17.0.2:80", "http://172.17.0.2:80", "http://172.17.0.2:80", "http://172.17.0.3:80"}}},
		Routers: []state.Router{{Address: "127.0.0.1:80", Admin: "127.0.0.1:8081", Rate: 40}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	type numbers struct {
		Total, Errors int
		Latency       struct{ P99 *float64 } `json:"latency_ms"`
	}
	var got struct{ Backends, Frontends []numbers }
	ask := func() {
		t.Helper()
		_, body, err := w.Get(t.Context(), "http://127.0.0.1:8081/-/inflight?backend=http://172.17.0.2:80&backend=http://172.17.0.3:80", "")
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal([]byte(body), &got); err != nil {
			t.Fatal(err)
		}
	}
	ask() // from here on it is counted
	pass(t, w, 10*time.Second)
	ask()
	if a, b := got.Backends[0], got.Backends[1]; a.Total != 300 || a.Errors != 0 || b.Total != 100 || b.Errors != 50 || *b.Latency.P99 != 30 {
		t.Errorf("%+v", got)
	}
	if f := got.Frontends[0]; f.Total != 400 || f.Errors != 50 {
		t.Errorf("%+v", got.Frontends)
	}
}

func TestRedisGoesAwayAndComesBack(t *testing.T) {
	w, a, _ := two(t)
	rdb := redisClient(t, w)
	ctx := context.Background()
	if err := rdb.RPush(ctx, "frontend:app", "app", a).Err(); err != nil {
		t.Fatal(err)
	}
	before, err := w.State()
	if err != nil {
		t.Fatal(err)
	}
	w.SetRedisDown(true)
	if err := rdb.Ping(ctx).Err(); err == nil {
		t.Error("a Redis that is down answers")
	}
	if got := answers(t, w, "app", 1); got != "503" {
		t.Errorf("the router without its Redis: %s", got)
	}
	w.SetRedisDown(false)
	if got, err := rdb.LRange(ctx, "frontend:app", 0, -1).Result(); err != nil || len(got) != 2 {
		t.Errorf("after it came back: %v %v", got, err)
	}
	rdb.Del(ctx, "frontend:app")
	if err := w.RestartRedis(*before); err != nil {
		t.Fatal(err)
	}
	if err := rdb.Ping(ctx).Err(); !errors.Is(err, io.EOF) {
		t.Errorf("on a connection from before the restart: %v, want EOF", err)
	}
	if got, err := rdb.LRange(ctx, "frontend:app", 0, -1).Result(); err != nil || len(got) != 2 {
		t.Errorf("after a restart from its last snapshot: %v %v", got, err)
	}
}

func TestAStateStaysAsItWas(t *testing.T) {
	w := newWorld(t)
	rdb := redisClient(t, w)
	ctx := t.Context()
	rdb.RPush(ctx, "l", "id", "a", "b", "c", "d", "e")
	rdb.LTrim(ctx, "l", 0, 1) // leaves room behind
	rdb.ZAdd(ctx, "z", redis.Z{Score: 1, Member: "m"})
	before, err := w.State()
	if err != nil {
		t.Fatal(err)
	}
	rdb.LInsertAfter(ctx, "l", "id", "new")
	rdb.ZAdd(ctx, "z", redis.Z{Score: 2, Member: "m"})
	if got := before.Redis["l"].List; !slices.Equal(got, []string{"id", "a"}) || before.Redis["z"].ZSet["m"] != 1 {
		t.Errorf("the state from before is now %v, %v", got, before.Redis["z"].ZSet)
	}
}

func TestTheTimeOfRedisIsTheWorlds(t *testing.T) {
	w := newWorld(t)
	rdb := redisClient(t, w)
	ctx := t.Context()
	now, err := rdb.Time(ctx).Result()
	if err != nil || !now.Equal(w.Clock().Now()) {
		t.Errorf("TIME is %v (%v), want %v", now, err, w.Clock().Now())
	}
	rdb.Set(ctx, "lock", "me", 15*time.Second)
	pass(t, w, 10*time.Second)
	if ttl := rdb.TTL(ctx, "lock").Val(); ttl != 5*time.Second {
		t.Errorf("TTL %v after 10 of 15 s", ttl)
	}
	pass(t, w, 6*time.Second)
	if n := rdb.Exists(ctx, "lock").Val(); n != 0 {
		t.Error("the key outlives its time")
	}
}
