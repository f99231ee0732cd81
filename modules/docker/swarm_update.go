package docker

import (
	"context"
	"encoding/json"
	"strings"

	"github.com/docker/docker/api/types/swarm"
	"github.com/docker/docker/client"

	"github.com/mepc/mepc-run/internal/effect"
	"github.com/mepc/mepc-run/internal/failure"
)

// sameSpec compares what two specs say. Both must come from the engine, which adds to
// what it is sent.
func sameSpec(a, b swarm.ServiceSpec) bool {
	text := func(s swarm.ServiceSpec) string {
		if len(s.Labels) == 0 {
			s.Labels = nil
		}
		b, _ := json.Marshal(s) // it came as JSON
		return string(b)
	}
	return text(a) == text(b)
}

type serviceUpdateArgs struct {
	Service string `lua:"service,pos,required,target" doc:"its name or ID"`
	Force   bool   `lua:"force" doc:"replace its tasks though nothing is to be changed"`
	serviceSpec
}

func (a *serviceUpdateArgs) Validate() error { return a.serviceSpec.check(a.Service) }

func (e *Engine) serviceUpdate(ctx context.Context, a *serviceUpdateArgs) (*Service, error) {
	forced := uint64(0)
	return e.updateService(ctx, a.Service, "", func(spec *swarm.ServiceSpec) error {
		if a.Force && forced == 0 {
			forced = spec.TaskTemplate.ForceUpdate + 1
		}
		spec.TaskTemplate.ForceUpdate = max(forced, spec.TaskTemplate.ForceUpdate)
		return e.applySpec(ctx, &a.serviceSpec, spec)
	})
}

// renumberings is how often an update is sent again that was refused for its number.
const renumberings = 10

// updateService gives a service the spec that apply makes of its own. To a spec that
// is as wanted apply does nothing: so it is known again.
func (e *Engine) updateService(ctx context.Context, ref, rollback string, apply func(*swarm.ServiceSpec) error) (*Service, error) {
	was, err := e.getService(ctx, ref)
	if err != nil {
		return nil, err
	}
	for range renumberings {
		err = e.tryUpdate(ctx, was, rollback, apply)
		known := failure.As(err)
		outdated := known != nil && strings.Contains(known.Message, "update out of sequence")
		if err != nil && !outdated {
			return nil, err
		}
		now, err := e.getService(ctx, was.ID)
		if err != nil {
			return nil, err
		}
		if !outdated {
			return newService(now), nil
		}
		if !sameSpec(now.Spec, was.Spec) {
			break
		}
		was = now // the swarm has only noted how far it is
	}
	return nil, failure.New(failure.Conflict, "someone else changed %s at the same time", ref).WithHint("look at it, and try again")
}

// tryUpdate updates a service that is as it was.
func (e *Engine) tryUpdate(ctx context.Context, was *swarm.Service, rollback string, apply func(*swarm.ServiceSpec) error) error {
	spec, err := cloneSpec(was.Spec)
	if err == nil {
		err = apply(&spec)
	}
	if err != nil {
		return err
	}
	if rollback == "" && sameSpec(spec, was.Spec) {
		effect.Unaltered(ctx)
		return nil
	}
	auth, err := e.auth(spec.TaskTemplate.ContainerSpec.Image)
	if err != nil {
		return err
	}
	return e.change(ctx, func(ctx context.Context, c *client.Client) error {
		_, err := c.ServiceUpdate(ctx, was.ID, was.Version, spec, swarm.ServiceUpdateOptions{EncodedRegistryAuth: auth, Rollback: rollback})
		return err
	}, func(ctx context.Context) (bool, string, error) {
		now, err := e.getService(ctx, was.ID)
		if err != nil || now.Version.Index == was.Version.Index {
			return false, was.Spec.Name + " is as it was", err
		}
		if rollback != "" {
			return sameSpec(now.Spec, *was.PreviousSpec), was.Spec.Name + " was not rolled back", nil
		}
		wanted, err := cloneSpec(now.Spec)
		if err == nil {
			err = apply(&wanted)
		}
		return err == nil && sameSpec(now.Spec, wanted), was.Spec.Name + " is not as wanted", err
	})
}

func cloneSpec(s swarm.ServiceSpec) (c swarm.ServiceSpec, err error) {
	b, err := json.Marshal(s)
	if err == nil {
		err = json.Unmarshal(b, &c)
	}
	if c.TaskTemplate.ContainerSpec == nil {
		return c, failure.New(failure.Invalid, "%s is no service of containers", s.Name)
	}
	if c.Labels == nil {
		c.Labels = map[string]string{}
	}
	return c, err
}

type serviceScaleArgs struct {
	Service  string `lua:"service,pos,required,target" doc:"its name or ID"`
	Replicas int    `lua:"replicas,pos,required" min:"0" max:"100000" doc:"how many tasks it has"`
}

func (a *serviceScaleArgs) Validate() error { return checkRef("service", a.Service) }

func (e *Engine) serviceScale(ctx context.Context, a *serviceScaleArgs) (*Service, error) {
	return e.updateService(ctx, a.Service, "", func(spec *swarm.ServiceSpec) error {
		return (&serviceSpec{Replicas: &a.Replicas}).mode(spec)
	})
}

func (e *Engine) serviceRollback(ctx context.Context, a *serviceArgs) (*Service, error) {
	was, err := e.getService(ctx, a.Service)
	if err != nil {
		return nil, err
	}
	if was.PreviousSpec == nil {
		return nil, failure.New(failure.Conflict, "%s has no configuration to go back to", a.Service).WithHint("it was not updated since it was created")
	}
	return e.updateService(ctx, a.Service, "previous", func(*swarm.ServiceSpec) error { return nil })
}
