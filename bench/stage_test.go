package bench

import (
	"bytes"
	"net"
	"net/http"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"

	"github.com/mepc/mepc-run/internal/clock"
	"github.com/mepc/mepc-run/internal/lab"
)

// stage is an engine with two images of the sample app, a Redis, and a router.
type stage struct {
	lab        *lab.Lab
	mepcRun    string
	url, admin string // of the router
}

// versions of the sample app that deployments go back and forth between.
var versions = [...]string{"1.0", "1.1"}

func newStage(b *testing.B) *stage {
	b.Helper()
	b.Setenv("MEPC_STATE", b.TempDir())
	s := &stage{lab: lab.ForTest(b), mepcRun: compile(b, "cmd/mepc-run")}
	if err := lab.SampleImages(b.Context(), s.lab.Engine, versions[:]...); err != nil {
		b.Fatal(err)
	}
	s.startRouter(b)
	return s
}

// startRouter runs mepc-run router, as a user would.
func (s *stage) startRouter(b *testing.B) {
	b.Helper()
	listen, admin := freeAddress(b), freeAddress(b)
	s.url, s.admin = "http://"+listen, "http://"+admin
	router := exec.Command(s.mepcRun, "router", "--listen", listen, "--admin", admin, "--access-log", "", "--redis", s.lab.Redis.URL())
	var log bytes.Buffer
	router.Stderr = &log
	router.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := router.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = router.Process.Kill()
		_ = router.Wait() // says that it was killed
		if b.Failed() {
			b.Logf("the router said:\n%s", log.Bytes())
		}
	})
	eventually(b, "the router", func() error {
		res, err := http.Get(s.admin + "/-/healthz")
		if err == nil {
			res.Body.Close()
		}
		return err
	})
}

// deployArgs are the arguments of mepc-run that deploy a version of an app to
// the host of the same name.
func (s *stage) deployArgs(engine, app, version string, more ...string) []string {
	return append([]string{
		"--docker", engine, "--redis", s.lab.Redis.URL(), "--router", s.url,
		"../recipes/bluegreen.lua", "image=" + lab.AppImage(version), "app=" + app, "host=" + app,
		"health=/health", "confirm=/version", "expect=" + version, "admin=" + s.admin, "keep=0",
	}, more...)
}

// remove ends apps: their containers and routing lists go.
func (s *stage) remove(b *testing.B, apps ...string) {
	b.Helper()
	engine, err := s.lab.Engine.Client()
	if err != nil {
		b.Fatal(err)
	}
	defer engine.Close()
	store, err := s.lab.Redis.Client()
	if err != nil {
		b.Fatal(err)
	}
	defer store.Close()
	for _, app := range apps {
		list, err := engine.ContainerList(b.Context(), container.ListOptions{
			All: true, Filters: filters.NewArgs(filters.Arg("label", "mepc.app="+app)),
		})
		if err != nil {
			b.Fatal(err)
		}
		for _, c := range list {
			if err := engine.ContainerRemove(b.Context(), c.ID, container.RemoveOptions{Force: true}); err != nil {
				b.Fatal(err)
			}
		}
		if err := store.Del(b.Context(), "frontend:"+app, "dead:"+app, "mepc:deploying:"+app).Err(); err != nil {
			b.Fatal(err)
		}
	}
}

func freeAddress(b *testing.B) string {
	b.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// eventually waits until what works.
func eventually(b *testing.B, what string, works func() error) {
	b.Helper()
	var wall clock.Wall
	for end := wall.Now().Add(20 * time.Second); ; {
		err := works()
		if err == nil {
			return
		}
		if wall.Now().After(end) {
			b.Fatalf("%s: %v", what, err)
		}
		_ = wall.Sleep(b.Context(), 10*time.Millisecond)
	}
}
