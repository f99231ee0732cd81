package bench

import (
	"context"
	"errors"
	"os"
	"strconv"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/mepc/mepc-run/internal/clock"
	"github.com/mepc/mepc-run/internal/lab"
	"github.com/mepc/mepc-run/modules/docker"
	"github.com/mepc/mepc-run/modules/redis"
	"github.com/mepc/mepc-run/modules/std"
	"github.com/mepc/mepc-run/runtime"
	"github.com/mepc/mepc-run/servers"
)

// calls is the number made at a time, so that a run's own cost does not count.
const calls = 200

// BenchmarkCall compares one call by Lua with the same call by Go, on the same
// server. "nothing" is a call of a Go function that does nothing: what is left
// is the way there and back, through decoding, the gate and the Lua machine.
func BenchmarkCall(b *testing.B) {
	l := lab.ForTest(b)
	cli, err := l.Engine.Client()
	if err != nil {
		b.Fatal(err)
	}
	defer cli.Close()
	if err := lab.SampleImages(b.Context(), l.Engine, versions[0]); err != nil {
		b.Fatal(err)
	}
	store, err := l.Redis.Client()
	if err != nil {
		b.Fatal(err)
	}
	defer store.Close()
	image := lab.AppImage(versions[0])

	world := servers.Live(servers.Options{Docker: servers.DockerEndpoint{Host: l.Engine.Host()}, Redis: l.Redis.URL(), Getenv: os.Getenv})
	defer world.Close()
	modules := append(std.Modules(std.Options{}), docker.New(docker.Allow{}), redis.New(redis.Allow{}), nothing())
	host := runtime.New(runtime.Options{Modules: modules})

	for _, c := range []struct {
		name, lua string
		direct    func(context.Context) error
	}{
		{"docker.ping", `local e = docker.connect() return function() e:ping() end`, func(ctx context.Context) error {
			_, err := cli.Ping(ctx)
			return err
		}},
		{"docker.image", `local e = docker.connect() return function() e:image("` + image + `") end`, func(ctx context.Context) error {
			_, err := cli.ImageInspect(ctx, image)
			return err
		}},
		{"redis.get", `local r = redis.connect() return function() r:get("bench") end`, func(ctx context.Context) error {
			if err := store.Get(ctx, "bench").Err(); !errors.Is(err, goredis.Nil) {
				return err
			}
			return nil
		}},
		{"nothing", `return function() nothing() end`, nil},
	} {
		b.Run(c.name, func(b *testing.B) { compareCalls(b, host, world, c.lua, c.direct) })
	}
}

// compareCalls compares the function that the Lua text lua returns with direct;
// where that is nil it only measures.
func compareCalls(b *testing.B, host *runtime.Host, world *servers.Clients, lua string, direct func(context.Context) error) {
	recipe, err := host.LoadString("calls.lua", `
local call = (function() `+lua+` end)()
call() -- connects
local begin = now()
for i = 1, `+strconv.Itoa(calls)+` do call() end
return now() - begin`)
	if err != nil {
		b.Fatal(err)
	}
	var byLua, byGo sample // microseconds a call
	run := func() {
		res, err := host.Run(b.Context(), recipe, runtime.RunOptions{World: world})
		if err != nil {
			b.Fatal(err)
		}
		byLua.add(res.Value.(float64) * 1e6 / calls)
	}
	if direct == nil {
		for b.Loop() {
			run()
		}
		figures(b, map[string]float64{"lua-us": byLua.median()})
		return
	}
	if err := direct(b.Context()); err != nil { // connects
		b.Fatal(err)
	}
	var wall clock.Wall
	for round := 0; b.Loop(); round++ {
		turn(round, run, func() {
			begin := wall.Now()
			for range calls {
				if err := direct(b.Context()); err != nil {
					b.Fatal(err)
				}
			}
			byGo.add(float64(wall.Now().Sub(begin)) / float64(time.Microsecond) / calls)
		})
	}
	figures(b, map[string]float64{
		"lua-us": byLua.median(), "go-us": byGo.median(),
		"ratio": byLua.over(byGo).median(), "added-us": byLua.minus(byGo).median(),
	})
}

// nothing is a module of one function, which does nothing.
func nothing() runtime.Module {
	return runtime.Module{
		Name: "nothing", Doc: "Nothing.", Self: "nobody",
		Funcs: []runtime.Func{{
			Class: runtime.Read, Doc: "Does nothing.",
			Call: runtime.Effect(func(string, context.Context, *runtime.None) (runtime.None, error) {
				return runtime.None{}, nil
			}),
		}},
	}
}
