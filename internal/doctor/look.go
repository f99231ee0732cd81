package doctor

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/client"
	"github.com/redis/go-redis/v9"

	"github.com/mepc/mepc-run/internal/clock"
	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/servers"
)

// Options says where to look.
type Options struct {
	Servers servers.Options
	Routers []string
	Clock   clock.Clock
	// Disk tells of the room at a path of this machine.
	Disk func(path string) (free, total uint64, err error)
}

// patience limits the time each server may take to answer.
const patience = 10 * time.Second

// Look asks the servers.
func Look(ctx context.Context, opts Options) *Facts {
	world := servers.ReadOnly(opts.Servers)
	defer world.Close()
	f := &Facts{Engine: lookEngine(ctx, world, opts), Redis: lookRedis(ctx, world, opts)}
	for _, router := range opts.Routers {
		f.Routers = append(f.Routers, lookRouter(ctx, router))
	}
	return f
}

func bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, patience, failure.New(failure.Timeout, "no answer within %s", patience))
}

func lookEngine(ctx context.Context, world *servers.Clients, opts Options) Engine {
	ctx, cancel := bounded(ctx)
	defer cancel()
	e := Engine{Name: world.DockerName(servers.DockerEndpoint{})}
	cli, name, err := world.Docker(ctx, servers.DockerEndpoint{})
	if err != nil {
		e.Err = err
		return e
	}
	x := &servers.Exchange{Endpoint: name}
	watched := x.Watch(ctx)
	e.Name = name
	if err := e.ask(watched, cli, opts); err != nil {
		e.Err = x.Failure(ctx, err)
	}
	return e
}

func (e *Engine) ask(ctx context.Context, cli *client.Client, opts Options) error {
	version, err := cli.ServerVersion(ctx)
	if err != nil {
		return err
	}
	e.Version, e.API, e.MinAPI = version.Version, version.APIVersion, version.MinAPIVersion
	before := opts.Clock.Now()
	info, err := cli.Info(ctx)
	if err != nil {
		return err
	}
	after := opts.Clock.Now()
	e.LiveRestore = info.LiveRestoreEnabled
	if now, err := time.Parse(time.RFC3339Nano, info.SystemTime); err == nil {
		e.Skew, e.SkewKnown = skew(now, before, after), true
	}
	if strings.HasPrefix(e.Name, "unix://") && opts.Disk != nil {
		if free, total, err := opts.Disk(info.DockerRootDir); err == nil {
			e.Disk = &Disk{info.DockerRootDir, free, total}
		}
	}
	return e.askContainers(ctx, cli)
}

// skew compares a server's time with ours, which was taken before and after. What
// the answer took does not count.
func skew(theirs, before, after time.Time) time.Duration {
	switch {
	case theirs.Before(before):
		return theirs.Sub(before)
	case theirs.After(after):
		return theirs.Sub(after)
	}
	return 0
}

// maxContainers is the number of containers inspected one by one.
const maxContainers = 200

func (e *Engine) askContainers(ctx context.Context, cli *client.Client) error {
	list, err := cli.ContainerList(ctx, container.ListOptions{
		Limit: maxContainers, Filters: filters.NewArgs(filters.Arg("label", "mepc.app"), filters.Arg("status", "running")),
	})
	if err != nil {
		return err
	}
	for _, c := range list {
		raw, err := cli.ContainerInspect(ctx, c.ID)
		if err != nil || raw.HostConfig == nil {
			continue // it went away
		}
		if !raw.HostConfig.RestartPolicy.IsAlways() {
			e.NotRestarting = append(e.NotRestarting, strings.TrimPrefix(raw.Name, "/"))
		}
	}
	return nil
}

func lookRedis(ctx context.Context, world *servers.Clients, opts Options) Redis {
	ctx, cancel := bounded(ctx)
	defer cancel()
	cli, name, err := world.Redis(ctx, "")
	r := Redis{Name: name, Info: map[string]string{}, Config: map[string]string{}}
	if err != nil {
		r.Name, r.Err = opts.Servers.Redis, err
		return r
	}
	info, err := cli.Info(ctx).Result()
	if err != nil {
		r.Err = redisFailure(ctx, err)
		return r
	}
	for line := range strings.Lines(info) {
		if key, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			r.Info[key] = value
		}
	}
	before := opts.Clock.Now()
	if now, err := cli.Time(ctx).Result(); err == nil {
		r.Skew, r.hasClock = skew(now, before, opts.Clock.Now()), true
	}
	r.Traefik = hasKeys(ctx, cli, "traefik/*")
	for _, name := range []string{"save", "notify-keyspace-events"} {
		if got, err := cli.ConfigGet(ctx, name).Result(); err == nil {
			for key, value := range got {
				r.Config[key] = value
			}
		}
	}
	return r
}

// hasKeys looks through a bounded part of the keys.
func hasKeys(ctx context.Context, cli redis.UniversalClient, pattern string) bool {
	var cursor uint64
	for range 50 {
		keys, next, err := cli.Scan(ctx, cursor, pattern, 1000).Result()
		if err != nil || len(keys) > 0 {
			return len(keys) > 0
		}
		if next == 0 {
			return false
		}
		cursor = next
	}
	return false
}

func redisFailure(ctx context.Context, err error) error {
	var dial *servers.DialError
	switch text := err.Error(); {
	case ctx.Err() != nil && errors.Is(err, ctx.Err()):
		return context.Cause(ctx)
	case errors.As(err, &dial):
		return failure.New(failure.Unavailable, "%s", dial)
	case strings.HasPrefix(text, "NOAUTH"), strings.HasPrefix(text, "WRONGPASS"), strings.Contains(text, "invalid password"):
		return failure.New(failure.Auth, "%s", text).WithHint("put user and password in the URL: redis://user:password@host:6379")
	case strings.HasPrefix(text, "NOPERM"):
		return failure.New(failure.Auth, "%s", text).WithHint("the user needs INFO, TIME, SCAN and the routing keys")
	}
	return failure.New(failure.Unavailable, "%s", err)
}

// lookRouter asks for an unknown host: any answer will do.
func lookRouter(ctx context.Context, router string) Router {
	ctx, cancel := bounded(ctx)
	defer cancel()
	r := Router{URL: router}
	world := servers.Live(servers.Options{})
	defer world.Close()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, router, nil)
	if err != nil {
		r.Err = err
		return r
	}
	req.Host = "mepc-doctor.invalid"
	wire := world.NewTransport()
	defer wire.CloseIdleConnections()
	resp, err := wire.RoundTrip(req)
	if err != nil {
		var u *url.Error
		if errors.As(err, &u) {
			err = u.Err
		}
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		r.Err = err
		return r
	}
	resp.Body.Close()
	r.Status = resp.StatusCode
	return r
}
