package docker

import (
	"context"
	"strings"

	"github.com/mepc/mepc-run/internal/failure"
)

// missing says where to look for what is not there.
func missing(err error) error {
	f := failure.As(err)
	if f == nil || f.Kind != failure.NotFound || f.Hint != "" {
		return err
	}
	text := strings.ToLower(f.Message)
	for noun, list := range map[string]string{"no such container": "docker.list{}", "no such image": "docker.images{}", "network": "docker.networks{}"} {
		if strings.Contains(text, noun) {
			f.Hint = list + " shows what is there"
		}
	}
	return f
}

// createFailed adds to what the engine said what is to be done about it.
func (e *Engine) createFailed(ctx context.Context, err error, a *createArgs) error {
	f := failure.As(err)
	if f == nil {
		return err
	}
	switch {
	case f.Kind == failure.NotFound && strings.Contains(f.Message, "o such image"):
		f.Hint = "bring the image to the engine first: docker.build, docker.load, docker.copy_image or docker.pull"
	case f.Kind == failure.NotFound && strings.Contains(f.Message, "network"):
		f.Hint = "make the network first: docker.network_create"
	case f.Kind == failure.Conflict:
		f.Hint = "the name " + a.Name + " is taken; docker.find tells by whom"
		if c, err := e.get(ctx, a.Name); err == nil {
			f.State = c.Name + " is " + c.State.Status + ": container " + short(c.ID) + " of " + c.Image
		}
	}
	return f
}

// startFailed tells the reasons apart for which a created container does not
// start. The engine's status for them differs from version to version; its
// words, which come from runc, do not.
func startFailed(err error, ref string) error {
	f := failure.As(err)
	if f == nil {
		return err
	}
	switch text := f.Message; {
	case f.Kind == failure.Unknown || f.Kind == failure.Timeout || f.Kind == failure.Unavailable:
		return f
	case strings.Contains(text, "executable file not found"),
		strings.Contains(text, "no such file or directory") && strings.Contains(text, "exec"):
		f.Kind = failure.Invalid
		f.Hint = "the image has no such program, or its interpreter or libraries are missing: check its ENTRYPOINT and CMD, and entrypoint= and cmd="
	case strings.Contains(text, "permission denied") && strings.Contains(text, "exec"):
		f.Kind = failure.Invalid
		f.Hint = "the program is in the image, but may not be executed: check its mode and user="
	case strings.Contains(text, "port is already allocated"), strings.Contains(text, "address already in use"):
		f.Kind = failure.Conflict
		f.Hint = "another container or program has the port; publish another, or let the engine choose one: ports = {\"127.0.0.1::80\"}"
	case strings.Contains(text, "annot link to"):
		f.Hint = "a container that is linked to must run: start it first"
	default:
		return f
	}
	f.State = ref + " is created, but does not run"
	return f
}
