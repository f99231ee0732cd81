package docker

import (
	"context"
	"strings"
	"time"

	"github.com/docker/docker/client"

	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/runtime"
)

func historyFunc() runtime.Func {
	return runtime.Func{
		Name: "history", Class: runtime.Read,
		Doc:  "Tells how an image was made, step by step.",
		From: "GET /images/{name}/history", Returns: "the steps, the newest first",
		Raises: reads(failure.Invalid, failure.NotFound), Example: `log(docker.history("mepc/app:1.1")[1].created_by)`,
		Call: runtime.Effect((*Engine).history),
	}
}

// Layer is one step of an image's history.
type Layer struct {
	ID        string       `lua:"id" doc:"the image's as it was after this step; empty where the engine does not know it"`
	Created   time.Time    `lua:"created" doc:"when it was made, in seconds since 1970"`
	CreatedBy string       `lua:"created_by" doc:"the instruction"`
	Comment   string       `lua:"comment" doc:"the comment of the image's author"`
	Tags      []string     `lua:"tags" doc:"the names of the image as it was after this step"`
	Size      runtime.Size `lua:"size" doc:"what it added, in bytes"`
}

func (e *Engine) history(ctx context.Context, a *imageArgs) ([]Layer, error) {
	raw, err := e.inspectImage(ctx, a.Image)
	if err != nil {
		return nil, err
	}
	list := []Layer{}
	err = e.read(ctx, func(ctx context.Context, c *client.Client) error {
		got, err := c.ImageHistory(ctx, raw.ID)
		for _, h := range got {
			list = append(list, Layer{
				ID: strings.TrimPrefix(h.ID, "<missing>"), Created: time.Unix(h.Created, 0), CreatedBy: h.CreatedBy, Comment: h.Comment,
				Tags: h.Tags, Size: runtime.Size(h.Size),
			})
		}
		return err
	})
	return list, err
}
