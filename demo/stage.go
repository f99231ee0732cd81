package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/client"
	"github.com/redis/go-redis/v9"

	"github.com/mepc/mepc-run/internal/lab"
)

const (
	host    = "appserver"
	clients = 32
	program = "bin/mepc-run"
)

func image(version string) string { return lab.AppImage(version) }

// stage is everything that the demo starts.
type stage struct {
	lab    *lab.Lab
	engine *client.Client
	store  *redis.Client
	router *exec.Cmd
	url    string // of the router
	admin  string // of its admin server
	state  string // where mepc-run keeps its journals
	load   *load
}

func newStage(ctx context.Context) (*stage, error) {
	s := &stage{}
	var err error
	if s.lab, err = lab.Start(ctx, lab.Options{}); err != nil {
		return nil, err
	}
	if s.state, err = os.MkdirTemp("", "mepc-demo-"); err != nil {
		return s, err
	}
	if s.engine, err = s.lab.Engine.Client(); err != nil {
		return s, err
	}
	if s.store, err = s.lab.Redis.Client(); err != nil {
		return s, err
	}
	if err := lab.SampleImages(ctx, s.lab.Engine, "1.0", "1.1", "1.2", "1.3", "1.4"); err != nil {
		return s, err
	}
	if err := lab.BuildBackend(ctx, s.lab.Engine, "mepc/db:1.1", "1.1"); err != nil {
		return s, err
	}
	return s, s.startRouter(ctx)
}

// startRouter runs mepc-run router, as a user would.
func (s *stage) startRouter(ctx context.Context) error {
	listen, err := freeAddress()
	if err != nil {
		return err
	}
	admin, err := freeAddress()
	if err != nil {
		return err
	}
	s.url, s.admin = "http://"+listen, "http://"+admin
	s.router = exec.Command(program, "router", "--listen", listen, "--admin", admin, "--access-log", "", "--redis", s.lab.Redis.URL())
	s.router.Stdout, s.router.Stderr = os.Stdout, os.Stderr
	if err := s.router.Start(); err != nil {
		return fmt.Errorf("start router: %w", err)
	}
	s.load = newLoad(s.url)
	for {
		res, err := http.Get(s.admin + "/-/healthz")
		if err == nil {
			res.Body.Close()
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the router did not come up: %w", err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// freeAddress returns an address of 127.0.0.1 that was free a moment ago.
func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// deploy runs the blue/green recipe, as a user would.
func (s *stage) deploy(ctx context.Context, version, backend string, more ...string) error {
	args := append([]string{
		"--docker", s.lab.Engine.Host(), "--redis", s.lab.Redis.URL(), "--router", s.url,
		"recipes/bluegreen.lua", "image=" + image(version), "host=" + host, "health=/health", "confirm=/version",
		"expect=" + version, "links=" + backend + ":db", "drain=200ms", "admin=" + s.admin,
	}, more...)
	fmt.Printf("$ mepc-run recipes/bluegreen.lua image=%s links=%s:db ...\n", image(version), backend)
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env = append(os.Environ(), "MEPC_STATE="+s.state)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	return cmd.Run()
}

// startBackend starts what the app is linked to.
func (s *stage) startBackend(ctx context.Context, name, ref string) error {
	_, err := s.engine.ContainerCreate(ctx, &container.Config{Image: ref}, nil, nil, nil, name)
	if err != nil {
		return err
	}
	return s.engine.ContainerStart(ctx, name, container.StartOptions{})
}

func (s *stage) removeBackend(ctx context.Context, name string) error {
	return s.engine.ContainerRemove(ctx, name, container.RemoveOptions{Force: true})
}

// killWhenItAppears kills the first container of a version that runs.
func (s *stage) killWhenItAppears(ctx context.Context, version string) error {
	running := container.ListOptions{Filters: filters.NewArgs(filters.Arg("label", "mepc.version="+version))}
	for {
		list, err := s.engine.ContainerList(ctx, running)
		if err != nil {
			return err
		}
		if len(list) > 0 {
			return s.engine.ContainerKill(ctx, list[0].ID, "KILL")
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(2 * time.Millisecond):
		}
	}
}

// close takes everything down.
func (s *stage) close() error {
	if s.load != nil {
		s.load.stop()
	}
	var errs []error
	if s.router != nil && s.router.Process != nil {
		s.router.Process.Signal(os.Interrupt)
		errs = append(errs, ignoreExit(s.router.Wait()))
	}
	for _, c := range []io.Closer{s.engine, s.store} {
		if c != nil {
			c.Close()
		}
	}
	return errors.Join(append(errs, s.lab.Stop(), os.RemoveAll(s.state))...)
}

// ignoreExit drops an exit status: the router was told to stop.
func ignoreExit(err error) error {
	if errors.As(err, new(*exec.ExitError)) {
		return nil
	}
	return err
}
