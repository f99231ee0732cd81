package serve

import (
	"context"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/client"
	"github.com/redis/go-redis/v9"

	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/internal/state"
	"github.com/mepc/mepc-run/servers"
)

// Servers are those that the page looks at.
type Servers struct {
	Docker func(context.Context) (*client.Client, error)
	Redis  func(context.Context) (redis.UniversalClient, error)
}

type routingAnswer struct {
	Hosts []hostAnswer `json:"hosts"`
}

// hostAnswer is a routing list.
type hostAnswer struct {
	Host       string          `json:"host"`
	Identifier string          `json:"identifier"`
	Backends   []backendAnswer `json:"backends"`
}

type backendAnswer struct {
	URL       string           `json:"url"`
	Weight    int              `json:"weight"` // how often it is listed
	Dead      bool             `json:"dead"`   // a router has found it so
	Container *containerAnswer `json:"container"`
}

type containerAnswer struct {
	Name    string    `json:"name"`
	App     string    `json:"app,omitempty"`
	Release string    `json:"release,omitempty"`
	Image   string    `json:"image"`
	Version string    `json:"version"`
	State   string    `json:"state"`
	Status  string    `json:"status"` // in the engine's words, such as Up 5 minutes (healthy)
	Created time.Time `json:"created"`
}

const (
	listPrefix = "frontend:"
	maxHosts   = 200 // that are shown
)

func (s *Server) routing(c *call) (any, error) {
	ctx, cancel := context.WithTimeout(c.Context(), headerTime)
	defer cancel()
	r, err := s.opts.Servers.Redis(ctx)
	if err != nil {
		return nil, err
	}
	boxes := s.boxes(ctx) // without an engine the lists are shown alone
	out := routingAnswer{Hosts: []hostAnswer{}}
	for key, err := range servers.Keys(ctx, r, listPrefix+"*") {
		if err != nil {
			return nil, failure.Wrap(failure.Unavailable, err, "read the routing lists")
		}
		if len(out.Hosts) == maxHosts {
			break
		}
		list, err := r.LRange(ctx, key, 0, -1).Result()
		if err != nil || len(list) == 0 {
			continue // no router's, or gone
		}
		host := strings.TrimPrefix(key, listPrefix)
		dead, err := r.SMembers(ctx, "dead:"+host).Result()
		if err != nil {
			dead = nil // it expires by itself
		}
		h := hostAnswer{Host: host, Identifier: list[0], Backends: []backendAnswer{}}
		for i, u := range list[1:] {
			at := slices.IndexFunc(h.Backends, func(b backendAnswer) bool { return b.URL == u })
			if at < 0 {
				at = len(h.Backends)
				h.Backends = append(h.Backends, backendAnswer{URL: u, Container: boxes.at(u)})
			}
			h.Backends[at].Weight++
			h.Backends[at].Dead = h.Backends[at].Dead || slices.Contains(dead, strconv.Itoa(i))
		}
		out.Hosts = append(out.Hosts, h)
	}
	slices.SortFunc(out.Hosts, func(a, b hostAnswer) int { return strings.Compare(a.Host, b.Host) })
	return out, nil
}

// boxes are the engine's containers.
type boxes []container.Summary

func (s *Server) boxes(ctx context.Context) boxes {
	cli, err := s.opts.Servers.Docker(ctx)
	if err != nil {
		return nil
	}
	list, err := cli.ContainerList(ctx, container.ListOptions{})
	if err != nil {
		return nil
	}
	return list
}

// at returns the container that answers at a backend: by its address, or a port that
// it publishes.
func (all boxes) at(backend string) *containerAnswer {
	u, err := url.Parse(backend)
	if err != nil {
		return nil
	}
	for _, c := range all {
		found := false
		if c.NetworkSettings != nil {
			for _, n := range c.NetworkSettings.Networks {
				found = found || n != nil && n.IPAddress != "" && n.IPAddress == u.Hostname()
			}
		}
		for _, p := range c.Ports {
			found = found || p.PublicPort != 0 && strconv.Itoa(int(p.PublicPort)) == u.Port()
		}
		if !found || len(c.Names) == 0 {
			continue
		}
		a := &containerAnswer{
			Name: strings.TrimPrefix(c.Names[0], "/"), App: c.Labels["mepc.app"], Release: c.Labels["mepc.release"], Image: c.Labels["mepc.image"],
			Version: c.Labels["mepc.version"], State: c.State, Status: c.Status, Created: time.Unix(c.Created, 0),
		}
		if a.Image == "" {
			a.Image = c.Image
		}
		if a.Version == "" {
			_, a.Version = state.SplitTag(a.Image)
		}
		return a
	}
	return nil
}
