package engine

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/docker/docker/api/types/swarm"

	"github.com/mepc/mepc-run/internal/state"
	"github.com/mepc/mepc-run/internal/state/engineapi"
)

// restoreSwarm makes the engine the manager of a swarm whose services have
// converged.
func (e *Engine) restoreSwarm(s *state.Swarm, now time.Time) error {
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

func (e *Engine) restoreService(s *state.Service, now time.Time) error {
	spec, err := engineapi.ServiceSpec(s)
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

// swarmState is the input of restoreSwarm.
func (e *Engine) swarmState() *state.Swarm {
	k := e.cluster
	if k == nil {
		return nil
	}
	s := &state.Swarm{Labels: k.nodes[0].Spec.Labels, Availability: string(k.nodes[0].Spec.Availability)}
	for _, n := range k.nodes[1:] {
		s.Nodes = append(s.Nodes, engineapi.NodeOf(n))
	}
	for _, secret := range k.blobs[aSecret] {
		s.Secrets = append(s.Secrets, secret.Spec.Name)
	}
	slices.Sort(s.Secrets)
	for _, config := range k.blobs[aConfig] {
		s.AddConfig(config.Spec.Name, string(config.Spec.Data))
	}
	for _, svc := range k.ordered() {
		s.Services = append(s.Services, engineapi.ServiceOf(svc.spec, svc.previous, svc.created))
	}
	return s
}
