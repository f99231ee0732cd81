package guard

import (
	"context"
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/network"
	"github.com/mepc/mepc-run/internal/address"
	"github.com/mepc/mepc-run/internal/effect"
	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/servers"
)

// harmless are the signals that processes take for something else than their end.
var harmless = []string{"HUP", "USR1", "USR2", "WINCH", "CONT", "1", "10", "12", "28", "18"}

// ends reports whether op stops a container from answering.
func ends(op *effect.Op) bool {
	switch op.Name {
	case "docker.stop", "docker.remove", "docker.restart", "docker.pause":
		return true
	case "docker.kill":
		for _, a := range op.Args {
			if a.Name == "signal" && slices.Contains(harmless, strings.TrimPrefix(strings.ToUpper(a.Value), "SIG")) {
				return false
			}
		}
		return true
	}
	return false
}

const disconnect = "docker.network_disconnect"

// place is an address at which a container is reached.
type place struct {
	name      string
	networks  map[string]*network.EndpointSettings
	published []published
	advertise string // where its published ports are said to be
}

type published struct{ ip, port string }

func placeOf(c *container.InspectResponse) place {
	p := place{name: c.Name}
	if c.Config != nil {
		p.advertise = c.Config.Labels[advertised]
	}
	if c.NetworkSettings == nil {
		return p
	}
	p.networks = c.NetworkSettings.Networks
	for _, bindings := range c.NetworkSettings.Ports {
		for _, b := range bindings {
			p.published = append(p.published, published{b.HostIP, b.HostPort})
		}
	}
	return p
}

// listedPlace is placeOf of a list's entry.
func listedPlace(c *container.Summary) place {
	p := place{advertise: c.Labels[advertised]}
	if len(c.Names) > 0 {
		p.name = c.Names[0]
	}
	if c.NetworkSettings != nil {
		p.networks = c.NetworkSettings.Networks
	}
	for _, b := range c.Ports {
		if b.PublicPort != 0 {
			p.published = append(p.published, published{b.IP, strconv.Itoa(int(b.PublicPort))})
		}
	}
	return p
}

const advertised = "mepc.advertise"

// lost returns what of p is gone after op: all of it, a name, an address.
func lost(op *effect.Op, p place) place {
	switch op.Name {
	case "docker.rename":
		return place{name: p.name}
	case disconnect:
		left := place{networks: map[string]*network.EndpointSettings{}}
		for name, n := range p.networks {
			if n != nil && (name == op.Target || n.NetworkID == op.Target) {
				left.networks[name] = n
			}
		}
		return left
	}
	return p
}

func argument(op *effect.Op, name string) string {
	for _, a := range op.Args {
		if a.Name == name {
			return a.Value
		}
	}
	return ""
}

// routed refuses op, after which nothing answers at gone, where a list leads there.
func (g *Guard) routed(ctx context.Context, op *effect.Op, gone place) error {
	stores, err := g.world.Stores(ctx)
	if err != nil {
		return unseen(ctx, Routed, err, "cannot tell whether %s has traffic", op.Target)
	}
	var unread error
	for name, store := range stores {
		lists, err := servers.Lists(ctx, store, prefix+"*", g.trip)
		if err != nil {
			unread = g.unread(ctx, Routed, err, name, "cannot tell whether %s has traffic: the routing lists in %s were not read", op.Target, name)
		}
		for key, items := range lists {
			for _, b := range items[1:] {
				if gone.answers(b) {
					return failure.New(failure.Denied, "%s has traffic: the routing list of %s points to it, at %s", op.Target, strings.TrimPrefix(key, prefix), b).
						WithHint("move the traffic first; or lift this guard with --allow %s", Routed)
				}
			}
		}
	}
	return unread
}

const prefix = "frontend:"

// answers reports whether a client that dials backend reaches p: by an address or a name
// that it has, or by a port that it publishes.
func (p place) answers(backend string) bool {
	to, ok := address.Parse(backend)
	if !ok {
		return false
	}
	if p.name != "" && to.Host == strings.ToLower(strings.TrimPrefix(p.name, "/")) {
		return true
	}
	for _, n := range p.networks {
		if n != nil && (same(to, n.IPAddress) || same(to, n.GlobalIPv6Address)) {
			return true
		}
	}
	for _, b := range p.published {
		ip := net.ParseIP(b.ip)
		everywhere := ip == nil || ip.IsUnspecified()
		mine := same(to, b.ip) || same(to, p.advertise) ||
			everywhere && (to.Host == "127.0.0.1" || to.Host == "::1" || to.Host == "localhost")
		if mine && b.port == strconv.Itoa(to.Port) {
			return true
		}
	}
	return false
}

// same reports whether to is the host that text names.
func same(to address.Address, text string) bool {
	return text != "" && address.Canonical(text) == to.Host
}
