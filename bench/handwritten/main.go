// Command handwritten does what recipes/bluegreen.lua does for one container, by
// the same calls, as one would write it in Go for a single project. The benchmarks
// hold the recipe against it.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"time"

	"github.com/mepc/mepc-run/bench/handwritten/bluegreen"
)

func main() {
	var o bluegreen.Options
	flag.StringVar(&o.Docker, "docker", "", "URL of the engine")
	flag.StringVar(&o.Redis, "redis", "", "URL of Redis")
	flag.StringVar(&o.Router, "router", "", "URL of the router")
	flag.StringVar(&o.Admin, "admin", "", "admin URL of the router")
	flag.StringVar(&o.Image, "image", "", "the image to deploy")
	flag.StringVar(&o.App, "app", "app", "name of the application")
	flag.StringVar(&o.Host, "host", "appserver", "the host whose traffic is switched")
	flag.StringVar(&o.Expect, "expect", "", "what the new release answers to /version")
	flag.StringVar(&o.Env, "env", "", "an environment variable: NAME=value")
	flag.DurationVar(&o.Drain, "drain", 2*time.Second, "how long to wait for the old release's requests")
	flag.Parse()
	if err := bluegreen.Deploy(context.Background(), o); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
