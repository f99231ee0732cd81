package engine

import (
	"errors"
	"slices"
	"time"

	"github.com/mepc/mepc-run/internal/sim/wire"
	"github.com/mepc/mepc-run/internal/state"
)

// Server takes connections at an address: a container, or a service of a
// swarm. Its methods are called with the timeline's lock held.
type Server interface {
	// Serve says how it answers a request for path. The error ErrHangs says that it
	// never does, any other that the connection is cut.
	Serve(path string, now time.Time) (state.Response, error)
	// Behaves returns what a container does and for how long it has run; nil for
	// anything but a running container.
	Behaves(now time.Time) (*state.Behaviour, time.Duration)
}

// ErrHangs says that nothing ever comes.
var ErrHangs = errors.New("it does not answer")

// View is from where an address is looked at.
type View struct {
	ContainerDNS bool // names of containers resolve, as in a container
	Engines      int  // how many engines there are: 127.0.0.1 is the only one's
}

// At returns what takes connections at host and port, as seen from the machine that
// the engine's host is: a container by its own addresses and by published ports, a
// service by published ports of its swarm's nodes; nil when nothing does.
func (e *Engine) At(host string, port int, from View, now time.Time) Server {
	if c, inside := e.reach(host, port, from); c != nil && c.listens(inside, now) {
		return c
	}
	return e.ingress(host, port)
}

// reach finds the container at host and port, and the port inside of it.
func (e *Engine) reach(host string, port int, from View) (*ctr, int) {
	for _, c := range e.containers {
		if !c.running() {
			continue
		}
		for name, ep := range c.endpoints {
			if ep.ip != "" && ep.ip == host {
				return c, port
			}
			if n := e.networks[ep.network]; from.ContainerDNS && n != nil && (c.name == host && (n.custom() || name == "bridge") || n.custom() && slices.Contains(ep.aliases, host)) {
				return c, port
			}
		}
	}
	if host != e.host && host != "127.0.0.1" && host != "::1" && host != "0.0.0.0" {
		return nil, 0
	}
	if host == "127.0.0.1" && e.host != host && from.Engines > 1 {
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

// Serve says how the container answers a request for path.
func (c *ctr) Serve(path string, now time.Time) (state.Response, error) {
	switch {
	case !c.running():
		return state.Response{}, wire.Reset()
	case c.status == paused:
		return state.Response{}, ErrHangs
	}
	return c.behaviour.Answer(path, now.Sub(c.started), c.name+" "+c.version), nil
}

// Behaves returns what the container does, and for how long it has run.
func (c *ctr) Behaves(now time.Time) (*state.Behaviour, time.Duration) {
	if !c.running() {
		return nil, 0
	}
	return c.behaviour, now.Sub(c.started)
}
