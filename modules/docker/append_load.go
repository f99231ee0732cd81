package docker

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/docker/docker/api/types/image"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/internal/ship"
)

// addition is an image that is to be laid on another.
type addition struct {
	id    string
	write func(w io.Writer, name string) error // the tar, without what the engine has
}

// addTo is the addition for an engine that knows layers by what is in them.
func addTo(base image.InspectResponse, config []byte, layer *ship.File) *addition {
	layers := append(make([]*ship.File, len(base.RootFS.Layers)), layer)
	return &addition{
		id:    fmt.Sprintf("sha256:%x", sha256.Sum256(config)),
		write: func(w io.Writer, name string) error { return ship.Join(w, name, config, layers) },
	}
}

// addLayout is the addition for an engine with the containerd image store, which
// knows layers by what they are compressed to. A push of the base tells that.
func (e *Engine) addLayout(ctx context.Context, a *appendArgs, base image.InspectResponse, config []byte, diffID string, layer *ship.File) (*addition, error) {
	var manifest []byte
	configDigest := fmt.Sprintf("sha256:%x", sha256.Sum256(config))
	name := temporary + ":" + strings.TrimPrefix(base.ID, "sha256:")
	err := e.gather(ctx, base, name, e.meter(ctx, 0), func(g *gathering) error {
		g.Want(0)
		pushed, err := g.push(ctx)
		if err != nil {
			return err
		}
		m := pushed.Manifest
		m.SchemaVersion, m.MediaType = 2, ocispec.MediaTypeImageManifest
		m.Config = ship.Descriptor{MediaType: ocispec.MediaTypeImageConfig, Digest: configDigest, Size: int64(len(config))}
		m.Layers = append(m.Layers, ship.Descriptor{MediaType: ocispec.MediaTypeImageLayer, Digest: diffID, Size: layer.Size})
		manifest, err = json.Marshal(m)
		return err
	})
	if err != nil {
		return nil, failure.New(failure.Refused, "the layers of %s cannot be told, which an engine that keeps images in containerd wants to know: %v", a.Base, err).
			WithHint("docker.build makes an image of any base")
	}
	blobs := map[string]*ship.File{configDigest: ship.InMemory(config), diffID: layer}
	return &addition{
		id: fmt.Sprintf("sha256:%x", sha256.Sum256(manifest)),
		write: func(w io.Writer, name string) error {
			m := &ship.Manifest{MediaType: ocispec.MediaTypeImageManifest, Raw: manifest}
			return ship.JoinLayout(w, name, &ship.Pushed{Manifest: m}, blobs)
		},
	}, nil
}

// loadAppended sends the parts of the image that the engine lacks.
func (e *Engine) loadAppended(ctx context.Context, name string, add *addition, size int64) error {
	is := e.named(name, add.id)
	if err := e.feed(ctx, size, func(w io.Writer) error { return add.write(w, name) }, is); err != nil {
		return err
	}
	if ok, saw, err := is(ctx); err != nil || !ok {
		return failure.New(failure.Refused, "the engine took the image, and %s (%v)", saw, err).
			WithHint("the engine's log says more: `journalctl -u docker`")
	}
	return nil
}
