package redis_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/internal/rehearsal"
	"github.com/mepc/mepc-run/internal/sim"
	"github.com/mepc/mepc-run/modules/redis"
	"github.com/mepc/mepc-run/runtime"
	"github.com/mepc/mepc-run/servers"
)

func TestAPipelineSendsCommandsInOneGo(t *testing.T) {
	b, _, _ := start(t, plain)
	got := b.must(`
		local kept
		local out = r:pipeline(function(p) kept = p p:set("a", "\0\255") p:get("a") p:get("none") p:incr("n") p:lrange("l", 0, -1) end)
		return {bytes = out[2] == "\0\255", none = out[3], n = out[4], list = #out[5], empty = #r:pipeline(function() end)}`)
	want := map[string]any{"bytes": true, "none": false, "n": 1.0, "list": 0.0, "empty": 0.0}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	b.fails(failure.Conflict, `r:pipeline(function(p) p:set("s", "x") p:lpush("s", 1) p:set("t", "y") end)`, "command 2 of 3 in the pipeline failed", "WRONGTYPE")
	if got := b.must(`return r:get("t")`); got != "y" {
		t.Errorf("what came after the command that failed: %v", got)
	}
	b.fails(failure.Invalid, `local kept r:pipeline(function(p) kept = p end) kept:get("a")`, "the pipeline is over")
	b.fails(failure.Invalid, `r:pipeline(function(p) p:blpop("q", 1) end)`, "BLPOP cannot wait within a pipeline")
	b.fails(failure.Script, `r:pipeline(function(p) p:set("never", 1) error("no") end)`, "no")
	if got := b.must(`return r:exists("never")`); got != 0.0 {
		t.Error("a pipeline whose function raised an error was sent")
	}
}

func TestListsAreReadByPages(t *testing.T) {
	b, _, _ := start(t, plain)
	got := b.must(`
		r:pipeline(function(p) for i = 1, 1500 do p:rpush("l:" .. i, "id", i) end p:set("l:text", "x") p:rpush("other", 1) end)
		local lists, n = r:lists("l:*"), 0
		for _ in pairs(lists) do n = n + 1 end
		return {n = n, last = lists["l:1500"], none = next(r:lists("none:*")) == nil}`)
	if diff := cmp.Diff(map[string]any{"n": 1500.0, "last": []any{"id", "1500"}, "none": true}, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestASubscriptionIsBounded(t *testing.T) {
	b, _, cli := start(t, plain)
	begin := time.Now()
	if got := b.must(`return #r:subscribe({"quiet"}, {timeout = "200ms"})`); got != 0.0 {
		t.Errorf("%v messages where nobody spoke", got)
	}
	if took := time.Since(begin); took < 200*time.Millisecond || took > 10*time.Second {
		t.Errorf("it listened for %s", took)
	}
	stop := make(chan struct{})
	spoke := make(chan struct{})
	go func() {
		defer close(spoke)
		for {
			select {
			case <-stop:
				return
			default:
				cli.Publish(t.Context(), "dead.a", "\x00\xff;url")
				cli.Publish(t.Context(), "loud", string(make([]byte, 2000)))
			}
		}
	}()
	got := b.must(`
		local said = r:subscribe({"dead.*"}, {patterns = true, max = 2, timeout = "20s"})
		return {n = #said, channel = said[1].channel, pattern = said[1].pattern, bytes = said[2].payload == "\0\255;url"}`)
	want := map[string]any{"n": 2.0, "channel": "dead.a", "pattern": "dead.*", "bytes": true}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	b.fails(failure.Limit, `r:subscribe({"loud"}, {max_bytes = 1000, timeout = "20s"})`, "larger than 1000 bytes")
	close(stop)
	<-spoke
	b.fails(failure.Invalid, `r:subscribe({})`, "channels: at least one")
}

func TestBlockingReadsWaitOnARehearsalsClock(t *testing.T) {
	world, err := sim.New(sim.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer world.Close()
	w := rehearsal.Clients(servers.Options{}, world, rehearsal.Policy{})
	defer w.Close()
	host := runtime.New(runtime.Options{Modules: []runtime.Module{redis.New(redis.Allow{})}})
	run := func(source string) (any, error) {
		t.Helper()
		recipe, err := host.LoadString("r.lua", "local r = redis.connect() "+source)
		if err != nil {
			t.Fatal(err)
		}
		res, err := host.Run(t.Context(), recipe, runtime.RunOptions{World: w, Clock: w.Clock()})
		if err != nil {
			return nil, err
		}
		return res.Value, nil
	}
	begin, virtual := time.Now(), w.Clock().Now()
	got, err := run(`
		r:rpush("q", "job")
		local one = r:blpop("q", 600)
		local none = r:blpop("q", 600)
		r:xadd("s", "1-1", "k", "v")
		local read = r:xread("BLOCK", 5000, "STREAMS", "s", 0)
		return {one[2], tostring(none), tostring(r:brpop("q", 0.5)), read ~= nil}`)
	if diff := cmp.Diff([]any{"job", "nil", "nil", true}, got); err != nil || diff != "" {
		t.Errorf("%v (-want +got)\n%s", err, diff)
	}
	if passed := w.Clock().Now().Sub(virtual); passed != 600*time.Second+500*time.Millisecond {
		t.Errorf("%s passed on the rehearsal's clock", passed)
	}
	if took := time.Since(begin); took > 30*time.Second {
		t.Errorf("it took %s for real", took)
	}
	if _, err := run(`r:subscribe({"c"})`); failure.KindOf(err) != failure.NotModelled {
		t.Errorf("a subscription in a rehearsal: %v", err)
	}
}
