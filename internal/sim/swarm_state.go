package sim

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/docker/docker/api/types/swarm"
)

// restoreSwarm makes the engine the manager of a swarm whose services have
// converged.
func (e *Engine) restoreSwarm(s *Swarm, now time.Time) error {
	if s == nil {
		return nil
	}
	k := e.newCluster(now, e.host)
	k.nodes[0].Spec.Labels = s.Labels
	k.nodes[0].Spec.Availability = swarm.NodeAvailability(cmp.Or(s.Availability, "active"))
	for _, n := range s.Nodes {
		e.addNode(n, now)
	}
	for _, name := range s.Secrets {
		e.addBlob(aSecret, swarm.ConfigSpec{Annotations: swarm.Annotations{Name: name}}, now)
	}
	for _, name := range slices.Sorted(maps.Keys(s.Configs)) {
		e.addBlob(aConfig, swarm.ConfigSpec{Annotations: swarm.Annotations{Name: name}, Data: []byte(s.Configs[name])}, now)
	}
	for i := range s.Services {
		if err := e.restoreService(&s.Services[i], now); err != nil {
			return fmt.Errorf("service %q: %w", s.Services[i].Name, err)
		}
	}
	return nil
}

func (e *Engine) restoreService(s *Service, now time.Time) error {
	spec, err := s.spec()
	if err != nil {
		return err
	}
	e.relink(spec)
	svc := e.addService(spec, now)
	svc.created, svc.updated = s.Created, s.Created
	if len(s.Previous) > 0 {
		svc.previous = &swarm.ServiceSpec{}
		if err := json.Unmarshal(s.Previous, svc.previous); err != nil {
			return fmt.Errorf("previous: %w", err)
		}
		e.relink(svc.previous)
	}
	for _, t := range svc.tasks {
		if t.state != swarm.TaskStatePending && t.as.state != swarm.TaskStateRejected {
			t.ready, t.ends, t.ran = never, never, now
			t.set(swarm.TaskStateRunning, "started", "", now)
		}
	}
	return nil
}

func (s *Service) spec() (*swarm.ServiceSpec, error) {
	spec := &swarm.ServiceSpec{}
	if len(s.Spec) > 0 {
		if err := json.Unmarshal(s.Spec, spec); err != nil {
			return nil, fmt.Errorf("spec: %w", err)
		}
	} else {
		n := uint64(1)
		if s.Replicas != nil {
			n = uint64(*s.Replicas)
		}
		spec.Mode.Replicated = &swarm.ReplicatedService{Replicas: &n}
		if s.Global {
			spec.Mode = swarm.ServiceMode{Global: &swarm.GlobalService{}}
		}
		spec.Labels = s.Labels
		spec.TaskTemplate.ContainerSpec = &swarm.ContainerSpec{Image: s.Image, Env: s.Env}
	}
	spec.Name = s.Name
	if spec.TaskTemplate.ContainerSpec == nil || spec.TaskTemplate.ContainerSpec.Image == "" || spec.Name == "" {
		return nil, fmt.Errorf("a service needs a name and an image")
	}
	return spec, nil
}

// relink gives the references to secrets and configs the IDs that those have here.
func (e *Engine) relink(spec *swarm.ServiceSpec) {
	c := spec.TaskTemplate.ContainerSpec
	if c == nil {
		return
	}
	for _, ref := range c.Secrets {
		if b := e.cluster.blob(aSecret, ref.SecretName); b != nil {
			ref.SecretID = b.ID
		}
	}
	for _, ref := range c.Configs {
		if b := e.cluster.blob(aConfig, ref.ConfigName); b != nil {
			ref.ConfigID = b.ID
		}
	}
}

// swarmState is what restoreSwarm takes.
func (e *Engine) swarmState() *Swarm {
	k := e.cluster
	if k == nil {
		return nil
	}
	s := &Swarm{Labels: k.nodes[0].Spec.Labels, Availability: string(k.nodes[0].Spec.Availability)}
	for _, n := range k.nodes[1:] {
		s.Nodes = append(s.Nodes, nodeState(n))
	}
	for _, secret := range k.blobs[aSecret] {
		s.Secrets = append(s.Secrets, secret.Spec.Name)
	}
	slices.Sort(s.Secrets)
	for _, config := range k.blobs[aConfig] {
		s.addConfig(config)
	}
	for _, svc := range k.ordered() {
		s.Services = append(s.Services, serviceState(svc.spec, svc.previous, svc.created))
	}
	return s
}

func nodeState(n *swarm.Node) Node {
	return Node{
		n.Description.Hostname, string(n.Spec.Role), string(n.Spec.Availability), string(n.Status.State), n.Status.Addr, n.Spec.Labels,
	}
}

func (s *Swarm) addConfig(c *swarm.Config) {
	if s.Configs == nil {
		s.Configs = map[string]string{}
	}
	s.Configs[c.Spec.Name] = string(c.Spec.Data)
}

func serviceState(spec swarm.ServiceSpec, previous *swarm.ServiceSpec, created time.Time) Service {
	s := Service{Name: spec.Name, Image: spec.TaskTemplate.ContainerSpec.Image, Created: created, Labels: spec.Labels, Global: spec.Mode.Global != nil}
	if r := spec.Mode.Replicated; r != nil && r.Replicas != nil {
		n := int(*r.Replicas)
		s.Replicas = &n
	}
	s.Spec, _ = json.Marshal(spec) // it came as JSON
	if previous != nil {
		s.Previous, _ = json.Marshal(previous)
	}
	return s
}

// hideSpec hides what may be secret: the image's own environment is not known here.
func hideSpec(spec *swarm.ServiceSpec) {
	if spec == nil {
		return
	}
	spec.Labels = hideMap(spec.Labels)
	if c := spec.TaskTemplate.ContainerSpec; c != nil {
		c.Env, c.Labels, c.Command, c.Args = hideEnv(c.Env, nil), hideMap(c.Labels), hideArgs(c.Command), hideArgs(c.Args)
	}
}

// readSwarm reads what a manager manages. Secrets are read by name; nobody can read
// more.
func (r *engineReader) readSwarm() error {
	info, err := r.cli.Info(r.ctx)
	if err != nil || !info.Swarm.ControlAvailable {
		return err
	}
	s := &Swarm{}
	nodes, err := r.cli.NodeList(r.ctx, swarm.NodeListOptions{})
	if err != nil {
		return fmt.Errorf("list the swarm's nodes: %w", err)
	}
	for i := range nodes {
		if nodes[i].ID == info.Swarm.NodeID {
			s.Labels, s.Availability = nodes[i].Spec.Labels, string(nodes[i].Spec.Availability)
		} else {
			s.Nodes = append(s.Nodes, nodeState(&nodes[i]))
		}
	}
	secrets, err := r.cli.SecretList(r.ctx, swarm.SecretListOptions{})
	if err != nil {
		return fmt.Errorf("list the swarm's secrets: %w", err)
	}
	for _, secret := range secrets {
		s.Secrets = append(s.Secrets, secret.Spec.Name)
	}
	slices.Sort(s.Secrets)
	configs, err := r.cli.ConfigList(r.ctx, swarm.ConfigListOptions{})
	if err != nil {
		return fmt.Errorf("list the swarm's configs: %w", err)
	}
	for i := range configs {
		configs[i].Spec.Data = []byte(hideValue(configs[i].Spec.Name, string(configs[i].Spec.Data)))
		s.addConfig(&configs[i])
	}
	services, err := r.cli.ServiceList(r.ctx, swarm.ServiceListOptions{})
	if err != nil {
		return fmt.Errorf("list the swarm's services: %w", err)
	}
	for _, svc := range services {
		hideSpec(&svc.Spec)
		hideSpec(svc.PreviousSpec)
		if svc.Spec.TaskTemplate.ContainerSpec != nil {
			s.Services = append(s.Services, serviceState(svc.Spec, svc.PreviousSpec, svc.CreatedAt))
		}
	}
	slices.SortFunc(s.Services, func(a, b Service) int { return cmp.Compare(a.Name, b.Name) })
	slices.SortFunc(s.Nodes, func(a, b Node) int { return cmp.Compare(a.Name, b.Name) })
	r.out.Swarm = s
	return nil
}
