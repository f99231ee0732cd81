package spec

import (
	"context"
	"slices"
	"strings"

	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/internal/rehearsal"
	"github.com/mepc/mepc-run/runtime"
)

// troubles is the table of what a spec can let go wrong in a world.
func troubles() []runtime.Func {
	return []runtime.Func{
		{
			Name: "fail",
			Doc: "Makes calls of a function fail in the runs that follow, as the server or the network would: nothing is done. " +
				"redis.NAME is a command, also inside a transaction. Calls of the spec itself never fail. " +
				"A test without such a call fails, unless w:heal() comes before its end.",
			Raises:  []runtime.Kind{failure.Invalid},
			Example: `w:fail("docker.start", {nth = 1, with = "conflict"})`,
			Call:    runtime.Inline((*World).fail),
		},
		{
			Name: "lose_reply",
			Doc: "Makes the reply to calls of a function get lost in the runs that follow: the call is done, but the recipe gets no answer. " +
				"If looking can settle the outcome, the module looks, as it does on a network.",
			Raises:  []runtime.Kind{failure.Invalid},
			Example: `w:lose_reply("docker.start", {nth = 1})`,
			Call:    runtime.Inline((*World).loseReply),
		},
		{
			Name:    "heal",
			Doc:     "Removes the faults of fail and lose_reply, and starts the engine and Redis if they are down.",
			Example: `w:heal()`,
			Call:    runtime.Inline((*World).heal),
		},
		{
			Name:    "kill",
			Doc:     "Kills a container's process, as a crash does: its restart policy counts.",
			Raises:  []runtime.Kind{failure.NotFound},
			Example: `w:kill("app-blue")`,
			Call:    runtime.Inline((*World).kill),
		},
		{
			Name: "restart_engine",
			Doc: "Restarts the engine as kill -9 does: containers without the policy always stay down, the others may come back with " +
				"each other's addresses.",
			Example: `w:restart_engine{shuffle = true}`,
			Call:    runtime.Inline((*World).restartEngine),
		},
		{
			Name:    "engine_down",
			Doc:     "Makes the engine refuse connections, or accept them again. Its containers go on.",
			Example: `w:engine_down(true)`,
			Call:    runtime.Inline((*World).engineDown),
		},
		{
			Name:    "redis_down",
			Doc:     "Makes Redis refuse connections, or accept them again, with the data that it had.",
			Example: `w:redis_down(true)`,
			Call:    runtime.Inline((*World).redisDown),
		},
	}
}

type failArgs struct {
	Op      string `lua:"op,pos,required" doc:"the function, such as docker.start"`
	Nth     int    `lua:"nth" min:"1" doc:"only this one of the calls, from 1; default: all"`
	After   int    `lua:"after" min:"1" doc:"skip this many calls first"`
	Target  string `lua:"target" doc:"only calls to this target; default: all"`
	With    string `lua:"with" default:"refused" enum:"conflict|not_found|refused|invalid_argument|auth|unavailable|timeout" doc:"the kind of the error; timeout: it is done, but the answer does not come in time"`
	Message string `lua:"message" doc:"the server's message; default: a typical one"`
}

func (w *World) fail(c *runtime.Call, a *failArgs) (runtime.None, error) {
	if _, err := w.simulated("w:fail"); err != nil {
		return runtime.None{}, err
	}
	if err := w.known(a.Op); err != nil {
		return runtime.None{}, err
	}
	w.faults.Plant(rehearsal.Fault{Op: a.Op, Target: a.Target, Nth: a.Nth, After: a.After, Kind: failure.Kind(a.With), Message: a.Message, Where: c.Where()})
	return runtime.None{}, nil
}

type loseArgs struct {
	Op     string `lua:"op,pos,required" doc:"the function, such as docker.start"`
	Nth    int    `lua:"nth" min:"1" doc:"only this one of the calls, from 1; default: all"`
	After  int    `lua:"after" min:"1" doc:"skip this many calls first"`
	Target string `lua:"target" doc:"only calls to this target; default: all"`
}

func (w *World) loseReply(c *runtime.Call, a *loseArgs) (runtime.None, error) {
	if _, err := w.simulated("w:lose_reply"); err != nil {
		return runtime.None{}, err
	}
	if err := w.known(a.Op); err != nil {
		return runtime.None{}, err
	}
	w.faults.Plant(rehearsal.Fault{Op: a.Op, Target: a.Target, Nth: a.Nth, After: a.After, Where: c.Where()})
	return runtime.None{}, nil
}

// known refuses the name of a function that calls no server: nothing would fail.
func (w *World) known(op string) error {
	if strings.HasPrefix(op, "redis.") {
		return nil // any command
	}
	var names []string
	for _, m := range w.file.opts.Modules {
		for _, f := range m.Funcs {
			if f.Class != runtime.Pure && m.Name != "" {
				names = append(names, m.Name+"."+f.Name)
			}
		}
	}
	if slices.Contains(names, op) {
		return nil
	}
	return failure.New(failure.Invalid, "%q is not a function that calls a server%s", op, runtime.DidYouMean(op, names)).
		WithHint("write docker.start, http.post, redis.rpush, ...")
}

func (w *World) heal(_ *runtime.Call, _ *runtime.None) (runtime.None, error) {
	s, err := w.simulated("w:heal")
	if err != nil {
		return runtime.None{}, err
	}
	w.faults.Clear()
	s.World.SetRedisDown(false)
	s.World.Engine("").SetDown(false)
	return runtime.None{}, nil
}

type killArgs struct {
	Name string `lua:"name,pos,required,target" doc:"the container"`
}

func (w *World) kill(c *runtime.Call, a *killArgs) (none runtime.None, err error) {
	if w.real != nil {
		c.Block(func(ctx context.Context) { err = w.real.Site.Kill(ctx, a.Name) })
		return none, err
	}
	for _, e := range w.stage.World.Engines() {
		if e.Kill(a.Name) {
			return runtime.None{}, nil
		}
	}
	return runtime.None{}, failure.New(failure.NotFound, "no container %s runs in this world", a.Name)
}

type restartArgs struct {
	Shuffle bool `lua:"shuffle" doc:"containers come back in the opposite order, with each other's addresses"`
}

func (w *World) restartEngine(_ *runtime.Call, a *restartArgs) (runtime.None, error) {
	s, err := w.simulated("w:restart_engine")
	if err == nil {
		s.World.Engine("").Restart(a.Shuffle)
	}
	return runtime.None{}, err
}

type downArgs struct {
	Down bool `lua:"down,pos" default:"true" doc:"whether it is down"`
}

func (w *World) engineDown(_ *runtime.Call, a *downArgs) (runtime.None, error) {
	s, err := w.simulated("w:engine_down")
	if err == nil {
		s.World.Engine("").SetDown(a.Down)
	}
	return runtime.None{}, err
}

func (w *World) redisDown(_ *runtime.Call, a *downArgs) (runtime.None, error) {
	s, err := w.simulated("w:redis_down")
	if err == nil {
		s.World.SetRedisDown(a.Down)
	}
	return runtime.None{}, err
}
