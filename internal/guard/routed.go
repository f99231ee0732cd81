package guard

import (
	"context"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/network"
	"github.com/redis/go-redis/v9"

	"github.com/mepc/mepc-run/internal/effect"
	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/internal/keys"
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

// lost returns c with the addresses and names alone by which it cannot be reached any
// more after op; nil when it can by all.
func lost(op *effect.Op, c *container.InspectResponse) *container.InspectResponse {
	switch {
	case c == nil || ends(op):
		return c
	case op.Name == "docker.rename": // its name
		named := *c
		named.NetworkSettings = &container.NetworkSettings{}
		return &named
	case op.Name == disconnect && c.NetworkSettings != nil: // its address in the network
		left := *c
		base := *c.ContainerJSONBase
		base.Name, left.ContainerJSONBase = "", &base
		left.NetworkSettings = &container.NetworkSettings{Networks: map[string]*network.EndpointSettings{}}
		for name, n := range c.NetworkSettings.Networks {
			if n != nil && (name == op.Target || n.NetworkID == op.Target) {
				left.NetworkSettings.Networks[name] = n
			}
		}
		return &left
	}
	return nil
}

func argument(op *effect.Op, name string) string {
	for _, a := range op.Args {
		if a.Name == name {
			return a.Value
		}
	}
	return ""
}

// routed refuses the end of a container that answers at a backend of a list.
func (g *Guard) routed(ctx context.Context, op *effect.Op, c *container.InspectResponse) error {
	stores, err := g.world.Stores(ctx)
	if err != nil {
		return err
	}
	var unread error
	for name, store := range stores {
		lists, err := routes(ctx, store)
		if err != nil {
			unread = failure.Wrap(failure.Unavailable, err, "read the routing lists in %s", name)
		}
		for host, backends := range lists {
			for _, b := range backends {
				if answers(c, b) {
					return failure.New(failure.Denied, "%s has traffic: the routing list of %s points to it, at %s", op.Target, host, b).
						WithHint("move the traffic first; or lift this guard with --allow %s", Routed)
				}
			}
		}
	}
	return unread
}

// routes returns the backends of each host.
func routes(ctx context.Context, store redis.UniversalClient) (map[string][]string, error) {
	all := map[string][]string{}
	for key, err := range keys.Match(ctx, store, prefix+"*") {
		if err != nil {
			return all, err
		}
		list, err := store.LRange(ctx, key, 1, -1).Result()
		if redis.HasErrorPrefix(err, "WRONGTYPE") {
			continue // no router's
		}
		if err != nil {
			return all, err
		}
		all[strings.TrimPrefix(key, prefix)] = list
	}
	return all, nil
}

const prefix = "frontend:"

// answers reports whether who dials backend reaches c: by an address or a name
// that it has, or by a port that it publishes.
func answers(c *container.InspectResponse, backend string) bool {
	u, err := url.Parse(backend)
	if err != nil || c.NetworkSettings == nil {
		return false
	}
	host := u.Hostname()
	if host != "" && host == strings.TrimPrefix(c.Name, "/") {
		return true
	}
	for _, n := range c.NetworkSettings.Networks {
		if n != nil && host != "" && (n.IPAddress == host || n.GlobalIPv6Address == host) {
			return true
		}
	}
	at, err := strconv.Atoi(u.Port())
	if err != nil {
		return false
	}
	for _, bindings := range c.NetworkSettings.Ports {
		for _, b := range bindings {
			ip := net.ParseIP(b.HostIP)
			everywhere := ip == nil || ip.IsUnspecified()
			mine := host == b.HostIP || c.Config != nil && host == c.Config.Labels["mepc.advertise"] ||
				everywhere && (host == "127.0.0.1" || host == "localhost")
			if b.HostPort == strconv.Itoa(at) && mine {
				return true
			}
		}
	}
	return false
}
