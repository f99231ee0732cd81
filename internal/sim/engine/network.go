package engine

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// network is a network of an engine. It is not modified once it is made.
type network struct {
	id         string
	name       string
	seq        int
	driver     string
	created    time.Time
	subnet     netip.Prefix // of none and host: not valid
	gateway    netip.Addr
	userSubnet bool // the subnet was asked for, so addresses may be too
	internal   bool
	labels     map[string]string
	options    map[string]string
	attachable bool
	predefined bool
}

// custom says whether names resolve in the network.
func (n *network) custom() bool { return !n.predefined }

// addPredefined makes the networks that every engine has.
func (e *Engine) addPredefined(bridge netip.Prefix, now time.Time) {
	for _, n := range []*network{
		{name: "none", driver: "null"},
		{name: "host", driver: "host"},
		{name: "bridge", driver: "bridge", subnet: bridge, gateway: bridge.Addr().Next(), options: map[string]string{
			"com.docker.network.bridge.default_bridge":       "true",
			"com.docker.network.bridge.enable_icc":           "true",
			"com.docker.network.bridge.enable_ip_masquerade": "true",
			"com.docker.network.bridge.host_binding_ipv4":    "0.0.0.0",
			"com.docker.network.bridge.name":                 "docker0",
			"com.docker.network.driver.mtu":                  "1500",
		}},
	} {
		n.predefined, n.created = true, now
		n.id = e.newID("network", n.name)
		n.seq = e.seq
		e.networks[n.id] = n
	}
}

// findNetwork resolves an ID, a name, or the beginning of an ID. An ambiguous
// name is worded in two ways by the engine.
func (e *Engine) findNetwork(ref string, starting bool) (*network, error) {
	if n := e.networks[ref]; n != nil {
		return n, nil
	}
	var byName, byPrefix []*network
	for id, n := range e.networks {
		if n.name == ref {
			byName = append(byName, n)
		}
		if ref != "" && strings.HasPrefix(id, ref) {
			byPrefix = append(byPrefix, n)
		}
	}
	switch {
	case len(byName) == 1:
		return byName[0], nil
	case len(byName) > 1 && starting:
		return nil, badRequest("network %s is ambiguous (%d matches found on name)", ref, len(byName))
	case len(byName) > 1:
		return nil, badRequest("%d matches found based on name: network %s is ambiguous", len(byName), ref)
	case len(byPrefix) == 1:
		return byPrefix[0], nil
	case len(byPrefix) > 1:
		return nil, badRequest("%d matches found based on ID prefix: network %s is ambiguous", len(byPrefix), ref)
	}
	return nil, notFound("network %s not found", ref)
}

// orderedNetworks returns the networks, oldest first.
func (e *Engine) orderedNetworks() []*network {
	all := make([]*network, 0, len(e.networks))
	for _, n := range e.networks {
		all = append(all, n)
	}
	slices.SortFunc(all, func(a, b *network) int { return cmp.Compare(a.seq, b.seq) })
	return all
}

// allocate finds the lowest free address of a network, or checks the one that is
// wanted. An address is free again as soon as its container stops.
func (e *Engine) allocate(n *network, want string) (string, error) {
	if !n.subnet.IsValid() {
		return "", nil
	}
	used := map[string]bool{}
	for _, c := range e.containers {
		for _, ep := range c.endpoints {
			if ep.network == n.id && ep.ip != "" {
				used[ep.ip] = true
			}
		}
	}
	if want != "" {
		ip, err := netip.ParseAddr(want)
		switch {
		case err != nil:
			return "", badRequest("invalid IPv4 address: %s", want)
		case !n.subnet.Contains(ip):
			return "", badRequest("Invalid address %s: It does not belong to any of this network's subnets", want)
		case used[want] || ip == n.gateway:
			return "", forbidden("Address already in use")
		}
		return want, nil
	}
	last := lastAddr(n.subnet)
	for ip := n.subnet.Masked().Addr().Next(); n.subnet.Contains(ip) && ip != last; ip = ip.Next() {
		if s := ip.String(); ip != n.gateway && !used[s] {
			return s, nil
		}
	}
	return "", serverError("no available IPv4 addresses on this network's address pools: %s (%s)", n.name, n.id)
}

// lastAddr is the broadcast address of a subnet.
func lastAddr(p netip.Prefix) netip.Addr {
	b := p.Masked().Addr().As4()
	for bit := p.Bits(); bit < 32; bit++ {
		b[bit/8] |= 1 << (7 - bit%8)
	}
	return netip.AddrFrom4(b)
}

// nextSubnet finds a subnet that no network has: 172.18.0.0/16 and on, as the
// engine does.
func (e *Engine) nextSubnet() (netip.Prefix, error) {
	for _, try := range e.pools {
		if !e.overlaps(try) {
			return try, nil
		}
	}
	return netip.Prefix{}, notFound("could not find an available, non-overlapping IPv4 address pool among the defaults to assign to the network")
}

func (e *Engine) overlaps(p netip.Prefix) bool {
	for _, n := range e.networks {
		if n.subnet.IsValid() && n.subnet.Overlaps(p) {
			return true
		}
	}
	return false
}

// defaultPools are the subnets that an engine gives to its networks. Those of
// the n-th engine of a world do not meet those of the others.
func defaultPools(n int) (bridge netip.Prefix, pools []netip.Prefix) {
	if n > 0 {
		bridge = netip.MustParsePrefix(fmt.Sprintf("10.%d.0.0/20", 100+n%100))
		for i := 1; i < 16; i++ {
			pools = append(pools, netip.MustParsePrefix(fmt.Sprintf("10.%d.%d.0/20", 100+n%100, 16*i)))
		}
		return bridge, pools
	}
	for i := 18; i < 32; i++ {
		pools = append(pools, netip.MustParsePrefix(fmt.Sprintf("172.%d.0.0/16", i)))
	}
	for i := 0; i < 256; i += 16 {
		pools = append(pools, netip.MustParsePrefix(fmt.Sprintf("192.168.%d.0/20", i)))
	}
	return netip.MustParsePrefix("172.17.0.0/16"), pools
}

// mac is the address that the engine derives from an IP.
func mac(ip string) string {
	a, err := netip.ParseAddr(ip)
	if err != nil || !a.Is4() {
		return ""
	}
	b := a.As4()
	return fmt.Sprintf("02:42:%02x:%02x:%02x:%02x", b[0], b[1], b[2], b[3])
}
