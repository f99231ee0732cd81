package docker

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/distribution/reference"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/client"

	"github.com/mepc/mepc-run/internal/effect"
	"github.com/mepc/mepc-run/internal/failure"
)

// noAuth is the header for no credentials: old engines refuse a push without
// the header.
const noAuth = "e30=" // {}

type pullArgs struct {
	Image    string        `lua:"image,pos,required,target" doc:"the image's name; without a tag it is :latest"`
	Platform string        `lua:"platform" doc:"such as linux/arm64; the engine's own when not given"`
	Timeout  time.Duration `lua:"timeout" default:"30m" doc:"how long it may take"`
}

func (a *pullArgs) Validate() error { return checkNamed("image", a.Image) }

// Op bounds the call by its own option.
func (a *pullArgs) Op(op *effect.Op) { op.Timeout = a.Timeout }

func (e *Engine) pull(ctx context.Context, a *pullArgs) (*ImageDetails, error) {
	auth, err := e.auth(a.Image)
	if err != nil {
		return nil, err
	}
	m := e.meter(ctx, 0)
	err = e.change(ctx, func(ctx context.Context, c *client.Client) error {
		body, err := c.ImagePull(ctx, a.Image, image.PullOptions{RegistryAuth: auth, Platform: a.Platform})
		if err != nil {
			return err
		}
		defer body.Close()
		return follow(body, func(msg *message) {
			m.layer(msg)
			if strings.HasPrefix(msg.Status, "Status: Image is up to date") {
				effect.Unaltered(ctx)
			}
		})
	}, nil)
	if err != nil {
		return nil, registryFailed(err, a.Image)
	}
	raw, err := e.inspectImage(ctx, a.Image)
	if err != nil {
		return nil, err
	}
	return newImage(raw), nil
}

type pushArgs struct {
	Image   string        `lua:"image,pos,required,target" doc:"the image's name; without a tag it is :latest"`
	Timeout time.Duration `lua:"timeout" default:"30m" doc:"how long it may take"`
}

func (a *pushArgs) Validate() error {
	_, err := checkTag("image", a.Image)
	return err
}

// Op bounds the call by its own option.
func (a *pushArgs) Op(op *effect.Op) { op.Timeout = a.Timeout }

// Pushed is how a registry knows an image.
type Pushed struct {
	Digest string `lua:"digest" doc:"sha256:..., by which name@digest can be pulled"`
}

func (e *Engine) push(ctx context.Context, a *pushArgs) (*Pushed, error) {
	if _, err := e.inspectImage(ctx, a.Image); err != nil {
		return nil, err
	}
	auth, err := e.auth(a.Image)
	if err != nil {
		return nil, err
	}
	if auth == "" {
		auth = noAuth
	}
	m := e.meter(ctx, 0)
	out := &Pushed{}
	err = e.change(ctx, func(ctx context.Context, c *client.Client) error {
		body, err := c.ImagePush(ctx, a.Image, image.PushOptions{RegistryAuth: auth})
		if err != nil {
			return err
		}
		defer body.Close()
		return follow(body, func(msg *message) {
			m.layer(msg)
			var aux struct{ Digest string }
			// With the containerd image store it is only said in words.
			if _, digest, ok := strings.Cut(msg.Status, ": digest: "); ok {
				out.Digest, _, _ = strings.Cut(digest, " ")
			}
			if len(msg.Aux) > 0 && json.Unmarshal(msg.Aux, &aux) == nil && aux.Digest != "" {
				out.Digest = aux.Digest
			}
		})
	}, nil)
	if err != nil {
		return nil, registryFailed(err, a.Image)
	}
	effect.Note(ctx, out.Digest)
	return out, nil
}

// auth returns the credentials for the registry in ref's name.
func (e *Engine) auth(ref string) (string, error) {
	named, err := reference.ParseNormalizedNamed(ref)
	if err != nil {
		return "", failure.New(failure.Invalid, "%s", err.Error())
	}
	if given := e.logins.get(reference.Domain(named)); given != "" {
		return given, nil
	}
	return e.world.RegistryAuth(reference.Domain(named))
}

// registryFailed tells apart what the engine reports of the registry in words
// only.
func registryFailed(err error, ref string) error {
	f := failure.As(err)
	if f == nil {
		return err
	}
	var failed *errStreamFailed
	fromStream := errors.As(err, &failed)
	if !fromStream && f.Kind != failure.NotFound && f.Kind != failure.Refused && f.Kind != failure.Auth {
		return f
	}
	text := strings.ToLower(f.Message)
	switch {
	case strings.Contains(text, "unauthorized"), strings.Contains(text, "denied"), strings.Contains(text, "no basic auth"):
		f.Kind = failure.Auth
		f.Hint = "log in to its registry with docker.login, or with docker login where mepc-run runs; or the name is wrong"
	case strings.Contains(text, "manifest unknown"), strings.Contains(text, "not found"):
		f.Kind = failure.NotFound
		f.Hint = "the registry has no " + ref
	case strings.Contains(text, "dial tcp"), strings.Contains(text, "no such host"), strings.Contains(text, "timeout"),
		strings.Contains(text, "connection refused"), strings.Contains(text, "client.timeout"):
		f.Kind = failure.Unavailable
		f.Hint = "the engine's machine, not this one, must reach the registry"
	}
	return f
}
