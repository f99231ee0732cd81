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
	"github.com/mepc/mepc-run/internal/state"
	"github.com/mepc/mepc-run/modules/docker"
	"github.com/mepc/mepc-run/modules/redis"
	"github.com/mepc/mepc-run/runtime"
	"github.com/mepc/mepc-run/servers"
)

// World is a simulated world as a spec has it.
type World struct {
	Docker any `lua:"docker" type:"docker.engine" doc:"a connection to the world's engine: its methods are the functions of docker"`
	Redis  any `lua:"redis" type:"redis" doc:"a connection to the world's Redis: any command is a method"`

	file   *file
	home   *block           // the insulated block that it was made for
	stage  *rehearsal.Stage // nil: it is a real one
	faults rehearsal.Faults
	real   *Real // nil: it is simulated
	runs   int64 // how many there were
}

// simulated returns what there is to the word of a spec that only a simulated world
// knows.
func (w *World) simulated(word string) (*rehearsal.Stage, error) {
	if w.real != nil {
		return nil, failure.New(failure.NotModelled, "%s works only in simulated worlds, and this one is real", word).
			WithHint("take #real out of the test's name: --real then leaves it out")
	}
	return w.stage, nil
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
			"its string or its list. Nothing exists outside the world: a request to another host is an error.",
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
		Name: "world", Of: (*World)(nil), Doc: "A simulated world. Its time stands still until a run waits, or w:advance is called.",
		Funcs: append([]runtime.Func{
			{
				Name: "run",
				Doc: "Runs a recipe in the world, with the parameters given: a file of the project, or a recipe that ships with mepc-run. " +
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
				Name: "answer",
				Doc: "Sets the answer of a server outside the world: a chat's webhook, a metrics query. The query of a URL is ignored. " +
					"A later call for the same URL and method replaces an earlier one; of several that match, the longest wins.",
				Raises:  []runtime.Kind{failure.Invalid},
				Example: `w:answer("https://hooks.example/*", {method = "POST", status = 503})`,
				Call:    runtime.Inline((*World).answer),
			},
			{
				Name:    "advance",
				Doc:     "Lets time pass: at once in a simulated world.",
				Example: `w:advance("30s")`,
				Call:    runtime.Inline((*World).advance),
			},
			{
				Name:    "now",
				Doc:     "Returns the world's time. A world begins at the start of 2026, unless its table has taken.",
				Returns: "seconds since 1970",
				Example: `local before = w:now()`,
				Call: runtime.Inline(func(w *World, _ *runtime.Call, _ *runtime.None) (time.Time, error) {
					return w.clients().Clock().Now(), nil
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
	st, err := stateOf(table)
	if err != nil {
		return nil, err
	}
	if f.opts.Real != nil {
		return f.realWorld(c, st)
	}
	known := routers(st)
	own := state.Router{Address: askHere}
	if len(st.Routers) > 0 {
		own.Dialect = st.Routers[0].Dialect
	}
	st.Routers = append(st.Routers, own)
	w := &World{file: f, home: f.home}
	if w.stage, err = f.opts.Stage(st, known, &w.faults); err != nil {
		if e := failure.As(err); e != nil {
			_, e.Message, _ = strings.Cut(e.Message, "simulated world: ")
		}
		return nil, err
	}
	f.worlds = append(f.worlds, w)
	c.Block(func(ctx context.Context) { w.Docker, w.Redis, err = connect(ctx, w.stage.Clients) })
	return w, err
}

// connect returns what a spec's w.docker and w.redis are.
func connect(ctx context.Context, w *servers.Clients) (any, any, error) {
	r, err := redis.Open(ctx, w, redis.Allow{Scripts: true, Admin: true})
	return docker.Open(w, docker.AllowAll()), r, err
}

// closeWorlds closes those that were made since there were n.
func (f *file) closeWorlds(n int) *runtime.Error {
	var first error
	for _, w := range f.worlds[n:] {
		if err := w.close(); first == nil {
			first = err
		}
	}
	f.worlds = f.worlds[:n]
	return failure.As(first)
}

func (w *World) close() error {
	if w.real != nil {
		return w.real.close()
	}
	w.stage.Close()
	return nil
}

// clients connect recipes to its servers.
func (w *World) clients() *servers.Clients {
	if w.real != nil {
		return w.real.Clients
	}
	return w.stage.Clients
}

type answerArgs struct {
	URL    string            `lua:"url,pos,required,target" doc:"such as https://hooks.example/deploys; a * at the end stands for any rest"`
	Method string            `lua:"method" doc:"only requests with this method; default: all"`
	Status int               `lua:"status" default:"200" min:"100" max:"599" doc:"the HTTP status"`
	Body   string            `lua:"body" doc:"the body"`
	Header map[string]string `lua:"headers" doc:"the header"`
	Delay  time.Duration     `lua:"delay" doc:"how long the answer takes"`
	Drop   bool              `lua:"drop" doc:"the connection is closed without an answer"`
}

func (w *World) answer(_ *runtime.Call, a *answerArgs) (none runtime.None, err error) {
	s, err := w.simulated("w:answer")
	if err != nil {
		return none, err
	}
	key := a.URL
	if a.Method != "" {
		key = strings.ToUpper(a.Method) + " " + key
	}
	r := state.Response{Status: a.Status, Body: a.Body, Header: a.Header, Delay: state.Duration(a.Delay), Drop: a.Drop}
	if err := s.World.SetOutside(key, r); err != nil {
		return none, failure.New(failure.Invalid, "%s", strings.TrimPrefix(err.Error(), "outside: "))
	}
	return none, nil
}

type advanceArgs struct {
	By time.Duration `lua:"by,pos,required" doc:"how long"`
}

func (w *World) advance(c *runtime.Call, a *advanceArgs) (none runtime.None, err error) {
	if w.real != nil {
		c.Block(func(ctx context.Context) { err = w.real.Clients.Clock().Sleep(ctx, a.By) })
		return none, err
	}
	if v, ok := w.stage.World.Clock().(*clock.Virtual); ok {
		v.Advance(a.By)
	}
	return none, nil
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
		if w.real != nil {
			out.Status, out.Body, err = w.real.Site.Get(ctx, u.String(), a.Host)
			return
		}
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
func routers(s *state.State) []string {
	var all []string
	for _, r := range s.Routers {
		all = append(all, "http://"+r.Address)
	}
	return all
}
