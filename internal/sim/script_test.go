package sim_test

import (
	"context"
	"crypto/sha1"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/internal/sim"
)

// TestAScriptMayCallAnyCommand has every kind of command in a script: whatever it
// answers, it answers, and the server goes on.
func TestAScriptMayCallAnyCommand(t *testing.T) {
	w := newWorld(t)
	c := redisClient(t, w)
	commands := strings.Fields(`APPEND AUTH BITCOUNT BLMOVE BLMPOP BLPOP BRPOP BRPOPLPUSH BZPOPMAX BZPOPMIN CLIENT CLUSTER COMMAND COPY DBSIZE
		DECR DEL DISCARD DUMP ECHO EVAL EVALSHA EXEC EXISTS EXPIRE FLUSHALL FLUSHDB GEOADD GET GETDEL GETEX GETSET HDEL HELLO HGET HGETALL HRANDFIELD
		HSET INCR INFO KEYS LINDEX LINSERT LLEN LMOVE LPOP LPUSH LRANGE LSET LTRIM MEMORY MGET MOVE MSET MULTI OBJECT PERSIST PFADD PING
		PSUBSCRIBE PUBLISH PUBSUB PUNSUBSCRIBE QUIT RANDOMKEY RENAME RPOP RPOPLPUSH RPUSH SADD SCAN SCARD SCRIPT SELECT SET SETEX SETNX SMEMBERS SPOP
		SRANDMEMBER SUBSCRIBE SWAPDB TIME TTL TYPE UNLINK UNSUBSCRIBE UNWATCH WAIT WATCH XADD XLEN XRANGE XREAD XREADGROUP ZADD ZPOPMIN ZRANGE ZRANDMEMBER NOSUCH`)
	for _, command := range commands {
		for _, args := range []string{``, `, KEYS[1]`, `, KEYS[1], 1`, `, KEYS[1], "1", 0`, `, "BLOCK", 0, "STREAMS", KEYS[1], "$"`, `, "GROUP", "g", "c", "BLOCK", 0, "STREAMS", KEYS[1], ">"`} {
			for _, call := range []string{"call", "pcall"} {
				script := fmt.Sprintf("return redis.%s(%q%s)", call, command, args)
				_, err := c.Eval(t.Context(), script, []string{"k"}).Result()
				var answer redis.Error
				if err != nil && !errors.As(err, &answer) {
					t.Fatalf("%s: %v", script, err)
				}
			}
		}
	}
	if err := c.Set(t.Context(), "after", "all", 0).Err(); err != nil {
		t.Error(err)
	}
}

func TestAScriptSeesAndChangesTheWorld(t *testing.T) {
	w := newWorld(t)
	c := redisClient(t, w)
	for script, want := range map[string]string{
		`return redis.call("set", KEYS[1], ARGV[1])`:                                                  "OK",
		`redis.call("set", KEYS[1], "a"); return redis.call("get", KEYS[1])`:                          "a",
		`redis.call("rpush", "list", "x", "y"); return redis.call("lrange", "list", 0, -1)`:           "[x y]",
		`return redis.pcall("nosuch")`:                                                                "error ERR Unknown Redis command called from script",
		`redis.call("select", 3); redis.call("set", "there", "1"); return redis.call("get", "there")`: "1",
		`redis.call("sadd", "s", "a", "b", "c"); return #redis.call("srandmember", "s", 2)`:           "2",
		`return redis.call("blpop", "nothing", 0)`:                                                    "error",
		`if redis.call("exists", "no") == 0 then return redis.status_reply("none") end`:               "none",
	} {
		v, err := c.Eval(t.Context(), script, []string{"k"}, "v").Result()
		got := redisText(v)
		if err != nil {
			got = "error " + err.Error()
		}
		if !strings.HasPrefix(got, want) {
			t.Errorf("%s: %s, want %s", script, got, want)
		}
	}
	if _, err := w.State(); err != nil {
		t.Error(err)
	}
}

// TestScriptsAreBounded has scripts that would take all time or memory, or end the process
// as what no recover survives does.
func TestScriptsAreBounded(t *testing.T) {
	long := `local s = string.rep("x", 4*2^20) `
	for script, want := range map[string]string{
		`while true do end`:                           "turns",
		`repeat until false`:                          "turns",
		`::again:: goto again`:                        "turns",
		`local function f() return f() end f()`:       "turns",
		`local t = {} t[1] = t return t`:              "stack limit",
		`local t = {} t.a = t return cjson.encode(t)`: "stack overflow",
		`local t = {1} for i = 1, 40 do t = {t, t} end return cjson.encode(t)`:              "4 MiB",
		`return setmetatable({}, {__index = function() return ("x"):rep(1000) end})`:        "16 MiB",
		`local s = "x" for i = 1, 40 do s = s .. s end`:                                     "4 MiB",
		`local s = "x" ` + strings.Repeat("s = s .. s ", 40):                                "4 MiB",
		`return string.rep("x", 2^40)`:                                                      "4 MiB",
		long + `local t = {} for i = 1, 1000 do t[i] = s end return t`:                      "16 MiB",
		long + `local t = {} for i = 1, 1000 do t[i] = s end table.concat(t)`:               "4 MiB",
		long + `for i = 1, 1000 do redis.call("set", i, s) end`:                             "32 MiB",
		long + `return string.format("%s%s", s, s)`:                                         "4 MiB",
		`return string.format("%999999999d", 1)`:                                            "invalid format",
		`return string.gsub(("a"):rep(60000), ".", function() return ("x"):rep(60000) end)`: "4 MiB",
		`local t = {} while true do t[#t + 1] = string.rep("x", 2^20) .. #t end`:            "96 MiB",
		`return loadstring("while true do end")()`:                                          "loadstring",
		`return dofile("/etc/hostname")`:                                                    "dofile",
	} {
		w, err := sim.New(sim.Options{HangTime: time.Minute})
		if err != nil {
			t.Fatal(err)
		}
		if err := redisClient(t, w).Eval(t.Context(), script, nil).Err(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", script, err, want)
		}
		w.Close()
	}
}

func TestAScriptIsWhatItWasWhenItIsBounded(t *testing.T) {
	c := redisClient(t, newWorld(t))
	script := "local k = 'a' .. 1 ..'b' -- do\nlocal s = 'do' .. [[ function ( ) ]]\r\nfor i = 1, 3 do (function(...) k = k .. select('#', ...) end)(i, i) end\n" +
		"repeat local x = #s until x > 0 return {k, s, {ok = 'fine'}, false, 3.7, string.format('%03d', 7)}"
	got, err := c.Eval(t.Context(), script, nil).Result()
	if want := "[a1b222 do function ( )  fine <nil> 3 007]"; err != nil || fmt.Sprint(got) != want {
		t.Errorf("%v, %v, want %s", got, err, want)
	}
	if err := c.Eval(t.Context(), "local x = 1\n\nerror('here')", nil).Err(); err == nil || !strings.Contains(err.Error(), ":3:") {
		t.Errorf("it does not name the line: %v", err)
	}
	source := "return KEYS[1] .. ARGV[1]"
	run := redis.NewScript(source)
	named := fmt.Sprintf("%x", sha1.Sum([]byte(source)))
	sha, err := run.Load(t.Context(), c).Result()
	if err != nil {
		t.Fatal(err)
	}
	for _, sha := range []string{sha, named, strings.ToUpper(named)} {
		if v, err := c.EvalSha(t.Context(), sha, []string{"a"}, "b").Result(); v != "ab" {
			t.Errorf("%s: %v, %v", sha, v, err)
		}
	}
	if there, err := run.Exists(t.Context(), c).Result(); err != nil || !there[0] {
		t.Errorf("%v, %v", there, err)
	}
}

func TestTheSimulatedRedisHoldsALimitedAmount(t *testing.T) {
	long := strings.Repeat("x", 1<<20)
	for name, do := range map[string]func(context.Context, *redis.Client, int) error{
		"append": func(ctx context.Context, c *redis.Client, _ int) error { return c.Append(ctx, "k", long).Err() },
		"set": func(ctx context.Context, c *redis.Client, i int) error {
			return c.Set(ctx, fmt.Sprint(i), long, 0).Err()
		},
		"setrange": func(ctx context.Context, c *redis.Client, i int) error { return c.SetRange(ctx, "k", 1<<29, "x").Err() },
		"setbit":   func(ctx context.Context, c *redis.Client, i int) error { return c.SetBit(ctx, "k", 1<<32-1, 1).Err() },
		"bitfield": func(ctx context.Context, c *redis.Client, i int) error {
			return c.BitField(ctx, "k", "SET", "u8", "#500000000", 1).Err()
		},
	} {
		c := redisClient(t, newWorld(t))
		var err error
		for i := 0; i < 100 && err == nil; i++ {
			err = do(t.Context(), c, i)
		}
		if failure.KindOf(err) != failure.NotModelled {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestACommandThatTheSimulatedRedisPanicsAtEndsTheWorld has patterns that miniredis makes
// expressions of which it takes for granted.
func TestACommandThatTheSimulatedRedisPanicsAtEndsTheWorld(t *testing.T) {
	for name, do := range map[string]func(context.Context, *redis.Client) error{
		"scan": func(ctx context.Context, c *redis.Client) error { return c.Scan(ctx, 0, "[^]", 10).Err() },
		"keys in a transaction": func(ctx context.Context, c *redis.Client) error {
			_, err := c.TxPipelined(ctx, func(p redis.Pipeliner) error { p.Keys(ctx, "[^]"); return nil })
			return err
		},
		"keys in a script": func(ctx context.Context, c *redis.Client) error {
			return c.Eval(ctx, `return redis.call("keys", "[^]")`, nil).Err()
		},
	} {
		w := newWorld(t)
		c := redisClient(t, w)
		if err := c.Set(t.Context(), "k", "v", 0).Err(); err != nil {
			t.Fatal(err)
		}
		err := do(t.Context(), c)
		if err == nil {
			t.Errorf("%s: no error", name)
		}
		if again := c.Get(t.Context(), "k").Err(); again != nil && failure.KindOf(again) != failure.NotModelled {
			t.Errorf("%s: %v, and then %v", name, err, again)
		}
	}
}

// TestARedisThatHangsEndsTheWorld has a script that takes much longer than is waited
// for; one that never ends would run on after the test.
func TestARedisThatHangsEndsTheWorld(t *testing.T) {
	w, err := sim.New(sim.Options{HangTime: 100 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	c := redisClient(t, w)
	err = c.Eval(t.Context(), `string.find(string.rep("a", 8000), "a-a-b")`, nil).Err()
	if !errors.Is(err, sim.ErrStuck) {
		t.Errorf("the script: %v", err)
	}
	if err := c.Get(t.Context(), "k").Err(); !errors.Is(err, sim.ErrStuck) {
		t.Errorf("the next command: %v", err)
	}
	if _, err := w.State(); !errors.Is(err, sim.ErrStuck) {
		t.Errorf("the state: %v", err)
	}
}
