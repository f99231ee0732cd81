package docker

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/versions"
	"github.com/docker/docker/client"
	units "github.com/docker/go-units"

	"github.com/mepc/mepc-run/internal/effect"
	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/runtime"
)

func pruneFunc() runtime.Func {
	return runtime.Func{
		Name: "prune", Class: runtime.Destructive,
		Doc:  "Removes the containers with given labels that do not run: stopped ones, and those that were never started.",
		From: "POST /containers/prune", Returns: "what was removed, by ID", Raises: writes(failure.Invalid, failure.Conflict),
		Example: `docker.prune{labels = {["mepc.app"] = "app"}}`,
		Call:    runtime.Effect((*Engine).prune),
	}
}

func pruneImagesFunc() runtime.Func {
	return runtime.Func{
		Name: "prune_images", Class: runtime.Destructive,
		Doc:  "Removes the images with given labels that have no name and that no container is made of; with names = true also those that have one.",
		From: "POST /images/prune", Returns: "what was removed, by ID and name", Raises: writes(failure.Invalid, failure.Conflict),
		Example: `docker.prune_images{labels = {["org.opencontainers.image.title"] = "mepc/app"}}`,
		Call:    runtime.Effect((*Engine).pruneImages),
	}
}

func networkPruneFunc() runtime.Func {
	return runtime.Func{
		Name: "network_prune", Class: runtime.Destructive,
		Doc:  "Removes the networks with given labels that no container is in.",
		From: "POST /networks/prune", Returns: "what was removed, by name", Raises: writes(failure.Invalid, failure.Conflict),
		Example: `docker.network_prune{labels = {["mepc.app"] = "app"}}`,
		Call:    runtime.Effect((*Engine).networkPrune),
	}
}

func volumePruneFunc() runtime.Func {
	return runtime.Func{
		Name: "volume_prune", Class: runtime.Destructive,
		Doc:  "Removes the volumes with given labels that no container has mounted, and what is in them.",
		From: "POST /volumes/prune", Returns: "what was removed, by name", Raises: writes(failure.Invalid, failure.Conflict),
		Example: `docker.volume_prune{labels = {["mepc.app"] = "app"}}`,
		Call:    runtime.Effect((*Engine).volumePrune),
	}
}

type pruneArgs struct {
	Labels map[string]string `lua:"labels,required" doc:"labels they have, one at least; an empty value stands for any"`
}

// Validate refuses what would take everything.
func (a *pruneArgs) Validate() error {
	if len(a.Labels) == 0 {
		return errors.New("labels: one label at least expected: without it everything that is unused would go")
	}
	return nil
}

// Pruned is what was removed.
type Pruned struct {
	Removed []string     `lua:"removed" doc:"what is gone"`
	Bytes   runtime.Size `lua:"bytes" doc:"how much room that made"`
}

func (e *Engine) pruned(ctx context.Context, f filters.Args, call func(context.Context, *client.Client, filters.Args) (Pruned, error)) (*Pruned, error) {
	var out Pruned
	err := e.change(ctx, func(ctx context.Context, c *client.Client) (err error) {
		out, err = call(ctx, c, f)
		return err
	}, nil)
	if err != nil {
		return nil, hint(err, failure.Conflict, "another prune is under way: try again in a moment")
	}
	if len(out.Removed) == 0 {
		effect.Unaltered(ctx)
		return &out, nil
	}
	effect.Note(ctx, fmt.Sprintf("%d removed, %s", len(out.Removed), units.HumanSize(float64(out.Bytes))))
	return &out, nil
}

func (e *Engine) prune(ctx context.Context, a *pruneArgs) (*Pruned, error) {
	return e.pruned(ctx, labelFilter(a.Labels), func(ctx context.Context, c *client.Client, f filters.Args) (Pruned, error) {
		got, err := c.ContainersPrune(ctx, f)
		return Pruned{got.ContainersDeleted, runtime.Size(got.SpaceReclaimed)}, err
	})
}

func (e *Engine) networkPrune(ctx context.Context, a *pruneArgs) (*Pruned, error) {
	return e.pruned(ctx, labelFilter(a.Labels), func(ctx context.Context, c *client.Client, f filters.Args) (Pruned, error) {
		got, err := c.NetworksPrune(ctx, f)
		return Pruned{Removed: got.NetworksDeleted}, err
	})
}

func (e *Engine) volumePrune(ctx context.Context, a *pruneArgs) (*Pruned, error) {
	return e.pruned(ctx, labelFilter(a.Labels), func(ctx context.Context, c *client.Client, f filters.Args) (Pruned, error) {
		if versions.GreaterThanOrEqualTo(c.ClientVersion(), "1.42") {
			f.Add("all", "true") // since then only those without a name go by themselves
		}
		got, err := c.VolumesPrune(ctx, f)
		return Pruned{got.VolumesDeleted, runtime.Size(got.SpaceReclaimed)}, err
	})
}

type pruneImagesArgs struct {
	pruneArgs
	Names bool `lua:"names" doc:"true: also those that have a name"`
}

func (e *Engine) pruneImages(ctx context.Context, a *pruneImagesArgs) (*Pruned, error) {
	f := labelFilter(a.Labels)
	f.Add("dangling", fmt.Sprint(!a.Names))
	return e.pruned(ctx, f, func(ctx context.Context, c *client.Client, f filters.Args) (Pruned, error) {
		before, err := c.ImageList(ctx, image.ListOptions{All: true})
		if err != nil {
			return Pruned{}, err
		}
		got, err := c.ImagesPrune(ctx, f)
		out := Pruned{Bytes: runtime.Size(got.SpaceReclaimed)}
		for _, d := range got.ImagesDeleted {
			out.add(d)
		}
		if err == nil && len(out.Removed) > 0 {
			err = out.steps(ctx, c, before)
		}
		return out, err
	})
}

// add notes what an engine removed; one with the containerd image store says it twice.
func (p *Pruned) add(d image.DeleteResponse) {
	for _, gone := range []string{d.Untagged, d.Deleted} {
		if gone != "" && !slices.Contains(p.Removed, gone) {
			p.Removed = append(p.Removed, gone)
		}
	}
}

// steps removes the steps of a build that led to what was removed, which do not have
// its labels: an engine with the containerd image store leaves them. One that is
// another image's too stays.
func (p *Pruned) steps(ctx context.Context, c *client.Client, before []image.Summary) error {
	var steps []string
	for _, i := range before {
		if slices.Contains(p.Removed, i.ID) && i.ParentID != "" && !slices.Contains(p.Removed, i.ParentID) {
			steps = append(steps, i.ParentID)
		}
	}
	if len(steps) == 0 {
		return nil
	}
	left, err := c.ImageList(ctx, image.ListOptions{All: true})
	if err != nil {
		return err
	}
	for _, i := range left {
		named := slices.ContainsFunc(i.RepoTags, func(tag string) bool { return tag != "<none>:<none>" })
		parent := slices.ContainsFunc(left, func(of image.Summary) bool { return of.ParentID == i.ID })
		if named || parent || !slices.Contains(steps, i.ID) {
			continue
		}
		list, err := c.ImageRemove(ctx, i.ID, image.RemoveOptions{PruneChildren: true})
		if err != nil && !errdefs.IsNotFound(err) && !errdefs.IsConflict(err) { // a container is made of it, say
			return err
		}
		for _, d := range list {
			p.add(d)
		}
	}
	return nil
}
