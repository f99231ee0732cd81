package redis_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mepc/mepc-run/internal/failure"
)

func TestCommandsAndReplies(t *testing.T) {
	b, _, _ := start(t, plain)
	for _, tc := range []struct {
		name, source string
		want         any
	}{
		{"a status", `return r:set("k", "v")`, "OK"},
		{"a string", `return r:get("k")`, "v"},
		{"a null is nil", `return type(r:get("none"))`, "nil"},
		{"an integer", `return r:incrby("n", 41)`, 41.0},
		{"an integer beyond 2^53 is a string", `r:set("big", "9007199254740993") return r:incr("big")`, "9007199254740994"},
		{"an integer of 2^53 is a number", `r:set("big", "9007199254740991") return r:incr("big")`, 9007199254740992.0},
		{"a double", `r:zadd("z", 1.5, "a") return r:zscore("z", "a")`, 1.5},
		{"a list", `r:rpush("l", "a", "b") return r:lrange("l", 0, -1)`, []any{"a", "b"}},
		{"a null in a list is false", `local v = r:mget("none", "k") return {type(v[1]), tostring(v[1]), v[2], #v}`, []any{"boolean", "false", "v", 2.0}},
		{"an empty list", `return #r:lrange("none", 0, -1)`, 0.0},
		{"a map", `r:hset("h", "x", 1, "y", 2) return r:hgetall("h")`, map[string]any{"x": "1", "y": "2"}},
		{"a sub-command as a further word", `return r:config("get", "databases")`, map[string]any{"databases": "16"}},
		{"upper case", `return r:GET("k")`, "v"},
		{"a list argument is spliced", `return r:del({"k", "n"}, "big")`, 3.0},
		{"an empty list argument is no word", `return r:rpush("l", {}, "c")`, 3.0},
		{"an integral number has no point", `r:set("n", 10) return r:get("n")`, "10"},
		{"a large number has no exponent", `r:set("n", 1e15) return r:incr("n")`, 1e15 + 1},
		{"a fraction", `r:set("n", 0.1) return r:get("n")`, "0.1"},
		{"bytes", `r:set("b", "\0\255\r\n\200") local s = r:get("b") return {#s, s:byte(1), s:byte(2), s:byte(5)}`, []any{5.0, 0.0, 255.0, 200.0}},
		{"bytes in a key", `r:set("\255\0", "x") return r:get("\255\0")`, "x"},
		{"inserting without a list answers 0", `return r:linsert("nolist", "AFTER", "app", "u")`, 0.0},
		{"inserting without the pivot answers -1", `r:rpush("frontend:x", "app") return r:linsert("frontend:x", "AFTER", "nope", "u")`, -1.0},
		{"nested lists", `r:zadd("zz", 1, "a", 2, "b") return r:zrange("zz", 0, -1, "WITHSCORES")`, []any{[]any{"a", 1.0}, []any{"b", 2.0}}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, b.must(tc.source)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestBadCallsAreRefusedBeforeAnythingIsSent(t *testing.T) {
	b := &bench{t: t, url: "redis://127.0.0.1:1"} // nothing is there: what is sent fails otherwise
	for _, tc := range []struct {
		name   string
		kind   failure.Kind
		source string
		parts  []string
	}{
		{"an unknown command", failure.Invalid, `r:linsrt("a")`, []string{`no command "linsrt"`, `did you mean "linsert"?`}},
		{"a command written with an underscore", failure.Invalid, `r:config_get("save")`, []string{`r:config("get", ...)`}},
		{"an unknown sub-command", failure.Invalid, `r:config("gett", "save")`, []string{`"config gett"`, `did you mean "get"?`}},
		{"a missing sub-command", failure.Invalid, `r:config()`, []string{"config needs a second word", "get"}},
		{"too few arguments", failure.Invalid, `r:linsert("k", "AFTER", "app")`, []string{"LINSERT takes 4 arguments, got 3", "LINSERT key BEFORE|AFTER pivot element"}},
		{"too many arguments", failure.Invalid, `r:get("k", "l")`, []string{"GET takes 1 argument, got 2"}},
		{"too few of many", failure.Invalid, `r:set("k")`, []string{"SET takes at least 2 arguments, got 1"}},
		{"too few for a sub-command", failure.Invalid, `r:config("get")`, []string{"CONFIG GET takes at least 1 argument, got 0"}},
		{"an empty list", failure.Invalid, `r:del({})`, []string{"DEL takes at least 1 argument, got 0"}},
		{"a boolean", failure.Invalid, `r:set("k", true)`, []string{"argument 2", "boolean", "1 and 0"}},
		{"a nil", failure.Invalid, `r:set(nil, "v")`, []string{"argument 1: is nil"}},
		{"a table with names", failure.Invalid, `r:hset("k", {a=1})`, []string{"argument 2", "keys are not 1, 2, 3"}},
		{"a list with a hole", failure.Invalid, `r:del({"a", nil, "c"})`, []string{"argument 1", "keys are not 1, 2, 3"}},
		{"a nested list", failure.Invalid, `r:del({{"a"}})`, []string{"not nested"}},
		{"a function", failure.Invalid, `r:set("k", print)`, []string{"argument 2"}},
		{"not a number", failure.Invalid, `r:set("k", 0/0)`, []string{"not a number"}},
		{"a script", failure.Denied, `r:eval("return 1", 0)`, []string{"EVAL runs scripts", "--allow redis-scripts", "r:replace_list"}},
		{"a function library", failure.Denied, `r["function"](r, "flush")`, []string{"--allow redis-scripts"}},
		{"an administrator's command", failure.Denied, `r:flushall()`, []string{"FLUSHALL acts on the whole server", "--allow redis-admin"}},
		{"an administrator's sub-command", failure.Denied, `r:config("SET", "save", "")`, []string{"CONFIG SET", "--allow redis-admin"}},
		{"MULTI", failure.Denied, `r:exec()`, []string{"r:multi(function(tx)"}},
		{"SELECT", failure.Denied, `r:select(2)`, []string{"redis://host:6379/2"}},
		{"PSUBSCRIBE", failure.Denied, `r:psubscribe("c")`, []string{"PSUBSCRIBE is not for recipes", "r:subscribe"}},
		{"SUBSCRIBE in a transaction", failure.Denied, `r:multi(function(tx) tx:subscribe("c") end)`, []string{"SUBSCRIBE is not for recipes"}},
		{"waiting for ever", failure.Invalid, `r:blpop("k", 0)`, []string{"BLPOP wants a time to wait", "for ever"}},
		{"waiting for ever in a stream", failure.Invalid, `r:xread("BLOCK", 0, "STREAMS", "s", "0")`, []string{"wants a time to wait"}},
		{"a dot for a colon", failure.Invalid, `r.get("k")`, []string{"write a colon"}},
		{"an unknown option", failure.Invalid, `redis.connect("redis://h", {timout="1s"})`, []string{`did you mean "timeout"?`}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := *b
			b.t = t
			b.fails(tc.kind, tc.source, tc.parts...)
			if n := len(b.events.ends); n > 0 {
				t.Errorf("%d calls passed the gate", n)
			}
		})
	}
}

func TestAnOperatorCanAllowMore(t *testing.T) {
	b, _, _ := start(t, plain)
	b.allow.Scripts, b.allow.Admin = true, true
	if got := b.must(`return r:eval("return ARGV[1]", 0, "x")`); got != "x" {
		t.Errorf("eval: %v", got)
	}
	b.must(`r:set("k", 1) r:flushall() r:config("set", "maxclients", 100) assert(r:get("k") == nil)`)
}

func TestGateSeesClassTargetAndCommand(t *testing.T) {
	b, _, cli := start(t, plain)
	for source, want := range map[string][3]string{
		`r:get("k")`:                     {"read", "k", "GET k"},
		`r:set("k", "a b")`:              {"write", "k", `SET k "a b"`},
		`r:del("k", "l")`:                {"destructive", "k l", "DEL k l"},
		`r:ltrim("k", 0, 1)`:             {"destructive", "k", "LTRIM k 0 1"},
		`r:publish("dead", "x")`:         {"write", "", "PUBLISH dead x"},
		`r:ping()`:                       {"read", "", "PING"},
		`r:object("encoding", "k")`:      {"read", "k", "OBJECT encoding k"},
		`r:set("k", ("x"):rep(300))`:     {"write", "k", "SET k (300 bytes)"},
		`r:mset("a", 1, "b", 2)`:         {"write", "a b", "MSET a 1 b 2"},
		`r:blpop("q", 0.01)`:             {"destructive", "q", "BLPOP q 0.01"},
		`r:replace_list("none", {}, {})`: {"write", "none", ""},
		`r:multi(function(tx) tx:set("a",1) tx:del("b") end)`: {"destructive", "a b", "SET a 1"},
	} {
		cli.FlushAll(t.Context())
		b.must(source)
		op := b.events.ends[0].Op
		shown := ""
		if len(op.Args) > 0 {
			shown = op.Args[0].Value
		}
		if got := [3]string{op.Class.String(), op.Target, shown}; got != want {
			t.Errorf("%s: got %q, want %q", source, got, want)
		}
	}
}
