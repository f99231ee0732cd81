// Command run deploys: it runs a recipe against real servers.
package main

import (
	"context"
	"fmt"
	"os"

	"example.com/embed/slack"

	"github.com/mepc/mepc-run/modules/docker"
	"github.com/mepc/mepc-run/modules/redis"
	"github.com/mepc/mepc-run/modules/std"
	mepc "github.com/mepc/mepc-run/runtime"
	"github.com/mepc/mepc-run/servers"
)

func main() {
	host := mepc.New(mepc.Options{
		Modules: append(std.Modules(std.Options{}), docker.New(docker.Allow{}), redis.New(redis.Allow{}), slack.Module()),
	})
	recipe, err := host.LoadFile("deploy.lua")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(mepc.ExitCode(err))
	}
	clients := servers.Live(servers.Options{Getenv: os.Getenv}) // DOCKER_HOST, REDIS_URL
	defer clients.Close()
	lines := &mepc.Lines{Out: os.Stdout}
	res, err := host.Run(context.Background(), recipe, mepc.RunOptions{
		World:  clients,
		Params: map[string]any{"name": os.Args[1], "image": os.Args[2], "channel": os.Args[3]},
		Sinks:  []mepc.Sink{lines},
	})
	_ = lines.End(recipe.Name, res.Effects, res.Duration, res.Value, err)
	os.Exit(mepc.ExitCode(err))
}
