package redis_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/mepc/mepc-run/internal/effect"
	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/internal/lab"
)

func TestRedisDown(t *testing.T) {
	b := &bench{t: t, url: "redis://:hunter2secret@127.0.0.1:1"}
	e := b.fails(failure.Unavailable, `r:set("k", 1)`, "127.0.0.1:1", "connection refused", "is Redis running there?", "--redis")
	if !e.Retryable || b.outcome() != effect.Refused {
		t.Errorf("nothing was sent: %+v, %s", e, b.outcome())
	}
	if strings.Contains(render(e), "hunter2") || strings.Contains(b.events.ends[0].Op.Endpoint, "hunter2") {
		t.Errorf("the password is shown: %s", render(e))
	}
	b.url = "unix://" + t.TempDir() + "/none.sock"
	b.fails(failure.Unavailable, `r:get("k")`, "none.sock", "no such file", "is Redis running there?")
	b.fails(failure.Unavailable, `r:multi(function(tx) tx:set("k", 1) end)`, "none.sock")
	b.fails(failure.Unavailable, `r:watch({"k"}, function() end)`, "none.sock")
	b.fails(failure.Unavailable, `r:replace_list("k", {}, {"x"})`, "none.sock")
}

func TestAnAnswerThatIsTooLargeIsNotTakenIn(t *testing.T) {
	b, _, _ := start(t, plain)
	b.must(`r:setrange("big", 67108864, "x") r:rpush("list", "x")`)
	b.fails(failure.Limit, `r:get("big")`, "larger than 64 MiB", "GETRANGE")
	b.fails(failure.Limit, `r:pipeline(function(p) p:get("big") end)`, "larger than 64 MiB")
	b.fails(failure.Unknown, `r:getset("big", "small")`, "larger than 64 MiB", "GETSET", "look before doing it again")
	b.must(`assert(r:get("big") == "small") assert(r:lrange("list", 0, -1)[1] == "x")`)
}

func TestWrongType(t *testing.T) {
	b, _, _ := start(t, plain)
	b.fails(failure.Conflict, `r:set("frontend:app", "x") r:linsert("frontend:app", "AFTER", "app", "u")`,
		"frontend:app: WRONGTYPE", `r:type("frontend:app")`)
	if got := b.outcome(); got != effect.Refused {
		t.Errorf("outcome %s", got)
	}
}

func TestPasswords(t *testing.T) {
	b, server, _ := start(t, lab.RedisOptions{Password: "s3same-open", TCP: true})
	b.must(`r:set("k", 1)`)
	hosted := strings.TrimPrefix(server.TCPURL()[strings.Index(server.TCPURL(), "@"):], "@")
	b.url = "redis://" + hosted
	b.fails(failure.Auth, `r:get("k")`, "NOAUTH", "redis://:password@host:6379")
	b.fails(failure.Auth, `r:multi(function(tx) tx:set("k", 2) end)`, "NOAUTH")
	b.fails(failure.Auth, `r:watch({"k"}, function() end)`, "NOAUTH")
	b.url = "redis://:wrong-word@" + hosted
	e := b.fails(failure.Auth, `r:set("k", 2)`, "WRONGPASS", "percent-encoded")
	if strings.Contains(render(e), "wrong-word") || b.outcome() != effect.Refused {
		t.Errorf("%s: %s", b.outcome(), render(e))
	}
}

func TestAPasswordIsNotShown(t *testing.T) {
	b, _, _ := start(t, plain)
	v, err := b.script(`local r = redis.connect("redis://:s3same-open@127.0.0.1:1")
local _, e = pcall(function() r:get("s3same-open") end)
return tostring(r) .. " " .. tostring(e)`)
	if err != nil || strings.Contains(v.(string), "s3same") || !strings.Contains(v.(string), "redis://127.0.0.1:1") {
		t.Errorf("%v, %v", v, err)
	}
	for _, ev := range b.events.ends {
		if strings.Contains(ev.Op.Target+ev.Op.Args[0].Value, "s3same") {
			t.Errorf("%+v", ev.Op)
		}
	}
}

func TestACL(t *testing.T) {
	b, server, cli := start(t, lab.RedisOptions{TCP: true})
	if err := cli.Do(t.Context(), "ACL", "SETUSER", "deploy", "on", ">pw", "~frontend:*", "+@all", "-del").Err(); err != nil {
		t.Fatal(err)
	}
	b.url = strings.Replace(server.TCPURL(), "redis://", "redis://deploy:pw@", 1)
	b.must(`r:rpush("frontend:app", "app")`)
	b.fails(failure.Auth, `r:set("other", 1)`, "NOPERM", "ACL")
	b.fails(failure.Auth, `r:del("frontend:app")`, "NOPERM", "del")
	b.fails(failure.Auth, `r:multi(function(tx) tx:rpush("frontend:app", "x") tx:del("frontend:app") end)`,
		"Redis did not take DEL", "NOPERM", "nothing was done")
	if got := b.outcome(); got != effect.Refused {
		t.Errorf("outcome %s", got)
	}
	if n := cli.LLen(t.Context(), "frontend:app").Val(); n != 1 {
		t.Errorf("%d items", n)
	}
}

func TestHungRedis(t *testing.T) {
	b, server, _ := start(t, plain)
	// One connection is made before the server hangs, others after.
	const connected = `local r = redis.connect(nil, {timeout="300ms"})`
	hang := func(source, then string) (any, error) {
		t.Helper()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		defer server.Resume()
		b.events = nil
		return b.paused(ctx, server, connected+source, then)
	}
	v, err := hang(` r:ping()`, `r:get("k")`)
	expect(t, v, err, failure.Timeout, "no answer within 300ms", "hang?")
	v, err = hang(` r:ping()`, `r:set("k", 1)`)
	expect(t, v, err, failure.Unknown, "no answer within 300ms", "SET was sent and may have been done", "what does k hold now?")
	if got := b.outcome(); got != effect.Unknown {
		t.Errorf("outcome %s", got)
	}
	v, err = hang(` r:ping()`, `r:multi(function(tx) tx:set("k", 1) end)`)
	expect(t, v, err, failure.Unknown, "the transaction was sent and may have been done")
	v, err = hang("", `r:set("k", 1)`)
	expect(t, v, err, failure.Unavailable, "accepts connections but does not answer", "Nothing was sent")
	if got := b.outcome(); got != effect.Refused {
		t.Errorf("outcome %s", got)
	}
}

// paused runs source up to a mark, stops the server, and goes on with then.
func (b *bench) paused(ctx context.Context, server *lab.Redis, source, then string) (any, error) {
	b.t.Helper()
	b.atMark = func() {
		if err := server.Pause(); err != nil {
			b.t.Error(err)
		}
	}
	return b.scriptIn(ctx, source+"\nmark()\n"+then)
}

func TestCtrlCDoesNotWaitForAHungRedis(t *testing.T) {
	b, server, _ := start(t, plain)
	defer server.Resume()
	stop := errors.New("interrupted")
	ctx, cancel := context.WithCancelCause(t.Context())
	b.atMark = func() {
		server.Pause()
		time.AfterFunc(50*time.Millisecond, func() { cancel(failure.Wrap(failure.Cancelled, stop, "Ctrl-C")) })
	}
	begin := time.Now()
	v, err := b.scriptIn(ctx, `local r = redis.connect(nil, {timeout="30s"}) r:ping() mark() r:set("k", 1)`)
	expect(t, v, err, failure.Cancelled)
	if took := time.Since(begin); took > 25*time.Second {
		t.Errorf("it took %s", took)
	}
	if got := b.outcome(); got != effect.Unknown {
		t.Errorf("outcome %s", got)
	}
}

func TestRedisKilledWhileARunUsesIt(t *testing.T) {
	b, server, _ := start(t, plain)
	b.atMark = func() { server.Kill9() }
	v, err := b.script(`local r = redis.connect() r:set("k", 1) mark() r:set("k", 2)`)
	e := expect(t, v, err, failure.Unavailable)
	if got := b.outcome(); got != effect.Refused {
		t.Errorf("outcome %s: %s", got, render(e))
	}
	if err := server.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.atMark = func() {
		if err := server.Restart(t.Context()); err != nil {
			t.Error(err)
		}
	}
	if _, err := b.script(`local r = redis.connect() r:set("k", 1) mark() r:set("k", 2)`); err != nil {
		t.Errorf("after a restart: %s", render(err))
	}
}

// cutter is a server in front of Redis that cuts every connection after the
// first n bytes of a command have come, before it is answered.
func cutter(t *testing.T, marker string, forward func() (net.Conn, error)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer in.Close()
				out, err := forward()
				if err != nil {
					return
				}
				defer out.Close()
				cut := make(chan struct{})
				go func() {
					buf := make([]byte, 4096)
					for {
						n, err := out.Read(buf)
						if err != nil {
							return
						}
						select {
						case <-cut:
							return
						default:
						}
						in.Write(buf[:n])
					}
				}()
				buf := make([]byte, 4096)
				for {
					n, err := in.Read(buf)
					if err != nil {
						return
					}
					last := strings.Contains(strings.ToLower(string(buf[:n])), marker)
					if last {
						close(cut)
					}
					out.Write(buf[:n])
					if last {
						// Redis has it; let it be done before the cut.
						time.Sleep(50 * time.Millisecond)
						return
					}
				}
			}()
		}
	}()
	return "redis://" + l.Addr().String()
}

func TestALostReplyIsUnknownAndNothingIsSentTwice(t *testing.T) {
	b, server, cli := start(t, lab.RedisOptions{TCP: true})
	addr := strings.TrimPrefix(server.TCPURL(), "redis://")
	dial := func() (net.Conn, error) { return net.Dial("tcp", addr) }
	b.url = cutter(t, "rpush", dial)
	b.fails(failure.Unknown, `r:rpush("l", "x")`, "the connection was lost", "RPUSH was sent and may have been done", "what does l hold now?")
	if got := b.outcome(); got != effect.Unknown {
		t.Errorf("outcome %s", got)
	}
	b.fails(failure.Unknown, `r:multi(function(tx) tx:rpush("l", "y") end)`, "the transaction was sent and may have been done")
	b.fails(failure.Unknown, `r:watch({"l"}, function(tx) tx:multi(function(m) m:rpush("l", "z") end) end)`, "may have been done")
	b.fails(failure.Unknown, `r:replace_list("m", {}, {"a"})`, "the transaction was sent and may have been done")
	if got := strings.Join(cli.LRange(t.Context(), "l", 0, -1).Val(), " "); got != "x y z" {
		t.Errorf("l holds %q: each was sent once", got)
	}
	b.url = cutter(t, "lrange", dial)
	if e := b.fails(failure.Unavailable, `r:lrange("l", 0, -1)`, "the connection was lost"); !e.Retryable {
		t.Error("a read may be tried again")
	}
	b.url = cutter(t, "hello", dial)
	b.fails(failure.Unavailable, `r:rpush("l", "x")`, "closed the connection before it answered", "Nothing was sent")
	if got := b.outcome(); got != effect.Refused {
		t.Errorf("outcome %s", got)
	}
}

func TestBlockingCommandsWaitLongerThanTheTimeout(t *testing.T) {
	b, _, cli := start(t, plain)
	v, err := b.script(`local r = redis.connect(nil, {timeout="500ms"}) return tostring(r:blpop("q", 1))`)
	if err != nil || v != "nil" {
		t.Errorf("%v, %v", v, err)
	}
	cli.RPush(t.Context(), "q", "job")
	if got := b.must(`return r:blpop("q", 5)[2]`); got != "job" {
		t.Errorf("got %v", got)
	}
}
