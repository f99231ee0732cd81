package trigger

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/events"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/client"
)

// comeback is the time an engine that came back has to start its containers again.
const comeback = 2 * time.Second

// restarts fires for each app whose containers are not where they were before the
// connection to the engine was lost, or the server ended. What changes while the
// engine is there is someone's doing, and is only noted.
func (s *source) restarts(ctx context.Context) error {
	cli, err := s.Docker(ctx)
	if err != nil {
		return err
	}
	back := true
	moves := filters.NewArgs(filters.Arg("type", string(events.ContainerEventType)), filters.Arg("event", string(events.ActionStart)), filters.Arg("event", string(events.ActionDie)))
	return s.follow(ctx, cli, moves, func(ctx context.Context) error {
		if back {
			if err := s.Clock.Sleep(ctx, comeback); err != nil {
				return nil
			}
		}
		err := s.moved(ctx, cli, back)
		back = false
		return err
	})
}

// moved notes where the apps' containers are; with tell it fires for those apps of
// which that has changed.
func (s *source) moved(ctx context.Context, cli *client.Client, tell bool) error {
	there, err := places(ctx, cli)
	if err != nil {
		return err
	}
	memory, fresh, err := s.memory()
	if err != nil {
		return err
	}
	if maps.Equal(there, memory.Names) && !fresh {
		return nil
	}
	for _, app := range slices.Sorted(maps.Keys(there)) {
		if was, known := memory.Names[app]; !tell || !known || was == there[app] {
			continue
		}
		err := s.fire(map[string]any{"app": app}, memory.delivery(s.recipe+" "+app))
		if err != nil && !final(err) {
			return errors.Join(err, memory.keep())
		}
		memory.note(app, there[app])
	}
	memory.Names = there
	return memory.keep()
}

// places returns where the running containers of each app are.
func places(ctx context.Context, cli *client.Client) (map[string]string, error) {
	list, err := cli.ContainerList(ctx, container.ListOptions{Filters: filters.NewArgs(filters.Arg("label", "mepc.app"))})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(list, func(a, b container.Summary) int { return slices.Compare(a.Names, b.Names) })
	there := map[string]string{}
	for _, c := range list {
		at := c.ID
		for _, name := range slices.Sorted(maps.Keys(c.NetworkSettings.Networks)) {
			at += " " + name + "=" + c.NetworkSettings.Networks[name].IPAddress
		}
		for _, p := range c.Ports {
			if p.PublicPort != 0 {
				at += " " + p.IP + ":" + strconv.Itoa(int(p.PublicPort))
			}
		}
		there[c.Labels["mepc.app"]] += at + "\n"
	}
	return there, nil
}
