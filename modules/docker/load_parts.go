package docker

import (
	"context"
	"io"

	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/client"

	"github.com/mepc/mepc-run/internal/failure"
)

// feed loads the tar that write writes, of size bytes; 0: unknown.
func (e *Engine) feed(ctx context.Context, size int64, write func(io.Writer) error, settle look) error {
	in, out := io.Pipe()
	written := failure.Go(func() error {
		return out.CloseWithError(failure.Protect(func() error { return write(out) }))
	})
	err := e.change(ctx, func(ctx context.Context, c *client.Client) error {
		resp, err := c.ImageLoad(ctx, io.TeeReader(in, e.meter(ctx, size)))
		if err == nil {
			_, err = readLoad(resp.Body)
			_ = resp.Body.Close() // read to its end, or broken
		}
		return err
	}, settle)
	_ = in.CloseWithError(io.ErrClosedPipe) // the engine may have answered before it read all
	<-written
	return err
}

// named looks whether a name is that of an image.
func (e *Engine) named(ref, id string) look {
	return func(ctx context.Context) (bool, string, error) {
		now, err := e.inspectImage(ctx, ref)
		if isKind(err, failure.NotFound) {
			return false, ref + " is not there", nil
		}
		return err == nil && now.ID == id, ref + " is another image", err
	}
}

// name gives an image a name.
func (e *Engine) name(ctx context.Context, id, ref string) error {
	return e.change(ctx, func(ctx context.Context, c *client.Client) error {
		return c.ImageTag(ctx, id, ref)
	}, e.named(ref, id))
}

// untag takes a name away and, where it is the only one, the image. One that is not
// there is fine.
func (e *Engine) untag(ctx context.Context, ref string) error {
	return found(e.change(ctx, func(ctx context.Context, c *client.Client) error {
		_, err := c.ImageRemove(ctx, ref, image.RemoveOptions{PruneChildren: true})
		return err
	}, gone(ref, func(ctx context.Context) error {
		_, err := e.inspectImage(ctx, ref)
		return err
	})))
}
