package spec

import (
	"context"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/mepc/mepc-run/internal/clock"
	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/internal/rehearsal"
	"github.com/mepc/mepc-run/internal/sim"
	"github.com/mepc/mepc-run/runtime"
)

// World is a simulated world as a spec has it.
type World struct {
	Docker any `lua:"docker" type:"docker.engine" doc:"a connection to the world's engine: its methods are the functions of docker"`
	Redis  any `lua:"redis" type:"redis" doc:"a connection to the world's Redis: any command is a method"`

	file   *file
	home   *block // the insulated block that it was made for
	stage  *rehearsal.Stage
	faults rehearsal.Faults
}

// String names the object in messages.
func (w *World) String() string { return "world" }

// askHere is the address of the router that w:get asks in a world without one. It
// is one that nobody has.
const askHere = "192.0.2.1:80"

func worldFunc() runtime.Func {
	return runtime.Func{
		Name: "world",
		Doc: "Makes a simulated world: an engine, a Redis and routers. The table has the keys of a world file; those of its engine " +
			"(images, containers, networks, volumes) may stand in it directly. An image or a router may be its name alone, a Redis key " +
			"its string or its list. What the world does not have is not there: a request to another host is an error.",
		Returns: "the world",
		Raises:  []runtime.Kind{failure.Invalid},
		Example: `local w = world{
  images = {"mepc/app:1.0", {ref = "mepc/app:1.1", behaviour = {start_delay = "3s"}}},
  redis = {["frontend:appserver"] = {"app", "http://172.17.0.2:8080"}},
  routers = {"127.0.0.1:8080"},
}`,
		Call: runtime.Inline((*file).world),
	}
}

func worldType() runtime.Type {
	return runtime.Type{
		Name: "world", Of: (*World)(nil), Doc: "A simulated world. Its time stands until a run waits, or w:advance is called.",
		Funcs: append([]runtime.Func{
			{
				Name: "run",
				Doc: "Runs a recipe in the world, with the parameters given: a file of the project, or a recipe that mepc-run brings. " +
					"An error that ends the run is run.error.",
				Returns: "the run",
				Raises:  []runtime.Kind{failure.NotFound, failure.Syntax, failure.Denied, failure.Invalid, failure.NotModelled},
				Example: `local run = w:run("recipes/bluegreen.lua", {image = "mepc/app:1.1"})
assert.is_nil(run.error)`,
				Call: runtime.Inline((*World).run),
			},
			{
				Name:    "get",
				Doc:     "Sends a GET request. A host that no container, port or router of the world has goes through its router, by the routing list.",
				Returns: "the answer",
				Raises:  []runtime.Kind{failure.Invalid, failure.Unavailable},
				Example: `assert.are.equal(200, w:get("http://appserver/").status)`,
				Call:    runtime.Inline((*World).get),
			},
			{
				Name:    "advance",
				Doc:     "Lets time pass.",
				Example: `w:advance("30s")`,
				Call:    runtime.Inline((*World).advance),
			},
			{
				Name:    "now",
				Doc:     "Tells the world's time. A world begins at the start of 2026, unless its table has taken.",
				Returns: "seconds since 1970",
				Example: `local before = w:now()`,
				Call: runtime.Inline(func(w *World, _ *runtime.Call, _ *runtime.None) (time.Time, error) {
					return w.stage.World.Clock().Now(), nil
				}),
			},
		}, troubles()...),
	}
}

type worldArgs struct {
	Table runtime.Value `lua:"table,pos" doc:"what is true in it"`
}

func (f *file) world(c *runtime.Call, a *worldArgs) (*World, error) {
	table := a.Table
	if table == nil {
		table = map[string]any{}
	}
	state, err := stateOf(table)
	if err != nil {
		return nil, err
	}
	known := routers(state)
	state.Routers = append(state.Routers, sim.Router{Address: askHere})
	w := &World{file: f, home: f.home}
	if w.stage, err = f.opts.Stage(state, known, &w.faults); err != nil {
		if e := failure.As(err); e != nil {
			_, e.Message, _ = strings.Cut(e.Message, "simulated world: ")
		}
		return nil, err
	}
	f.worlds = append(f.worlds, w)
	c.Block(func(ctx context.Context) { w.Docker, w.Redis, err = f.opts.Connect(ctx, w.stage.Clients) })
	return w, err
}

// closeWorlds closes those that were made since there were n.
func (f *file) closeWorlds(n int) {
	for _, w := range f.worlds[n:] {
		w.stage.Close()
	}
	f.worlds = f.worlds[:n]
}

type advanceArgs struct {
	By time.Duration `lua:"by,pos,required" doc:"how long"`
}

func (w *World) advance(_ *runtime.Call, a *advanceArgs) (runtime.None, error) {
	if v, ok := w.stage.World.Clock().(*clock.Virtual); ok {
		v.Advance(a.By)
	}
	return runtime.None{}, nil
}

type getArgs struct {
	URL  string `lua:"url,pos,required,target" doc:"such as http://appserver/health"`
	Host string `lua:"host" doc:"the Host header, when it is not the URL's host"`
}

type answer struct {
	Status int    `lua:"status" doc:"the HTTP status"`
	Body   string `lua:"body" doc:"the body"`
}

func (w *World) get(c *runtime.Call, a *getArgs) (out *answer, err error) {
	u, err := url.Parse(a.URL)
	if err != nil || u.Host == "" || u.Scheme != "http" {
		return nil, failure.New(failure.Invalid, "%q is not a URL", a.URL).WithHint("write it as http://appserver/")
	}
	c.Block(func(ctx context.Context) {
		out = &answer{}
		host := a.Host
		if _, notIP := netip.ParseAddr(u.Hostname()); notIP != nil && !w.stage.World.Has(hostPort(u)) {
			host, u.Host = u.Host, askHere
		}
		out.Status, out.Body, err = w.stage.World.Get(ctx, u.String(), host)
	})
	if err != nil {
		return nil, failure.Wrap(failure.Unavailable, err, "GET %s", a.URL)
	}
	return out, nil
}

func hostPort(u *url.URL) string {
	if u.Port() != "" {
		return u.Host
	}
	return u.Host + ":80"
}

// routers returns the URLs of the world's routers, which recipes are told of.
func routers(s *sim.State) []string {
	var all []string
	for _, r := range s.Routers {
		all = append(all, "http://"+r.Address)
	}
	return all
}
