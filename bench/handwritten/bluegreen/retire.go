package bluegreen

import (
	"context"
	"fmt"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"golang.org/x/sync/errgroup"
)

// retire confirms the switch, drains the old containers and stops them. before
// is the routing list as it was.
func (d *deployment) retire(ctx context.Context, before []string) error {
	idle, err := d.idle(ctx)
	if err != nil {
		return err
	}
	if err := d.confirm(ctx); err != nil {
		return err
	}
	left, err := d.left(ctx, before, idle)
	if err != nil {
		return err
	}
	if len(left) > 0 {
		if err := d.drain(ctx, left); err != nil {
			return err
		}
	}
	if len(idle) == 0 {
		return nil
	}
	if err := d.stop(ctx); err != nil {
		return err
	}
	n, err := d.store.Exists(ctx, d.dead()).Result()
	if err == nil && n > 0 {
		err = d.store.Del(ctx, d.dead()).Err()
	}
	return err
}

// idle returns the running containers of older releases that no host points to.
func (d *deployment) idle(ctx context.Context) ([]container.InspectResponse, error) {
	pointed, err := d.backends(ctx)
	if err != nil {
		return nil, err
	}
	old, err := d.old(ctx)
	var idle []container.InspectResponse
	for _, c := range old {
		if c.State.Running && !pointed["http://"+address(c)] {
			idle = append(idle, c)
		}
	}
	return idle, err
}

// left returns the backends that have no traffic any more: those of the list
// before and those of idle.
func (d *deployment) left(ctx context.Context, before []string, idle []container.InspectResponse) ([]string, error) {
	pointed, err := d.backends(ctx)
	if err != nil {
		return nil, err
	}
	running, err := d.containers(ctx, container.ListOptions{})
	if err != nil {
		return nil, err
	}
	ours := map[string]bool{}
	for _, c := range running {
		ours["http://"+address(c)] = c.Config.Labels["mepc.app"] == d.App
	}
	var left []string
	for _, url := range before[min(1, len(before)):] {
		if pointed[url] {
			continue
		}
		if left = append(left, url); !ours[url] {
			fmt.Printf("%s is left as it is\n", url)
		}
	}
	for _, c := range idle {
		left = append(left, "http://"+address(c))
	}
	return left, nil
}

// stop looks once more before it stops anything: the drain took its time.
func (d *deployment) stop(ctx context.Context) error {
	idle, err := d.idle(ctx)
	if err != nil {
		return err
	}
	for _, c := range idle {
		pointed, err := d.backends(ctx)
		if err != nil {
			return err
		}
		if err := d.claimed(ctx, d.store); err != nil {
			return err
		}
		if pointed["http://"+address(c)] {
			fmt.Printf("%s is left running\n", c.Name)
			continue
		}
		never := container.UpdateConfig{RestartPolicy: container.RestartPolicy{Name: container.RestartPolicyDisabled}}
		if _, err := d.engine.ContainerUpdate(ctx, c.Name, never); err != nil {
			return fmt.Errorf("update %s: %w", c.Name, err)
		}
		if err := d.engine.ContainerStop(ctx, c.Name, container.StopOptions{}); err != nil {
			return fmt.Errorf("stop %s: %w", c.Name, err)
		}
	}
	return nil
}

// old returns the application's containers of other releases.
func (d *deployment) old(ctx context.Context) ([]container.InspectResponse, error) {
	all, err := d.containers(ctx, container.ListOptions{All: true, Filters: filters.NewArgs(filters.Arg("label", "mepc.app="+d.App))})
	var old []container.InspectResponse
	for _, c := range all {
		if c.Config.Labels["mepc.release"] != d.release {
			old = append(old, c)
		}
	}
	return old, err
}

// containers inspects each: a list entry lacks half of what inspect says.
func (d *deployment) containers(ctx context.Context, o container.ListOptions) ([]container.InspectResponse, error) {
	found, err := d.engine.ContainerList(ctx, o)
	if err != nil {
		return nil, err
	}
	all := make([]container.InspectResponse, len(found))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(8)
	for i, c := range found {
		g.Go(func() (err error) {
			all[i], err = d.engine.ContainerInspect(ctx, c.ID)
			return err
		})
	}
	return all, g.Wait()
}
