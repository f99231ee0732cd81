package bluegreen

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/image"
)

// prune removes stopped containers, and the images that are older than the
// deployed one, beyond retain in all.
func (d *deployment) prune(ctx context.Context) error {
	doomed, err := d.doomed(ctx)
	if err != nil {
		return err
	}
	images, err := d.unused(ctx, doomed)
	if err != nil {
		return err
	}
	if err := d.claimed(ctx, d.store); err != nil {
		return err
	}
	for _, c := range doomed {
		now, err := d.engine.ContainerInspect(ctx, strings.TrimPrefix(c.Name, "/"))
		if err != nil {
			return err
		}
		if err := d.engine.ContainerRemove(ctx, now.ID, container.RemoveOptions{}); err != nil {
			return fmt.Errorf("remove %s: %w", c.Name, err)
		}
	}
	for _, name := range images {
		if _, err := d.engine.ImageRemove(ctx, name, image.RemoveOptions{PruneChildren: true}); err != nil {
			return fmt.Errorf("remove image %s: %w", name, err)
		}
	}
	return nil
}

// doomed returns the stopped containers of other releases, the last that ran first.
func (d *deployment) doomed(ctx context.Context) ([]container.InspectResponse, error) {
	old, err := d.old(ctx)
	var doomed []container.InspectResponse
	for _, c := range old {
		if c.State == container.StateRunning {
			continue
		}
		now, err := d.engine.ContainerInspect(ctx, c.ID) // the list does not tell when it ended
		if err != nil {
			return nil, err
		}
		doomed = append(doomed, now)
	}
	slices.SortFunc(doomed, func(a, b container.InspectResponse) int {
		return strings.Compare(b.State.FinishedAt, a.State.FinishedAt)
	})
	return doomed, err
}

// unused returns the images to remove once the containers doomed are gone.
func (d *deployment) unused(ctx context.Context, doomed []container.InspectResponse) ([]string, error) {
	repository, _, _ := strings.Cut(d.Image, ":")
	there, err := d.engine.ImageList(ctx, image.ListOptions{Filters: filters.NewArgs(filters.Arg("reference", repository))})
	if err != nil || len(there) <= retain && len(doomed) == 0 {
		return nil, err
	}
	all, err := d.engine.ContainerList(ctx, container.ListOptions{All: true})
	if err != nil {
		return nil, err
	}
	used := map[string]bool{}
	for _, c := range all {
		if !slices.ContainsFunc(doomed, func(o container.InspectResponse) bool { return o.ID == c.ID }) {
			used[c.ImageID] = true
		}
	}
	var unused []string
	if len(there) > retain {
		older, err := d.older(ctx, there)
		if err != nil {
			return nil, err
		}
		for _, i := range older[min(retain-1, len(older)):] { // the deployed one is retained, too
			if !used[i.ID] {
				unused = append(unused, i.RepoTags...)
			}
		}
	}
	for _, c := range doomed { // an image whose tag moved on has only its containers
		if used[c.Image] {
			continue
		}
		i, err := d.engine.ImageInspect(ctx, c.Image)
		if err != nil {
			return nil, err
		}
		if len(i.RepoTags) == 0 {
			used[c.Image] = true
			unused = append(unused, c.Image)
		}
	}
	return unused, nil
}

// older returns those of the images that were made before the one that is deployed, the
// newest first. The list tells their age in full seconds only.
func (d *deployment) older(ctx context.Context, images []image.Summary) ([]image.InspectResponse, error) {
	var older []image.InspectResponse
	for _, s := range images {
		i, err := d.engine.ImageInspect(ctx, s.ID)
		if err != nil {
			return nil, err
		}
		if i.Created < d.image.Created { // RFC 3339, in UTC
			older = append(older, i)
		}
	}
	slices.SortFunc(older, func(a, b image.InspectResponse) int { return strings.Compare(b.Created, a.Created) })
	return older, nil
}
