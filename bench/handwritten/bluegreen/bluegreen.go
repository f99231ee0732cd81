// Package bluegreen is a blue/green deployment written by hand, in Go, for one
// container of one application. It makes the calls that recipes/bluegreen.lua
// makes, to the engine, to Redis and through the router, in the same order.
// Start with Deploy.
package bluegreen

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/client"
	"github.com/docker/go-connections/nat"
	"github.com/redis/go-redis/v9"

	"github.com/mepc/mepc-run/internal/clock"
)

const (
	port      = "8080"
	interval  = 200 * time.Millisecond // between two probes
	successes = 2                      // of them, in a row
	wait      = time.Minute            // for a container to become healthy
	retain    = 5                      // images
)

// Options says what is deployed, and where.
type Options struct {
	Docker, Redis, Router, Admin string // URLs
	Image, App, Host             string
	Env                          string        // NAME=value, or empty
	Expect                       string        // part of the new release's answer to /version
	Drain                        time.Duration // at least
}

// deployment is one run.
type deployment struct {
	Options
	engine  *client.Client
	store   *redis.Client
	clock   clock.Wall
	image   image.InspectResponse
	version string // of the image
	release string // a digest of all that makes one
	name    string // of the container
}

// Deploy starts a container of the image beside the running one, moves the
// host's traffic to it, and removes the old one.
func Deploy(ctx context.Context, o Options) error {
	d := &deployment{Options: o}
	if err := d.connect(ctx); err != nil {
		return err
	}
	defer d.engine.Close()
	defer d.store.Close()

	if err := d.look(ctx); err != nil {
		return err
	}
	before, err := d.list(ctx, d.store)
	if err != nil {
		return err
	}
	if _, err := d.engine.ContainerInspect(ctx, d.name); !errdefs.IsNotFound(err) {
		return fmt.Errorf("%s is there already, or: %w", d.name, err)
	}
	if err := d.ready(ctx); err != nil {
		return err
	}
	if err := d.claim(ctx); err != nil {
		return err
	}
	url, err := d.start(ctx)
	if err != nil {
		return err
	}
	if err := d.moveTraffic(ctx, before, url); err != nil {
		return err
	}
	if err := d.retire(ctx, before); err != nil {
		return err
	}
	return d.prune(ctx)
}

// look finds out what is wanted.
func (d *deployment) look(ctx context.Context) (err error) {
	if d.image, err = d.engine.ImageInspect(ctx, d.Image); err != nil {
		return fmt.Errorf("image %s: %w", d.Image, err)
	}
	sum := sha256.Sum256([]byte(d.image.ID + "\n" + port + "\n" + d.Env))
	d.release = hex.EncodeToString(sum[:4])
	d.version = d.Image[strings.LastIndex(d.Image, ":")+1:]
	d.name = fmt.Sprintf("%s-%s-%s", d.App, d.version, d.release)
	return nil
}

func (d *deployment) connect(ctx context.Context) error {
	var err error
	d.engine, err = client.NewClientWithOpts(client.WithHost(d.Docker), client.WithAPIVersionNegotiation())
	if err != nil {
		return err
	}
	d.engine.NegotiateAPIVersion(ctx)
	opts, err := redis.ParseURL(d.Redis)
	if err != nil {
		return err
	}
	opts.MaxRetries, opts.ContextTimeoutEnabled, opts.DisableIdentity = -1, true, true
	d.store = redis.NewClient(opts)
	return nil
}

// start creates and starts the container, waits until it is healthy, and
// returns its URL.
func (d *deployment) start(ctx context.Context) (string, error) {
	if _, err := d.engine.ContainerInspect(ctx, d.name); !errdefs.IsNotFound(err) {
		return "", fmt.Errorf("%s is there already, or: %w", d.name, err)
	}
	var env []string
	if d.Env != "" {
		env = append(env, d.Env)
	}
	_, err := d.engine.ContainerCreate(ctx, &container.Config{
		Image: d.image.ID, Env: env, ExposedPorts: nat.PortSet{port + "/tcp": {}},
		Labels: map[string]string{"mepc.app": d.App, "mepc.release": d.release, "mepc.version": d.version, "mepc.replica": "1"},
	}, &container.HostConfig{RestartPolicy: container.RestartPolicy{Name: container.RestartPolicyAlways}}, nil, nil, d.name)
	if err != nil {
		return "", fmt.Errorf("create %s: %w", d.name, err)
	}
	if err := d.engine.ContainerStart(ctx, d.name, container.StartOptions{}); err != nil {
		return "", fmt.Errorf("start %s: %w", d.name, err)
	}
	if err := d.waitFor(ctx, "/health", "", successes); err != nil {
		return "", fmt.Errorf("%s does not become healthy: %w", d.name, err)
	}
	if err := d.waitFor(ctx, "/version", d.Expect, 1); err != nil { // what the router will be asked
		return "", fmt.Errorf("%s is not what was to be deployed: %w", d.name, err)
	}
	c, err := d.running(ctx)
	if err != nil {
		return "", err
	}
	return "http://" + address(c), nil
}

// waitFor waits for so many good answers in a row.
func (d *deployment) waitFor(ctx context.Context, path, expect string, times int) error {
	first, err := d.engine.ContainerInspect(ctx, d.name)
	if err != nil {
		return err
	}
	row := 0
	for end := d.clock.Now().Add(wait); ; {
		c, err := d.engine.ContainerInspect(ctx, first.ID)
		if err != nil {
			return err
		}
		if !c.State.Running {
			return fmt.Errorf("it is %s", c.State.Status)
		}
		body, err := get(ctx, "http://"+address(c)+path, d.Host)
		row++
		if err == nil && !strings.Contains(body, expect) {
			err = fmt.Errorf("it answers %q", body)
		}
		if err != nil {
			row = 0
		}
		if row == times {
			return nil
		}
		if d.clock.Now().After(end) {
			return err
		}
		if err := d.clock.Sleep(ctx, interval); err != nil {
			return err
		}
	}
}

// running returns the new container, which must run.
func (d *deployment) running(ctx context.Context) (container.InspectResponse, error) {
	c, err := d.engine.ContainerInspect(ctx, d.name)
	if err == nil && !c.State.Running {
		err = fmt.Errorf("%s is %s", d.name, c.State.Status)
	}
	return c, err
}

func address(c container.InspectResponse) string {
	return c.NetworkSettings.Networks["bridge"].IPAddress + ":" + port
}
