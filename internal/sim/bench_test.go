package sim_test

import (
	"context"
	"testing"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/client"

	"github.com/mepc/mepc-run/internal/sim"
	"github.com/mepc/mepc-run/internal/state"
)

// deploy makes the twelve calls of a small deployment.
func deploy(tb testing.TB, ctx context.Context, w *sim.World, cli *client.Client) {
	tb.Helper()
	check := func(err error) {
		if err != nil {
			tb.Fatal(err)
		}
	}
	_, err := cli.ImageInspect(ctx, "mepc/app:1.1")
	check(err)
	_, err = cli.ContainerList(ctx, container.ListOptions{All: true})
	check(err)
	created, err := cli.ContainerCreate(ctx, &container.Config{
		Image: "mepc/app:1.1", Labels: map[string]string{"mepc.app": "app", "mepc.release": "12345678"},
	}, &container.HostConfig{RestartPolicy: container.RestartPolicy{Name: "always"}}, nil, nil, "app-new")
	check(err)
	check(cli.ContainerStart(ctx, created.ID, container.StartOptions{}))
	c, err := cli.ContainerInspect(ctx, "app-new")
	check(err)
	url := "http://" + address(c) + ":8080"
	status, _, err := w.Get(ctx, url+"/", "")
	check(err)
	if status != 200 {
		tb.Fatalf("GET %s: %d", url, status)
	}
	rdb := redisClient(tb, w)
	check(rdb.Del(ctx, "frontend:appserver").Err())
	check(rdb.RPush(ctx, "frontend:appserver", "app", url).Err())
	check(rdb.LRange(ctx, "frontend:appserver", 0, -1).Err())
	status, _, err = w.Get(ctx, "http://127.0.0.1:8080/", "appserver")
	check(err)
	if status != 200 {
		tb.Fatalf("GET through the router: %d", status)
	}
	check(cli.ContainerStop(ctx, "app-old", container.StopOptions{}))
	check(cli.ContainerRemove(ctx, "app-old", container.RemoveOptions{}))
	check(rdb.Close())
}

func old() state.Container { return state.Container{Name: "app-old", Image: "mepc/app:1.0"} }

// BenchmarkRehearsal is a fresh world, its clients, and twelve calls.
func BenchmarkRehearsal(b *testing.B) {
	w := newWorld(b, old())
	b.ReportAllocs()
	for b.Loop() {
		fresh, err := w.Clone(nil)
		if err != nil {
			b.Fatal(err)
		}
		deploy(b, b.Context(), fresh, dockerClient(b, fresh.Engine("")))
		fresh.Close()
	}
}

// BenchmarkFreshWorld is a world from a State, without Redis.
func BenchmarkFreshWorld(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		newWorld(b, old())
	}
}

// BenchmarkClone is a world from another one, without Redis.
func BenchmarkClone(b *testing.B) {
	w := newWorld(b, old())
	b.ReportAllocs()
	for b.Loop() {
		if _, err := w.Clone(nil); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkCalls are single calls by the docker client.
func BenchmarkCalls(b *testing.B) {
	w := newWorld(b, old())
	cli := dockerClient(b, w.Engine(""))
	ctx := b.Context()
	rdb := redisClient(b, w)
	for name, call := range map[string]func() error{
		"ping":    func() error { _, err := cli.Ping(ctx); return err },
		"inspect": func() error { _, err := cli.ContainerInspect(ctx, "app-old"); return err },
		"list":    func() error { _, err := cli.ContainerList(ctx, container.ListOptions{All: true}); return err },
		"image":   func() error { _, err := cli.ImageInspect(ctx, "mepc/app:1.1"); return err },
		"create": func() error {
			_, err := cli.ContainerCreate(ctx, &container.Config{Image: "mepc/app:1.1"}, &container.HostConfig{}, nil, nil, "")
			return err
		},
		"redis": func() error { return rdb.Set(ctx, "a", "b", 0).Err() },
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := call(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
