package docker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/client"
	"github.com/docker/docker/pkg/stdcopy"

	"github.com/mepc/mepc-run/internal/effect"
	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/runtime"
)

func logsFunc() runtime.Func {
	return runtime.Func{
		Name: "logs", Class: runtime.Read,
		Doc: "Reads what a container has written, its errors among its output, in the order of writing. " +
			"With follow it also reads what is written from then on, until the time is up, the container ends, or a line has the text of contains.",
		From: "GET /containers/{id}/logs", Returns: "the text; lines end with \\n",
		Raises: reads(failure.Invalid, failure.NotFound, failure.Unhealthy), Example: `log(docker.logs("app-blue", {tail = 20}))`,
		Call: runtime.Effect((*Engine).logs),
	}
}

type logsArgs struct {
	Container  string         `lua:"container,pos,required,target" doc:"its name or ID"`
	Tail       int            `lua:"tail" default:"1000" min:"0" doc:"how many lines, from the end; 0 is all"`
	Since      *time.Duration `lua:"since" doc:"only what was written in this time until now"`
	Stdout     bool           `lua:"stdout" default:"true" doc:"its output"`
	Stderr     bool           `lua:"stderr" default:"true" doc:"its errors"`
	Timestamps bool           `lua:"timestamps" doc:"put the time before each line"`
	Max        runtime.Size   `lua:"max" default:"1MiB" max:"268435456" doc:"how much text at most; the beginning is cut off"`
	Follow     time.Duration  `lua:"follow" default:"0s" doc:"how long to read on"`
	Contains   string         `lua:"contains" doc:"with follow: text of a line to wait for; that it does not come is an error, of kind timeout, or unhealthy when the container ends"`
}

func (a *logsArgs) Validate() error {
	if !a.Stdout && !a.Stderr {
		return errors.New("stdout and stderr are both false: nothing is left to read")
	}
	if a.Contains != "" && a.Follow == 0 {
		return errors.New("contains: it needs follow, the time to wait for it")
	}
	return checkRef("container", a.Container)
}

// Op gives the call the time that it follows on top.
func (a *logsArgs) Op(op *effect.Op) { op.Timeout += a.Follow }

func (e *Engine) logs(ctx context.Context, a *logsArgs) (string, error) {
	opts := container.LogsOptions{ShowStdout: a.Stdout, ShowStderr: a.Stderr, Timestamps: a.Timestamps, Tail: "all"}
	if a.Tail > 0 {
		opts.Tail = strconv.Itoa(a.Tail)
	}
	if a.Since != nil {
		t := e.world.Clock().Now().Add(-*a.Since)
		opts.Since = fmt.Sprintf("%d.%09d", t.Unix(), t.Nanosecond())
	}
	if a.Follow == 0 {
		return e.readLogs(ctx, a.Container, opts, int(a.Max))
	}
	opts.Follow = true
	return e.followLogs(ctx, a, opts)
}

// readLogs returns the last of at most most bytes.
func (e *Engine) readLogs(ctx context.Context, ref string, opts container.LogsOptions, most int) (string, error) {
	last := &lastBytes{most: most}
	err := e.copyLogs(ctx, ref, opts, last)
	return last.String(), err
}

// copyLogs writes a container's log to w, both streams in one.
func (e *Engine) copyLogs(ctx context.Context, ref string, opts container.LogsOptions, w io.Writer) error {
	raw, err := e.getRaw(ctx, ref)
	if err != nil {
		return err
	}
	return e.read(ctx, func(ctx context.Context, c *client.Client) error {
		body, err := c.ContainerLogs(ctx, raw.ID, opts)
		if err != nil {
			return err
		}
		defer body.Close()
		if raw.Config != nil && raw.Config.Tty { // a terminal has one stream, which is not framed
			_, err = io.Copy(w, body)
			return err
		}
		_, err = stdcopy.StdCopy(w, w, body)
		return err
	})
}

// lastLines returns the end of a container's log for an error's details; what
// stands in the way of it is said in its place.
func (e *Engine) lastLines(ctx context.Context, ref string, n int) string {
	text, err := e.readLogs(ctx, ref, container.LogsOptions{ShowStdout: true, ShowStderr: true, Tail: strconv.Itoa(n)}, 16<<10)
	text = strings.TrimRight(text, "\n")
	switch {
	case err != nil:
		return "its log could not be read: " + err.Error()
	case text == "":
		return "its log is empty"
	}
	return "the last lines of its log:\n" + text
}

// lastBytes keeps the end of what is written to it, in at most twice the
// memory.
type lastBytes struct {
	most int
	b    []byte
	cut  bool
}

func (l *lastBytes) Write(p []byte) (int, error) {
	l.b = append(l.b, p...)
	if len(l.b) > 2*l.most {
		l.trim()
	}
	return len(p), nil
}

func (l *lastBytes) trim() {
	if len(l.b) > l.most {
		l.b = append(l.b[:0], l.b[len(l.b)-l.most:]...)
		l.cut = true
	}
}

// all returns the end, byte for byte.
func (l *lastBytes) all() string {
	l.trim()
	return string(l.b)
}

// String returns the end, from the beginning of a line where it was cut.
func (l *lastBytes) String() string {
	l.trim()
	s := string(l.b)
	if l.cut {
		if _, rest, ok := strings.Cut(s, "\n"); ok {
			return rest
		}
	}
	return s
}
