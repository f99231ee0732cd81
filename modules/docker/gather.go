package docker

import (
	"context"
	"errors"
	"io"
	"log"
	"net/http"
	"strings"
	"time"

	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/client"

	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/internal/ship"
)

// reach is how long an engine may take to reach this process.
const reach = 10 * time.Second

// gathering is an image that an engine pushes to a registry in this process, under a
// name of its own.
type gathering struct {
	*ship.Registry
	from   *Engine
	name   string
	runs   string // the digest of the manifest that is wanted; empty: there is one
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
	runs, err := e.runs(ctx, img)
	if err != nil {
		return err
	}
	l, err := e.world.Listen(ctx)
	if err != nil {
		return err
	}
	r := ship.NewRegistry()
	defer r.Close()
	server := &http.Server{Handler: r, ReadHeaderTimeout: reach, ErrorLog: log.New(io.Discard, "", 0)}
	served := failure.Go(func() error { return server.Serve(l) }) // ends with Close
	defer func() {
		_ = server.Close()
		<-served
	}()

	g := &gathering{r, e, l.Addr().String() + "/" + name, runs, len(img.RootFS.Layers), m}
	if err := e.name(ctx, img.ID, g.name); err != nil {
		return err
	}
	defer func() {
		ctx, cancel := e.world.Clock().WithTimeout(context.WithoutCancel(ctx), settleTime, nil)
		defer cancel()
		_ = e.untag(ctx, g.name) // a name that is left is taken over by the next push of the image
	}()
	return do(g)
}

// file is a blob that was pushed; nil: it was not.
func (g *gathering) file(digest string) *ship.File {
	size, kept := g.Size(digest)
	if !kept {
		return nil
	}
	return &ship.File{Size: size, WriteTo: func(w io.Writer) error { return g.Copy(w, digest) }}
}

// forsaken removes the names under which a run that was cut off pushed the image:
// those whose address has no listener any more.
func (e *Engine) forsaken(ctx context.Context, img image.InspectResponse, name string) {
	for _, tag := range img.RepoTags {
		address, ours := strings.CutSuffix(tag, "/"+name)
		if !ours || name == "" || !nearby(e.Endpoint()) {
			continue
		}
		if conn, err := e.world.Dial(ctx, "tcp", address); err == nil {
			_ = conn.Close()
			continue
		}
		_ = e.untag(ctx, tag) // the next shipment tries again
	}
}

// push pushes the image once, and returns what it consists of. An engine that does
// not reach the registry is not waited for.
func (g *gathering) push(ctx context.Context) (*ship.Pushed, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	failure.Go(func() error {
		late, stop := g.from.world.Clock().WithTimeout(ctx, reach, nil)
		defer stop()
		select {
		case <-g.Reached():
		case <-late.Done():
			cancel(errors.New("it does not reach this process"))
		}
		return nil
	})
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
	p := g.Pushed(g.runs, g.layers)
	if p == nil {
		return nil, errors.New("what it pushed is not the image")
	}
	return p, nil
}
