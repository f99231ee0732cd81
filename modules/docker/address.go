package docker

import (
	"context"
	"net"
	"net/url"
	"strconv"

	"github.com/mepc/mepc-run/internal/failure"
)

// place says at which of its addresses a container is wanted.
type place struct {
	Port      int    `lua:"port" min:"1" max:"65535" doc:"the port in the container"`
	Network   string `lua:"network" doc:"by its address in this network; in the one it was created in when not given"`
	Published bool   `lua:"published" doc:"by the port that it is published as on the engine's machine"`
}

type addressArgs struct {
	Container string `lua:"container,pos,required,target" doc:"its name or ID"`
	Port      int    `lua:"port,pos,required" min:"1" max:"65535" doc:"the port in the container"`
	Network   string `lua:"network" doc:"by its address in this network; in the one it was created in when not given"`
	Published bool   `lua:"published" doc:"by the port that it is published as on the engine's machine"`
}

func (a *addressArgs) Validate() error { return checkRef("container", a.Container) }

func (e *Engine) address(ctx context.Context, a *addressArgs) (string, error) {
	c, err := e.get(ctx, a.Container)
	if err != nil {
		return "", err
	}
	return e.addressOf(c, place{Port: a.Port, Network: a.Network, Published: a.Published})
}

// addressOf returns host:port, as seen from where this program runs.
func (e *Engine) addressOf(c *Container, p place) (string, error) {
	if p.Published {
		for _, b := range c.Ports {
			if b.Container == p.Port && b.Protocol == "tcp" && b.Host != 0 {
				return net.JoinHostPort(e.hostFor(b.HostIP), strconv.Itoa(b.Host)), nil
			}
		}
		return "", failure.New(failure.NotFound, "%s does not publish its port %d", c.Name, p.Port).
			WithHint(`publish it at create: ports = {"127.0.0.1::%d"}; a container that does not run publishes none`, p.Port)
	}
	ip := c.IP
	if p.Network != "" {
		in, ok := c.Networks[p.Network]
		if !ok {
			return "", failure.New(failure.NotFound, "%s is not in the network %s", c.Name, p.Network)
		}
		ip = in.IP
	}
	if ip == "" {
		return "", failure.New(failure.NotFound, "%s has no address: it is %s", c.Name, c.State.Status).
			WithHint("a container has one while it runs, unless it is in the network none or the machine's own")
	}
	return net.JoinHostPort(ip, strconv.Itoa(p.Port)), nil
}

// hostFor returns where a port that is bound to ip on the engine's machine is
// reached from here: a binding to all addresses by the name under which the
// engine itself is reached.
func (e *Engine) hostFor(ip string) string {
	parsed := net.ParseIP(ip)
	if parsed != nil && !parsed.IsUnspecified() {
		return ip
	}
	if u, err := url.Parse(e.Endpoint()); err == nil && u.Hostname() != "" {
		return u.Hostname()
	}
	if parsed != nil && parsed.To4() == nil {
		return "::1" // bound to all IPv6 addresses, and to no other
	}
	return "127.0.0.1"
}
