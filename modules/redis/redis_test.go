package redis_test

import (
	"context"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/mepc/mepc-run/internal/effect"
	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/internal/lab"
	"github.com/mepc/mepc-run/modules/redis"
	"github.com/mepc/mepc-run/runtime"
	"github.com/mepc/mepc-run/servers"
)

// bench runs recipes against one Redis.
type bench struct {
	t      *testing.T
	url    string
	allow  redis.Allow
	events *recorder
	atMark func() // what the recipe's mark() does
}

// start returns a bench on a Redis of the test's own, that Redis, and a plain
// client of it.
func start(t *testing.T, opts lab.RedisOptions) (*bench, *lab.Redis, *goredis.Client) {
	t.Helper()
	if testing.Short() {
		t.Skip("needs redis-server")
	}
	server, err := lab.StartRedis(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Stop() })
	cli, err := server.Client()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cli.Close() })
	return &bench{t: t, url: server.URL()}, server, cli
}

// plain is a Redis as it comes.
var plain = lab.RedisOptions{}

// recorder keeps the outcomes of a run's calls.
type recorder struct{ ends []effect.Event }

func (r *recorder) Event(ev effect.Event) {
	if ev.Type == effect.OpEnd {
		r.ends = append(r.ends, ev)
	}
}

// run runs source, in which r is a connection, and returns what it returns.
func (b *bench) run(source string) (any, error) {
	b.t.Helper()
	return b.script("local r = redis.connect()\n" + source)
}

func (b *bench) script(source string) (any, error) {
	b.t.Helper()
	return b.scriptIn(b.t.Context(), source)
}

func (b *bench) scriptIn(ctx context.Context, source string) (any, error) {
	b.t.Helper()
	world := servers.Live(servers.Options{Redis: b.url})
	defer world.Close()
	host := runtime.New(runtime.Options{Modules: []runtime.Module{redis.New(b.allow), b.marks()}})
	recipe, err := host.LoadString("recipe.lua", source)
	if err != nil {
		b.t.Fatal(err)
	}
	b.events = &recorder{}
	res, err := host.Run(ctx, recipe, runtime.RunOptions{World: world, Sinks: []runtime.Sink{b.events}, Timeout: time.Minute})
	return res.Value, err
}

// marks is a module with mark(), at which the test does something.
func (b *bench) marks() runtime.Module {
	return runtime.Module{Self: b, Funcs: []runtime.Func{{
		Name: "mark",
		Call: runtime.Inline(func(b *bench, _ *runtime.Call, _ *runtime.None) (runtime.None, error) {
			if b.atMark != nil {
				b.atMark()
			}
			return runtime.None{}, nil
		}),
	}}}
}

// must is run without an error.
func (b *bench) must(source string) any {
	b.t.Helper()
	v, err := b.run(source)
	if err != nil {
		b.t.Fatalf("%s: %v", source, render(err))
	}
	return v
}

// fails is run with an error of kind whose text has all parts.
func (b *bench) fails(kind failure.Kind, source string, parts ...string) *failure.Error {
	b.t.Helper()
	v, err := b.run(source)
	return expect(b.t, v, err, kind, parts...)
}

func expect(t *testing.T, v any, err error, kind failure.Kind, parts ...string) *failure.Error {
	t.Helper()
	e := failure.As(err)
	if e == nil {
		t.Fatalf("got %v, %v; want an error of kind %s", v, err, kind)
	}
	text := render(err)
	if e.Kind != kind {
		t.Errorf("kind %s, want %s: %s", e.Kind, kind, text)
	}
	for _, p := range parts {
		if !strings.Contains(text, p) {
			t.Errorf("no %q in:\n%s", p, text)
		}
	}
	return e
}

// render writes all of an error that people may see.
func render(err error) string {
	e := failure.As(err)
	if e == nil {
		return err.Error()
	}
	return strings.Join([]string{string(e.Kind), e.Error(), "hint: " + e.Hint, e.Details, e.State}, "\n")
}

// outcome returns the last call's.
func (b *bench) outcome() effect.Outcome {
	b.t.Helper()
	if len(b.events.ends) == 0 {
		b.t.Fatal("nothing passed the gate")
	}
	return b.events.ends[len(b.events.ends)-1].Result.Outcome
}
