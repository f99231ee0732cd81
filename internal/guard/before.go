package guard

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"

	"github.com/mepc/mepc-run/internal/effect"
	"github.com/mepc/mepc-run/internal/journal"
)

// changing are the calls that change a container which is there.
var changing = []string{
	"docker.start", "docker.stop", "docker.restart", "docker.kill", "docker.pause", "docker.unpause", "docker.rename",
	"docker.update", "docker.remove", disconnect,
}

// container returns the container that op is about to change, as it is now, and notes it;
// nil when there is none.
func (g *Guard) container(ctx context.Context, op *effect.Op) (*container.InspectResponse, error) {
	if !slices.Contains(changing, op.Name) {
		return nil, nil
	}
	ctx, cancel := g.world.Clock().WithTimeout(ctx, answerTime, nil)
	defer cancel()
	cli, err := g.world.DockerNamed(ctx, op.Endpoint)
	if err != nil {
		return nil, err
	}
	name := op.Target
	if op.Name == disconnect {
		name = argument(op, "container")
	}
	c, err := cli.ContainerInspect(ctx, name)
	if cerrdefs.IsNotFound(err) {
		return nil, nil
	}
	if err == nil && (c.ContainerJSONBase == nil || c.State == nil) {
		err = errors.New("the engine's answer has no state")
	}
	if err != nil {
		return nil, err
	}
	g.note(journal.Was{Seq: op.Seq, Container: before(&c)})
	return &c, nil
}

func (g *Guard) note(w journal.Was) {
	if g.Noted != nil {
		g.Noted(w)
	}
}

// before is c as a journal keeps it.
func before(c *container.InspectResponse) *journal.Container {
	was := &journal.Container{
		Name: strings.TrimPrefix(c.Name, "/"), ID: c.ID, Running: c.State.Running, Paused: c.State.Paused,
		Networks: map[string]string{}, Ports: map[string]int{},
	}
	if c.HostConfig != nil {
		p := c.HostConfig.RestartPolicy
		was.Restart = string(p.Name)
		if p.MaximumRetryCount > 0 {
			was.Restart += ":" + strconv.Itoa(p.MaximumRetryCount)
		}
	}
	if c.NetworkSettings == nil {
		return was
	}
	for name, n := range c.NetworkSettings.Networks {
		if n != nil && n.IPAddress != "" {
			was.Networks[name] = n.IPAddress
		}
	}
	for port, bindings := range c.NetworkSettings.Ports {
		for _, b := range bindings {
			if n, err := strconv.Atoi(b.HostPort); err == nil {
				was.Ports[port.Port()] = n
			}
		}
	}
	return was
}
