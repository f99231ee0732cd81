package engine

import (
	"net"
	"slices"
	"sort"
	"strconv"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/go-connections/nat"

	"github.com/mepc/mepc-run/internal/state/engineapi"
)

// endpoint is a container's place in one network.
type endpoint struct {
	network string // the network's ID; empty until the container's first start
	name    string // the network's name, as it was asked for
	id      string // of the endpoint; empty while the container does not run
	ip      string
	wantIP  string
	aliases []string
	links   []string
}

// published is a port of the engine's host that leads to a container.
type published struct {
	port   nat.Port
	hostIP string
	host   int
}

// portKey is a port of the engine's host.
type portKey struct {
	ip    string
	proto string
	port  int
}

// firstPort begins the range from which ports are picked.
const firstPort = 32768

// modeName is the network that a network mode stands for.
func modeName(m container.NetworkMode) string {
	if m == "" || m.IsDefault() {
		return "bridge"
	}
	return string(m)
}

// connectAll gives a container that starts its addresses.
func (e *Engine) connectAll(c *ctr, now time.Time) error {
	mode := c.host.NetworkMode
	if mode.IsContainer() {
		other, err := e.find(mode.ConnectedContainer())
		if err != nil {
			return err
		}
		if !other.running() {
			return conflict("cannot join network of a non running container: %s", other.id)
		}
		return nil
	}
	for _, name := range endpointNames(c) {
		if err := e.connect(c, c.endpoints[name], now); err != nil {
			return err
		}
	}
	return nil
}

// endpointNames returns the networks of a container: that of its mode first.
func endpointNames(c *ctr) []string {
	names := make([]string, 0, len(c.endpoints))
	for name := range c.endpoints {
		names = append(names, name)
	}
	sort.Strings(names)
	first := modeName(c.host.NetworkMode)
	slices.SortStableFunc(names, func(a, b string) int {
		switch {
		case a == first && b != first:
			return -1
		case b == first && a != first:
			return 1
		}
		return 0
	})
	return names
}

// connect gives an endpoint its address.
func (e *Engine) connect(c *ctr, ep *endpoint, now time.Time) error {
	ref := ep.network
	if ref == "" {
		ref = ep.name
	}
	n, err := e.findNetwork(ref, true)
	if err != nil {
		return err
	}
	if ep.wantIP != "" && !n.userSubnet {
		return badRequest("user specified IP address is supported only when connecting to networks with user configured subnets")
	}
	ip, err := e.allocate(n, ep.wantIP)
	if err != nil {
		return err
	}
	ep.network, ep.ip, ep.id = n.id, ip, e.newID("endpoint", c.id+n.id)
	if n.custom() && !slices.Contains(ep.aliases, short(c.id)) {
		ep.aliases = append(slices.Clip(ep.aliases), short(c.id))
	}
	e.emit(event{at: now, kind: "network", action: "connect", id: n.id, attributes: map[string]string{
		"container": c.id, "name": n.name, "type": n.driver,
	}})
	return nil
}

// release takes a container's addresses and ports away.
func (e *Engine) release(c *ctr) {
	for _, ep := range c.endpoints {
		ep.ip, ep.id = "", ""
	}
	for _, p := range c.ports {
		if k := (portKey{p.hostIP, p.port.Proto(), p.host}); e.ports[k] == c.id {
			delete(e.ports, k)
		}
	}
	c.ports = nil
}

// checkLinks refuses to start a container whose links lead nowhere.
func (e *Engine) checkLinks(c *ctr) error {
	if modeName(c.host.NetworkMode) != "bridge" {
		return nil
	}
	for _, l := range c.links {
		if name, other := e.linked(l); other == nil || !other.running() {
			return serverError("Cannot link to a non running container: /%s AS /%s/%s", name, c.name, l.alias)
		}
	}
	return nil
}

// publish takes the host ports that a container asks for.
func (e *Engine) publish(c *ctr) error {
	if m := c.host.NetworkMode; m.IsHost() || m.IsNone() || m.IsContainer() {
		return nil
	}
	for _, want := range c.wanted() {
		ips := []string{want.hostIP}
		if want.hostIP == "" {
			ips = []string{"0.0.0.0", "::"}
		}
		host := want.host
		for _, ip := range ips {
			p := published{port: want.port, hostIP: ip, host: host}
			if p.host == 0 {
				p.host = e.freePort(ip, want.port.Proto())
			}
			if e.taken(ip, want.port.Proto(), p.host) {
				return serverError("driver failed programming external connectivity on endpoint %s (%s): Bind for %s failed: port is already allocated",
					c.name, e.newID("endpoint", c.id), net.JoinHostPort(ip, strconv.Itoa(p.host)))
			}
			e.ports[portKey{ip, want.port.Proto(), p.host}] = c.id
			c.ports = append(slices.Clip(c.ports), p)
		}
	}
	return nil
}

// wanted returns the ports that a container asks for, in order.
func (c *ctr) wanted() []published {
	bindings := nat.PortMap{}
	for port, list := range c.host.PortBindings {
		bindings[port] = list
	}
	if c.host.PublishAllPorts {
		for port := range c.config.ExposedPorts {
			if len(bindings[port]) == 0 {
				bindings[port] = []nat.PortBinding{{}}
			}
		}
	}
	ports := make([]nat.Port, 0, len(bindings))
	for p := range bindings {
		ports = append(ports, p)
	}
	slices.SortFunc(ports, engineapi.ComparePorts)
	var out []published
	for _, p := range ports {
		for _, b := range bindings[p] {
			first, _, _ := nat.ParsePortRange(b.HostPort)
			out = append(out, published{p, b.HostIP, int(first)})
		}
	}
	return out
}

// taken says whether a host port is in use; the wildcard address takes it from
// every other.
func (e *Engine) taken(ip, proto string, port int) bool {
	if _, ok := e.ports[portKey{ip, proto, port}]; ok {
		return true
	}
	if ip == "::" {
		return false
	}
	if ip != "0.0.0.0" {
		_, ok := e.ports[portKey{"0.0.0.0", proto, port}]
		return ok
	}
	for k := range e.ports {
		if k.port == port && k.proto == proto && k.ip != "::" {
			return true
		}
	}
	return false
}

// Share makes the engine pick ports that the other engines at its address do not pick.
func (e *Engine) Share(others int) { e.lastPort = firstPort - 1 + others*portShare }

// portShare is the number of ports an engine has for itself behind an address.
const portShare = 2000

// freePort picks the next port.
func (e *Engine) freePort(ip, proto string) int {
	for range 65535 - firstPort {
		if e.lastPort++; e.lastPort > 65535 {
			e.lastPort = firstPort
		}
		if !e.taken(ip, proto, e.lastPort) {
			break
		}
	}
	return e.lastPort
}
