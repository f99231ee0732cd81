package docker

import (
	"context"
	"slices"

	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/system"
	"github.com/docker/docker/api/types/versions"
	"github.com/docker/docker/client"

	"github.com/mepc/mepc-run/internal/failure"
)

// The APIs of engines that know zstd (23), that save an image as an OCI layout, too
// (25), and that say whether all of an image is there (28).
const (
	knowsZstd    = "1.42"
	savesLayouts = "1.44"
	saysComplete = "1.48"
)

// refusesParts says why an engine with the containerd image store is to be sent all of
// an image; empty: it is not.
func (s *shipment) refusesParts(ctx context.Context, t *target) (string, error) {
	from, err := s.from.api(ctx)
	if err != nil {
		return "", at(s.from, err)
	}
	to, err := t.api(ctx)
	switch {
	case err != nil:
		return "", err
	case versions.LessThan(from, savesLayouts):
		return "it keeps images in containerd, and the source is older than version 25", nil
	case versions.LessThan(to, saysComplete):
		return "it keeps images in containerd, and is older than version 28", nil
	}
	return "", nil
}

// unpacks refuses a compression that the target does not know.
func (s *shipment) unpacks(ctx context.Context, t *target) error {
	if s.a.Compress != "zstd" {
		return nil
	}
	api, err := t.api(ctx)
	if err == nil && versions.LessThan(api, knowsZstd) {
		return failure.New(failure.Invalid, "it is older than version 23, and knows no zstd").WithHint(`compress="gzip" is known everywhere`)
	}
	return err
}

// api returns the version of the API that is spoken with an engine that was asked
// something before.
func (e *Engine) api(ctx context.Context) (string, error) {
	c, _, err := e.world.Docker(ctx, e.ep)
	if err != nil {
		return "", err
	}
	return c.ClientVersion(), nil
}

// manifests returns what an engine with the containerd image store keeps of an image.
func (e *Engine) manifests(ctx context.Context, ref string) (list []image.ManifestSummary, err error) {
	err = e.read(ctx, func(ctx context.Context, c *client.Client) error {
		i, err := c.ImageInspect(ctx, ref, client.ImageInspectWithManifests(true))
		list = i.Manifests
		return err
	})
	return list, err
}

// complete reports whether an engine with the containerd image store has all of an
// image. One may run that lacks what it was unpacked from, and cannot be saved.
func (e *Engine) complete(ctx context.Context, img image.InspectResponse) (bool, error) {
	list, err := e.manifests(ctx, img.ID)
	return runs(list, img) != "", err
}

// runs returns the digest of the manifest that an engine with the containerd image
// store runs of an image: the image's own, or one of the several of an index. Empty:
// the engine has another store, or does not have all of it.
func (e *Engine) runs(ctx context.Context, img image.InspectResponse) (string, error) {
	if img.Descriptor == nil {
		return "", nil
	}
	list, err := e.manifests(ctx, img.ID)
	return runs(list, img), err
}

// runs chooses as the engine does, which describes an image as the manifest that it
// runs. An index may call a platform by less than the image itself does.
func runs(list []image.ManifestSummary, img image.InspectResponse) string {
	for _, exactly := range []bool{true, false} {
		for _, m := range list {
			if !m.Available || m.Kind != image.ManifestKindImage || m.ImageData == nil {
				continue
			}
			p := m.ImageData.Platform
			if p.OS == img.Os && p.Architecture == img.Architecture && (!exactly || p.Variant == img.Variant) {
				return m.ID
			}
		}
	}
	return ""
}

// packs reports whether an engine has the containerd image store.
func (e *Engine) packs(ctx context.Context) (is bool, err error) {
	err = e.read(ctx, func(ctx context.Context, c *client.Client) error {
		info, err := c.Info(ctx)
		is = containerdStore(&info)
		return err
	})
	return is, err
}

func containerdStore(info *system.Info) bool {
	return slices.ContainsFunc(info.DriverStatus, func(kv [2]string) bool {
		return kv[0] == "driver-type" && kv[1] == "io.containerd.snapshotter.v1"
	})
}
