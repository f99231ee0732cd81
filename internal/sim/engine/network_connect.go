package engine

import (
	"net/http"

	networktypes "github.com/docker/docker/api/types/network"
)

func networkConnect(c *call) (reply, error) {
	var req struct {
		Container      string
		EndpointConfig *networktypes.EndpointSettings
	}
	if err := c.decode(&req); err != nil {
		return reply{}, err
	}
	box, err := c.e.find(req.Container)
	if err != nil {
		return reply{}, err
	}
	n, err := c.e.findNetwork(c.name, true)
	if err != nil && box.running() {
		return reply{}, err
	}
	name := c.name // a stopped container may be told of a network that is not there yet
	if n != nil {
		name = n.name
	}
	ep := &endpoint{name: name}
	if req.EndpointConfig != nil {
		ep.configure(req.EndpointConfig)
	}
	switch {
	case n != nil && !n.custom() && len(ep.aliases) > 0:
		return reply{}, badRequest("network-scoped alias is supported only for containers in user defined networks")
	case n != nil && n.name == "host" || box.host.NetworkMode.IsHost():
		return reply{}, badRequest("container cannot be disconnected from host network or connected to host network")
	case n != nil && n.name == "none" || box.host.NetworkMode.IsNone():
		return reply{}, badRequest("container cannot be connected to multiple networks with one of the networks in private (none) mode")
	case box.host.NetworkMode.IsContainer():
		return reply{}, badRequest("container sharing network namespace with another container or host cannot be connected to any other network")
	}
	if old := box.endpoints[name]; old != nil && old.id != "" {
		return reply{}, forbidden("endpoint with name %s already exists in network %s", box.name, name)
	}
	if n != nil && n.custom() {
		ep.aliases = append(ep.aliases[:len(ep.aliases):len(ep.aliases)], short(box.id))
	}
	if box.running() {
		if err := c.e.connect(box, ep, c.now); err != nil {
			return reply{}, err
		}
	}
	box.endpoints[name] = ep
	return reply{status: http.StatusOK}, nil
}

func networkDisconnect(c *call) (reply, error) {
	var req struct {
		Container string
		Force     bool
	}
	if err := c.decode(&req); err != nil {
		return reply{}, err
	}
	n, err := c.e.findNetwork(c.name, true)
	if err != nil {
		return reply{}, err
	}
	box, err := c.e.find(req.Container)
	if err != nil {
		if req.Force {
			return reply{}, notFound("endpoint %s not found", req.Container)
		}
		return reply{}, err
	}
	if n.name == "host" {
		return reply{}, badRequest("container cannot be disconnected from host network or connected to host network")
	}
	ep := box.endpoints[n.name]
	if ep == nil {
		the := "the "
		if box.running() {
			the = ""
		}
		return reply{}, serverError("container %s is not connected to %snetwork %s", box.id, the, n.name)
	}
	delete(box.endpoints, n.name)
	c.e.emit(event{at: c.now, kind: "network", action: "disconnect", id: n.id, attributes: map[string]string{
		"container": box.id, "name": n.name, "type": n.driver,
	}})
	return reply{status: http.StatusOK}, nil
}
