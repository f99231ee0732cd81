// Package bluegreen is a blue/green deployment written by hand, in Go, for one
// container of one application. It makes the calls to the engine that
// recipes/bluegreen.lua makes, which the benchmark compares, and asks Redis and the
// router for the same. Start with Deploy.
package bluegreen

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/network"
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

	if err := d.unfenced(ctx); err != nil {
		return err
	}
	if err := d.look(ctx); err != nil {
		return err
	}
	before, err := d.list(ctx, d.store)
	if err != nil {
		return err
	}
	if len(before) > 0 {
		if _, err := d.owners(ctx); err != nil {
			return err
		}
	}
	if err := d.absent(ctx); err != nil {
		return err
	}
	if err := d.fits(ctx); err != nil {
		return err
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
	if err := d.prune(ctx); err != nil {
		return err
	}
	return d.alone(ctx)
}

// unfenced refuses an app that mepc-run deploys: it has a lock, of which this knows nothing.
func (d *deployment) unfenced(ctx context.Context) error {
	fenced, err := d.labelled(ctx, true, "mepc.app="+d.App, "mepc.fence")
	if err == nil && len(fenced) > 0 {
		err = fmt.Errorf("%s is deployed by mepc-run", d.App)
	}
	return err
}

// absent refuses a release that has containers already.
func (d *deployment) absent(ctx context.Context) error {
	there, err := d.replicas(ctx)
	if err == nil && len(there) > 0 {
		err = fmt.Errorf("%s already exists", d.name)
	}
	return err
}

// fits refuses an image for another kind of machine.
func (d *deployment) fits(ctx context.Context) error {
	v, err := d.engine.ServerVersion(ctx)
	if err == nil && (d.image.Os != v.Os || d.image.Architecture != v.Arch) {
		err = fmt.Errorf("%s is for %s/%s, and the engine is %s/%s", d.Image, d.image.Os, d.image.Architecture, v.Os, v.Arch)
	}
	return err
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
	if err := d.absent(ctx); err != nil {
		return "", err
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
	if c, err := d.engine.ContainerInspect(ctx, d.name); err != nil || c.State.Running {
		return "", fmt.Errorf("%s is not as it was created: %w", d.name, err)
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
	return "http://" + address(c.NetworkSettings.Networks), nil
}

// waitFor waits for so many good answers in a row.
func (d *deployment) waitFor(ctx context.Context, path, expect string, times int) error {
	ref, row := d.name, 0
	for end := d.clock.Now().Add(wait); ; {
		c, err := d.engine.ContainerInspect(ctx, ref)
		if err != nil {
			return err
		}
		ref = c.ID
		if !c.State.Running {
			return fmt.Errorf("it is %s", c.State.Status)
		}
		body, err := get(ctx, "http://"+address(c.NetworkSettings.Networks)+path, d.Host)
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
func (d *deployment) running(ctx context.Context) (container.Summary, error) {
	there, err := d.replicas(ctx)
	if err != nil {
		return container.Summary{}, err
	}
	if len(there) != 1 || there[0].State != container.StateRunning {
		return container.Summary{}, fmt.Errorf("%s does not run", d.name)
	}
	return there[0], nil
}

// alive refuses a new container that does not run, or was restarted.
func (d *deployment) alive(ctx context.Context) error {
	there, err := d.running(ctx)
	if err != nil {
		return err
	}
	c, err := d.engine.ContainerInspect(ctx, there.ID)
	if err == nil && c.RestartCount > 0 {
		err = fmt.Errorf("%s died, and was restarted", d.name)
	}
	return err
}

// alone says when two releases run in the end.
func (d *deployment) alone(ctx context.Context) error {
	run, err := d.labelled(ctx, false, "mepc.app="+d.App)
	if err == nil && len(run) > 1 {
		fmt.Printf("%d containers of %s run\n", len(run), d.App)
	}
	return err
}

// labelled returns the containers that have all of the labels: those that run, or all.
func (d *deployment) labelled(ctx context.Context, all bool, labels ...string) ([]container.Summary, error) {
	f := filters.NewArgs()
	for _, l := range labels {
		f.Add("label", l)
	}
	return d.engine.ContainerList(ctx, container.ListOptions{All: all, Filters: f})
}

// replicas returns the release's containers.
func (d *deployment) replicas(ctx context.Context) ([]container.Summary, error) {
	return d.labelled(ctx, true, "mepc.app="+d.App, "mepc.release="+d.release, "mepc.replica")
}

func address(networks map[string]*network.EndpointSettings) string {
	if bridge := networks["bridge"]; bridge != nil && bridge.IPAddress != "" {
		return bridge.IPAddress + ":" + port
	}
	return "" // of a container in other networks, or one that does not run
}
