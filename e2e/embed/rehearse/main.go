// Command rehearse says what a deployment would do, and changes nothing.
package main

import (
	"context"
	"fmt"
	"os"

	"example.com/embed/slack"

	"github.com/mepc/mepc-run/modules/docker"
	"github.com/mepc/mepc-run/modules/redis"
	"github.com/mepc/mepc-run/modules/std"
	"github.com/mepc/mepc-run/rehearsal"
	mepc "github.com/mepc/mepc-run/runtime"
	"github.com/mepc/mepc-run/servers"
)

func modules(routers []string) []mepc.Module {
	return append(std.Modules(std.Options{Routers: routers}), docker.New(docker.Allow{}), redis.New(redis.Allow{}), slack.Module())
}

func main() {
	if err := rehearse(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(mepc.ExitCode(err))
	}
}

func rehearse(ctx context.Context) error {
	host := mepc.New(mepc.Options{Modules: modules(nil)})
	recipe, err := host.LoadFile("deploy.lua")
	if err != nil {
		return err
	}
	world, err := rehearsal.Snapshot(ctx, servers.Options{Getenv: os.Getenv}) // or ReadWorld
	if err != nil {
		return err
	}
	defer world.Close()
	opts := rehearsal.Options{Servers: servers.Options{Getenv: os.Getenv}}
	opts.Params = map[string]any{"name": os.Args[1], "image": os.Args[2], "channel": os.Args[3]}
	res, err := rehearsal.Run(ctx, world, host, recipe, opts)
	if err != nil {
		return err
	}
	if err := res.Plan.Write(os.Stdout, rehearsal.Style{}); err != nil {
		return err
	}
	if res.Err != nil {
		return res.Err
	}
	specs := rehearsal.Specs{Dir: ".", Modules: modules, Faults: 1}
	results, err := specs.Run(ctx)
	for _, r := range results {
		fmt.Println(r.Name, r.Plans, "plans of faults:", r.Err)
	}
	return err
}
