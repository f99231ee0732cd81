package engine

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	networktypes "github.com/docker/docker/api/types/network"

	"github.com/mepc/mepc-run/internal/state"
	"github.com/mepc/mepc-run/internal/state/engineapi"
)

// Restore makes the engine, the nth of its world, what s says.
func (e *Engine) Restore(n int, s state.Engine, now time.Time) error {
	bridge, pools := defaultPools(n)
	if s.Bridge != "" {
		p, err := netip.ParsePrefix(s.Bridge)
		if err != nil || !p.Addr().Is4() {
			return fmt.Errorf("bridge: %q is not a subnet such as 172.17.0.0/16", s.Bridge)
		}
		bridge = p.Masked()
	}
	e.pools = pools
	if s.Host != "" {
		e.host = s.Host
	}
	if s.Version != "" {
		e.version = s.Version
	}
	if s.Store != "" && s.Store != containerdStore {
		return fmt.Errorf("store: %q is not %s", s.Store, containerdStore)
	}
	e.packs = s.Store == containerdStore
	e.addPredefined(bridge, now)
	for i := range s.Images {
		if err := e.restoreImage(&s.Images[i], now); err != nil {
			return err
		}
	}
	for _, v := range s.Volumes {
		driver := v.Driver
		if driver == "" {
			driver = "local"
		}
		e.volumes[v.Name] = &volume{v.Name, driver, v.Options, v.Labels, v.Created}
	}
	for _, n := range s.Networks {
		if err := e.restoreNetwork(n); err != nil {
			return fmt.Errorf("network %q: %w", n.Name, err)
		}
	}
	for i := range s.Containers {
		if err := e.restoreContainer(&s.Containers[i], now); err != nil {
			return fmt.Errorf("container %q: %w", s.Containers[i].Name, err)
		}
	}
	// Links may lead forward, and what asks for nothing in particular must not
	// take what another container has: so all of them are there first.
	for i := range s.Containers {
		c := &s.Containers[i]
		box := e.names[c.Name]
		box.host.Links = c.Links
		if err := e.addLinks(box); err != nil {
			return fmt.Errorf("container %q: %w", c.Name, err)
		}
	}
	for i := range s.Containers {
		if err := e.restoreRun(&s.Containers[i], now); err != nil {
			return fmt.Errorf("container %q: %w", s.Containers[i].Name, err)
		}
	}
	if err := e.restoreSwarm(s.Swarm, now); err != nil {
		return fmt.Errorf("swarm: %w", err)
	}
	e.reschedule()
	return nil
}

func (e *Engine) restoreImage(f *state.Image, now time.Time) error {
	if f.Ref == "" && f.ID == "" {
		return errors.New("an image needs a ref, or an id when it has no tag")
	}
	if f.ID != "" && !isDigest(f.ID) {
		return fmt.Errorf("image %q: %q is not an ID such as sha256: and 64 hexadecimal digits", f.Ref, f.ID)
	}
	for _, l := range f.Layers {
		if !isDigest(l.DiffID) {
			return fmt.Errorf("image %q: layer %q is not sha256: and 64 hexadecimal digits", f.Ref, l.DiffID)
		}
	}
	if f.Ref != "" {
		ref, err := normalize(f.Ref)
		if err != nil {
			return fmt.Errorf("image %q: %w", f.Ref, err)
		}
		e.fixtures[ref] = f
	}
	if f.Absent {
		return nil
	}
	i, err := e.newImage(f, now)
	if err != nil {
		return err
	}
	if f.Parent != "" && !isDigest(f.Parent) {
		parent, err := e.findImage(f.Parent)
		if err != nil {
			return fmt.Errorf("image %q: parent: %w", f.Ref, err)
		}
		i.parent = parent.id
	}
	if old := e.images[i.id]; old != nil {
		return fmt.Errorf("image %q has the same ID as %q: give one an id, or list both references in tags", f.Ref, old.refs)
	}
	e.put(i)
	return nil
}

func (e *Engine) restoreNetwork(s state.Network) error {
	if slices.Contains([]string{"bridge", "host", "none"}, s.Name) {
		return errors.New("it is always there and cannot be declared")
	}
	n := &network{id: s.ID, name: s.Name, driver: s.Driver, created: s.Created, internal: s.Internal, labels: s.Labels}
	if n.driver == "" {
		n.driver = "bridge"
	}
	var ipam *networktypes.IPAM
	if s.Subnet != "" {
		ipam = &networktypes.IPAM{Config: []networktypes.IPAMConfig{{Subnet: s.Subnet, Gateway: s.Gateway}}}
	}
	if err := e.addSubnet(n, ipam); err != nil {
		return err
	}
	e.addNetwork(n)
	return nil
}

// restoreContainer makes a container as it was created.
func (e *Engine) restoreContainer(s *state.Container, now time.Time) error {
	ref := s.ImageID
	if ref == "" {
		ref = s.Image
	}
	img, err := e.findImage(ref)
	if err != nil {
		return err
	}
	cfg, host, err := engineapi.ContainerConfig(s)
	if err != nil {
		return err
	}
	req := &createRequest{Config: cfg, HostConfig: host}
	if err := checkCreate(req); err != nil {
		return err
	}
	at := s.Created
	if at.IsZero() {
		at = now
	}
	box, err := e.newContainer(s.Name, img, req, at)
	if err != nil {
		return err
	}
	if s.ID != "" && s.ID != box.id {
		if len(s.ID) != 64 || !isHex(s.ID) {
			return fmt.Errorf("id %q is not 64 hexadecimal digits", s.ID)
		}
		if e.containers[s.ID] != nil {
			return fmt.Errorf("id %q is used twice", s.ID)
		}
		if box.config.Hostname == short(box.id) {
			box.config.Hostname = short(s.ID)
		}
		delete(e.containers, box.id)
		box.id = s.ID
		e.containers[box.id] = box
	}
	if s.Behaviour != nil {
		box.behaviour = s.Behaviour
		if box.version = s.Behaviour.Version; box.version == "" {
			box.version = img.version(s.Image)
		}
	}
	for _, ep := range s.Networks {
		name := ep.Network
		if n := e.networks[name]; n != nil {
			name = n.name
		}
		if box.endpoints[name] == nil {
			box.endpoints[name] = &endpoint{name: name}
		}
		box.endpoints[name].aliases, box.endpoints[name].links = ep.Aliases, ep.Links
		if s.Status != string(created) {
			if n, err := e.findNetwork(name, true); err == nil {
				box.endpoints[name].network = n.id
				box.endpoints[name].ip = ep.IP // taken, until restoreRun
			}
		}
	}
	return nil
}
