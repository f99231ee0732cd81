package engine

import (
	"slices"
	"sort"

	"github.com/mepc/mepc-run/internal/state"
	"github.com/mepc/mepc-run/internal/state/engineapi"
)

// State returns what is on the engine now, in the order of World.State.
func (e *Engine) State() state.Engine {
	e.timeline.Lock()
	defer e.timeline.Unlock()
	return e.StateLocked()
}

// StateLocked is State for who holds the lock.
func (e *Engine) StateLocked() state.Engine {
	s := state.Engine{Name: e.name, Host: e.host, Version: e.version}
	if e.packs {
		s.Store = containerdStore
	}
	for _, n := range e.orderedNetworks() {
		if n.name == "bridge" && n.predefined {
			s.Bridge = n.subnet.String()
		}
		if !n.predefined {
			net := state.Network{Name: n.name, ID: n.id, Driver: n.driver, Internal: n.internal, Labels: n.labels, Created: n.created}
			if n.subnet.IsValid() {
				net.Subnet, net.Gateway = n.subnet.String(), n.gateway.String()
			}
			s.Networks = append(s.Networks, net)
		}
	}
	for _, v := range e.orderedVolumes() {
		s.Volumes = append(s.Volumes, state.Volume{Name: v.name, Driver: v.driver, Options: v.options, Labels: v.labels, Created: v.created})
	}
	s.Swarm = e.swarmState()
	for _, i := range slices.Backward(e.orderedImages()) {
		s.Images = append(s.Images, i.state())
	}
	refs := make([]string, 0, len(e.fixtures))
	for ref := range e.fixtures {
		if _, ok := e.tags[ref]; !ok {
			refs = append(refs, ref)
		}
	}
	sort.Strings(refs)
	for _, ref := range refs {
		f := *e.fixtures[ref]
		f.Absent = true
		s.Images = append(s.Images, f)
	}
	for _, c := range e.ordered() {
		s.Containers = append(s.Containers, e.containerState(c))
	}
	return s
}

func (i *image) state() state.Image {
	s := state.Image{
		ID: i.id, Created: i.created, Labels: i.config.Labels, Env: i.config.Env, Cmd: i.config.Cmd, Entrypoint: i.config.Entrypoint,
		Expose: engineapi.PortNames(i.config.ExposedPorts), User: i.config.User, WorkingDir: i.config.WorkingDir, StopSignal: i.config.StopSignal,
		Healthcheck: engineapi.HealthcheckOf(i.config.Healthcheck), Parent: i.parent, Behaviour: i.behaviour,
	}
	for v := range i.config.Volumes {
		s.Volumes = append(s.Volumes, v)
	}
	sort.Strings(s.Volumes)
	if len(i.refs) > 0 {
		s.Ref, s.Tags = i.refs[0], i.refs[1:]
	}
	if len(s.Tags) == 0 {
		s.Tags = nil
	}
	for _, l := range i.layers {
		s.Layers = append(s.Layers, state.Layer{DiffID: l.diffID, Size: l.size})
	}
	return s
}

func (e *Engine) containerState(c *ctr) state.Container {
	cfg, host := c.config, c.host
	s := state.Container{
		Name: c.name, ID: c.id, Image: c.imageRef, ImageID: c.image.id, Created: c.created, Status: string(c.status),
		Started: c.started, Finished: c.finished, ExitCode: c.exitCode, Error: c.errText, Restarts: c.restarts, Health: string(c.health),
		Stopped: c.byHand, AutoRemove: host.AutoRemove,
		Cmd: cfg.Cmd, Entrypoint: cfg.Entrypoint, Env: cfg.Env, Labels: cfg.Labels, Expose: engineapi.PortNames(cfg.ExposedPorts), User: cfg.User,
		WorkingDir: cfg.WorkingDir, StopSignal: cfg.StopSignal, StopTimeout: cfg.StopTimeout, Healthcheck: engineapi.HealthcheckOf(cfg.Healthcheck),
		Restart: engineapi.RestartText(string(host.RestartPolicy.Name), host.RestartPolicy.MaximumRetryCount), PublishAll: host.PublishAllPorts,
		Binds: host.Binds, Mode: string(host.NetworkMode),
	}
	if !c.behaviour.IsDefault() {
		s.Behaviour = c.behaviour
	}
	for _, l := range c.links {
		name, _ := e.linked(l)
		s.Links = append(s.Links, name+":"+l.alias)
	}
	for _, p := range c.wanted() {
		if len(host.PortBindings[p.port]) > 0 {
			s.Publish = append(s.Publish, state.Publish{Port: string(p.port), HostIP: p.hostIP, Host: p.host})
		}
	}
	for _, p := range c.ports {
		s.Ports = append(s.Ports, state.Publish{Port: string(p.port), HostIP: p.hostIP, Host: p.host})
	}
	for _, name := range endpointNames(c) {
		ep := c.endpoints[name]
		out := state.Endpoint{Network: name, IP: ep.ip, Links: ep.links}
		for _, a := range ep.aliases {
			if a != short(c.id) {
				out.Aliases = append(out.Aliases, a)
			}
		}
		s.Networks = append(s.Networks, out)
	}
	return s
}
