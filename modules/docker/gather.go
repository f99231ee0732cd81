package docker

import (
	"context"
	"errors"
	"io"
	"log"
	"net/http"
	"sync"
	"time"

	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/client"

	"github.com/mepc/mepc-run/internal/registry"
)

// reach is how long an engine may take to reach this process.
const reach = 10 * time.Second

// gathering is an image that an engine pushes to a registry in this process, under a
// name of its own.
type gathering struct {
	*registry.Registry
	from   *Engine
	name   string
	layers int
	report *meter
}

// gather lets do push the image with an ID to a registry in this process. The name
// that it is pushed by is taken away afterwards, so the image has to have another.
func (e *Engine) gather(ctx context.Context, img image.InspectResponse, name string, m *meter, do func(*gathering) error) error {
	if !nearby(e.Endpoint()) {
		return errors.New("an engine on another machine does not reach this one")
	}
	if len(img.RepoTags) == 0 {
		return errors.New("an image without a name would be removed with the one that it is pushed by")
	}
	l, err := e.world.Listen(ctx)
	if err != nil {
		return err
	}
	r := registry.New()
	defer r.Close()
	server := &http.Server{Handler: r, ReadHeaderTimeout: reach, ErrorLog: log.New(io.Discard, "", 0)}
	var serving sync.WaitGroup
	serving.Go(func() { _ = server.Serve(l) }) // ends with Close
	defer serving.Wait()
	defer server.Close()

	g := &gathering{r, e, l.Addr().String() + "/" + name, len(img.RootFS.Layers), m}
	if err := e.name(ctx, img.ID, g.name); err != nil {
		return err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTime)
		defer cancel()
		_ = e.untag(ctx, g.name) // a name that is left is taken over by the next push of the image
	}()
	return do(g)
}

// push pushes the image once, and returns what it consists of. An engine that does
// not reach the registry is not waited for.
func (g *gathering) push(ctx context.Context) (*registry.Manifest, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() {
		late, stop := context.WithTimeout(ctx, reach)
		defer stop()
		select {
		case <-g.Reached():
		case <-late.Done():
			cancel(errors.New("it does not reach this process"))
		}
	}()
	err := g.from.change(ctx, func(ctx context.Context, c *client.Client) error {
		body, err := c.ImagePush(ctx, g.name, image.PushOptions{RegistryAuth: noAuth})
		if err != nil {
			return err
		}
		defer body.Close()
		return follow(body, func(msg *message) {
			if msg.Status == "Pushing" {
				g.report.text("compressing what was never pushed before")
			}
		})
	}, nil)
	if err != nil && context.Cause(ctx) != nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		return nil, err
	}
	m := g.Manifest(g.layers)
	if m == nil {
		return nil, errors.New("what it pushed is not the image")
	}
	return m, nil
}
