package docker

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/client"
	units "github.com/docker/go-units"

	"github.com/mepc/mepc-run/internal/effect"
	"github.com/mepc/mepc-run/internal/failure"
)

type copyArgs struct {
	Image   string        `lua:"image,pos,required,target" doc:"the image's name, or its ID"`
	To      *Engine       `lua:"to,required" doc:"the engine to copy it to"`
	Timeout time.Duration `lua:"timeout" default:"30m" doc:"how long it may take"`
}

func (a *copyArgs) Validate() error { return checkImage("image", a.Image) }

// Op bounds the call by its own option.
func (a *copyArgs) Op(op *effect.Op) { op.Timeout = a.Timeout }

func (e *Engine) copyImage(ctx context.Context, a *copyArgs) (*ImageDetails, error) {
	src, err := e.inspectImage(ctx, a.Image)
	if err != nil {
		return nil, err
	}
	dst, err := a.To.inspectImage(ctx, a.Image)
	switch {
	case err == nil && sameImage(src, dst):
		effect.Unaltered(ctx)
		effect.Note(ctx, "there already")
		return newImage(dst), nil
	case err != nil && !isKind(err, failure.NotFound):
		return nil, err
	}
	if err := e.send(ctx, a, src); err != nil {
		return nil, err
	}
	dst, err = a.To.inspectImage(ctx, a.Image)
	if err != nil {
		return nil, err
	}
	if !sameImage(src, dst) {
		return nil, failure.New(failure.Conflict, "%s is image %s at %s, and %s at %s", a.Image, short(dst.ID), a.To, short(src.ID), e).
			WithHint("someone else gave the name to another image meanwhile")
	}
	return newImage(dst), nil
}

// send gives a.To the image, under the name that was asked for. Where it has
// the image under another name, the name is all that is sent.
func (e *Engine) send(ctx context.Context, a *copyArgs, src image.InspectResponse) error {
	there, err := a.To.inspectImage(ctx, src.ID)
	if err == nil && sameImage(src, there) {
		effect.Note(ctx, "there already under another name")
		return a.To.change(ctx, func(ctx context.Context, c *client.Client) error { return c.ImageTag(ctx, src.ID, a.Image) }, nil)
	}
	m := e.meter(ctx, src.Size)
	err = e.stream(ctx, []string{a.Image}, m, func(tar *source) error {
		_, err := a.To.loadFrom(ctx, tar)
		var bad *badArchive
		if errors.As(err, &bad) {
			return failure.New(failure.Refused, "the engine at %s cannot load it: %s", a.To, bad.text).WithHint("%s", bad.hint())
		}
		return err
	})
	if err == nil {
		effect.Note(ctx, units.HumanSize(float64(m.bytes())))
	}
	return err
}

// sameImage compares by ID and, where a store knows images by the digest of how it
// keeps them, by what an image consists of.
func sameImage(a, b image.InspectResponse) bool {
	if a.ID == b.ID {
		return true
	}
	if a.Descriptor == nil && b.Descriptor == nil {
		return false
	}
	one, other := startInterval(a), startInterval(b)
	return content(a) == content(b) && (one == other || one == 0 || other == 0)
}

// content is a digest of all that an image consists of: its layers and its
// configuration, in which what is empty is absent, since engines answer null, [] and {}
// for the same. The start interval of a health check is left out: engines before
// version 25 do not tell it.
func content(i image.InspectResponse) string {
	config := i.Config
	if startInterval(i) != 0 {
		with, check := *i.Config, *i.Config.Healthcheck
		check.StartInterval = 0
		with.Healthcheck, config = &check, &with
	}
	text, err := json.Marshal(struct {
		OS, Architecture string
		Created          int64
		Layers           []string
		Config           any
	}{i.Os, i.Architecture, parseTime(i.Created).UnixNano(), i.RootFS.Layers, config})
	if err != nil {
		panic("docker: encode an image: " + err.Error()) // it was decoded from JSON
	}
	return fmt.Sprintf("sha256:%x", sha256.Sum256(text))
}

func startInterval(i image.InspectResponse) time.Duration {
	if i.Config == nil || i.Config.Healthcheck == nil {
		return 0
	}
	return i.Config.Healthcheck.StartInterval
}
