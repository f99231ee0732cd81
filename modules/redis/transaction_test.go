package redis_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mepc/mepc-run/internal/effect"
	"github.com/mepc/mepc-run/internal/failure"
)

func TestMultiReturnsTheReplies(t *testing.T) {
	b, _, _ := start(t, plain)
	got := b.must(`r:rpush("frontend:app", "app", "http://old")
return r:multi(function(tx)
  assert(tx:linsert("frontend:app", "AFTER", "app", "http://new") == nil)
  tx:ltrim("frontend:app", 0, 1)
  tx:get("none")
  tx:lrange("frontend:app", 0, -1)
end)`)
	want := []any{3.0, "OK", false, []any{"app", "http://new"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if n := len(b.events.ends); n != 2 {
		t.Errorf("%d calls passed the gate, want the RPUSH and one transaction", n)
	}
}

func TestMultiSendsNothing(t *testing.T) {
	b, _, cli := start(t, plain)
	t.Run("when its function raises an error", func(t *testing.T) {
		b.fails(failure.Script, `r:multi(function(tx) tx:set("k", 1) error("no") end)`, "no")
	})
	t.Run("when a command in it is wrong", func(t *testing.T) {
		b.fails(failure.Invalid, `r:multi(function(tx) tx:set("k", 1) tx:get() end)`, "GET takes 1 argument")
	})
	t.Run("when it is empty", func(t *testing.T) {
		if diff := cmp.Diff(0.0, b.must(`return #r:multi(function(tx) end)`)); diff != "" {
			t.Error(diff)
		}
		if n := len(b.events.ends); n != 0 {
			t.Errorf("%d calls passed the gate", n)
		}
	})
	t.Run("for a queue that outlives it", func(t *testing.T) {
		b.fails(failure.Invalid, `local kept r:multi(function(tx) kept = tx end) kept:set("k", 1)`, "the transaction is over")
	})
	t.Run("when it would wait", func(t *testing.T) {
		b.fails(failure.Invalid, `r:multi(function(tx) tx:blpop("q", 1) end)`, "BLPOP cannot wait")
	})
	if n := cli.Exists(t.Context(), "k").Val(); n != 0 {
		t.Error("something was sent")
	}
}

func TestMultiSaysWhatWasDoneWhenOneCommandFails(t *testing.T) {
	b, _, cli := start(t, plain)
	b.fails(failure.Conflict, `r:set("s", "x") r:multi(function(tx) tx:set("k", 1) tx:lpush("s", 1) tx:set("l", 2) end)`,
		"command 2 of 3 in the transaction failed, LPUSH s:", "WRONGTYPE", "1. SET k 1: done", "3. SET l 2: done", "Redis undoes nothing")
	if got := b.outcome(); got != effect.OK {
		t.Errorf("outcome %s: something was done", got)
	}
	if n := cli.Exists(t.Context(), "k", "l").Val(); n != 2 {
		t.Errorf("%d of 2 done", n)
	}
}

func TestMultiOfWhichNothingWasDoneIsRefused(t *testing.T) {
	b, _, _ := start(t, plain)
	b.fails(failure.Conflict, `r:set("s", "x") r:multi(function(tx) tx:lpush("s", 1) end)`, "s: WRONGTYPE", `r:type("s")`)
	if got := b.outcome(); got != effect.Refused {
		t.Errorf("outcome %s", got)
	}
}

// watched switches a backend as a recipe would. between runs after the read.
const watched = `
return r:watch({"frontend:app"}, function(tx)
  local list = tx:lrange("frontend:app", 0, -1)
  %s
  return tx:multi(function(m)
    m:linsert("frontend:app", "AFTER", "app", %q)
    m:ltrim("frontend:app", 0, 1)
    m:del("dead:app")
  end)
end)`

func TestWatchSwitches(t *testing.T) {
	b, _, cli := start(t, plain)
	got := b.must(`r:rpush("frontend:app", "app", "http://old") r:sadd("dead:app", 0)` + fmt.Sprintf(watched, "", "http://new"))
	if diff := cmp.Diff([]any{3.0, "OK", 1.0}, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	list := cli.LRange(t.Context(), "frontend:app", 0, -1).Val()
	if diff := cmp.Diff([]string{"app", "http://new"}, list); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestWatchNoticesAConcurrentEdit(t *testing.T) {
	b, _, cli := start(t, plain)
	b.fails(failure.Conflict, `r:rpush("frontend:app", "app", "http://old")`+
		fmt.Sprintf(watched, `redis.connect():rpush("frontend:app", "http://theirs")`, "http://new"),
		"frontend:app was changed by someone else in between", "nothing was done")
	if got := b.outcome(); got != effect.Refused {
		t.Errorf("outcome %s", got)
	}
	list := cli.LRange(t.Context(), "frontend:app", 0, -1).Val()
	if diff := cmp.Diff([]string{"app", "http://old", "http://theirs"}, list); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestWatchRefuses(t *testing.T) {
	b, _, _ := start(t, plain)
	for source, want := range map[string]string{
		`r:watch({"k"}, function(tx) tx:set("k", 1) end)`:                                      "SET belongs into tx:multi",
		`r:watch({}, function(tx) end)`:                                                        "keys: at least one expected",
		`local kept r:watch({"k"}, function(tx) kept = tx end) kept:get("k")`:                  "the watch is over",
		`r:watch({"k"}, function(tx) tx:multi(function(m) m:set("k", 1) end) tx:get("k") end)`: "its tx:multi was sent",
	} {
		b.fails(failure.Invalid, source, want)
	}
}

func TestNothingStaysWatched(t *testing.T) {
	b, _, cli := start(t, plain)
	// The pool hands the same connection out again: a watch that stayed on it
	// would make the next transaction fail.
	b.must(`
for i = 1, 3 do
  r:watch({"k"}, function(tx) return tx:get("k") end)
  pcall(r.watch, r, {"k"}, function(tx) error("no") end)
  redis.connect():set("k", i)
  r:multi(function(tx) tx:set("l", i) end)
end`)
	if got := cli.Get(t.Context(), "l").Val(); got != "3" {
		t.Errorf("l is %q", got)
	}
	info := cli.Info(t.Context(), "clients").Val()
	if strings.Contains(info, "blocked_clients:1") {
		t.Error(info)
	}
}

func TestReplaceList(t *testing.T) {
	b, _, cli := start(t, plain)
	ctx := t.Context()
	for _, tc := range []struct {
		name, before, source, after string
		want                        any
		outcome                     effect.Outcome
	}{
		{"replaces", "app old", `return r:replace_list("l", {"app", "old"}, {"app", "new"}, {del={"dead:l"}})`, "app new", true, effect.OK},
		{"creates", "", `return r:replace_list("l", {}, {"app", "new"})`, "app new", true, effect.OK},
		{"removes", "app", `return r:replace_list("l", {"app"}, {})`, "", true, effect.OK},
		{"leaves what is so already", "app new", `return r:replace_list("l", {"app", "old"}, {"app", "new"}, {del={"none"}})`, "app new", false, effect.Unchanged},
		{"deletes even then", "app new", `r:sadd("dead:l", 0) return r:replace_list("l", {"app", "old"}, {"app", "new"}, {del={"dead:l"}})`, "app new", true, effect.OK},
		{"takes bytes", "app", `return r:replace_list("l", {"app"}, {"app", "\255\0 x"})`, "app \xff\x00 x", true, effect.OK},
	} {
		t.Run(tc.name, func(t *testing.T) {
			cli.Del(ctx, "l", "dead:l")
			if tc.before != "" {
				cli.RPush(ctx, "l", strings.Fields(tc.before))
			}
			if got := b.must(tc.source); got != tc.want {
				t.Errorf("returned %v", got)
			}
			if got := b.outcome(); got != tc.outcome {
				t.Errorf("outcome %s", got)
			}
			if got := strings.Join(cli.LRange(ctx, "l", 0, -1).Val(), " "); got != tc.after {
				t.Errorf("holds %q, want %q", got, tc.after)
			}
			if cli.Exists(ctx, "dead:l").Val() != 0 {
				t.Error("dead:l is still there")
			}
		})
	}
	t.Run("says what is there instead", func(t *testing.T) {
		cli.Del(ctx, "l")
		cli.RPush(ctx, "l", "app", "theirs")
		b.fails(failure.Conflict, `r:replace_list("l", {"app", "old"}, {"app", "new"})`,
			"l is not what was expected", "expected: app old", "it holds: app theirs", "nothing was done")
		b.fails(failure.Conflict, `r:replace_list("gone", {"app"}, {"new"})`, "it holds: nothing (no such list)")
	})
	t.Run("keeps the time to live", func(t *testing.T) {
		cli.Expire(ctx, "l", 1e12)
		b.must(`r:replace_list("l", {"app", "theirs"}, {"app"})`)
		if cli.TTL(ctx, "l").Val() <= 0 {
			t.Error("it is lost")
		}
	})
	t.Run("names a key of another type", func(t *testing.T) {
		cli.Set(ctx, "s", "x", 0)
		b.fails(failure.Conflict, `r:replace_list("s", {"app"}, {"new"})`, "s: WRONGTYPE", `r:type("s")`)
	})
}

// Two deployers switch at the same time, from what both have read.
func TestOfTwoDeployersExactlyOneWins(t *testing.T) {
	_, server, cli := start(t, plain)
	ctx := t.Context()
	const rounds = 200
	for name, source := range map[string]string{
		"replace_list": `r:replace_list("frontend:app", {"app", "old"}, {"app", %q}, {del={"dead:app"}})`,
		"watch":        `r:watch({"frontend:app"}, function(tx) local l = tx:lrange("frontend:app", 0, -1) if l[2] ~= "old" then error({kind="conflict", message="conflict"}) end tx:multi(function(m) m:linsert("frontend:app", "AFTER", "app", %q) m:ltrim("frontend:app", 0, 1) m:del("dead:app") end) end)`,
	} {
		t.Run(name, func(t *testing.T) {
			for i := range rounds {
				cli.Del(ctx, "frontend:app")
				cli.RPush(ctx, "frontend:app", "app", "old")
				var wg sync.WaitGroup
				var errs [2]error
				for d := range 2 {
					wg.Go(func() {
						b := &bench{t: t, url: server.URL()}
						_, errs[d] = b.run(fmt.Sprintf(source, fmt.Sprint("new", d)))
					})
				}
				wg.Wait()
				winner, loser := 0, 1
				if errs[0] != nil {
					winner, loser = 1, 0
				}
				if errs[winner] != nil || errs[loser] == nil || !strings.Contains(render(errs[loser]), "conflict") {
					t.Fatalf("round %d: %v, %v", i, errs[0], errs[1])
				}
				if got := cli.LIndex(ctx, "frontend:app", 1).Val(); got != fmt.Sprint("new", winner) {
					t.Fatalf("round %d: %s, but %d has won", i, got, winner)
				}
			}
		})
	}
}
