package docker

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/client"
	units "github.com/docker/go-units"

	"github.com/mepc/mepc-run/internal/effect"
	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/runtime"
)

func fileFuncs() []runtime.Func {
	return []runtime.Func{
		{
			Name: "copy_to", Class: runtime.Write,
			Doc: "Puts a file into a container, be it running or not: text of the recipe's, or a file of this machine, or all that a tar of this machine holds. " +
				"The directory must be there; a file that is there is replaced.",
			From: "PUT /containers/{id}/archive", Returns: "how many bytes were sent",
			Raises:  writes(failure.Invalid, failure.Denied, failure.NotFound, failure.Conflict),
			Example: `docker.copy_to("app-blue", "/app.conf", {content = "debug = off\n", mode = "600"})`,
			Call:    runtime.Effect((*Engine).copyTo),
		},
		{
			Name: "copy_from", Class: runtime.Write,
			Doc: "Takes a file out of a container, be it running or not: as text or, with to, into a file of this machine; a directory only with to, as a tar. " +
				"A rehearsal has what was put there with copy_to; the call for any other file ends it as not_modelled.",
			From: "GET /containers/{id}/archive", Returns: "what it is",
			Raises: writes(failure.Invalid, failure.Denied, failure.NotFound, failure.Limit),
			Example: `docker.copy_to("app-blue", "/app.conf", {content = "debug = off\n"})
assert(docker.copy_from("app-blue", "/app.conf").content == "debug = off\n")`,
			Call: runtime.Effect((*Engine).copyFrom),
		},
		{
			Name: "export", Class: runtime.Write,
			Doc: "Writes all files of a container, without its volumes, to a tar file. The file appears whole or not at all. " +
				"A rehearsal ends here as not_modelled: its containers have no files.",
			From: "GET /containers/{id}/export", Returns: "how many bytes were written",
			Raises:  reads(failure.Invalid, failure.Denied, failure.NotFound),
			Example: `docker.export("app-blue", "app-blue.tar")`,
			Call:    runtime.Effect((*Engine).export),
		},
		commitFunc(),
	}
}

type copyToArgs struct {
	Container string        `lua:"container,pos,required,target" doc:"its name or ID"`
	Path      string        `lua:"path,pos,required" doc:"the file in the container, from /; with tar the directory that it is unpacked in"`
	Content   []byte        `lua:"content,secret" doc:"what the file holds, byte for byte; may be a secret"`
	File      string        `lua:"file" doc:"or the file of this machine that it is a copy of"`
	Tar       string        `lua:"tar" doc:"or the tar of this machine that is unpacked"`
	Mode      string        `lua:"mode" default:"644" doc:"who may do what with the file, in octal"`
	UID       int           `lua:"uid" min:"0" max:"4294967295" doc:"whose the file is"`
	GID       int           `lua:"gid" min:"0" max:"4294967295" doc:"the group it belongs to"`
	Timeout   time.Duration `lua:"timeout" default:"10m" min:"0.001" doc:"how long it may take"`
}

func (a *copyToArgs) Validate() error {
	if err := checkPath("path", a.Path); err != nil {
		return err
	}
	given := 0
	for _, is := range []bool{a.Content != nil, a.File != "", a.Tar != ""} {
		if is {
			given++
		}
	}
	if given != 1 {
		return errors.New("one of content, file and tar is needed")
	}
	if _, err := a.mode(); err != nil {
		return err
	}
	if a.Tar == "" && (a.Path == "/" || strings.HasSuffix(a.Path, "/")) {
		return fmt.Errorf("path: %q is a directory: name the file in it", a.Path)
	}
	return checkRef("container", a.Container)
}

// Op bounds the call by its own option, and leaves out what the file holds.
func (a *copyToArgs) Op(op *effect.Op) {
	op.Timeout = a.Timeout
	for i := range op.Args {
		if op.Args[i].Name == "content" {
			op.Args[i].Value = fmt.Sprintf("%d bytes", len(a.Content))
		}
	}
}

func (a *copyToArgs) mode() (int64, error) {
	n, err := strconv.ParseUint(a.Mode, 8, 12)
	if err != nil {
		return 0, fmt.Errorf("mode: %q is not one: write 644 or 0755", a.Mode)
	}
	return int64(n), nil
}

// checkPath refuses what is not a path in a container.
func checkPath(option, p string) error {
	if !strings.HasPrefix(p, "/") || strings.Contains(p, "\x00") {
		return fmt.Errorf("%s: %q is not a path in the container, which begins with /", option, p)
	}
	return nil
}

func (e *Engine) copyTo(ctx context.Context, a *copyToArgs) (runtime.Size, error) {
	raw, err := e.getRaw(ctx, a.Container)
	if err != nil {
		return 0, err
	}
	r, size, err := e.payload(a)
	if err != nil {
		return 0, err
	}
	defer r.Close()
	m := e.meter(ctx, size)
	dir := a.Path
	if a.Tar == "" {
		dir = path.Dir(a.Path)
	}
	err = e.change(ctx, func(ctx context.Context, c *client.Client) error {
		return c.CopyToContainer(ctx, raw.ID, dir, metered{r, m}, container.CopyToContainerOptions{CopyUIDGID: true})
	}, nil)
	if err != nil {
		return 0, noPath(err, a.Container, dir)
	}
	effect.Note(ctx, units.HumanSize(float64(size)))
	return runtime.Size(size), nil
}

// payload is the tar that the engine unpacks.
func (e *Engine) payload(a *copyToArgs) (io.ReadCloser, int64, error) {
	if a.Tar != "" {
		r, size, err := e.world.Open(a.Tar)
		if err != nil {
			return nil, 0, fileFailed(err, "read")
		}
		return r, size, nil
	}
	var content io.ReadCloser
	var size int64
	if a.Content != nil {
		content, size = io.NopCloser(bytes.NewReader(a.Content)), int64(len(a.Content))
	} else {
		r, n, err := e.world.Open(a.File)
		if err != nil {
			return nil, 0, fileFailed(err, "read")
		}
		content, size = r, n
	}
	mode, _ := a.mode() // Validate has read it
	head := &bytes.Buffer{}
	tw := tar.NewWriter(head)
	h := &tar.Header{
		Name: path.Base(a.Path), Typeflag: tar.TypeReg, Mode: mode, Uid: a.UID, Gid: a.GID, Size: size, ModTime: e.world.Clock().Now(), Format: tar.FormatPAX,
	}
	if err := tw.WriteHeader(h); err != nil {
		content.Close()
		return nil, 0, failure.Wrap(failure.Invalid, err, "path")
	}
	// A file that grows meanwhile is cut, one that shrinks ends the tar too early,
	// which the engine refuses.
	end := make([]byte, (512-size%512)%512+1024)
	return struct {
		io.Reader
		io.Closer
	}{io.MultiReader(head, io.LimitReader(content, size), bytes.NewReader(end)), content}, size, nil
}

// metered counts what is read.
type metered struct {
	io.Reader
	m *meter
}

func (r metered) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	r.m.add(n)
	return n, err
}

// noPath says what of a path is not there.
func noPath(err error, ref, p string) error {
	f := failure.As(err)
	if f == nil {
		return err
	}
	if strings.Contains(strings.ToLower(f.Message), "could not find the file") || strings.Contains(f.Message, "no such file or directory") {
		f.Kind = failure.NotFound
		f.Message = fmt.Sprintf("%s has no %s", ref, p)
		f.Hint = "docker.exec can look, where the image has ls"
	}
	if strings.Contains(f.Message, "read-only") {
		f.Kind = failure.Conflict
		f.Hint = "mount a volume or a tmpfs there, and write into that"
	}
	return f
}

type copyFromArgs struct {
	Container string        `lua:"container,pos,required,target" doc:"its name or ID"`
	Path      string        `lua:"path,pos,required" doc:"the file or directory in the container, from /"`
	To        string        `lua:"to" doc:"the file of this machine to write"`
	Max       runtime.Size  `lua:"max" default:"1MiB" max:"268435456" doc:"how large the text may be; with to there is no limit"`
	Timeout   time.Duration `lua:"timeout" default:"10m" min:"0.001" doc:"how long it may take"`
}

func (a *copyFromArgs) Validate() error {
	if err := checkPath("path", a.Path); err != nil {
		return err
	}
	return checkRef("container", a.Container)
}

// Op bounds the call by its own option, and says that it reads where it does.
func (a *copyFromArgs) Op(op *effect.Op) {
	op.Timeout = a.Timeout
	if a.To == "" {
		op.Class = effect.Read
	}
}

// Copied is what copy_from took out.
type Copied struct {
	Name      string       `lua:"name" doc:"its name, without the directory"`
	Size      runtime.Size `lua:"size" doc:"in bytes; of a directory what its tar has"`
	Mode      string       `lua:"mode" doc:"who may do what with it, in octal, such as 644"`
	Modified  time.Time    `lua:"modified" doc:"when it was written last, in seconds since 1970"`
	Directory bool         `lua:"directory" doc:"whether it is a directory"`
	Link      string       `lua:"link" doc:"where it leads, when it is a symbolic link"`
	Content   string       `lua:"content" doc:"what it holds, byte for byte; empty with to"`
}

func (e *Engine) copyFrom(ctx context.Context, a *copyFromArgs) (*Copied, error) {
	raw, err := e.getRaw(ctx, a.Container)
	if err != nil {
		return nil, err
	}
	out := &Copied{}
	err = e.read(ctx, func(ctx context.Context, c *client.Client) error {
		body, stat, err := c.CopyFromContainer(ctx, raw.ID, a.Path)
		if err != nil {
			return err
		}
		defer body.Close()
		*out = Copied{
			Name: stat.Name, Size: runtime.Size(stat.Size), Mode: strconv.FormatUint(uint64(stat.Mode.Perm()), 8), Modified: stat.Mtime,
			Directory: stat.Mode.IsDir(), Link: stat.LinkTarget,
		}
		if out.Directory && a.To == "" {
			return failure.New(failure.Invalid, "%s is a directory", a.Path).WithHint(`docker.copy_from(%q, %q, {to = "FILE.tar"}) writes it as a tar`, a.Container, a.Path)
		}
		if out.Directory {
			n, err := e.keep(ctx, a.To, body)
			out.Size = runtime.Size(n)
			return err
		}
		return e.takeFile(ctx, a, tar.NewReader(body), out)
	})
	if err != nil {
		return nil, noPath(err, a.Container, a.Path)
	}
	effect.Note(ctx, units.HumanSize(float64(out.Size)))
	return out, nil
}

// takeFile reads the one file that the tar has.
func (e *Engine) takeFile(ctx context.Context, a *copyFromArgs, tr *tar.Reader, out *Copied) error {
	h, err := tr.Next()
	if err != nil {
		return failure.New(failure.Unavailable, "the engine's answer is no tar: %v", err)
	}
	if h.Typeflag == tar.TypeSymlink {
		return failure.New(failure.Invalid, "%s is a link to %s", a.Path, h.Linkname).WithHint("name the file itself")
	}
	if a.To != "" {
		_, err := e.keep(ctx, a.To, tr)
		return err
	}
	if h.Size > int64(a.Max) {
		return failure.New(failure.Limit, "%s has %s, which is more than %s", a.Path, units.HumanSize(float64(h.Size)), units.HumanSize(float64(a.Max))).
			WithHint("max allows more; to writes it into a file")
	}
	b, err := io.ReadAll(tr)
	out.Content = string(b)
	return err
}

// keep writes what r has to a file of this machine.
func (e *Engine) keep(ctx context.Context, name string, r io.Reader) (int64, error) {
	file, err := e.world.Create(name)
	if err != nil {
		return 0, fileFailed(err, "write")
	}
	m := e.meter(ctx, 0)
	n, err := io.Copy(file, metered{r, m})
	if err != nil {
		file.Abort()
		return n, err
	}
	if err := file.Commit(); err != nil {
		return n, fileFailed(err, "write")
	}
	return n, nil
}

type exportArgs struct {
	Container string        `lua:"container,pos,required,target" doc:"its name or ID"`
	To        string        `lua:"to,pos,required" doc:"the file to write"`
	Timeout   time.Duration `lua:"timeout" default:"30m" min:"0.001" doc:"how long it may take"`
}

func (a *exportArgs) Validate() error {
	if a.To == "" {
		return errors.New("to: the file's name is empty")
	}
	return checkRef("container", a.Container)
}

// Op bounds the call by its own option.
func (a *exportArgs) Op(op *effect.Op) { op.Timeout = a.Timeout }

func (e *Engine) export(ctx context.Context, a *exportArgs) (size runtime.Size, err error) {
	raw, err := e.getRaw(ctx, a.Container)
	if err != nil {
		return 0, err
	}
	err = e.read(ctx, func(ctx context.Context, c *client.Client) error {
		body, err := c.ContainerExport(ctx, raw.ID)
		if err != nil {
			return err
		}
		defer body.Close()
		n, err := e.keep(ctx, a.To, body)
		size = runtime.Size(n)
		return err
	})
	if err == nil {
		effect.Note(ctx, units.HumanSize(float64(size)))
	}
	return size, err
}
