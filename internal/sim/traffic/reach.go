package traffic

import (
	"net"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"github.com/mepc/mepc-run/internal/sim/engine"
	"github.com/mepc/mepc-run/internal/sim/wire"
)

// place answers at an address.
type place struct {
	server engine.Server // in place of a router
	router *router
	admin  bool // the router's admin server
}

// reach finds out who answers at address, as seen from the machine that the
// engines' hosts are: containers by their own addresses and by published ports,
// services by published ports of their swarm's nodes, and routers. Callers hold the lock.
func (t *Traffic) reach(network, address string, now time.Time) (place, error) {
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
	for _, r := range t.routers {
		if r.address == at || r.admin == at {
			return place{router: r, admin: r.admin == at}, nil
		}
	}
	for _, e := range t.engines {
		if s := e.At(host, port, engine.View{ContainerDNS: t.dns, Engines: len(t.engines)}, now); s != nil {
			return place{server: s}, nil
		}
	}
	if _, err := netip.ParseAddr(host); err != nil && !t.knowsHost(host) {
		return place{}, &net.OpError{Op: "dial", Net: network, Err: &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}}
	}
	return place{}, wire.Refused(network, address)
}

// Has reports whether something in the world answers at address, a host and a
// port, now.
func (t *Traffic) Has(address string) bool {
	now := t.timeline.Lock()
	defer t.timeline.Unlock()
	_, err := t.reach("tcp", address, now)
	return err == nil
}

func (t *Traffic) knowsHost(host string) bool {
	return slices.ContainsFunc(t.engines, func(e *engine.Engine) bool { return e.Host() == host }) ||
		slices.ContainsFunc(t.routers, func(r *router) bool { h, _, _ := net.SplitHostPort(r.address); return h == host })
}
