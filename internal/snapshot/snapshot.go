// Package snapshot reads a state from real servers, and changes nothing there.
// Start with Engine and Redis, or Take for one of each.
package snapshot

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	typesimage "github.com/docker/docker/api/types/image"
	networktypes "github.com/docker/docker/api/types/network"
	volumetypes "github.com/docker/docker/api/types/volume"
	"github.com/docker/docker/client"
	"github.com/docker/go-connections/nat"
	"github.com/redis/go-redis/v9"

	"github.com/mepc/mepc-run/internal/state"
	"github.com/mepc/mepc-run/internal/state/engineapi"
)

// Engine reads what is on a real engine, under the given name. It sends
// nothing but GET requests. Values that may be secrets are replaced by Hidden:
// environment variables that a container does not have from its image, and
// whatever is named like a password, token or key.
func Engine(ctx context.Context, name string, cli client.APIClient) (state.Engine, error) {
	s := state.Engine{Name: name}
	v, err := cli.ServerVersion(ctx)
	if err != nil {
		return s, fmt.Errorf("read the engine's version: %w", err)
	}
	s.Version = v.Version
	info, err := cli.Info(ctx)
	if err != nil {
		return s, fmt.Errorf("read how the engine keeps images: %w", err)
	}
	for _, kv := range info.DriverStatus {
		if kv[0] == "driver-type" && strings.HasPrefix(kv[1], "io.containerd.") {
			s.Store = "containerd"
		}
	}
	reader := engineReader{ctx: ctx, cli: cli, out: &s, images: map[string]*state.Image{}, networks: map[string]bool{}}
	for _, read := range []func() error{reader.readNetworks, reader.readVolumes, reader.readImages, reader.readContainers, reader.readSwarm} {
		if err := read(); err != nil {
			return s, err
		}
	}
	return s, nil
}

// Take is Engine and Redis as a State, taken at a time that
// the caller says. rdb may be nil. keys are the patterns of the keys to read;
// none: RoutingKeys.
func Take(ctx context.Context, at time.Time, cli client.APIClient, rdb redis.UniversalClient, keys ...string) (*state.State, error) {
	s := &state.State{Format: state.Format, Source: "live", Taken: at}
	e, err := Engine(ctx, "default", cli)
	if err != nil {
		return nil, err
	}
	s.Engines = []state.Engine{e}
	if rdb != nil {
		if s.Redis, err = Redis(ctx, rdb, keys...); err != nil {
			return nil, err
		}
	}
	return s, nil
}

type engineReader struct {
	ctx      context.Context
	cli      client.APIClient
	out      *state.Engine
	images   map[string]*state.Image // by ID
	networks map[string]bool         // by name
}

func (r *engineReader) readNetworks() error {
	list, err := r.cli.NetworkList(r.ctx, networktypes.ListOptions{})
	if err != nil {
		return fmt.Errorf("list networks: %w", err)
	}
	slices.SortFunc(list, func(a, b networktypes.Summary) int {
		return cmp.Or(a.Created.Compare(b.Created), cmp.Compare(a.ID, b.ID))
	})
	for _, n := range list {
		subnet, gateway := ipv4Of(n.IPAM.Config)
		r.networks[n.Name] = true
		switch {
		case n.Name == "bridge" && n.Driver == "bridge":
			r.out.Bridge = subnet
		case n.Driver != "host" && n.Driver != "null" && n.Scope == "local":
			r.out.Networks = append(r.out.Networks, state.Network{
				Name: n.Name, ID: n.ID, Driver: n.Driver, Subnet: subnet, Gateway: gateway, Internal: n.Internal,
				Labels: hideMap(n.Labels), Created: n.Created,
			})
		}
	}
	return nil
}

func ipv4Of(all []networktypes.IPAMConfig) (subnet, gateway string) {
	for _, c := range all {
		if p, err := netip.ParsePrefix(c.Subnet); err == nil && p.Addr().Is4() {
			return p.Masked().String(), c.Gateway
		}
	}
	return "", ""
}

func (r *engineReader) readVolumes() error {
	list, err := r.cli.VolumeList(r.ctx, volumetypes.ListOptions{})
	if err != nil {
		return fmt.Errorf("list volumes: %w", err)
	}
	for _, v := range list.Volumes {
		at, _ := time.Parse(time.RFC3339, v.CreatedAt)
		r.out.Volumes = append(r.out.Volumes, state.Volume{
			Name: v.Name, Driver: v.Driver, Options: hideMap(v.Options), Labels: hideMap(v.Labels), Created: at,
		})
	}
	slices.SortFunc(r.out.Volumes, func(a, b state.Volume) int { return cmp.Compare(a.Name, b.Name) })
	return nil
}

func (r *engineReader) readImages() error {
	list, err := r.cli.ImageList(r.ctx, typesimage.ListOptions{})
	if err != nil {
		return fmt.Errorf("list images: %w", err)
	}
	slices.Reverse(list) // the engine lists the newest first
	slices.SortStableFunc(list, func(a, b typesimage.Summary) int { return cmp.Compare(a.Created, b.Created) })
	for _, summary := range list {
		i, err := r.image(summary.ID)
		if errdefs.IsNotFound(err) {
			continue // removed meanwhile
		}
		if err != nil {
			return fmt.Errorf("inspect image %s: %w", summary.ID, err)
		}
		r.images[i.ID] = i
		r.out.Images = append(r.out.Images, *i)
	}
	return nil
}

func (r *engineReader) image(id string) (*state.Image, error) {
	v, err := r.cli.ImageInspect(r.ctx, id)
	if err != nil {
		return nil, err
	}
	at, _ := time.Parse(time.RFC3339Nano, v.Created)
	i := &state.Image{ID: v.ID, Created: at}
	if tags := slices.Sorted(slices.Values(v.RepoTags)); len(tags) > 0 {
		i.Ref, i.Tags = tags[0], tags[1:]
	}
	if c := v.Config; c != nil {
		i.Labels, i.Env, i.Cmd, i.Entrypoint = hideMap(c.Labels), hideNamed(c.Env), hideArgs(c.Cmd), hideArgs(c.Entrypoint)
		i.User, i.WorkingDir, i.StopSignal = c.User, c.WorkingDir, c.StopSignal
		for p := range c.ExposedPorts {
			i.Expose = append(i.Expose, p)
		}
		slices.Sort(i.Expose)
		for p := range c.Volumes {
			i.Volumes = append(i.Volumes, p)
		}
		slices.Sort(i.Volumes)
		if h := c.Healthcheck; h != nil {
			i.Healthcheck = engineapi.HealthcheckOf((*container.HealthConfig)(h))
			i.Healthcheck.Test = hideArgs(h.Test)
		}
	}
	for n, d := range v.RootFS.Layers {
		l := state.Layer{DiffID: d}
		if n == len(v.RootFS.Layers)-1 {
			l.Size = v.Size // of all: the engine does not say which layer has how much
		}
		i.Layers = append(i.Layers, l)
	}
	return i, nil
}

func (r *engineReader) readContainers() error {
	list, err := r.cli.ContainerList(r.ctx, container.ListOptions{All: true})
	if err != nil {
		return fmt.Errorf("list containers: %w", err)
	}
	names := map[string]bool{}
	slices.Reverse(list)
	for _, summary := range list {
		c, err := r.cli.ContainerInspect(r.ctx, summary.ID)
		if errdefs.IsNotFound(err) {
			continue
		}
		if err != nil {
			return fmt.Errorf("inspect container %s: %w", summary.ID, err)
		}
		out := r.container(c)
		if r.images[out.ImageID] == nil { // removed by force
			i := &state.Image{ID: out.ImageID, Cmd: out.Cmd, Entrypoint: out.Entrypoint}
			r.images[i.ID] = i
			r.out.Images = append(r.out.Images, *i)
		}
		names[out.Name] = true
		r.out.Containers = append(r.out.Containers, out)
	}
	slices.SortStableFunc(r.out.Containers, func(a, b state.Container) int { return a.Created.Compare(b.Created) })
	for i := range r.out.Containers {
		c := &r.out.Containers[i]
		c.Links = slices.DeleteFunc(c.Links, func(l string) bool {
			name, _, _ := strings.Cut(l, ":")
			return !names[name]
		})
	}
	return nil
}

func (r *engineReader) container(c container.InspectResponse) state.Container {
	parse := func(s string) time.Time {
		t, err := time.Parse(time.RFC3339Nano, s)
		if err != nil || t.Year() == 1 {
			return time.Time{}
		}
		return t
	}
	h, cfg := c.HostConfig, c.Config
	out := state.Container{
		Name: strings.TrimPrefix(c.Name, "/"), ID: c.ID, Image: cfg.Image, ImageID: c.Image, Created: parse(c.Created),
		Status: c.State.Status, Started: parse(c.State.StartedAt), Finished: parse(c.State.FinishedAt), ExitCode: c.State.ExitCode,
		Error: c.State.Error, Restarts: c.RestartCount, AutoRemove: h.AutoRemove,
		Cmd: hideArgs(cfg.Cmd), Entrypoint: hideArgs(cfg.Entrypoint), Labels: hideMap(cfg.Labels), Expose: engineapi.PortNames(cfg.ExposedPorts),
		User: cfg.User, WorkingDir: cfg.WorkingDir, StopSignal: cfg.StopSignal, StopTimeout: cfg.StopTimeout,
		Restart: engineapi.RestartText(string(h.RestartPolicy.Name), h.RestartPolicy.MaximumRetryCount), PublishAll: h.PublishAllPorts,
		Binds: h.Binds, Mode: string(h.NetworkMode),
	}
	if !slices.Contains([]string{"created", "running", "paused", "restarting", "exited"}, out.Status) {
		out.Status = "exited" // removing, dead
	}
	var fromImage []string
	if i := r.images[c.Image]; i != nil {
		fromImage = i.Env
	}
	out.Env = hideEnv(cfg.Env, fromImage)
	if hc := cfg.Healthcheck; hc != nil {
		out.Healthcheck = engineapi.HealthcheckOf(hc)
		out.Healthcheck.Test = hideArgs(hc.Test)
	}
	if c.State.Health != nil && engineapi.HasCheck(cfg.Healthcheck) && out.Status == "running" {
		out.Health = string(c.State.Health.Status)
	}
	for _, l := range h.Links { // /db:/app/alias
		target, as, ok := strings.Cut(l, ":")
		if ok {
			out.Links = append(out.Links, strings.TrimPrefix(target, "/")+":"+as[strings.LastIndexByte(as, '/')+1:])
		}
	}
	out.Publish = publishes(h.PortBindings)
	if c.State.Running && c.NetworkSettings != nil {
		out.Ports = publishes(c.NetworkSettings.Ports)
	}
	r.endpoints(&out, c)
	return out
}

func (r *engineReader) endpoints(out *state.Container, c container.InspectResponse) {
	if c.NetworkSettings == nil || c.HostConfig.NetworkMode.IsContainer() {
		return
	}
	names := make([]string, 0, len(c.NetworkSettings.Networks))
	for name := range c.NetworkSettings.Networks {
		if r.networks[name] || !c.State.Running {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		n := c.NetworkSettings.Networks[name]
		ep := state.Endpoint{Network: name, IP: n.IPAddress, Links: n.Links}
		for _, a := range n.Aliases {
			if !strings.HasPrefix(c.ID, a) {
				ep.Aliases = append(ep.Aliases, a)
			}
		}
		out.Networks = append(out.Networks, ep)
	}
}

func publishes(m nat.PortMap) []state.Publish {
	var out []state.Publish
	for port, list := range m {
		for _, b := range list {
			n, _ := strconv.Atoi(b.HostPort)
			out = append(out, state.Publish{Port: string(port), HostIP: b.HostIP, Host: n})
		}
	}
	slices.SortFunc(out, func(a, b state.Publish) int {
		return cmp.Or(cmp.Compare(a.Port, b.Port), cmp.Compare(a.HostIP, b.HostIP), cmp.Compare(a.Host, b.Host))
	})
	return out
}
