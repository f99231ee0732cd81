// Package trigger watches for what recipes say starts them: images on the engine,
// archives in a directory, messages in Redis, times. Start with Run. Webhooks are
// the server's own.
package trigger

import (
	"context"
	"log/slog"
	"time"

	"github.com/docker/docker/client"
	"github.com/redis/go-redis/v9"

	"github.com/mepc/mepc-run/internal/clock"
	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/internal/reload"
	"github.com/mepc/mepc-run/modules/on"
)

// Options say where to look, and whom to tell.
type Options struct {
	Recipes interface {
		Recipes() []*reload.Recipe
		Changed() <-chan struct{}
	}
	Docker func(context.Context) (*client.Client, error)
	Redis  func(context.Context) (redis.UniversalClient, error)
	Dir    string // what on.archive's directories are below
	State  string // a directory for what was seen
	Name   string // of this server, among the consumers of a stream
	Clock  clock.Clock
	Log    *slog.Logger
	// Fire asks for a run. It returns the request's ID when that is durable. An event
	// with the delivery of an earlier one is answered with that one's.
	Fire func(recipe string, t *on.Trigger, event map[string]any, delivery string) (id string, err error)
	// Ended reports whether a request has come to its end.
	Ended func(id string) bool
}

// source is a trigger that is watched for.
type source struct {
	Options
	recipe string
	on     *on.Trigger
	key    string
	log    *slog.Logger
}

// Run watches for the triggers of all recipes, as they are now, until ctx ends.
func Run(ctx context.Context, opts Options) {
	var running failure.Crew
	defer running.Wait()
	stops := map[string]context.CancelFunc{}
	for ctx.Err() == nil {
		changed := opts.Recipes.Changed()
		wanted := map[string]bool{}
		for _, r := range opts.Recipes.Recipes() {
			if r.Version == nil {
				continue
			}
			for _, t := range r.Version.Triggers {
				s := &source{Options: opts, recipe: r.Name, on: t, key: r.Name + " " + r.Version.Hash + " " + t.Where + " " + t.String()}
				s.log = opts.Log.With("recipe", r.Name, "trigger", t.String())
				wanted[s.key] = true
				if stops[s.key] != nil {
					continue
				}
				own, stop := context.WithCancel(ctx)
				stops[s.key] = stop
				running.Go(func() { s.run(own) }, failure.BugTo(s.log))
			}
		}
		for key, stop := range stops {
			if !wanted[key] {
				stop()
				delete(stops, key)
			}
		}
		select {
		case <-changed:
		case <-ctx.Done():
		}
	}
	for _, stop := range stops {
		stop()
	}
}

// How long to wait after an error before the next try.
const (
	minWait = time.Second
	maxWait = time.Minute
)

// run watches, and after an error again, until ctx ends.
func (s *source) run(ctx context.Context) {
	var watch func(context.Context) error
	switch t := s.on.Source.(type) {
	case *on.Image:
		watch = func(ctx context.Context) error { return s.images(ctx, t) }
	case *on.Engine:
		watch = s.restarts
	case *on.Archive:
		watch = func(ctx context.Context) error { return s.archives(ctx, t) }
	case *on.Schedule:
		watch = func(ctx context.Context) error { return s.times(ctx, t) }
	case *on.Redis:
		watch = func(ctx context.Context) error { return s.messages(ctx, t) }
	default:
		return // a webhook comes by itself
	}
	told := ""
	for wait := minWait; ctx.Err() == nil; wait = min(2*wait, maxWait) {
		began := s.Clock.Now()
		err := failure.Protect(func() error { return watch(ctx) })
		if ctx.Err() != nil {
			return
		}
		if s.Clock.Now().Sub(began) > maxWait {
			wait = minWait
		}
		if err != nil && err.Error() != told {
			told = err.Error()
			s.log.Warn("a trigger cannot be watched at the moment; it is tried again", "error", err)
		}
		if s.Clock.Sleep(ctx, wait) != nil {
			return
		}
	}
}

// fire asks for a run, and says what cannot be run.
func (s *source) fire(event map[string]any, delivery string) error {
	_, err := s.request(event, delivery)
	return err
}

// request is fire, and returns the request's ID.
func (s *source) request(event map[string]any, delivery string) (string, error) {
	id, err := s.Fire(s.recipe, s.on, event, delivery)
	if err != nil {
		s.log.Error("an event did not start the recipe", "event", event, "error", err)
	}
	return id, err
}

// doze is the longest a schedule waits before it looks at the clock again, which
// may have been set meanwhile.
const doze = 30 * time.Second

// times fires when the schedule is due. What was due while the server was away is
// not made up for. Where the clock is put forward over times, the schedule is due
// once; where it is put back, times that come again are known by their delivery.
func (s *source) times(ctx context.Context, t *on.Schedule) error {
	now := s.now()
	due := t.Next(now)
	for !due.IsZero() {
		if err := s.Clock.Sleep(ctx, min(due.Sub(now), doze)); err != nil {
			return nil
		}
		before := now
		switch now = s.now(); {
		case now.Before(before):
			due = t.Next(now)
		case !now.Before(due):
			at := due.UTC().Format(time.RFC3339)
			_ = s.fire(map[string]any{"time": at}, s.key+" "+at) // it was told
			due = t.Next(now)
		}
	}
	<-ctx.Done() // never again
	return nil
}

// now returns the clock's time, whatever has passed since then.
func (s *source) now() time.Time { return s.Clock.Now().Round(0) }
