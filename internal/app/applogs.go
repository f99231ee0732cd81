package app

import (
	"bytes"
	"context"
	"io"
	"strconv"
	"sync"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/client"
	"github.com/docker/docker/pkg/stdcopy"

	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/internal/report"
	"github.com/mepc/mepc-run/internal/standing"
	redismodule "github.com/mepc/mepc-run/modules/redis"
	"github.com/mepc/mepc-run/servers"
)

// appLogs is mepc-run logs APP.
type appLogs struct {
	*invocation
	follow bool
	tail   int
}

// show prints what the containers that serve an app print.
func (a *appLogs) show(ctx context.Context, app string) error {
	world := servers.Live(a.servers())
	defer world.Close()
	found, err := standing.Look(ctx, standing.Options{Servers: world, Explain: redismodule.Explain, App: app})
	if err != nil {
		return err
	}
	cli, _, err := world.Docker(ctx, servers.DockerEndpoint{})
	if err != nil {
		return err
	}
	var names []string
	for _, r := range found[0].Serving() {
		for _, c := range r.Containers {
			names = append(names, c.Name)
		}
	}
	if len(names) == 0 {
		return failure.New(failure.NotFound, "no container serves %s", app).WithHint("mepc-run status %s shows what there is", app)
	}
	out := &sharedWriter{to: a.env.Stdout}
	g, ctx := failure.NewGroup(ctx, -1)
	for _, name := range names {
		w := &prefixedLines{to: out}
		if len(names) > 1 {
			w.prefix = report.Clean(name) + "  "
		}
		g.Go(func() error {
			err := a.copy(ctx, cli, name, w)
			w.flush()
			return err
		})
	}
	if err := g.Wait(); err != nil && ctx.Err() == nil {
		return err
	}
	return nil
}

func (a *appLogs) copy(ctx context.Context, cli *client.Client, name string, w io.Writer) error {
	box, err := cli.ContainerInspect(ctx, name)
	if err == nil {
		var body io.ReadCloser
		body, err = cli.ContainerLogs(ctx, name, container.LogsOptions{ShowStdout: true, ShowStderr: true, Follow: a.follow, Tail: strconv.Itoa(max(0, a.tail))})
		if err == nil {
			defer body.Close()
			if box.Config.Tty {
				_, err = io.Copy(w, body)
			} else {
				_, err = stdcopy.StdCopy(w, w, body)
			}
		}
	}
	if err != nil {
		return failure.Wrap(failure.Unavailable, err, "read the log of %s", name)
	}
	return nil
}

// sharedWriter is one that several goroutines write to.
type sharedWriter struct {
	mu sync.Mutex
	to io.Writer
}

// Write implements io.Writer.
func (s *sharedWriter) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.to.Write(p)
}

// prefixedLines writes whole lines, each behind a prefix, without control characters.
type prefixedLines struct {
	to     io.Writer
	prefix string
	rest   []byte
}

// maxLine is how long a line may become before it is written in parts.
const maxLine = 64 << 10

// Write implements io.Writer.
func (l *prefixedLines) Write(p []byte) (int, error) {
	l.rest = append(l.rest, p...)
	for {
		end := bytes.IndexByte(l.rest, '\n')
		if end < 0 {
			if len(l.rest) > maxLine {
				l.flush()
			}
			return len(p), nil
		}
		line := l.rest[:end]
		l.rest = l.rest[end+1:]
		if err := l.put(line); err != nil {
			return 0, err
		}
	}
}

func (l *prefixedLines) put(line []byte) error {
	_, err := io.WriteString(l.to, l.prefix+report.Clean(string(bytes.TrimSuffix(line, []byte("\r"))))+"\n")
	return err
}

func (l *prefixedLines) flush() {
	if len(l.rest) > 0 {
		_ = l.put(l.rest) // what went before has failed, too
		l.rest = nil
	}
}
