package bench

import (
	"fmt"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/client"

	"github.com/mepc/mepc-run/internal/lab"
)

// BenchmarkShell compares a redeploy by the talk's own commands, testdata/talk.sh,
// with one by a recipe, testdata/talk.lua: build on one engine, ship to another,
// start, move the traffic. The image is 200 MB, of which 8 MB are new in each
// version; the old version is already there.
func BenchmarkShell(b *testing.B) {
	s := newShipping(b, 192*mega, 8*mega)
	first := s.next(b)
	s.byRecipe(b, first) // brings the base to both engines
	s.forget(b, first)
	var recipe, shell used
	for round := 0; b.Loop(); round++ {
		turn(round, func() {
			r := s.next(b)
			recipe.add(s.byRecipe(b, r))
			s.forget(b, r)
		}, func() {
			r := s.next(b)
			shell.add(s.byShell(b, r))
			s.forget(b, r)
		})
	}
	figures(b, map[string]float64{
		"wall-ratio": recipe.wall.over(shell.wall).median(), "cpu-ratio": recipe.cpu.over(shell.cpu).median(),
		"peak-ratio": recipe.peak.over(shell.peak).median(),
		"recipe-ms":  recipe.wall.median(), "shell-ms": shell.wall.median(),
		"recipe-cpu-ms": recipe.cpu.median(), "shell-cpu-ms": shell.cpu.median(),
		"recipe-peak-MB": recipe.peak.max(), "shell-peak-MB": shell.peak.max(),
	})
}

// shipping is two engines, a Redis and an application that goes from the one to
// the other.
type shipping struct {
	build, production *lab.Engine
	clients           []*client.Client
	redis             *lab.Redis
	app               *application
	change            int64
	mepcRun, tar      string
	run               *runner
	version           int64
	previous          string // image
}

const shippedHost = "appserver"

func newShipping(b *testing.B, base, change int64) *shipping {
	b.Helper()
	s := &shipping{
		build: ownEngine(b), production: ownEngine(b), app: newApplication(b, base), change: change,
		mepcRun: compile(b, "cmd/mepc-run"), tar: filepath.Join(b.TempDir(), "app.tar"),
	}
	for _, program := range []string{"docker", "curl", "redis-cli"} {
		installed(b, program)
	}
	var err error
	if s.redis, err = lab.StartRedis(b.Context(), lab.RedisOptions{}); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := s.redis.Stop(); err != nil {
			b.Errorf("stop Redis: %v", err)
		}
	})
	store, err := s.redis.Client()
	if err != nil {
		b.Fatal(err)
	}
	defer store.Close()
	if err := store.RPush(b.Context(), "frontend:"+shippedHost, "app", "http://192.0.2.1:8080").Err(); err != nil {
		b.Fatal(err)
	}
	for _, e := range []*lab.Engine{s.build, s.production} {
		c, err := e.Client()
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { _ = c.Close() })
		s.clients = append(s.clients, c)
	}
	s.run = newRunner(b,
		"DOCKER_BUILDKIT=0", "DOCKER_CONFIG="+b.TempDir(), // the builder that the engine itself has, for both
		"BUILD_HOST="+s.build.Host(), "PRODUCTION="+strings.TrimPrefix(s.production.Host(), "unix://"),
		"REDIS_SOCKET="+strings.TrimPrefix(s.redis.URL(), "unix://"))
	return s
}

// shipped is one version on its way.
type shipped struct{ image, container string }

// next makes a new version in the build context.
func (s *shipping) next(b *testing.B) shipped {
	b.Helper()
	s.version++
	s.app.change(b, s.version, s.change)
	syscall.Sync() // what was written before is not this round's burden
	return shipped{fmt.Sprintf("bench/app:%d", s.version), fmt.Sprintf("app-%d", s.version)}
}

func (s *shipping) byRecipe(b *testing.B, v shipped) Usage {
	b.Helper()
	u, _ := s.run.run(b, s.mepcRun, "--docker", s.build.Host(), "--redis", s.redis.URL(), "testdata/talk.lua",
		"context="+s.app.dir, "image="+v.image, "name="+v.container, "host="+shippedHost, "production="+s.production.Host())
	return u
}

func (s *shipping) byShell(b *testing.B, v shipped) Usage {
	b.Helper()
	u, _ := s.run.run(b, "sh", "testdata/talk.sh", s.app.dir, v.image, v.container, shippedHost, s.tar)
	return u
}

// forget removes the container, and the image of the version before: the base is
// then still there.
func (s *shipping) forget(b *testing.B, v shipped) {
	b.Helper()
	if err := s.clients[1].ContainerRemove(b.Context(), v.container, container.RemoveOptions{Force: true}); err != nil {
		b.Fatal(err)
	}
	for _, c := range s.clients {
		if s.previous == "" {
			break
		}
		if _, err := c.ImageRemove(b.Context(), s.previous, image.RemoveOptions{PruneChildren: true}); err != nil {
			b.Fatal(err)
		}
	}
	s.previous = v.image
}
