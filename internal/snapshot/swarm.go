package snapshot

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/docker/docker/api/types/swarm"

	"github.com/mepc/mepc-run/internal/state"
	"github.com/mepc/mepc-run/internal/state/engineapi"
)

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
	s := &state.Swarm{}
	nodes, err := r.cli.NodeList(r.ctx, swarm.NodeListOptions{})
	if err != nil {
		return fmt.Errorf("list the swarm's nodes: %w", err)
	}
	for i := range nodes {
		if nodes[i].ID == info.Swarm.NodeID {
			s.Labels, s.Availability = nodes[i].Spec.Labels, string(nodes[i].Spec.Availability)
		} else {
			s.Nodes = append(s.Nodes, engineapi.NodeOf(&nodes[i]))
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
		c := &configs[i].Spec
		s.AddConfig(c.Name, hideValue(c.Name, string(c.Data)))
	}
	services, err := r.cli.ServiceList(r.ctx, swarm.ServiceListOptions{})
	if err != nil {
		return fmt.Errorf("list the swarm's services: %w", err)
	}
	for _, svc := range services {
		hideSpec(&svc.Spec)
		hideSpec(svc.PreviousSpec)
		if svc.Spec.TaskTemplate.ContainerSpec != nil {
			s.Services = append(s.Services, engineapi.ServiceOf(svc.Spec, svc.PreviousSpec, svc.CreatedAt))
		}
	}
	slices.SortFunc(s.Services, func(a, b state.Service) int { return cmp.Compare(a.Name, b.Name) })
	slices.SortFunc(s.Nodes, func(a, b state.Node) int { return cmp.Compare(a.Name, b.Name) })
	r.out.Swarm = s
	return nil
}
