package docker

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/swarm"
	"github.com/docker/docker/client"
	"github.com/docker/docker/pkg/stdcopy"

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
	if isKind(err, failure.NotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return newService(raw), nil
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
	call := callNumber()
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

// Task is a task as recipes see it.
type Task struct {
	ID        string    `lua:"id" doc:"its ID"`
	Slot      int       `lua:"slot" doc:"which of the service's replicas it is; 0 of a global service"`
	Image     string    `lua:"image" doc:"its image"`
	Node      string    `lua:"node" doc:"the ID of the node that it is on; empty while it is on none"`
	Container string    `lua:"container" doc:"the ID of its container; empty while it has none"`
	State     string    `lua:"state" doc:"what it is: new, pending, assigned, accepted, preparing, starting, running, complete, shutdown, failed, rejected, remove or orphaned"`
	Desired   string    `lua:"desired" doc:"what it is to be: running, shutdown, ready or remove"`
	Message   string    `lua:"message" doc:"what the swarm says about it"`
	Error     string    `lua:"error" doc:"what went wrong; empty when nothing did"`
	ExitCode  int       `lua:"exit_code" doc:"of its container, when that has ended"`
	Changed   time.Time `lua:"changed" doc:"when its state last changed, in seconds since 1970"`
}

func newTask(t *swarm.Task) *Task {
	out := &Task{
		ID: t.ID, Slot: t.Slot, Node: t.NodeID, State: string(t.Status.State), Desired: string(t.DesiredState),
		Message: t.Status.Message, Error: t.Status.Err, Changed: t.Status.Timestamp,
	}
	if c := t.Spec.ContainerSpec; c != nil {
		out.Image = plainImage(c.Image)
	}
	if c := t.Status.ContainerStatus; c != nil {
		out.Container, out.ExitCode = c.ContainerID, c.ExitCode
	}
	return out
}

type tasksArgs struct {
	Service string `lua:"service,pos,required,target" doc:"its name or ID"`
	Running bool   `lua:"running" doc:"true: only those that are to run"`
	Current bool   `lua:"current" doc:"true: only those of the service's present configuration"`
}

func (a *tasksArgs) Validate() error { return checkRef("service", a.Service) }

func (e *Engine) tasks(ctx context.Context, a *tasksArgs) (list []*Task, err error) {
	s, err := e.getService(ctx, a.Service)
	if err != nil {
		return nil, err
	}
	f := filters.NewArgs(filters.Arg("service", s.ID))
	if a.Running {
		f.Add("desired-state", "running")
	}
	if a.Current {
		f.Add("_up-to-date", "true") // as docker service update asks, to see how far it is
	}
	err = e.read(ctx, func(ctx context.Context, c *client.Client) error {
		found, err := c.TaskList(ctx, swarm.TaskListOptions{Filters: f})
		slices.SortFunc(found, func(a, b swarm.Task) int {
			return cmp.Or(b.CreatedAt.Compare(a.CreatedAt), cmp.Compare(a.Slot, b.Slot), cmp.Compare(a.ID, b.ID))
		})
		for i := range found {
			list = append(list, newTask(&found[i]))
		}
		return err
	})
	return list, err
}

type serviceLogsArgs struct {
	Service string       `lua:"service,pos,required,target" doc:"its name or ID"`
	Tail    int          `lua:"tail" default:"100" min:"0" doc:"how many lines of each task"`
	Max     runtime.Size `lua:"max" default:"1MiB" max:"268435456" doc:"how much is kept; the beginning is cut off"`
}

func (a *serviceLogsArgs) Validate() error { return checkRef("service", a.Service) }

func (e *Engine) serviceLogs(ctx context.Context, a *serviceLogsArgs) (string, error) {
	s, err := e.getService(ctx, a.Service)
	if err != nil {
		return "", err
	}
	out := &lastBytes{most: int(a.Max)}
	err = e.read(ctx, func(ctx context.Context, c *client.Client) error {
		body, err := c.ServiceLogs(ctx, s.ID, container.LogsOptions{ShowStdout: true, ShowStderr: true, Tail: fmt.Sprint(a.Tail)})
		if err != nil {
			return err
		}
		defer body.Close()
		_, err = stdcopy.StdCopy(out, out, body)
		return err
	})
	return out.all(), err
}
