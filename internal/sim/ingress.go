package sim

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/swarm"
)

// ingress finds the service that is published at port of every node, where host is one.
func (e *Engine) ingress(host string, port int) *service {
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
				return s
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

// serve says how the service answers a request for path: its tasks do, in turn.
func (e *Engine) serve(s *service, path string, now time.Time) (answer, error) {
	tasks := s.serving()
	if len(tasks) == 0 {
		return answer{}, errReset
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
	r := b.Answer(path, now.Sub(t.ran), hello)
	return answer{status: cmp.Or(r.Status, http.StatusOK), header: r.Header, body: r.Body, delay: r.Delay.Std(), drop: r.Drop}, nil
}
