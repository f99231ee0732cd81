package docker

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/swarm"
	"github.com/docker/docker/client"
	"github.com/docker/docker/pkg/stdcopy"

	"github.com/mepc/mepc-run/runtime"
)

// Task is a task as recipes see it.
type Task struct {
	ID        string    `lua:"id" doc:"its ID"`
	Slot      int       `lua:"slot" doc:"which of the service's replicas it is; 0 of a global service"`
	Image     string    `lua:"image" doc:"its image"`
	Node      string    `lua:"node" doc:"the ID of the node that it is on; empty while it is on none"`
	Container string    `lua:"container" doc:"the ID of its container; empty while it has none"`
	State     string    `lua:"state" doc:"what it is: new, pending, assigned, accepted, preparing, starting, running, complete, shutdown, failed, rejected, remove or orphaned"`
	Desired   string    `lua:"desired" doc:"what it is to be: running, shutdown, ready or remove"`
	Message   string    `lua:"message" doc:"what the swarm says about it"`
	Error     string    `lua:"error" doc:"what went wrong; empty when nothing did"`
	ExitCode  int       `lua:"exit_code" doc:"of its container, when that has ended"`
	Changed   time.Time `lua:"changed" doc:"when its state last changed, in seconds since 1970"`
}

func newTask(t *swarm.Task) *Task {
	out := &Task{
		ID: t.ID, Slot: t.Slot, Node: t.NodeID, State: string(t.Status.State), Desired: string(t.DesiredState),
		Message: t.Status.Message, Error: t.Status.Err, Changed: t.Status.Timestamp,
	}
	if c := t.Spec.ContainerSpec; c != nil {
		out.Image = plainImage(c.Image)
	}
	if c := t.Status.ContainerStatus; c != nil {
		out.Container, out.ExitCode = c.ContainerID, c.ExitCode
	}
	return out
}

type tasksArgs struct {
	Service string `lua:"service,pos,required,target" doc:"its name or ID"`
	Running bool   `lua:"running" doc:"true: only those that are to run"`
	Current bool   `lua:"current" doc:"true: only those of the service's present configuration"`
}

func (a *tasksArgs) Validate() error { return checkRef("service", a.Service) }

func (e *Engine) tasks(ctx context.Context, a *tasksArgs) (list []*Task, err error) {
	s, err := e.getService(ctx, a.Service)
	if err != nil {
		return nil, err
	}
	f := filters.NewArgs(filters.Arg("service", s.ID))
	if a.Running {
		f.Add("desired-state", "running")
	}
	if a.Current {
		f.Add("_up-to-date", "true") // as docker service update asks, to see how far it is
	}
	err = e.read(ctx, func(ctx context.Context, c *client.Client) error {
		found, err := c.TaskList(ctx, swarm.TaskListOptions{Filters: f})
		slices.SortFunc(found, func(a, b swarm.Task) int {
			return cmp.Or(b.CreatedAt.Compare(a.CreatedAt), cmp.Compare(a.Slot, b.Slot), cmp.Compare(a.ID, b.ID))
		})
		for i := range found {
			list = append(list, newTask(&found[i]))
		}
		return err
	})
	return list, err
}

type serviceLogsArgs struct {
	Service string       `lua:"service,pos,required,target" doc:"its name or ID"`
	Tail    int          `lua:"tail" default:"100" min:"0" doc:"how many lines of each task"`
	Max     runtime.Size `lua:"max" default:"1MiB" max:"268435456" doc:"how much is kept; the beginning is cut off"`
}

func (a *serviceLogsArgs) Validate() error { return checkRef("service", a.Service) }

func (e *Engine) serviceLogs(ctx context.Context, a *serviceLogsArgs) (string, error) {
	s, err := e.getService(ctx, a.Service)
	if err != nil {
		return "", err
	}
	out := &lastBytes{most: int(a.Max)}
	err = e.read(ctx, func(ctx context.Context, c *client.Client) error {
		body, err := c.ServiceLogs(ctx, s.ID, container.LogsOptions{ShowStdout: true, ShowStderr: true, Tail: fmt.Sprint(a.Tail)})
		if err != nil {
			return err
		}
		defer body.Close()
		_, err = stdcopy.StdCopy(out, out, body)
		return err
	})
	return out.all(), err
}
