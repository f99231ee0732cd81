package guard

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/client"

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
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	stores, err := g.world.Stores(ctx)
	if err != nil {
		return nil // the run has done its work, and nobody can be asked
	}
	engines := g.world.Engines(ctx)
	for _, l := range lists {
		store := stores[l.endpoint]
		if store == nil {
			continue
		}
		backends, err := store.LRange(ctx, l.key, 1, -1).Result()
		if err != nil {
			g.say("not looked at, whether " + l.key + " leads to one version: " + err.Error())
			continue
		}
		for _, app := range slices.Sorted(maps.Keys(apps)) {
			images := g.images(ctx, engines, app, backends)
			if len(images) > apps[app] {
				return failure.New(failure.Denied, "the run ends with %d versions of %s in %s: %s", len(images), app, l.key, strings.Join(images, ", ")).
					WithHint("a recipe that means it says so: lock(%q, {versions = %d}); or lift this guard with --allow %s", app, len(images), Versions)
			}
		}
	}
	return nil
}

// images returns the images of the app's containers that backends lead to, each as
// the name of one of its containers.
func (g *Guard) images(ctx context.Context, engines map[string]*client.Client, app string, backends []string) []string {
	found := map[string]string{}
	for name, cli := range engines {
		list, err := cli.ContainerList(ctx, container.ListOptions{Filters: filters.NewArgs(filters.Arg("label", "mepc.app="+app))})
		if err != nil {
			g.say("not looked at on " + name + ", which versions of " + app + " have traffic: " + err.Error())
			continue
		}
		for _, c := range list {
			full, err := cli.ContainerInspect(ctx, c.ID)
			if err == nil && slices.ContainsFunc(backends, func(b string) bool { return answers(&full, b) }) {
				found[full.Image] = strings.TrimPrefix(full.Name, "/")
			}
		}
	}
	return slices.Sorted(maps.Values(found))
}
