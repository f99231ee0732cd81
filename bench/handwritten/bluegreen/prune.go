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
	old, err := d.old(ctx)
	if err != nil {
		return err
	}
	doomed := slices.DeleteFunc(old, func(c container.InspectResponse) bool { return c.State.Running })
	images, err := d.unused(ctx, doomed)
	if err != nil {
		return err
	}
	if err := d.claimed(ctx, d.store); err != nil {
		return err
	}
	for _, c := range doomed {
		if err := d.engine.ContainerRemove(ctx, c.Name, container.RemoveOptions{}); err != nil {
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

// unused returns the images to remove once the containers doomed are gone.
func (d *deployment) unused(ctx context.Context, doomed []container.InspectResponse) ([]string, error) {
	all, err := d.containers(ctx, container.ListOptions{All: true})
	if err != nil {
		return nil, err
	}
	used := map[string]bool{}
	for _, c := range all {
		if !slices.ContainsFunc(doomed, func(o container.InspectResponse) bool { return o.ID == c.ID }) {
			used[c.Image] = true
		}
	}
	older, err := d.olderImages(ctx)
	if err != nil {
		return nil, err
	}
	var unused []string
	for _, i := range older[min(retain-1, len(older)):] { // the deployed one is retained, too
		if !used[i.ID] {
			unused = append(unused, i.RepoTags...)
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

// olderImages returns the repository's images that were made before the one
// that is deployed, the newest first.
func (d *deployment) olderImages(ctx context.Context) ([]image.InspectResponse, error) {
	repository, _, _ := strings.Cut(d.Image, ":")
	found, err := d.engine.ImageList(ctx, image.ListOptions{Filters: filters.NewArgs(filters.Arg("reference", repository))})
	if err != nil {
		return nil, err
	}
	var older []image.InspectResponse
	for _, s := range found {
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
