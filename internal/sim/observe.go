package sim

import (
	"slices"
	"sort"
	"strconv"

	"github.com/docker/go-connections/nat"
)

// State returns what is true now, in a stable order. A world that is made from
// it is the same in all that it says, except for logs, events, what a build has
// cached and what was copied into containers. An error names a Redis key whose type a State cannot hold.
func (w *World) State() (*State, error) {
	s := &State{Format: Format}
	now := w.lock()
	s.Taken = now
	for _, e := range w.engines {
		s.Engines = append(s.Engines, e.state())
	}
	for _, r := range w.routers {
		s.Routers = append(s.Routers, Router{Address: r.address, Admin: r.admin, Dialect: r.dialect, Rate: r.rate})
	}
	s.Outside, s.Approvals = w.outside, w.yes
	w.unlock()
	for _, n := range w.store.databases() {
		keys, err := w.store.dump(n)
		switch {
		case err != nil:
			return nil, err
		case n == 0:
			s.Redis = keys
		case len(keys) > 0:
			if s.RedisDBs == nil {
				s.RedisDBs = map[int]map[string]RedisKey{}
			}
			s.RedisDBs[n] = keys
		}
	}
	return s, nil
}

func (e *Engine) state() EngineState {
	s := EngineState{Name: e.name, Host: e.host, Version: e.version}
	for _, n := range e.orderedNetworks() {
		if n.name == "bridge" && n.predefined {
			s.Bridge = n.subnet.String()
		}
		if !n.predefined {
			net := Network{Name: n.name, ID: n.id, Driver: n.driver, Internal: n.internal, Labels: n.labels, Created: n.created}
			if n.subnet.IsValid() {
				net.Subnet, net.Gateway = n.subnet.String(), n.gateway.String()
			}
			s.Networks = append(s.Networks, net)
		}
	}
	for _, v := range e.orderedVolumes() {
		s.Volumes = append(s.Volumes, Volume{v.name, v.driver, v.options, v.labels, v.created})
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

func (i *image) state() Image {
	s := Image{
		ID: i.id, Created: i.created, Labels: i.config.Labels, Env: i.config.Env, Cmd: i.config.Cmd, Entrypoint: i.config.Entrypoint,
		Expose: portNames(i.config.ExposedPorts), User: i.config.User, WorkingDir: i.config.WorkingDir, StopSignal: i.config.StopSignal,
		Healthcheck: healthcheckOf(i.config.Healthcheck), Parent: i.parent, Behaviour: i.behaviour,
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
		s.Layers = append(s.Layers, Layer{l.diffID, l.size})
	}
	return s
}

func portNames(ports nat.PortSet) []string {
	all := make([]nat.Port, 0, len(ports))
	for p := range ports {
		all = append(all, p)
	}
	slices.SortFunc(all, comparePorts)
	var out []string
	for _, p := range all {
		out = append(out, string(p))
	}
	return out
}

func (e *Engine) containerState(c *ctr) Container {
	cfg, host := c.config, c.host
	s := Container{
		Name: c.name, ID: c.id, Image: c.imageRef, ImageID: c.image.id, Created: c.created, Status: string(c.status),
		Started: c.started, Finished: c.finished, ExitCode: c.exitCode, Error: c.errText, Restarts: c.restarts, Health: string(c.health),
		Stopped: c.byHand, AutoRemove: host.AutoRemove,
		Cmd: cfg.Cmd, Entrypoint: cfg.Entrypoint, Env: cfg.Env, Labels: cfg.Labels, Expose: portNames(cfg.ExposedPorts), User: cfg.User,
		WorkingDir: cfg.WorkingDir, StopSignal: cfg.StopSignal, StopTimeout: cfg.StopTimeout, Healthcheck: healthcheckOf(cfg.Healthcheck),
		Restart: restartText(string(host.RestartPolicy.Name), host.RestartPolicy.MaximumRetryCount), PublishAll: host.PublishAllPorts,
		Binds: host.Binds, Mode: string(host.NetworkMode),
	}
	if !c.behaviour.isDefault() {
		s.Behaviour = c.behaviour
	}
	for _, l := range c.links {
		name, _ := e.linked(l)
		s.Links = append(s.Links, name+":"+l.alias)
	}
	for _, p := range c.wanted() {
		if len(host.PortBindings[p.port]) > 0 {
			s.Publish = append(s.Publish, Publish{string(p.port), p.hostIP, p.host})
		}
	}
	for _, p := range c.ports {
		s.Ports = append(s.Ports, Publish{string(p.port), p.hostIP, p.host})
	}
	for _, name := range endpointNames(c) {
		ep := c.endpoints[name]
		out := Endpoint{Network: name, IP: ep.ip, Links: ep.links}
		for _, a := range ep.aliases {
			if a != short(c.id) {
				out.Aliases = append(out.Aliases, a)
			}
		}
		s.Networks = append(s.Networks, out)
	}
	return s
}

func restartText(name string, count int) string {
	if count > 0 {
		return name + ":" + strconv.Itoa(count)
	}
	return name
}
