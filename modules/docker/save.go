package docker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"time"

	"github.com/docker/docker/client"
	units "github.com/docker/go-units"

	"github.com/mepc/mepc-run/internal/effect"
	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/runtime"
)

// transferFuncs are the functions that move images: each takes long, shows its
// progress in bytes, and has a timeout option.
func transferFuncs() []runtime.Func {
	return slices.Concat([]runtime.Func{buildFunc()}, []runtime.Func{
		{
			Name: "save", Class: runtime.Write,
			Doc: "Writes images to a tar file, with their names and all their layers. " +
				"The file appears whole or not at all; one that was there is replaced.",
			From: "GET /images/get", Returns: "how many bytes were written",
			Raises:  reads(failure.Invalid, failure.Denied, failure.NotFound),
			Example: `docker.save("mepc/app:1.1", "app.tar")`,
			Call:    runtime.Effect((*Engine).save),
		},
		{
			Name: "load", Class: runtime.Write,
			Doc: "Loads the images of a tar file that save wrote; it may be compressed with gzip, bzip2 or xz. " +
				"The engine's 200 is no proof: its answer is read to the end, and each image is looked for by name and ID.",
			From: "POST /images/load, then GET /images/{name}/json", Returns: "what was loaded",
			Raises:  writes(failure.Invalid, failure.Denied, failure.NotFound),
			Example: `local id = docker.load("app.tar").ids[1]`,
			Call:    runtime.Effect((*Engine).load),
		},
		{
			Name: "copy_image", Class: runtime.Write,
			Doc: "Copies an image from this engine to another: save streams into load, nothing is stored on the way. " +
				"An engine that has the image already is left alone.",
			From: "GET /images/get into POST /images/load, then GET /images/{name}/json", Returns: "the image on the other engine",
			Raises:  writes(failure.Invalid, failure.NotFound),
			Example: `docker.copy_image("mepc/app:1.1", {to = docker.connect("unix:///var/run/docker.sock")})`,
			Call:    runtime.Effect((*Engine).copyImage),
		},
		shipFunc(),
		appendFunc(),
		{
			Name: "pull", Class: runtime.Write,
			Doc:  "Pulls an image from its registry, with the credentials of docker.login, else those of docker login.",
			From: "POST /images/create", Returns: "the image",
			Raises:  writes(failure.Invalid, failure.NotFound),
			Example: `docker.pull("redis:7")`,
			Call:    runtime.Effect((*Engine).pull),
		},
		{
			Name: "push", Class: runtime.Write,
			Doc: "Pushes an image to the registry in its name, with the credentials of docker.login, else those of docker login. " +
				"A rehearsal takes it for done, and its plan says so.",
			From: "POST /images/{name}/push", Returns: "how the registry knows it",
			Raises:  writes(failure.Invalid, failure.NotFound),
			Example: `docker.push("registry.example.com/mepc/app:1.1")`,
			Call:    runtime.Effect((*Engine).push),
		},
		loginFunc(),
	})
}

type saveArgs struct {
	Image   string        `lua:"image,pos,required,target" doc:"the image's name or ID"`
	To      string        `lua:"to,pos,required" doc:"the file to write"`
	Also    []string      `lua:"also" doc:"further images for the same file"`
	Timeout time.Duration `lua:"timeout" default:"30m" doc:"how long it may take"`
}

func (a *saveArgs) Validate() error {
	for _, i := range a.images() {
		if err := checkImage("image", i); err != nil {
			return err
		}
	}
	return nil
}

// Op bounds the call by its own option.
func (a *saveArgs) Op(op *effect.Op) { op.Timeout = a.Timeout }

func (a *saveArgs) images() []string { return append([]string{a.Image}, a.Also...) }

func (e *Engine) save(ctx context.Context, a *saveArgs) (runtime.Size, error) {
	var total int64
	for _, ref := range a.images() {
		img, err := e.inspectImage(ctx, ref)
		if err != nil {
			return 0, err
		}
		total += img.Size
	}
	file, err := e.world.Create(a.To)
	if err != nil {
		return 0, fileFailed(err, "write")
	}
	m := e.meter(ctx, total)
	err = e.stream(ctx, a.images(), m, func(tar *source) error {
		if _, err := io.Copy(file, tar); err != nil {
			return fileFailed(err, "write")
		}
		return nil
	})
	if err != nil {
		file.Abort()
		return 0, err
	}
	if err := file.Commit(); err != nil {
		return 0, fileFailed(err, "write")
	}
	effect.Note(ctx, units.HumanSize(float64(m.bytes())))
	return runtime.Size(m.bytes()), nil
}

// stream hands the tar of images to sink, and checks that it is a whole one: an
// engine that fails half-way has answered 200 already, and puts its error where
// the tar should go on.
func (e *Engine) stream(ctx context.Context, images []string, m *meter, sink func(*source) error) error {
	return e.read(ctx, func(ctx context.Context, c *client.Client) error {
		body, err := c.ImageSave(ctx, images)
		if err != nil {
			return err
		}
		defer body.Close()
		tar := newSource(body, m)
		sunk := sink(tar)
		got, err := tar.finish(sunk == nil)
		switch {
		case tar.failed() != nil:
			return tar.failed()
		case err != nil: // also when it is why sink failed
			return failure.New(failure.Unavailable, "what the engine saved is not a whole image: %v", err).
				WithHint("the log of the engine at %s says why: `journalctl -u docker`", e)
		case sunk != nil:
			return sunk
		case len(got) == 0:
			return failure.New(failure.Unavailable, "the engine saved no image")
		}
		return nil
	})
}

// fileFailed says what is wrong with a file of this machine.
func fileFailed(err error, doing string) error {
	if failure.As(err) != nil {
		return err // it says more than the system does
	}
	var path *fs.PathError
	text := fmt.Sprintf("%s: %v", doing, err)
	if errors.As(err, &path) {
		text = fmt.Sprintf("%s %s: %v", doing, path.Path, path.Err)
	}
	kind := failure.Invalid
	if errors.Is(err, fs.ErrNotExist) {
		kind = failure.NotFound
	}
	e := failure.New(kind, "%s", text).WithHint("paths are relative to the directory in which mepc-run was started")
	e.Cause = err
	return e
}
