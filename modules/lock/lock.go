// Package lock is the Lua function lock: a recipe asks for an app's lock in one
// line, and has it until the run's end. What a lock is stands in internal/lock.
package lock

import (
	"context"
	"fmt"
	"path/filepath"
	"strconv"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	goredis "github.com/redis/go-redis/v9"
	lua "github.com/yuin/gopher-lua"

	"github.com/mepc/mepc-run/internal/clock"
	"github.com/mepc/mepc-run/internal/effect"
	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/internal/lock"
	"github.com/mepc/mepc-run/runtime"
	"github.com/mepc/mepc-run/servers"
)

// Options says who runs recipes here.
type Options struct {
	Who, Host string
	Wait      time.Duration           // for a holder that lives
	State     string                  // directory of the locks that are in no Redis
	Dead      func(owner string) bool // knows of runs that are no more; may be nil
	// Taken is told of each lock before anything is done under it; it may be nil.
	Taken func(l Taken) error
}

// Taken is a lock that was taken.
type Taken struct {
	App   string // with the target, if any: app@target
	In    string // the Redis that has it; empty: a file
	Token int64
	From  string // whose it was, if it was taken over
}

// New returns the module.
func New(opts Options) runtime.Module {
	return runtime.Module{
		Name: "lock",
		Doc: "One run at a time deploys an app: lock(app) waits for the app's lock, takes it, and gives it back when the run is over, however it ends. " +
			"It is renewed meanwhile; a run that could not renew it for 10 seconds makes no effect any more. " +
			"The lock of a run that died ends by itself after 15 seconds, or at once where its process is known to be gone.",
		Self: runtime.PerRun(func(w *servers.Clients) *Locks { return &Locks{world: w, opts: opts, held: map[string]*Held{}} }),
		Funcs: []runtime.Func{{
			Name: "", Class: runtime.Read, Timeout: day,
			Doc: "Takes the lock of an app. It is not an effect: it changes nothing that is deployed. " +
				"Somebody who has it and lives is waited for as long as --lock-wait says, and then named in a conflict. " +
				"Asking again for a lock that the run has gives the same one.",
			From:    "WATCH, GET, TIME, MULTI, SET, EXEC",
			Returns: "the lock, whose token is higher than that of any lock of the app before",
			Raises:  []runtime.Kind{failure.Conflict, failure.Unavailable, failure.Invalid, failure.Cancelled},
			Example: `local store = redis.connect()
local mine = lock("shop", {redis = store})
store:watch({mine.fence}, function(tx)
  if tx:get(mine.fence) ~= mine.token then fail("someone else deploys shop by now", {kind = "conflict"}) end
  tx:multi(function(m) m:set("shop:color", "blue") end)
end)`,
			Call: runtime.Inline((*Locks).take),
		}},
	}
}

const day = 24 * time.Hour

// Locks are a run's.
type Locks struct {
	world *servers.Clients
	opts  Options
	held  map[string]*Held
}

type takeArgs struct {
	App      string     `lua:"app,pos,required,target" doc:"whose lock; the containers of the app have it in the label mepc.app"`
	Redis    lua.LValue `lua:"redis" doc:"the connection to the Redis that has the lock, for all who deploy with it; without it the lock is a file, for this machine alone"`
	Versions int        `lua:"versions" default:"1" min:"1" max:"100" doc:"how many images of the app may have traffic when the run is over, in a routing list that it changed: more are an error, as of a guard"`
	Target   string     `lua:"target" doc:"what of the app is deployed, where several may be at a time, such as a host"`
}

// Held is a lock that the run has.
type Held struct {
	App   string `lua:"app" doc:"whose"`
	Token string `lua:"token" doc:"its token, a whole number; higher than that of any lock of the app before"`
	Fence string `lua:"fence" doc:"the key in Redis that has the highest token; \"\" for a lock in a file"`
}

// connection is a Redis connection of the module redis.
type connection interface {
	Client() goredis.UniversalClient
	Endpoint() string
	Clock() clock.Clock
	Explain(err error) error
}

func (l *Locks) take(c *runtime.Call, a *takeArgs) (*Held, error) {
	name := a.App
	if a.Target != "" {
		name += "@" + a.Target
	}
	if held := l.held[name]; held != nil {
		return held, nil
	}
	place, endpoint, err := l.place(a.Redis)
	if err != nil {
		return nil, err
	}
	q := lock.Request{
		App: name, Wait: l.opts.Wait, Dead: l.opts.Dead, Clock: c.Clock(),
		Holder: lock.Holder{Owner: c.Run().ID(), Who: l.opts.Who, Host: l.opts.Host},
	}
	if q.Holder.Owner == "" {
		q.Holder.Owner = "run-" + l.world.Draw()
	}
	var k *lock.Keeper
	args := []effect.Arg{{Name: "in", Value: place.String()}}
	if a.Versions > 1 {
		args = append(args, effect.Arg{Name: "versions", Value: strconv.Itoa(a.Versions)})
	}
	err = c.Gate(l, effect.Read, a.App, args, func(ctx context.Context) error {
		var from string
		var err error
		q.Floor = l.fence(ctx, a.App)
		if k, from, err = lock.Take(ctx, place, q); err != nil {
			return err
		}
		summary := fmt.Sprintf("token %d", k.Token())
		if from != "" {
			summary += ", taken over from " + from
		}
		effect.Note(ctx, summary)
		if l.opts.Taken != nil {
			err = l.opts.Taken(Taken{App: name, In: endpoint, Token: k.Token(), From: from})
		}
		if err != nil {
			_ = k.Release(ctx) // it ends by itself, too
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	run := c.Run()
	run.AddGuard(k)
	if run.ID() != "" { // a run without a name leaves no traces of its own
		run.SetLabel(fenceLabel, strconv.FormatInt(k.Token(), 10))
	}
	run.AtEnd("lock.release", k.Release) // without an answer it ends by itself
	held := &Held{App: a.App, Token: strconv.FormatInt(k.Token(), 10)}
	if endpoint != "" {
		held.Fence = lock.FenceKey(name)
	}
	l.held[name] = held
	return held, nil
}

// fenceLabel marks what was created under a lock with its token.
const fenceLabel = "mepc.fence"

// place returns where the lock is to be, and which Redis that is in, if any.
func (l *Locks) place(v lua.LValue) (lock.Place, string, error) {
	if v == nil || v == lua.LNil {
		if l.world.Rehearsed() {
			return nowhere{}, "", nil
		}
		return lock.InFiles(filepath.Join(l.opts.State, "locks"), l.world.Clock()), "", nil
	}
	if ud, ok := v.(*lua.LUserData); ok {
		if conn, ok := ud.Value.(connection); ok {
			return lock.InRedis(conn.Client(), conn.Endpoint(), conn.Clock(), conn.Explain), conn.Endpoint(), nil
		}
	}
	return nil, "", failure.New(failure.Invalid, "redis: a connection expected, got %s", v.Type()).
		WithHint("lock(app, {redis = redis.connect()})")
}

// fence returns the highest token that a container of app has, which outlives a
// Redis that lost what it knew. An engine that does not answer tells none.
func (l *Locks) fence(ctx context.Context, app string) int64 {
	ctx, cancel := l.world.Clock().WithTimeout(ctx, 2*time.Second, nil)
	defer cancel()
	cli, _, err := l.world.Docker(ctx, servers.DockerEndpoint{})
	if err != nil {
		return 0
	}
	list, err := cli.ContainerList(ctx, container.ListOptions{All: true, Filters: filters.NewArgs(
		filters.Arg("label", "mepc.app="+app), filters.Arg("label", fenceLabel))})
	if err != nil {
		return 0
	}
	var highest int64
	for _, c := range list {
		n, err := strconv.ParseInt(c.Labels[fenceLabel], 10, 64)
		if err == nil {
			highest = max(highest, n)
		}
	}
	return highest
}

// nowhere is the place of a lock in a file, rehearsed: nobody else is there.
type nowhere struct{}

func (nowhere) Take(_ context.Context, _ string, h lock.Holder, _ *lock.Holder, floor int64) (*lock.Holder, error) {
	h.Token = floor + 1
	return &h, nil
}
func (nowhere) Renew(context.Context, string, lock.Holder, bool) error { return nil }
func (nowhere) Release(context.Context, string, string) error          { return nil }
func (nowhere) Look(context.Context, string) (*lock.Holder, error)     { return nil, nil }
func (nowhere) String() string                                         { return "a file" }
