package sim

import (
	"net"
	"net/netip"
	"slices"
	"strconv"
	"time"
)

// place is what answers at an address.
type place struct {
	box     *ctr
	service *service // in place of a container
	engine  *Engine
	router  *router
	admin   bool // the router's admin server
}

// reach finds out who answers at address, as seen from the machine that the
// engines' hosts are: containers by their own addresses and by published ports,
// services by published ports of their swarm's nodes, and routers. Callers hold the lock.
func (w *World) reach(network, address string, now time.Time) (place, error) {
	host, portText, err := net.SplitHostPort(address)
	if err != nil {
		return place{}, &net.OpError{Op: "dial", Net: network, Err: err}
	}
	port, err := strconv.Atoi(portText)
	if err != nil || port < 1 || port > 65535 {
		return place{}, &net.OpError{Op: "dial", Net: network, Err: &net.AddrError{Err: "invalid port", Addr: portText}}
	}
	if host == "localhost" {
		host = "127.0.0.1"
	}
	at := net.JoinHostPort(host, portText)
	for _, r := range w.routers {
		if r.address == at || r.admin == at {
			return place{router: r, admin: r.admin == at}, nil
		}
	}
	for _, e := range w.engines {
		if box, inside := e.reach(host, port, w.dns); box != nil && box.listens(inside, now) {
			return place{box: box, engine: e}, nil
		}
		if s := e.ingress(host, port); s != nil {
			return place{service: s, engine: e}, nil
		}
	}
	if _, err := netip.ParseAddr(host); err != nil && !w.knowsHost(host) {
		return place{}, &net.OpError{Op: "dial", Net: network, Err: &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}}
	}
	return place{}, refused(network, address)
}

// Has reports whether something in the world answers at address, a host and a
// port, now.
func (w *World) Has(address string) bool {
	now := w.lock()
	defer w.unlock()
	_, err := w.reach("tcp", address, now)
	return err == nil
}

func (w *World) knowsHost(host string) bool {
	return slices.ContainsFunc(w.engines, func(e *Engine) bool { return e.host == host }) ||
		slices.ContainsFunc(w.routers, func(r *router) bool { h, _, _ := net.SplitHostPort(r.address); return h == host })
}

// reach finds the container at host and port, and the port inside of it.
func (e *Engine) reach(host string, port int, dns bool) (*ctr, int) {
	for _, c := range e.containers {
		if !c.running() {
			continue
		}
		for name, ep := range c.endpoints {
			if ep.ip != "" && ep.ip == host {
				return c, port
			}
			if n := e.networks[ep.network]; dns && n != nil && (c.name == host && (n.custom() || name == "bridge") || n.custom() && slices.Contains(ep.aliases, host)) {
				return c, port
			}
		}
	}
	if host != e.host && host != "127.0.0.1" && host != "::1" && host != "0.0.0.0" {
		return nil, 0
	}
	if host == "127.0.0.1" && e.host != host && len(e.world.engines) > 1 {
		return nil, 0 // another engine's machine
	}
	for _, c := range e.containers {
		if !c.running() {
			continue
		}
		if c.host.NetworkMode.IsHost() && c.listens(port, never) {
			return c, port
		}
		for _, p := range c.ports {
			if p.host == port && p.port.Proto() == "tcp" && (p.hostIP == "0.0.0.0" || p.hostIP == host || p.hostIP == "::" && host == "::1") {
				return c, p.port.Int()
			}
		}
	}
	return nil, 0
}

// listens says whether something in the container takes connections on port. A
// zero now leaves the start delay out.
func (c *ctr) listens(port int, now time.Time) bool {
	b := c.behaviour
	if !now.IsZero() && now.Sub(c.started) < b.StartDelay.Std() {
		return false
	}
	if b.Ports != nil {
		return slices.Contains(b.Ports, port)
	}
	if len(c.config.ExposedPorts) == 0 {
		return true
	}
	for p := range c.config.ExposedPorts {
		if p.Proto() == "tcp" && p.Int() == port {
			return true
		}
	}
	return false
}
