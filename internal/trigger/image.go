package trigger

import (
	"context"
	"errors"
	"path"
	"slices"
	"time"

	"github.com/docker/docker/api/types/events"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/client"

	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/internal/state"
	"github.com/mepc/mepc-run/modules/on"
)

// relist is the interval at which an engine is looked at even without an event.
const relist = time.Minute

// images fires for each tag that is new on the engine. Those that are there when
// the trigger is seen for the first time are not new.
func (s *source) images(ctx context.Context, t *on.Image) error {
	cli, err := s.Docker(ctx)
	if err != nil {
		return err
	}
	return s.follow(ctx, cli, filters.NewArgs(filters.Arg("type", string(events.ImageEventType))), func(ctx context.Context) error {
		return s.newImages(ctx, cli, t)
	})
}

// follow calls look, again whenever the engine has told of such an event, and
// from time to time without, until the connection ends.
func (s *source) follow(ctx context.Context, cli *client.Client, of filters.Args, look func(context.Context) error) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	told, errs := cli.Events(ctx, events.ListOptions{Filters: of})
	var err error
	for {
		if err := look(ctx); err != nil {
			return err
		}
		waiting, enough := context.WithCancel(ctx)
		waited := failure.Go(func() error { return s.Clock.Sleep(waiting, relist) })
		select {
		case <-told:
		case <-waited:
		case err = <-errs:
		}
		enough()
		<-waited
		if err != nil || ctx.Err() != nil {
			return err
		}
	}
}

func (s *source) newImages(ctx context.Context, cli *client.Client, t *on.Image) error {
	list, err := cli.ImageList(ctx, image.ListOptions{})
	if err != nil {
		return err
	}
	memory, fresh, err := s.memory()
	if err != nil {
		return err
	}
	there := map[string]string{}
	for _, i := range list {
		for _, ref := range i.RepoTags {
			if ok, _ := path.Match(t.Name, ref); ok {
				there[ref] = i.ID
			}
		}
	}
	var news []string
	for ref, id := range there {
		if memory.Names[ref] != id {
			news = append(news, ref)
		}
	}
	slices.Sort(news)
	for _, ref := range news {
		if !fresh {
			repository, tag := state.SplitTag(ref)
			event := map[string]any{"image": ref, "repository": repository, "tag": tag}
			if err := s.fire(event, memory.delivery(s.recipe+" "+ref+"@"+there[ref])); err != nil && !final(err) {
				return errors.Join(err, memory.keep())
			}
		}
		memory.note(ref, there[ref])
	}
	for ref := range memory.Names {
		if there[ref] == "" {
			delete(memory.Names, ref)
		}
	}
	if len(news) == 0 && !fresh {
		return nil
	}
	return memory.keep()
}
