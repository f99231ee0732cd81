package lab

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/client"
)

// label is on every image that a lab builds on a borrowed engine, with the
// lab's own value, and so on every container made of one: by it they are found
// and removed. Images on an engine of the lab's own go without, so that two
// labs' images are equal.
const label = "mepc.lab"

func (o EngineOptions) isZero() bool {
	return o.Dir == "" && !o.LiveRestore && o.StorageDriver == "" && o.BinDir == "" &&
		o.Hosts == nil && o.Config == nil && o.Log == nil
}

func (o RedisOptions) isZero() bool {
	return o.Dir == "" && o.Password == "" && !o.TCP && o.Args == nil
}

func borrowEngine(ctx context.Context, host string) (*Engine, error) {
	e := &Engine{host: host, mark: randomText(16)}
	cli, err := e.Client()
	if err != nil {
		return nil, fmt.Errorf("use the engine in %s: %w", envDocker, err)
	}
	defer cli.Close()
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	if _, err := cli.Ping(ctx); err != nil {
		return nil, fmt.Errorf("use the engine in %s: %w", envDocker, err)
	}
	return e, nil
}

// labels are carried by the images built on the engine.
func (e *Engine) labels() map[string]string {
	if e.Owned() {
		return nil
	}
	return map[string]string{label: e.mark}
}

// giveBack removes from a borrowed engine the images that were built there, the
// containers made of them, and the containers and networks that have one of
// names in their own.
func (e *Engine) giveBack(names []string) error {
	if e.Owned() {
		return nil
	}
	cli, err := e.Client()
	if err != nil {
		return err
	}
	defer cli.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	err = errors.Join(
		e.removeContainers(ctx, cli, names),
		removeNetworks(ctx, cli, names),
		e.removeImages(ctx, cli),
	)
	if err != nil {
		return fmt.Errorf("remove what the lab made: %w", err)
	}
	return nil
}

func (e *Engine) removeContainers(ctx context.Context, cli *client.Client, names []string) error {
	list, err := cli.ContainerList(ctx, container.ListOptions{All: true})
	if err != nil {
		return err
	}
	var errs []error
	for _, c := range list {
		if c.Labels[label] == e.mark || containsAny(strings.Join(c.Names, " "), names) {
			errs = append(errs, cli.ContainerRemove(ctx, c.ID, container.RemoveOptions{Force: true, RemoveVolumes: true}))
		}
	}
	return errors.Join(errs...)
}

func removeNetworks(ctx context.Context, cli *client.Client, names []string) error {
	list, err := cli.NetworkList(ctx, network.ListOptions{})
	if err != nil {
		return err
	}
	var errs []error
	for _, n := range list {
		if containsAny(n.Name, names) {
			errs = append(errs, cli.NetworkRemove(ctx, n.ID))
		}
	}
	return errors.Join(errs...)
}

func (e *Engine) removeImages(ctx context.Context, cli *client.Client) error {
	list, err := cli.ImageList(ctx, image.ListOptions{Filters: filters.NewArgs(filters.Arg("label", label+"="+e.mark))})
	if err != nil {
		return err
	}
	var errs []error
	for _, i := range list {
		_, err := cli.ImageRemove(ctx, i.ID, image.RemoveOptions{Force: true, PruneChildren: true})
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func borrowRedis(ctx context.Context, url string) (*Redis, error) {
	r := &Redis{url: url}
	cli, err := r.Client()
	if err != nil {
		return nil, err
	}
	defer cli.Close()
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	if err := cli.Ping(ctx).Err(); err != nil {
		return nil, fmt.Errorf("use the Redis in %s: %w", envRedis, err)
	}
	return r, nil
}

// giveBack deletes from a borrowed Redis the keys that have one of names in
// them.
func (r *Redis) giveBack(names []string) error {
	if r.Owned() || len(names) == 0 {
		return nil
	}
	cli, err := r.Client()
	if err != nil {
		return err
	}
	defer cli.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	var errs []error
	keys := cli.Scan(ctx, 0, "*", 1000).Iterator()
	for keys.Next(ctx) {
		if containsAny(keys.Val(), names) {
			errs = append(errs, cli.Del(ctx, keys.Val()).Err())
		}
	}
	if err := errors.Join(append(errs, keys.Err())...); err != nil {
		return fmt.Errorf("delete the lab's keys: %w", err)
	}
	return nil
}

func containsAny(s string, names []string) bool {
	return slices.ContainsFunc(names, func(n string) bool { return strings.Contains(s, n) })
}
