package engine

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/swarm"

	"github.com/mepc/mepc-run/internal/sim/wire"
	"github.com/mepc/mepc-run/internal/state"
)

// ingress returns the service that is published at port of every node, where host is one.
func (e *Engine) ingress(host string, port int) Server {
	if e.cluster == nil || !slices.ContainsFunc(e.cluster.nodes, func(n *swarm.Node) bool { return n.Status.Addr == host }) && host != e.host {
		return nil
	}
	for _, s := range e.cluster.ordered() {
		if s.spec.EndpointSpec == nil {
			continue
		}
		for _, p := range s.spec.EndpointSpec.Ports {
			tcp := p.Protocol == "" || p.Protocol == swarm.PortConfigProtocolTCP
			if tcp && int(p.PublishedPort) == port && p.PublishMode != swarm.PortConfigPublishModeHost && len(s.serving()) > 0 {
				return served{e, s}
			}
		}
	}
	return nil
}

// serving are the tasks that take requests.
func (s *service) serving() (list []*task) {
	for _, t := range s.tasks {
		if t.state == swarm.TaskStateRunning {
			list = append(list, t)
		}
	}
	return list
}

// served is a service with the engine that manages it, as a Server.
type served struct {
	engine  *Engine
	service *service
}

// Behaves is that of a container; a service has none.
func (served) Behaves(time.Time) (*state.Behaviour, time.Duration) { return nil, 0 }

// Serve says how the service answers a request for path: its tasks do, in turn.
func (v served) Serve(path string, now time.Time) (state.Response, error) {
	e, s := v.engine, v.service
	tasks := s.serving()
	if len(tasks) == 0 {
		return state.Response{}, wire.Reset()
	}
	t := tasks[s.turn%len(tasks)]
	s.turn++
	ref := t.spec.ContainerSpec.Image
	img, err := e.findImage(ref)
	if err != nil {
		img = &image{config: &container.Config{}} // the nodes were taken to pull it
	}
	b := e.behaviourOf(img, ref)
	hello := fmt.Sprintf("%s.%d %s", s.spec.Name, t.slot, cmp.Or(b.Version, img.version(ref)))
	return b.Answer(path, now.Sub(t.ran), hello), nil
}
