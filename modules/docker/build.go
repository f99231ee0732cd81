package docker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/docker/docker/api/types/build"
	"github.com/docker/docker/client"

	"github.com/mepc/mepc-run/internal/effect"
	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/runtime"
)

func buildFunc() runtime.Func {
	return runtime.Func{
		Name: "build", Class: runtime.Write,
		Doc: "Builds an image from a directory, with the engine's classic builder. " +
			"The directory is sent without what its .dockerignore names, as root's.",
		From: "POST /build", Returns: "the image",
		Raises:  writes(failure.Invalid, failure.Denied, failure.NotFound),
		Example: `local id = docker.build{context = "app", tag = "mepc/app:1.1", args = {VERSION = "1.1"}}.id`,
		Call:    runtime.Effect((*Engine).build),
	}
}

type buildArgs struct {
	Context    string            `lua:"context,target" default:"." doc:"the directory, relative to where mepc-run was started"`
	Dockerfile string            `lua:"dockerfile" default:"Dockerfile" doc:"the Dockerfile, relative to the context"`
	Tag        string            `lua:"tag" doc:"the image's name"`
	Tags       []string          `lua:"tags" doc:"further names"`
	Args       map[string]string `lua:"args,secret" doc:"what the Dockerfile declares with ARG; values may be secrets, but stay in the image's history"`
	Labels     map[string]string `lua:"labels" doc:"labels"`
	Target     string            `lua:"target" doc:"the stage to build; the last when not given"`
	NoCache    bool              `lua:"no_cache" doc:"build every step anew"`
	Pull       bool              `lua:"pull" doc:"look for newer versions of the images it is FROM"`
	Timeout    time.Duration     `lua:"timeout" default:"30m" doc:"how long it may take"`
}

// Op bounds the call by its own option and names the image.
func (a *buildArgs) Op(op *effect.Op) {
	op.Timeout = a.Timeout
	if a.Tag != "" {
		op.Target = a.Tag
	}
}

func (a *buildArgs) Validate() error {
	for _, t := range a.tags() {
		if _, err := checkTag("tag", t); err != nil {
			return err
		}
	}
	return nil
}

func (a *buildArgs) tags() []string {
	if a.Tag == "" {
		return a.Tags
	}
	return append([]string{a.Tag}, a.Tags...)
}

// Built is what came of a build.
type Built struct {
	ID   string   `lua:"id" doc:"the image's ID, sha256:..."`
	Tags []string `lua:"tags" doc:"the names it was given"`
}

// buildTail is how many lines of output stand in the error of a failed build.
const buildTail = 20

func (e *Engine) build(ctx context.Context, a *buildArgs) (*Built, error) {
	dir, err := e.world.BuildContext(a.Context, a.Dockerfile)
	if err != nil {
		return nil, err
	}
	options := build.ImageBuildOptions{
		Tags: a.tags(), Dockerfile: a.Dockerfile, Labels: a.Labels, Target: a.Target, NoCache: a.NoCache, PullParent: a.Pull,
		Remove: true, ForceRemove: true, Version: build.BuilderV1, BuildArgs: map[string]*string{},
	}
	for k, v := range a.Args {
		options.BuildArgs[k] = &v
	}
	m := e.meter(ctx, dir.Bytes)
	output := &tail{most: buildTail}
	out := &Built{Tags: a.tags()}
	err = e.change(ctx, func(ctx context.Context, c *client.Client) error {
		upload := uploading(dir, m)
		defer upload.Close()
		resp, err := c.ImageBuild(ctx, upload, options)
		if failed := upload.failed(); failed != nil {
			return failure.Wrap(failure.Invalid, failed, "send the build context")
		}
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		return follow(resp.Body, func(msg *message) { out.take(msg, m, output) })
	}, nil)
	if err != nil {
		return nil, buildFailed(err, output)
	}
	if out.ID == "" {
		return nil, failure.New(failure.Refused, "the engine finished the build, but names no image").WithHint("its log says why: `journalctl -u docker`")
	}
	effect.Note(ctx, short(out.ID))
	return out, nil
}

// take looks at one message of the build's output.
func (b *Built) take(msg *message, m *meter, output *tail) {
	if !chatter(msg.Stream) {
		output.write(msg.Stream)
	}
	line, _, _ := strings.Cut(strings.TrimSpace(msg.Stream), "\n")
	if strings.HasPrefix(line, "Step ") {
		m.text(line)
	}
	m.layer(msg) // of an image that the build is FROM
	var aux struct{ ID string }
	if len(msg.Aux) > 0 && json.Unmarshal(msg.Aux, &aux) == nil && aux.ID != "" {
		b.ID = aux.ID
	}
}

// chatter reports whether the builder talks of its own bookkeeping.
func chatter(s string) bool {
	return strings.HasPrefix(s, " ---> ") || strings.HasPrefix(s, "Removing intermediate container ")
}

// buildFailed puts the last lines of output into the error.
func buildFailed(err error, output *tail) error {
	f := failure.As(err)
	if f == nil {
		return err
	}
	if said := output.String(); said != "" {
		f.Details = "the last lines of the build:\n" + said
	}
	var failed *errStreamFailed
	switch {
	case errors.As(err, &failed) && failed.code != 0:
		f.Kind, f.Hint = failure.Refused, fmt.Sprintf("a step of the Dockerfile failed with exit code %d", failed.code)
	case errors.As(err, &failed):
		f.Kind, f.Hint = failure.Refused, "the step named last failed"
	case f.Kind == failure.Invalid && f.Hint == "":
		f.Hint = "correct the Dockerfile"
	}
	return f
}

// upload is a build context on its way.
type upload struct {
	*io.PipeReader
	done chan struct{}
	err  error // after done; the directory's own
}

// uploading begins to write the tar. Its headers and padding are counted as
// progress, too, and so a little more than the total of the files' bytes.
func uploading(dir tarrer, m *meter) *upload {
	r, w := io.Pipe()
	u := &upload{PipeReader: r, done: make(chan struct{})}
	go func() {
		defer close(u.done)
		err := dir.Tar(&counting{w, m})
		if !errors.Is(err, io.ErrClosedPipe) {
			u.err = err
		}
		w.CloseWithError(err)
	}()
	return u
}

// failed returns why the directory could not be read, if that is so.
func (u *upload) failed() error {
	select {
	case <-u.done:
		return u.err
	default:
		return nil
	}
}

type tarrer interface{ Tar(io.Writer) error }

// counting shows what is written to w.
type counting struct {
	w io.Writer
	m *meter
}

func (c *counting) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.m.add(n)
	return n, err
}
