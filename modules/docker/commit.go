package docker

import (
	"context"
	"strings"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/client"

	"github.com/mepc/mepc-run/internal/effect"
	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/runtime"
)

func commitFunc() runtime.Func {
	return runtime.Func{
		Name: "commit", Class: runtime.Write,
		Doc:  "Makes an image of a container's files and configuration. What is in its volumes does not count. The container stands still meanwhile, unless pause is false.",
		From: "POST /commit", Returns: "the image",
		Raises:  writes(failure.Invalid, failure.NotFound, failure.Conflict),
		Example: `local id = docker.commit("app-blue", "mepc/app:debug", {changes = {'CMD ["/app"]'}}).id`,
		Call:    runtime.Effect((*Engine).commit),
	}
}

type commitArgs struct {
	Container string        `lua:"container,pos,required,target" doc:"its name or ID"`
	Name      string        `lua:"name,pos,required" doc:"the image's name; without a tag it is :latest. It leaves the image that had it"`
	Changes   []string      `lua:"changes" doc:"instructions of a Dockerfile that are applied: CMD, ENTRYPOINT, ENV, EXPOSE, LABEL, USER, VOLUME, WORKDIR"`
	Message   string        `lua:"message" doc:"what to say of it in its history"`
	Author    string        `lua:"author" doc:"who made it"`
	Pause     bool          `lua:"pause" default:"true" doc:"freeze the container meanwhile, so that its files belong together"`
	Timeout   time.Duration `lua:"timeout" default:"10m" min:"0.001" doc:"how long it may take"`
}

func (a *commitArgs) Validate() error {
	if err := checkRef("container", a.Container); err != nil {
		return err
	}
	_, err := checkTag("name", a.Name)
	return err
}

// Op bounds the call by its own option.
func (a *commitArgs) Op(op *effect.Op) { op.Timeout = a.Timeout }

func (e *Engine) commit(ctx context.Context, a *commitArgs) (*ImageDetails, error) {
	raw, err := e.getRaw(ctx, a.Container)
	if err != nil {
		return nil, err
	}
	id := ""
	err = e.change(ctx, func(ctx context.Context, c *client.Client) error {
		resp, err := c.ContainerCommit(ctx, raw.ID, container.CommitOptions{
			Reference: a.Name, Comment: a.Message, Author: a.Author, Changes: a.Changes, Pause: a.Pause,
		})
		id = resp.ID
		return err
	}, nil)
	if f := failure.As(err); f != nil && f.Kind == failure.Refused && strings.Contains(f.Message, "not a valid change command") {
		f.Kind = failure.Invalid
	}
	if err != nil {
		return nil, err
	}
	effect.Note(ctx, short(id))
	img, err := e.inspectImage(ctx, id)
	if err != nil {
		return nil, err
	}
	return newImage(img), nil
}
