package guard

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/redis/go-redis/v9"

	"github.com/mepc/mepc-run/internal/effect"
	"github.com/mepc/mepc-run/internal/failure"
)

// changedList is a routing list that the run changed.
type changedList struct{ endpoint, key string }

// VersionsArg is the argument of the call lock that says how many images of the app
// may have traffic when the run is over.
const VersionsArg = "versions"

// locked notes whose lock the run takes.
func (g *Guard) locked(op *effect.Op) {
	most := 1
	for _, a := range op.Args {
		if n, err := strconv.Atoi(a.Value); a.Name == VersionsArg && err == nil {
			most = n
		}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.apps[op.Target] = most
}

func (g *Guard) changes(endpoint, key string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if l := (changedList{endpoint, key}); !slices.Contains(g.changed, l) {
		g.changed = append(g.changed, l)
	}
}

// End implements runtime.Ender: a run that ended well is refused when a list that it
// changed leads to more images of an app that it locked than may be.
func (g *Guard) End(ctx context.Context) error {
	g.mu.Lock()
	apps, lists := maps.Clone(g.apps), slices.Clone(g.changed)
	g.mu.Unlock()
	if len(apps) == 0 || len(lists) == 0 || g.lifted(Versions) {
		return nil
	}
	stores, err := g.world.Stores(ctx)
	if err != nil {
		return unseen(ctx, Versions, err, "cannot tell which versions have traffic")
	}
	for _, l := range lists {
		var backends []string
		err := g.trip(ctx, func(ctx context.Context) (err error) {
			backends, err = stores[l.endpoint].LRange(ctx, l.key, 1, -1).Result()
			return err
		})
		if redis.HasErrorPrefix(err, "WRONGTYPE") {
			continue
		}
		if err != nil {
			return g.unread(ctx, Versions, err, l.endpoint, "cannot tell whether %s leads to one version: it was not read at the run's end", l.key)
		}
		for _, app := range slices.Sorted(maps.Keys(apps)) {
			images, err := g.images(ctx, app, backends)
			if err != nil {
				return err
			}
			if len(images) > apps[app] {
				return failure.New(failure.Denied, "the run ends with %d versions of %s in %s: %s", len(images), app, l.key, strings.Join(images, ", ")).
					WithHint("if that is intended, declare it: lock(%q, {versions = %d}); or lift this guard with --allow %s", app, len(images), Versions)
			}
		}
	}
	return nil
}

// released is the label with a container's release.
const released = "mepc.release"

// images returns the images of the app's containers that backends lead to, each as
// the name of one of its containers. Engines whose stores differ know one image by
// several IDs, and one image may be released with several settings: containers that
// share either are of one.
func (g *Guard) images(ctx context.Context, app string, backends []string) ([]string, error) {
	var found []version
	for name, cli := range g.world.Engines(ctx) {
		err := g.trip(ctx, func(ctx context.Context) error {
			list, err := cli.ContainerList(ctx, container.ListOptions{Filters: filters.NewArgs(filters.Arg("label", "mepc.app="+app))})
			for _, c := range list {
				if p := listedPlace(&c); slices.ContainsFunc(backends, p.answers) {
					v := version{strings.TrimPrefix(p.name, "/"), []string{"image " + c.ImageID}}
					if r := c.Labels[released]; r != "" {
						v.marks = append(v.marks, "release "+r)
					}
					found = v.among(found)
				}
			}
			return err
		})
		if err != nil {
			return nil, unseen(ctx, Versions, err, "cannot tell which versions of %s have traffic on %s", app, name)
		}
	}
	var names []string
	for _, v := range found {
		names = append(names, v.name)
	}
	slices.Sort(names)
	return names, nil
}

// version identifies what containers have in common, and names one of them.
type version struct {
	name  string
	marks []string
}

// among returns all versions with v, which is one with those that share a mark with it.
func (v version) among(all []version) []version {
	var others []version
	for _, o := range all {
		if slices.ContainsFunc(o.marks, func(m string) bool { return slices.Contains(v.marks, m) }) {
			v.marks = append(v.marks, o.marks...)
		} else {
			others = append(others, o)
		}
	}
	return append(others, v)
}
