package docker

import (
	"context"
	"errors"
	"io"
	"strings"
	"time"

	"github.com/docker/docker/client"
	units "github.com/docker/go-units"

	"github.com/mepc/mepc-run/internal/effect"
	"github.com/mepc/mepc-run/internal/failure"
)

type loadArgs struct {
	File        string        `lua:"file,pos,required,target" doc:"the tar file"`
	SkipPresent bool          `lua:"skip_present" doc:"true: do not send the layers that the engine has; an image that is there is left alone, and where there is a doubt all is sent"`
	Timeout     time.Duration `lua:"timeout" default:"30m" doc:"how long it may take"`
}

// Op bounds the call by its own option.
func (a *loadArgs) Op(op *effect.Op) { op.Timeout = a.Timeout }

// Loaded is the result of a load.
type Loaded struct {
	Images []string `lua:"images" doc:"the images' names, in the file's order; an image without one is not here"`
	IDs    []string `lua:"ids" doc:"the IDs of all images, in the file's order, as the engine has them"`
}

func (e *Engine) load(ctx context.Context, a *loadArgs) (*Loaded, error) {
	if a.SkipPresent {
		if out, err := e.loadMissing(ctx, a); out != nil || err != nil {
			return out, err
		}
	}
	f, size, err := e.world.Open(a.File)
	if err != nil {
		return nil, fileFailed(err, "read")
	}
	defer f.Close()
	if size == 0 {
		return nil, failure.New(failure.Invalid, "the file is empty")
	}
	tar := newSource(f, e.meter(ctx, size))
	out, err := e.loadFrom(ctx, tar)
	if tar.failed() != nil {
		return nil, fileFailed(tar.failed(), "read")
	}
	var bad *badArchive
	if errors.As(err, &bad) {
		return nil, failure.New(failure.Invalid, "the engine cannot load it: %s", bad.text).WithHint("%s", bad.hint())
	}
	if err != nil {
		return nil, err
	}
	effect.Note(ctx, units.HumanSize(float64(size))+" "+strings.Join(out.Images, " "))
	return out, nil
}

// badArchive is what the engine said of a tar that it did not take, beside what
// we saw in it.
type badArchive struct {
	text string
	tar  error // what is wrong with the tar itself, nil when nothing is
}

func (b *badArchive) Error() string { return b.text }

func (b *badArchive) hint() string {
	switch {
	case errors.Is(b.tar, io.ErrUnexpectedEOF):
		return "the file is cut off: write it again"
	case errors.Is(b.tar, errLayout):
		return "the file is an OCI layout, which engines load from version 25 on: docker save of an older engine makes what all of them load"
	case b.tar != nil && !errors.Is(b.tar, errCompressed):
		return "the file is no image that docker save made: " + b.tar.Error()
	}
	return "the engine's log says more: `journalctl -u docker`; is its disk full?"
}

// loadFrom loads tar and verifies the result.
func (e *Engine) loadFrom(ctx context.Context, tar *source) (*Loaded, error) {
	var (
		images   []saved // in the tar
		tarErr   error
		reported []string
		settled  *Loaded
	)
	err := e.change(ctx, func(ctx context.Context, c *client.Client) error {
		refs, err := sendTar(ctx, c, tar)
		var failed *errStreamFailed
		refused := errors.As(err, &failed)
		images, tarErr = tar.finish(err == nil)
		switch {
		case tar.failed() != nil:
			return failure.Wrap(failure.Unavailable, tar.failed(), "the tar ended early")
		case errors.Is(err, errNotStream):
			return failure.New(failure.Unknown, "%s", err.Error()).WithHint("is there a proxy before the engine?")
		case refused:
			return failure.Wrap(failure.Invalid, &badArchive{failed.text, tarErr}, "the engine cannot load it")
		}
		reported = refs
		return err
	}, func(ctx context.Context) (bool, string, error) {
		if tarErr != nil || len(images) == 0 {
			return false, "", errNoManifest
		}
		var err error
		settled, err = e.verify(ctx, images, nil)
		return err == nil, "not all of its images are there", nil
	})
	switch {
	case err != nil:
		return nil, err
	case settled != nil:
		return settled, nil
	case len(reported) == 0, len(images) == 0 && !unread(tarErr):
		return nil, failure.Wrap(failure.Invalid, &badArchive{"it found no image in it", tarErr}, "the engine loaded nothing")
	}
	return e.verify(ctx, images, reported)
}

// sendTar returns the references that the engine says it loaded, once it has
// let go of tar: an engine may answer before it has read all.
func sendTar(ctx context.Context, c *client.Client, tar *source) ([]string, error) {
	resp, err := c.ImageLoad(ctx, tar)
	var refs []string
	if err == nil {
		refs, err = readLoad(resp.Body)
		_ = resp.Body.Close() // read to its end, or broken
	}
	select {
	case <-tar.closed:
	case <-ctx.Done():
	}
	return refs, err
}

// readLoad returns the references that the engine says it loaded.
func readLoad(body io.Reader) ([]string, error) {
	var refs []string
	var unpack string
	err := readStream(body, func(m *message) {
		for line := range strings.Lines(m.Stream) {
			line = strings.TrimSpace(line)
			if ref, ok := strings.CutPrefix(line, "Loaded image: "); ok {
				refs = append(refs, ref)
			} else if ref, ok := strings.CutPrefix(line, "Loaded image ID: "); ok {
				refs = append(refs, ref)
			} else if strings.HasPrefix(line, "Error unpacking image") {
				unpack = line // the containerd store says so in passing, and claims success
			}
		}
	})
	if err == nil && unpack != "" {
		err = &errStreamFailed{text: unpack}
	}
	return refs, err
}

// unread reports whether a tar may well have images, which only the engine saw.
func unread(err error) bool { return errors.Is(err, errCompressed) || errors.Is(err, errLayout) }

// verify looks for each image: those that are in the tar, or, where it was not read,
// those that the engine reported.
func (e *Engine) verify(ctx context.Context, images []saved, reported []string) (*Loaded, error) {
	out := &Loaded{}
	if len(images) == 0 {
		for _, ref := range reported {
			images = append(images, saved{RepoTags: []string{ref}})
		}
	}
	for _, want := range images {
		refs := want.RepoTags
		if len(refs) == 0 {
			refs = []string{want.id()}
		}
		id := ""
		for _, ref := range refs {
			raw, err := e.inspectImage(ctx, ref)
			if isKind(err, failure.NotFound) {
				return nil, failure.New(failure.Refused, "the engine says it loaded %s, but it is not there", ref).
					WithHint("load it again; the engine's log says more: `journalctl -u docker`")
			}
			if err != nil {
				return nil, err
			}
			// An engine with the containerd store knows images by their manifest's
			// digest, which the tar need not have.
			if want.Config != "" && raw.Descriptor == nil && raw.ID != want.id() {
				return nil, failure.New(failure.Conflict, "%s is image %s on the engine, not %s, which was loaded", ref, short(raw.ID), short(want.id())).
					WithHint("someone else gave the name to another image meanwhile")
			}
			if n := len(raw.RootFS.Layers); want.Config != "" && n != len(want.Layers) {
				return nil, failure.New(failure.Refused, "%s has %d layers on the engine, %d in the tar", ref, n, len(want.Layers)).
					WithHint("load it again; the engine's log says more: `journalctl -u docker`")
			}
			id = raw.ID
		}
		out.IDs = append(out.IDs, id)
		for _, ref := range refs {
			if !strings.HasPrefix(ref, "sha256:") {
				out.Images = append(out.Images, ref)
			}
		}
	}
	return out, nil
}
