package standing

import (
	"context"
	"maps"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/redis/go-redis/v9"

	"github.com/mepc/mepc-run/internal/clock"
	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/internal/lock"
	"github.com/mepc/mepc-run/servers"
)

// Options says where to look, and how an error of Redis is told.
type Options struct {
	Servers *servers.Clients
	Explain func(err error, endpoint string) error
	App     string // only this one; empty: all
}

const (
	listPrefix   = "frontend:"
	servedPrefix = "mepc:served:"
)

// view holds what was read.
type view struct {
	apps map[string]*App
	seen map[string]*Container // by address
	of   map[*Container]string // its app
}

// Look returns the apps that there are, by name.
func Look(ctx context.Context, opts Options) ([]*App, error) {
	v := &view{apps: map[string]*App{}, seen: map[string]*Container{}, of: map[*Container]string{}}
	if err := v.lookEngine(ctx, opts); err != nil {
		return nil, err
	}
	store, name, err := opts.Servers.Redis(ctx, "")
	if err == nil {
		err = v.lookRedis(ctx, store, opts)
	}
	if err == nil {
		err = v.lookLocks(ctx, lock.InRedis(store, name, clock.Wall{}, func(err error) error { return opts.Explain(err, name) }))
	}
	if err != nil {
		return nil, err
	}
	var all []*App
	for _, name := range slices.Sorted(maps.Keys(v.apps)) {
		if a := v.apps[name]; opts.App == "" || name == opts.App {
			a.settle()
			all = append(all, a)
		}
	}
	if opts.App != "" && len(all) == 0 {
		known := slices.Sorted(maps.Keys(v.apps))
		e := failure.New(failure.NotFound, "no app %s: no container has its label, and no routing list is its", opts.App)
		if len(known) == 0 {
			return nil, e.WithHint("nothing is deployed here: `mepc-run bluegreen --help` tells how to begin")
		}
		return nil, e.WithHint("there are %s: mepc-run ps", strings.Join(known, ", "))
	}
	return all, nil
}

func (v *view) app(name string) *App {
	a := v.apps[name]
	if a == nil {
		a = &App{Name: name, Hosts: []*Host{}, Releases: []*Release{}}
		v.apps[name] = a
	}
	return a
}

// lookEngine reads the replicas of all apps, in one request.
func (v *view) lookEngine(ctx context.Context, opts Options) error {
	cli, name, err := opts.Servers.Docker(ctx, servers.DockerEndpoint{})
	if err != nil {
		return err
	}
	list, err := cli.ContainerList(ctx, container.ListOptions{
		All: true, Filters: filters.NewArgs(filters.Arg("label", "mepc.app"), filters.Arg("label", "mepc.release"), filters.Arg("label", "mepc.replica")),
	})
	if err != nil {
		return failure.Wrap(failure.Unavailable, err, "list the containers of %s", name)
	}
	for _, c := range list {
		v.add(c)
	}
	return nil
}

func (v *view) add(c container.Summary) {
	l := c.Labels
	a := v.app(l["mepc.app"])
	r := a.release(l["mepc.release"])
	if r == nil {
		r = &Release{ID: l["mepc.release"], Version: l["mepc.version"], Image: l["mepc.image"]}
		a.Releases = append(a.Releases, r)
	}
	box := &Container{Replica: l["mepc.replica"], State: c.State, Status: c.Status, Created: time.Unix(c.Created, 0).UTC()}
	if len(c.Names) > 0 {
		box.Name = strings.TrimPrefix(c.Names[0], "/")
	}
	for _, word := range []string{"unhealthy", "healthy", "starting"} {
		if strings.Contains(c.Status, "("+word) || strings.Contains(c.Status, "health: "+word) {
			box.Health = word
			break
		}
	}
	if box.Created.After(r.Created) {
		r.Created = box.Created
	}
	r.Containers = append(r.Containers, box)
	slices.SortFunc(r.Containers, func(x, y *Container) int { return strings.Compare(x.Name, y.Name) })
	v.of[box] = a.Name
	if c.State != "running" {
		return
	}
	if c.NetworkSettings != nil {
		for _, n := range c.NetworkSettings.Networks {
			if n != nil && n.IPAddress != "" {
				v.seen[net.JoinHostPort(n.IPAddress, l["mepc.port"])] = box
			}
		}
	}
	if at := l["mepc.advertise"]; at != "" {
		for _, p := range c.Ports {
			if p.PublicPort != 0 && strconv.Itoa(int(p.PrivatePort)) == l["mepc.port"] {
				v.seen[net.JoinHostPort(strings.Trim(at, "[]"), strconv.Itoa(int(p.PublicPort)))] = box
			}
		}
	}
}

// lookRedis reads the routing lists, and what is remembered of each app.
func (v *view) lookRedis(ctx context.Context, store redis.UniversalClient, opts Options) error {
	explain := func(err error) error { return opts.Explain(err, "") }
	lists, err := servers.Lists(ctx, store, listPrefix+"*", func(ctx context.Context, do func(context.Context) error) error { return do(ctx) })
	if err != nil {
		return explain(err)
	}
	for key, list := range lists {
		v.addList(strings.TrimPrefix(key, listPrefix), list)
	}
	pipe := store.Pipeline()
	dead, served, bad := map[*Host]*redis.StringSliceCmd{}, map[string]*redis.MapStringStringCmd{}, map[string]*redis.MapStringStringCmd{}
	for name, a := range v.apps {
		served[name], bad[name] = pipe.HGetAll(ctx, servedPrefix+name), pipe.HGetAll(ctx, "mepc:bad:"+name)
		for _, h := range a.Hosts {
			dead[h] = pipe.SMembers(ctx, "dead:"+h.Host)
		}
	}
	if pipe.Len() == 0 {
		return nil
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return explain(err)
	}
	for name, a := range v.apps {
		for _, h := range a.Hosts {
			h.history = strings.Fields(served[name].Val()[h.Host])
			h.bury(lists[listPrefix+h.Host], dead[h].Val())
		}
		for id, why := range bad[name].Val() {
			if r := a.release(id); r != nil {
				r.Bad = why
			}
		}
	}
	return nil
}

// addList adds a routing list to the app that its backends belong to, else to the one
// that its identifier names.
func (v *view) addList(host string, list []string) {
	h, app := &Host{Host: host, Backends: []*Backend{}}, ""
	for _, text := range list[1:] {
		at := slices.IndexFunc(h.Backends, func(b *Backend) bool { return b.URL == text })
		if at < 0 {
			at = len(h.Backends)
			b := &Backend{URL: text}
			h.Backends = append(h.Backends, b)
			if box := v.at(text); box != nil {
				app = v.of[box]
				b.Container = box.Name
				for _, r := range v.apps[app].Releases {
					if slices.Contains(r.Containers, box) {
						b.Release = r.ID
					}
				}
			}
		}
		h.Backends[at].Weight++
	}
	if app == "" {
		app = list[0]
	}
	a := v.app(app)
	a.Hosts = append(a.Hosts, h)
}

// at returns the container that answers at a backend.
func (v *view) at(backend string) *Container {
	u, err := url.Parse(backend)
	if err != nil {
		return nil
	}
	return v.seen[net.JoinHostPort(u.Hostname(), u.Port())]
}

// bury marks the backends at the positions that a router found dead.
func (h *Host) bury(list, positions []string) {
	for _, text := range positions {
		i, err := strconv.Atoi(text)
		if err != nil || i < 0 || i+1 >= len(list) {
			continue
		}
		for _, b := range h.Backends {
			b.Dead = b.Dead || b.URL == list[i+1]
		}
	}
}

func (v *view) lookLocks(ctx context.Context, place *lock.Redis) error {
	for name, a := range v.apps {
		var err error
		if a.Lock, err = place.Look(ctx, name); err != nil {
			return err
		}
	}
	return nil
}
