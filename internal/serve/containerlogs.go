package serve

import (
	"bytes"
	"context"
	"io"
	"strconv"
	"strings"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/client"
	"github.com/docker/docker/pkg/stdcopy"

	"github.com/mepc/mepc-run/internal/failure"
)

// logLines is the end of a container's log.
type logLines struct {
	Container string   `json:"container"`
	Lines     []string `json:"lines"`
}

const (
	lastLines = 300
	maxLog    = 256 << 10 // bytes of a log that are shown
)

// containerLogs answers with the end of a container's log. Containers of others than
// mepc-run are not shown.
func (s *Server) containerLogs(c *call) (any, error) {
	name := c.PathValue("name")
	ctx, cancel := context.WithTimeout(c.Context(), headerTime)
	defer cancel()
	cli, err := s.opts.Servers.Docker(ctx)
	if err != nil {
		return nil, err
	}
	box, err := cli.ContainerInspect(ctx, name)
	if client.IsErrNotFound(err) || err == nil && box.Config.Labels["mepc.app"] == "" {
		return nil, failure.New(failure.NotFound, "no container %s of an app", name)
	}
	if err != nil {
		return nil, failure.Wrap(failure.Unavailable, err, "look at %s", name)
	}
	body, err := cli.ContainerLogs(ctx, name, container.LogsOptions{ShowStdout: true, ShowStderr: true, Tail: strconv.Itoa(lastLines)})
	if err != nil {
		return nil, failure.Wrap(failure.Unavailable, err, "read the log of %s", name)
	}
	defer body.Close()
	var out bytes.Buffer
	if limited := io.LimitReader(body, maxLog); box.Config.Tty {
		_, err = io.Copy(&out, limited)
	} else {
		_, err = stdcopy.StdCopy(&out, &out, limited)
	}
	if err != nil && out.Len() == 0 {
		return nil, failure.Wrap(failure.Unavailable, err, "read the log of %s", name)
	}
	text := strings.TrimSuffix(strings.ToValidUTF8(out.String(), "\ufffd"), "\n")
	lines := []string{}
	if text != "" {
		lines = strings.Split(text, "\n")
	}
	return logLines{name, lines}, nil
}
