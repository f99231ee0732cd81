package bluegreen

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/docker/docker/api/types/container"
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
func (d *deployment) idle(ctx context.Context) ([]container.Summary, error) {
	pointed, err := d.backends(ctx)
	if err != nil {
		return nil, err
	}
	old, err := d.old(ctx)
	return slices.DeleteFunc(old, func(c container.Summary) bool {
		return c.State != container.StateRunning || pointed[url(c)]
	}), err
}

// left returns the backends that have no traffic any more: those of the list
// before and those of idle.
func (d *deployment) left(ctx context.Context, before []string, idle []container.Summary) ([]string, error) {
	pointed, err := d.backends(ctx)
	if err != nil || len(before) == 0 {
		return nil, err
	}
	owners, err := d.owners(ctx)
	if err != nil {
		return nil, err
	}
	var left []string
	for _, url := range before[1:] {
		if pointed[url] {
			continue
		}
		if left = append(left, url); owners[url] != d.App {
			fmt.Printf("%s is left as it is\n", url)
		}
	}
	for _, c := range idle {
		left = append(left, url(c))
	}
	return left, nil
}

// owners returns whose containers run, by their URLs.
func (d *deployment) owners(ctx context.Context) (map[string]string, error) {
	running, err := d.engine.ContainerList(ctx, container.ListOptions{})
	owners := map[string]string{}
	for _, c := range running {
		owners[url(c)] = c.Labels["mepc.app"]
	}
	return owners, err
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
		if pointed[url(c)] {
			fmt.Printf("%s is left running\n", c.Names[0])
			continue
		}
		if err := d.stopForGood(ctx, strings.TrimPrefix(c.Names[0], "/")); err != nil {
			return err
		}
	}
	return nil
}

// stopForGood stops a container that no restart of the engine starts again. What it was
// before is looked at before each change.
func (d *deployment) stopForGood(ctx context.Context, name string) error {
	if _, err := d.engine.ContainerInspect(ctx, name); err != nil {
		return err
	}
	never := container.UpdateConfig{RestartPolicy: container.RestartPolicy{Name: container.RestartPolicyDisabled}}
	if _, err := d.engine.ContainerUpdate(ctx, name, never); err != nil {
		return fmt.Errorf("update %s: %w", name, err)
	}
	now, err := d.engine.ContainerInspect(ctx, name)
	if err != nil {
		return err
	}
	if !now.State.Running {
		return nil
	}
	if err := d.engine.ContainerStop(ctx, name, container.StopOptions{}); err != nil {
		return fmt.Errorf("stop %s: %w", name, err)
	}
	return nil
}

// old returns the application's containers of other releases.
func (d *deployment) old(ctx context.Context) ([]container.Summary, error) {
	all, err := d.labelled(ctx, true, "mepc.app="+d.App, "mepc.release", "mepc.replica")
	return slices.DeleteFunc(all, func(c container.Summary) bool { return c.Labels["mepc.release"] == d.release }), err
}

// url returns where the container is reached.
func url(c container.Summary) string { return "http://" + address(c.NetworkSettings.Networks) }
