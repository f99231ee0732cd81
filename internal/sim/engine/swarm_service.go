package engine

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/docker/docker/api/types/swarm"
)

// service is a service, its tasks and how its update goes.
type service struct {
	id       string
	version  swarm.Version
	spec     swarm.ServiceSpec
	previous *swarm.ServiceSpec
	created  time.Time
	updated  time.Time
	status   *swarm.UpdateStatus
	tasks    []*task // oldest first
	rollout  rollout
	turn     int // of the tasks, to answer a request
}

func (s *service) clone() *service {
	n := *s
	n.tasks = nil
	for _, t := range s.tasks {
		cp := *t
		n.tasks = append(n.tasks, &cp)
	}
	if s.status != nil {
		st := *s.status
		n.status = &st
	}
	return &n
}

// ordered returns the services by name.
func (k *cluster) ordered() []*service {
	if k == nil {
		return nil
	}
	all := make([]*service, 0, len(k.services))
	for _, s := range k.services {
		all = append(all, s)
	}
	slices.SortFunc(all, func(a, b *service) int { return strings.Compare(a.spec.Name, b.spec.Name) })
	return all
}

// template identifies what a task is made of.
func template(spec *swarm.ServiceSpec) string {
	b, _ := json.Marshal(spec.TaskTemplate)
	return string(b)
}

func (s *service) json() swarm.Service {
	out := swarm.Service{
		ID: s.id, Meta: swarm.Meta{Version: s.version, CreatedAt: s.created, UpdatedAt: s.updated}, Spec: s.spec, PreviousSpec: s.previous,
		UpdateStatus: s.status, Endpoint: swarm.Endpoint{Spec: swarm.EndpointSpec{Mode: swarm.ResolutionModeVIP}},
	}
	if s.spec.EndpointSpec != nil {
		out.Endpoint.Spec.Ports, out.Endpoint.Ports = s.spec.EndpointSpec.Ports, s.spec.EndpointSpec.Ports
	}
	return out
}

func serviceList(c *call) (reply, error) {
	k, err := c.managed()
	if err != nil {
		return reply{}, err
	}
	f, err := c.filters("id", "name", "label", "mode")
	if err != nil {
		return reply{}, err
	}
	list := []swarm.Service{}
	for _, s := range k.ordered() {
		if !f.exact("id", s.id) || !f.match("name", s.spec.Name) || !f.labels(s.spec.Labels) {
			continue
		}
		out := s.json()
		if c.flag("status") {
			st := &swarm.ServiceStatus{}
			for _, t := range s.tasks {
				if t.desired == swarm.TaskStateRunning {
					st.DesiredTasks++
				}
				if t.state == swarm.TaskStateRunning {
					st.RunningTasks++
				}
			}
			if r := s.spec.Mode.Replicated; r != nil {
				st.DesiredTasks = *r.Replicas
			}
			out.ServiceStatus = st
		}
		list = append(list, out)
	}
	return jsonReply(http.StatusOK, list)
}

func (c *call) service() (*service, error) {
	k, err := c.managed()
	if err != nil {
		return nil, err
	}
	for _, s := range k.ordered() {
		if s.id == c.name || s.spec.Name == c.name {
			return s, nil
		}
	}
	return nil, notFound("service %s not found", c.name)
}

func serviceInspect(c *call) (reply, error) {
	s, err := c.service()
	if err != nil {
		return reply{}, err
	}
	return jsonReply(http.StatusOK, s.json())
}

// readSpec reads a service's spec, and refuses what is not modelled.
func (c *call) readSpec() (*swarm.ServiceSpec, error) {
	spec := &swarm.ServiceSpec{}
	if err := c.decode(spec); err != nil {
		return nil, err
	}
	switch {
	case spec.TaskTemplate.ContainerSpec == nil, spec.Mode.ReplicatedJob != nil, spec.Mode.GlobalJob != nil:
		return nil, notModelled("services other than of containers, replicated or global")
	case spec.Name == "":
		return nil, badRequest("rpc error: code = InvalidArgument desc = meta: name must be provided")
	case spec.TaskTemplate.ContainerSpec.Image == "":
		return nil, badRequest("rpc error: code = InvalidArgument desc = ContainerSpec: image reference must be provided")
	case spec.Mode.Replicated == nil && spec.Mode.Global == nil:
		spec.Mode.Replicated = &swarm.ReplicatedService{}
	}
	if r := spec.Mode.Replicated; r != nil && r.Replicas == nil {
		one := uint64(1)
		r.Replicas = &one
	}
	return spec, nil
}

func serviceCreate(c *call) (reply, error) {
	k, err := c.managed()
	if err != nil {
		return reply{}, err
	}
	spec, err := c.readSpec()
	if err != nil {
		return reply{}, err
	}
	for _, other := range k.ordered() {
		if other.spec.Name == spec.Name {
			return reply{}, conflict("rpc error: code = AlreadyExists desc = name conflicts with an existing object: service %s already exists", spec.Name)
		}
	}
	s := c.e.addService(spec, c.now)
	r, err := jsonReply(http.StatusCreated, struct{ ID string }{s.id})
	return c.e.assumePull(spec, r, err)
}

func (e *Engine) addService(spec *swarm.ServiceSpec, now time.Time) *service {
	s := &service{id: e.swarmID("service", spec.Name), version: e.cluster.version(), spec: *spec, created: now, updated: now}
	e.cluster.services[s.id] = s
	e.converge(s, now)
	e.reschedule()
	return s
}

func serviceUpdate(c *call) (reply, error) {
	s, err := c.service()
	if err != nil {
		return reply{}, err
	}
	spec, err := c.readSpec()
	if err != nil {
		return reply{}, err
	}
	if err := c.inSequence(s.version); err != nil {
		return reply{}, err
	}
	back := c.query.Get("rollback") == "previous"
	switch {
	case back && s.previous == nil:
		return reply{}, badRequest("rpc error: code = FailedPrecondition desc = service %s does not have a previous spec", s.id)
	case back:
		spec = s.previous
	case spec.Name != s.spec.Name:
		return reply{}, serverError("rpc error: code = Unimplemented desc = renaming services is not supported")
	}
	was := s.spec
	s.previous = &was
	s.spec, s.version, s.updated, s.status, s.rollout = *spec, c.e.cluster.version(), c.now, nil, rollout{back: back}
	if template(&was) != template(spec) {
		s.begin(c.now)
	}
	c.e.converge(s, c.now)
	c.e.reschedule()
	r, err := jsonReply(http.StatusOK, struct{ Warnings []string }{})
	return c.e.assumePull(spec, r, err)
}

func serviceRemove(c *call) (reply, error) {
	s, err := c.service()
	if err != nil {
		return reply{}, err
	}
	delete(c.e.cluster.services, s.id)
	c.e.reschedule()
	return reply{status: http.StatusOK}, nil
}

// serviceLogs has what the tasks' images print when they start.
func serviceLogs(c *call) (reply, error) {
	s, err := c.service()
	if err != nil {
		return reply{}, err
	}
	raw := reply{status: http.StatusOK, ctype: "application/vnd.docker.multiplexed-stream"}
	for _, t := range s.tasks {
		if img, err := c.e.findImage(t.spec.ContainerSpec.Image); err == nil && t.started {
			for _, line := range c.e.behaviourOf(img, t.spec.ContainerSpec.Image).Logs {
				text, stderr := strings.CutPrefix(line, "stderr: ")
				raw.body = append(raw.body, frame(stderr, text+"\n")...)
			}
		}
	}
	return raw, nil
}

func taskList(c *call) (reply, error) {
	k, err := c.managed()
	if err != nil {
		return reply{}, err
	}
	f, err := c.filters("id", "name", "service", "node", "label", "desired-state", "_up-to-date")
	if err != nil {
		return reply{}, err
	}
	current, err := f.boolean("_up-to-date")
	if err != nil {
		return reply{}, err
	}
	list := []swarm.Task{}
	for _, s := range k.ordered() {
		now := template(&s.spec)
		if !f.exact("service", s.id) && !f.exact("service", s.spec.Name) {
			continue
		}
		for _, t := range s.tasks {
			if f.exact("desired-state", string(t.desired)) && f.exact("node", t.node) && f.exact("id", t.id) &&
				(current == nil || *current == (t.template == now)) {
				list = append(list, t.json(s))
			}
		}
	}
	return jsonReply(http.StatusOK, list)
}
