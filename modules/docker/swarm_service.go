package docker

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/docker/docker/api/types/swarm"
	"github.com/docker/docker/client"

	"github.com/mepc/mepc-run/internal/effect"
	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/runtime"
)

func serviceFuncs() []runtime.Func {
	return []runtime.Func{
		{
			Name: "service", Class: runtime.Read,
			Doc:  "Looks for a service of the swarm.",
			From: "GET /services", Returns: "the service, or nil when there is none",
			Raises: reads(failure.Invalid), Example: `local s = docker.service("app") if s then log(s.image) end`,
			Call: runtime.Effect((*Engine).service),
		},
		{
			Name: "services", Class: runtime.Read,
			Doc:  "Lists the swarm's services by name. What is given must all hold.",
			From: "GET /services", Returns: "the services",
			Raises: reads(failure.Invalid), Example: `for _, s in ipairs(docker.services()) do log(s.name .. " " .. s.running .. "/" .. s.desired) end`,
			Call: runtime.Effect((*Engine).services),
		},
		{
			Name: "service_create", Class: runtime.Write,
			Doc: "Creates a service of the swarm. The swarm starts its tasks when the call is over: docker.service_wait waits for them. " +
				"What would make a recipe root on a machine of the swarm needs the operator's --allow, as with create.",
			From: "POST /services/create", Returns: "the service",
			Raises:  writes(failure.Invalid, failure.NotFound, failure.Conflict, failure.Denied),
			Example: `docker.service_create{name = "app", image = "mepc/app:1.1", replicas = 2, ports = {"8080:8080"}}`,
			Call:    runtime.Effect((*Engine).serviceCreate),
		},
		{
			Name: "service_update", Class: runtime.Write,
			Doc: "Changes a service; what is not given stays, and a table that is given takes the place of the one that was. " +
				"The swarm replaces its tasks one batch after another, as `update` says, when the call is over: docker.service_wait waits for it. " +
				"A service that is as wanted is left as it is.",
			From: "POST /services/{id}/update", Returns: "the service",
			Raises:  writes(failure.Invalid, failure.NotFound, failure.Conflict, failure.Denied),
			Example: `docker.service_update("app", {image = "mepc/app:1.2", update = {order = "start-first", failure_action = "rollback", monitor = "10s"}})`,
			Call:    runtime.Effect((*Engine).serviceUpdate),
		},
		{
			Name: "service_scale", Class: runtime.Write,
			Doc:  "Says how many tasks a service has.",
			From: "POST /services/{id}/update", Returns: "the service",
			Raises: writes(failure.Invalid, failure.NotFound, failure.Conflict), Example: `docker.service_scale("app", 3)`,
			Call: runtime.Effect((*Engine).serviceScale),
		},
		{
			Name: "service_rollback", Class: runtime.Write,
			Doc:  "Gives a service the configuration that it had before its last update. One without is a conflict.",
			From: "POST /services/{id}/update?rollback=previous", Returns: "the service",
			Raises: writes(failure.Invalid, failure.NotFound, failure.Conflict), Example: `if docker.service("app").previous ~= "" then docker.service_rollback("app") end`,
			Call: runtime.Effect((*Engine).serviceRollback),
		},
		{
			Name: "service_remove", Class: runtime.Destructive,
			Doc:  "Removes a service, and with it its tasks.",
			From: "DELETE /services/{id}", Returns: "nothing",
			Raises: writes(failure.Invalid, failure.NotFound), Example: `docker.service_remove("app", {missing_ok = true})`,
			Call: runtime.Effect((*Engine).serviceRemove),
		},
		serviceWaitFunc(),
		{
			Name: "tasks", Class: runtime.Read,
			Doc:  "Lists the tasks of a service, newest first: those that run, and the last few that do not any more.",
			From: "GET /tasks", Returns: "the tasks",
			Raises: reads(failure.Invalid, failure.NotFound), Example: `for _, t in ipairs(docker.tasks("app", {running = true})) do log(t.node .. ": " .. t.state) end`,
			Call: runtime.Effect((*Engine).tasks),
		},
		{
			Name: "service_logs", Class: runtime.Read,
			Doc:  "Reads the end of what a service's tasks have written, all together.",
			From: "GET /services/{id}/logs", Returns: "the lines",
			Raises: reads(failure.Invalid, failure.NotFound), Example: `log(docker.service_logs("app", {tail = 20}))`,
			Call: runtime.Effect((*Engine).serviceLogs),
		},
	}
}

// Service is a service as recipes see it.
type Service struct {
	ID       string            `lua:"id" doc:"its ID"`
	Name     string            `lua:"name" doc:"its name"`
	Image    string            `lua:"image" doc:"the image of its tasks, as it was named"`
	Global   bool              `lua:"global" doc:"whether each node has a task"`
	Desired  int               `lua:"desired" doc:"how many tasks there are to be"`
	Running  int               `lua:"running" doc:"how many run, of whatever configuration"`
	Labels   map[string]string `lua:"labels" doc:"its labels"`
	Env      map[string]string `lua:"env" doc:"the environment of its tasks, beyond the image's"`
	Previous string            `lua:"previous" doc:"the image that it had before its last update; empty without one"`
	Update   Rollout           `lua:"update" doc:"how its last update went"`
	Version  int               `lua:"version" doc:"rises with each change of it"`
	Created  time.Time         `lua:"created" doc:"when it was created, in seconds since 1970"`
	Updated  time.Time         `lua:"updated" doc:"when it was last changed"`
}

// Rollout is how an update goes.
type Rollout struct {
	State   string `lua:"state" doc:"updating, paused, completed, rollback_started, rollback_paused or rollback_completed; empty when there was none"`
	Message string `lua:"message" doc:"the same in the engine's words"`
}

func newService(s *swarm.Service) *Service {
	out := &Service{
		ID: s.ID, Name: s.Spec.Name, Global: s.Spec.Mode.Global != nil, Labels: maps.Clone(s.Spec.Labels), Env: map[string]string{},
		Version: int(s.Version.Index), Created: s.CreatedAt, Updated: s.UpdatedAt,
	}
	delete(out.Labels, callLabel)
	if c := s.Spec.TaskTemplate.ContainerSpec; c != nil {
		out.Image = plainImage(c.Image)
		for _, line := range c.Env {
			k, v, _ := strings.Cut(line, "=")
			out.Env[k] = v
		}
	}
	if p := s.PreviousSpec; p != nil && p.TaskTemplate.ContainerSpec != nil {
		out.Previous = plainImage(p.TaskTemplate.ContainerSpec.Image)
	}
	if r := s.Spec.Mode.Replicated; r != nil && r.Replicas != nil {
		out.Desired = int(*r.Replicas)
	}
	if st := s.ServiceStatus; st != nil {
		out.Desired, out.Running = int(st.DesiredTasks), int(st.RunningTasks)
	}
	if u := s.UpdateStatus; u != nil {
		out.Update = Rollout{string(u.State), u.Message}
	}
	return out
}

// plainImage leaves out the digest that the docker CLI adds.
func plainImage(ref string) string { name, _, _ := strings.Cut(ref, "@"); return name }

type serviceArgs struct {
	Service string `lua:"service,pos,required,target" doc:"its name or ID"`
}

func (a *serviceArgs) Validate() error { return checkRef("service", a.Service) }

func (e *Engine) service(ctx context.Context, a *serviceArgs) (*Service, error) {
	raw, err := e.getService(ctx, a.Service)
	return orNil(raw, err, newService)
}

// getService returns a service by its whole name or its ID.
func (e *Engine) getService(ctx context.Context, ref string) (*swarm.Service, error) {
	var found *swarm.Service
	err := e.read(ctx, func(ctx context.Context, c *client.Client) error {
		list, err := c.ServiceList(ctx, swarm.ServiceListOptions{Status: true})
		for i := range list {
			if list[i].ID == ref || list[i].Spec.Name == ref {
				found = &list[i]
			}
		}
		return err
	})
	if err == nil && found == nil {
		err = failure.New(failure.NotFound, "there is no service %s", ref).WithHint("docker.service_create makes one")
	}
	return found, err
}

type servicesArgs struct {
	Name   string            `lua:"name,target" doc:"their name, where * stands for any text and ? for any character"`
	Labels map[string]string `lua:"labels" doc:"labels they have; an empty value stands for any"`
}

func (a *servicesArgs) Validate() error { return (&volumesArgs{Name: a.Name}).Validate() }

func (e *Engine) services(ctx context.Context, a *servicesArgs) (list []*Service, err error) {
	err = e.read(ctx, func(ctx context.Context, c *client.Client) error {
		found, err := c.ServiceList(ctx, swarm.ServiceListOptions{Filters: labelFilter(a.Labels), Status: true})
		for i := range found {
			if a.Name == "" || nameMatches(a.Name, []string{found[i].Spec.Name}) {
				list = append(list, newService(&found[i]))
			}
		}
		return err
	})
	slices.SortFunc(list, func(a, b *Service) int { return cmp.Compare(a.Name, b.Name) })
	return list, err
}

type serviceCreateArgs struct {
	Name string `lua:"name,required,target" doc:"its name"`
	serviceSpec
}

func (a *serviceCreateArgs) Validate() error {
	if a.Image == "" {
		return fmt.Errorf("image: string expected, got nothing")
	}
	return a.serviceSpec.check(a.Name)
}

func (e *Engine) serviceCreate(ctx context.Context, a *serviceCreateArgs) (*Service, error) {
	spec := swarm.ServiceSpec{Annotations: swarm.Annotations{Name: a.Name, Labels: map[string]string{}}}
	spec.TaskTemplate.ContainerSpec = &swarm.ContainerSpec{}
	if err := e.applySpec(ctx, &a.serviceSpec, &spec); err != nil {
		return nil, err
	}
	auth, err := e.auth(a.Image)
	if err != nil {
		return nil, err
	}
	for k, v := range effect.Labels(ctx) {
		spec.Labels[k] = v
	}
	call := e.world.Draw()
	spec.Labels[callLabel] = call
	err = e.change(ctx, func(ctx context.Context, c *client.Client) error {
		_, err := c.ServiceCreate(ctx, spec, swarm.ServiceCreateOptions{EncodedRegistryAuth: auth})
		return err
	}, func(ctx context.Context) (bool, string, error) {
		now, err := e.getService(ctx, a.Name)
		if isKind(err, failure.NotFound) {
			return false, "there is no service " + a.Name, nil
		}
		return err == nil && now.Spec.Labels[callLabel] == call, "the service " + a.Name + " is not the one that was to be created", err
	})
	if err != nil {
		return nil, hint(err, failure.Conflict, "docker.service_update changes it")
	}
	raw, err := e.getService(ctx, a.Name)
	if err != nil {
		return nil, err
	}
	return newService(raw), nil
}

type serviceRemoveArgs struct {
	Service   string `lua:"service,pos,required,target" doc:"its name or ID"`
	MissingOK bool   `lua:"missing_ok" doc:"do nothing when there is no such service, instead of raising not_found"`
}

func (a *serviceRemoveArgs) Validate() error { return checkRef("service", a.Service) }

func (e *Engine) serviceRemove(ctx context.Context, a *serviceRemoveArgs) (runtime.None, error) {
	s, err := e.getService(ctx, a.Service)
	if err == nil {
		err = e.change(ctx, func(ctx context.Context, c *client.Client) error {
			return c.ServiceRemove(ctx, s.ID)
		}, gone("service "+a.Service, func(ctx context.Context) error {
			_, err := e.getService(ctx, s.ID)
			return err
		}))
	}
	if a.MissingOK && isKind(err, failure.NotFound) {
		effect.Unaltered(ctx)
		return runtime.None{}, nil
	}
	return runtime.None{}, err
}
