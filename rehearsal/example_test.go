package rehearsal_test

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/mepc/mepc-run/modules/redis"
	"github.com/mepc/mepc-run/modules/std"
	"github.com/mepc/mepc-run/rehearsal"
	"github.com/mepc/mepc-run/runtime"
)

// A recipe is rehearsed in a world from a file. The plan is data, and text.
func ExampleRun() {
	world, err := rehearsal.ReadWorld(strings.NewReader(`{"mepc_world": 1, "redis": {"flag": {"string": "off"}}}`), "world.json")
	if err != nil {
		fmt.Println(err)
		return
	}
	host := runtime.New(runtime.Options{Modules: append(std.Modules(std.Options{}), redis.New(redis.Allow{}))})
	recipe, err := host.LoadString("on.lua", `redis.connect():set("flag", "on")`)
	if err != nil {
		fmt.Println(err)
		return
	}
	res, err := rehearsal.Run(context.Background(), world, host, recipe, rehearsal.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, c := range res.Plan.Changes {
		fmt.Println(c.Mark, c.Kind, c.Name, c.Text)
	}
	lines := &runtime.Lines{Out: os.Stdout}
	_ = lines.End(recipe.Name, res.Effects, res.Duration, res.Value, res.Err)
	// Output:
	// ~ key flag string of 3 bytes -> string of 2 bytes
	// {"type":"result","recipe":"on.lua","status":"ok","effects":1,"duration_ms":0,"error":null,"value":null}
}
