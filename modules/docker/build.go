package docker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"sync"
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
		Doc: "Builds an image from a directory, with the engine's BuildKit, or its classic builder. " +
			"The directory is sent without what its .dockerignore names, as root's. With BuildKit the Dockerfile has all that the engine's version of it knows: " +
			"RUN --mount, heredocs, COPY --link; it is in the context, whatever .dockerignore says. What is built is an image without attestations.",
		From: "POST /build", Returns: "the image",
		Raises:  writes(failure.Invalid, failure.Denied, failure.NotFound),
		Example: `local id = docker.build{context = "app", tag = "mepc/app:1.1", args = {VERSION = "1.1"}}.id`,
		Call:    runtime.Effect((*Engine).build),
	}
}

type buildArgs struct {
	Context     string            `lua:"context,target" default:"." doc:"the directory, relative to where mepc-run was started"`
	Dockerfile  string            `lua:"dockerfile" default:"Dockerfile" doc:"the Dockerfile, relative to the context"`
	Tag         string            `lua:"tag" doc:"the image's name"`
	Tags        []string          `lua:"tags" doc:"further names"`
	Args        map[string]string `lua:"args,secret" doc:"what the Dockerfile declares with ARG; values may be secrets, but stay in the image's history"`
	Labels      map[string]string `lua:"labels" doc:"labels"`
	Target      string            `lua:"target" doc:"the stage to build; the last when not given"`
	Builder     string            `lua:"builder" default:"auto" enum:"auto|buildkit|classic" doc:"auto: what docker build takes there: BuildKit on engines from version 23 on; those from 18.09 on have it, too"`
	Secrets     map[string]string `lua:"secrets,secret" doc:"what RUN --mount=type=secret,id=NAME reads, by name: it is in no layer and not in the history; BuildKit only"`
	Platform    string            `lua:"platform" doc:"what the image is for, such as linux/arm64; the engine's own when not given; BuildKit only"`
	CacheFrom   []string          `lua:"cache_from" doc:"images whose steps are taken over where they are the same"`
	InlineCache bool              `lua:"inline_cache" doc:"keep in the image what a later build's cache_from needs; BuildKit only"`
	NoCache     bool              `lua:"no_cache" doc:"build every step anew"`
	Pull        bool              `lua:"pull" doc:"look for newer versions of the images it is FROM"`
	Timeout     time.Duration     `lua:"timeout" default:"30m" doc:"how long it may take"`
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

// Built is the result of a build.
type Built struct {
	ID   string   `lua:"id" doc:"the image's ID, sha256:..."`
	Tags []string `lua:"tags" doc:"the names it was given"`
}

// buildTail is how many lines of output stand in the error of a failed build.
const buildTail = 20

// onlyBuildKit names an option that the classic builder does not know; empty: none.
func (a *buildArgs) onlyBuildKit() string {
	switch {
	case len(a.Secrets) > 0:
		return "secrets"
	case a.Platform != "":
		return "platform"
	case a.InlineCache:
		return "inline_cache"
	}
	return ""
}

// byBuildKit chooses the builder.
func (e *Engine) byBuildKit(ctx context.Context, a *buildArgs) (bool, error) {
	is := a.Builder == "buildkit"
	if a.Builder == "auto" {
		err := e.read(ctx, func(ctx context.Context, c *client.Client) error {
			ping, err := c.Ping(ctx)
			is = ping.BuilderVersion == build.BuilderBuildKit
			return err
		})
		if err != nil {
			return false, err
		}
	}
	if option := a.onlyBuildKit(); !is && option != "" {
		return false, failure.New(failure.Invalid, "%s: the classic builder does not support it", option).
			WithHint(`builder = "buildkit" where the engine is of version 18.09 or later`)
	}
	return is, nil
}

func (e *Engine) build(ctx context.Context, a *buildArgs) (*Built, error) {
	kit, err := e.byBuildKit(ctx, a)
	if err != nil {
		return nil, err
	}
	dir, err := e.world.BuildContext(a.Context, a.Dockerfile, kit)
	if err != nil {
		return nil, err
	}
	options := build.ImageBuildOptions{
		Tags: a.tags(), Dockerfile: a.Dockerfile, Labels: a.Labels, Target: a.Target, NoCache: a.NoCache, PullParent: a.Pull,
		Remove: true, ForceRemove: true, Version: build.BuilderV1, BuildArgs: map[string]*string{}, CacheFrom: a.CacheFrom,
	}
	for k, v := range a.Args {
		options.BuildArgs[k] = &v
	}
	m := e.meter(ctx, dir.Bytes)
	var from tarrer = dir
	output, trace := &tail{most: buildTail}, newBuildkit()
	out := &Built{Tags: a.tags()}
	if kit {
		options.Version, options.Platform, from = build.BuilderBuildKit, a.Platform, plainly{dir}
		if a.InlineCache {
			on := "1"
			options.BuildArgs["BUILDKIT_INLINE_CACHE"] = &on
		}
		if len(a.Secrets) > 0 && !e.world.Rehearsed() {
			s, err := e.openSession(ctx, a.Secrets)
			if err != nil {
				return nil, err
			}
			defer s.Close()
			options.SessionID = s.id
		}
	}
	err = e.change(ctx, func(ctx context.Context, c *client.Client) error {
		upload := uploading(from, m)
		defer upload.Close()
		resp, err := c.ImageBuild(ctx, upload, options)
		if failed := upload.failed(); failed != nil {
			return failure.Wrap(failure.Invalid, failed, "send the build context")
		}
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		return follow(resp.Body, func(msg *message) {
			if isTrace(msg) {
				trace.take(msg, m)
				return
			}
			out.take(msg, m, output)
		})
	}, nil)
	if err != nil {
		if said := trace.said(dir.Dockerfile()); said != "" {
			output.write(said)
		}
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

// The words of BuildKit for a command that failed, and for a Dockerfile that it cannot read.
var (
	exitCode      = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`: exit code: (\d+)`) })
	badDockerfile = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`(?i)dockerfile parse error|the dockerfile cannot be empty|failed to create LLB definition`)
	})
)

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
	case errors.As(err, &failed) && exitCode().MatchString(failed.text): // as BuildKit says it
		f.Kind, f.Hint = failure.Refused, "a step of the Dockerfile failed with exit code "+exitCode().FindStringSubmatch(failed.text)[1]
	case errors.As(err, &failed) && badDockerfile().MatchString(failed.text):
		f.Kind, f.Hint = failure.Invalid, "correct the Dockerfile"
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
	failure.Go(func() error {
		defer close(u.done)
		err := failure.Protect(func() error { return dir.Tar(&counting{w, m}) })
		if !errors.Is(err, io.ErrClosedPipe) {
			u.err = err
		}
		return w.CloseWithError(err)
	})
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
