package docker

import (
	"archive/tar"
	"context"
	"encoding/json"
	"errors"
	"io"
	"strings"

	units "github.com/docker/go-units"

	"github.com/mepc/mepc-run/internal/effect"
	"github.com/mepc/mepc-run/internal/ship"
)

// maxConfig bounds the configuration of an image in a tar.
const maxConfig = 8 << 20

// layersOf returns the digests of an image's layers, from its configuration in a tar.
func layersOf(r io.Reader, of saved) ([]string, error) {
	for t := tar.NewReader(r); ; {
		h, err := t.Next()
		if err != nil {
			return nil, err
		}
		if h.Name != of.Config {
			continue
		}
		var config struct{ RootFS rootFS }
		err = json.NewDecoder(io.LimitReader(t, maxConfig)).Decode(&config)
		return config.RootFS.DiffIDs, err
	}
}

// loadMissing loads a tar of one image without the layers that the engine has. A nil
// result without an error means that there is a doubt, and that all of it is to be sent.
func (e *Engine) loadMissing(ctx context.Context, a *loadArgs) (*Loaded, error) {
	open := func() (io.ReadCloser, error) { f, _, err := e.world.Open(a.File); return f, err }
	f, err := open()
	if err != nil {
		return nil, fileFailed(err, "read")
	}
	images, err := readArchive(f)
	_ = f.Close() // it was only read
	if err != nil || len(images) != 1 {
		return nil, nil
	}
	img := images[0]
	if got, err := e.verify(ctx, images, nil); err == nil {
		effect.Unaltered(ctx)
		return got, nil
	}
	if packs, err := e.packs(ctx); err != nil || packs {
		return nil, err // what it has cannot be told from the layers' digests
	}
	if f, err = open(); err != nil {
		return nil, fileFailed(err, "read")
	}
	layers, err := layersOf(f, img)
	_ = f.Close() // it was only read
	if err != nil || len(layers) != len(img.Layers) {
		return nil, nil
	}
	have, err := e.depth(ctx, layers)
	if err != nil || have == 0 {
		return nil, err
	}
	name := ""
	if len(img.RepoTags) > 0 {
		name = temporary + ":" + strings.TrimPrefix(img.id(), "sha256:")
	}
	part := &ship.Part{Have: have}
	ok, err := e.loadPart(ctx, open, ship.Image{Layers: layers, Name: name}, img.id(), part)
	if err == nil && !ok && name != "" {
		err = e.untag(ctx, name) // the loaded part is useless
	}
	if err != nil || !ok {
		return nil, err
	}
	for _, ref := range img.RepoTags {
		if err := e.name(ctx, img.id(), ref); err != nil {
			return nil, err
		}
	}
	if name != "" {
		if err := e.untag(ctx, name); err != nil {
			return nil, err
		}
	}
	effect.Note(ctx, strings.Join(img.RepoTags, " ")+", "+units.HumanSize(float64(part.LeftOut))+" of it was there")
	return e.verify(ctx, images, nil)
}

// loadPart sends a part of an image, and says whether the engine has the whole of it
// now.
func (e *Engine) loadPart(ctx context.Context, open func() (io.ReadCloser, error), img ship.Image, id string, part *ship.Part) (bool, error) {
	f, err := open()
	if err != nil {
		return false, fileFailed(err, "read")
	}
	defer f.Close()
	is := e.named(id, id)
	err = e.feed(ctx, 0, func(w io.Writer) error {
		part.W = w
		return ship.Split(f, img, part)
	}, is)
	var refused *errStreamFailed
	if errors.As(err, &refused) {
		return false, nil // whatever it does not like, it gets all of it
	}
	if err != nil {
		return false, err
	}
	there, _, err := is(ctx)
	return there, err
}
