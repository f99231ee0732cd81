package engineapi

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/docker/docker/api/types/swarm"

	"github.com/mepc/mepc-run/internal/state"
)

// ServiceSpec is a client's request to create a service.
func ServiceSpec(s *state.Service) (*swarm.ServiceSpec, error) {
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

// ServiceOf writes what ServiceSpec reads.
func ServiceOf(spec swarm.ServiceSpec, previous *swarm.ServiceSpec, created time.Time) state.Service {
	s := state.Service{Name: spec.Name, Image: spec.TaskTemplate.ContainerSpec.Image, Created: created, Labels: spec.Labels, Global: spec.Mode.Global != nil}
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

// NodeOf is a node of a swarm.
func NodeOf(n *swarm.Node) state.Node {
	return state.Node{
		Name: n.Description.Hostname, Role: string(n.Spec.Role), Availability: string(n.Spec.Availability),
		State: string(n.Status.State), Address: n.Status.Addr, Labels: n.Spec.Labels,
	}
}
