package engine

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync"

	"github.com/redis/go-redis/v9"

	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/internal/sim"
)

// Stage says how a rehearsal deals with what its world does not have. Its
// functions are called from several goroutines.
type Stage struct {
	// Assume is told, in words, what is taken for granted: a build that is not
	// executed, a request to a host outside of the world, which is answered with
	// 200 and an empty body. With nil such a request is an error.
	Assume func(what string)
	// Missing is told of a server that the recipe asks for and the world does not
	// have. It may be nil; the recipe gets an error in any case.
	Missing func(Need)
	// Wire, when it is not nil, carries what the clients send to the world.
	Wire Wire
	// Project, when it is not empty, is the one directory whose files are read.
	Project string
}

// Wire stands where a network would be, between the clients and a rehearsal's
// world: whoever looks for what a network's faults do puts them there. Its
// methods carry a call on by next, or do not, and return what the client gets.
// They may be called from several goroutines.
type Wire interface {
	// Engine carries a request to an engine.
	Engine(req *http.Request, next http.RoundTripper) (*http.Response, error)
	// HTTP carries a recipe's own request, to a container or a router.
	HTTP(req *http.Request, next http.RoundTripper) (*http.Response, error)
	// Redis carries a command, or the commands of one transaction.
	Redis(ctx context.Context, cmds []redis.Cmder, next func() error) error
}

// carry is the outermost RoundTripper of a rehearsal. It tells what a real
// transport tells of an error: whether anything was sent.
type carry struct {
	by   func(*http.Request, http.RoundTripper) (*http.Response, error) // nil: next alone
	next http.RoundTripper
}

func (c carry) RoundTrip(req *http.Request) (resp *http.Response, err error) {
	if c.by != nil {
		resp, err = c.by(req, c.next)
	} else {
		resp, err = c.next.RoundTrip(req)
	}
	var network *net.OpError
	if errors.As(err, &network) && network.Op == "dial" {
		return nil, dialError{err}
	}
	if t := httptrace.ContextClientTrace(req.Context()); t != nil && t.WroteHeaders != nil {
		t.WroteHeaders()
	}
	return resp, err
}

// redisWire is a Wire as go-redis has it.
type redisWire struct{ Wire }

func (redisWire) DialHook(next redis.DialHook) redis.DialHook { return next }

func (r redisWire) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		err := r.Redis(ctx, []redis.Cmder{cmd}, func() error { return next(ctx, cmd) })
		cmd.SetErr(err)
		return err
	}
}

func (r redisWire) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		return r.Redis(ctx, cmds, func() error { return next(ctx, cmds) })
	}
}

// Need is what a world lacks. One of its fields is set.
type Need struct {
	Engine *DockerEndpoint // an engine
	Pull   string          // an image that a registry has
}

// Rehearsal returns a World whose clients are the live ones, and whose bytes go
// to world instead of to sockets. Its time is world's. An engine of world is
// found by its name, which is the endpoint as people know it; the default
// endpoint is the first one. Whichever Redis is asked for first is that of world;
// a second one is an error. Files that are written stay in memory.
func Rehearsal(opts Options, world *sim.World, stage Stage) *World {
	w := Live(opts)
	w.clock = world.Clock()
	w.dial = world.DialContext
	w.noTakeover = true
	w.drafts = &drafts{files: map[string][]byte{}}
	w.approved = func(question string) (bool, error) {
		yes, known := world.Approved(question)
		switch {
		case known:
			return yes, nil
		case stage.Assume == nil:
			return false, failure.New(failure.NotModelled, "the simulated world does not say how %q is answered", question).
				WithHint("approvals = {[%q] = true}; a * at the end stands for any rest", question)
		}
		stage.Assume(fmt.Sprintf("%q was taken as approved", question))
		return true, nil
	}
	if stage.Project != "" {
		w.project = absolute(stage.Project)
	}
	w.dockerWire = func(t target, _ *http.Transport) (http.RoundTripper, error) {
		e := world.Engine(t.name)
		if d, err := w.resolveDocker(DockerEndpoint{}); e == nil && err == nil && d.name == t.name {
			e = world.Engine("")
		}
		if e != nil {
			c := carry{next: &rehearsedEngine{e, e.Terse(), stage}}
			if stage.Wire != nil {
				c.by = stage.Wire.Engine
			}
			return c, nil
		}
		if stage.Missing != nil {
			stage.Missing(Need{Engine: &t.asked})
		}
		return nil, failure.New(failure.NotModelled, "the engine %s is not in the simulated world", t.name).
			WithHint("add it to the world file under engines, with this name")
	}
	traffic := carry{next: &rehearsedTraffic{world: world, stage: stage}}
	if stage.Wire != nil {
		traffic.by = stage.Wire.HTTP
	}
	w.httpWire = func(t *http.Transport) {
		t.ForceAttemptHTTP2 = false
		t.TLSNextProto = map[string]func(string, *tls.Conn) http.RoundTripper{} // net/http must not register https itself
		t.RegisterProtocol("http", traffic)
		t.RegisterProtocol("https", traffic)
	}
	var mu sync.Mutex
	var known string
	w.redisClient = func(t *redisTarget) (redis.UniversalClient, error) {
		mu.Lock()
		defer mu.Unlock()
		asked := *t
		asked.db = 0
		if known != "" && known != asked.endpoint() {
			return nil, failure.New(failure.NotModelled, "the simulated world has one Redis, which stands for %s: %s is another", known, asked.endpoint())
		}
		known = asked.endpoint()
		// One server stands for a cluster and its sentinels, too.
		single := redisTarget{db: t.db, kind: redisServer, scheme: "redis", addrs: []string{"simulated:6379"}, buffer: 4 << 10}
		c := single.client(world.DialRedis)
		c.AddHook(unknownCommands{world})
		if plain, ok := c.(*redis.Client); ok {
			c.AddHook(waiting{world, plain})
		}
		if stage.Wire != nil {
			c.AddHook(redisWire{stage.Wire})
		}
		return c, nil
	}
	return w
}

// refuseTakeover is the dialer of connections that a client takes over, as exec
// and attach do: their bytes would get around the transport.
func refuseTakeover(context.Context, string, string) (net.Conn, error) {
	return nil, failure.New(failure.NotModelled, "a connection to the engine cannot be taken over here")
}

// rehearsedEngine tells the stage what the simulated engine only pretends.
type rehearsedEngine struct {
	engine *sim.Engine
	wire   http.RoundTripper // to engine
	stage  Stage
}

func (r *rehearsedEngine) RoundTrip(req *http.Request) (*http.Response, error) {
	if name, ok := waitedFor(req); ok && r.stage.Assume != nil && r.engine.EndJob(name) {
		r.assume("the command of %s was not executed: it was taken to end with exit code 0", name)
	}
	resp, err := r.wire.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	if what := resp.Header.Get(sim.Assumed); what != "" {
		r.assume("%s", what)
	}
	if req.Method != http.MethodPost {
		return resp, nil
	}
	q := req.URL.Query()
	switch path := req.URL.Path; {
	case strings.HasSuffix(path, "/build") && resp.StatusCode == http.StatusOK:
		r.assume("the build of %s was not executed: its RUN steps were taken as passing", nonEmpty(q.Get("t"), "an image"))
	case strings.HasSuffix(path, "/images/create") && q.Get("fromImage") != "":
		image := q.Get("fromImage")
		if tag := q.Get("tag"); strings.HasPrefix(tag, "sha256:") {
			image += "@" + tag
		} else if tag != "" {
			image += ":" + tag
		}
		if resp.StatusCode == http.StatusOK {
			r.assume("%s was not pulled: the registry was taken to have what the world says", image)
		} else if resp.StatusCode == http.StatusNotFound && r.stage.Missing != nil {
			r.stage.Missing(Need{Pull: image})
		}
	}
	return resp, nil
}

// waitedFor returns the container whose end req waits for.
func waitedFor(req *http.Request) (string, bool) {
	rest, ok := strings.CutSuffix(req.URL.Path, "/wait")
	_, name, found := strings.Cut(rest, "/containers/")
	return name, ok && found && req.Method == http.MethodPost
}

func (r *rehearsedEngine) assume(format string, args ...any) {
	if r.stage.Assume != nil {
		r.stage.Assume(fmt.Sprintf(format, args...))
	}
}

func nonEmpty(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

// unknownCommands makes a kind of its own of what the simulated Redis does not
// know. That the command exists was checked before.
type unknownCommands struct{ world *sim.World }

func (unknownCommands) DialHook(next redis.DialHook) redis.DialHook { return next }

func (u unknownCommands) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if err := u.check(cmd); err != nil {
			return err
		}
		err := next(ctx, cmd)
		var answer redis.Error
		if errors.As(err, &answer) && strings.HasPrefix(answer.Error(), "ERR unknown ") { // a subcommand
			return notModelled(cmd)
		}
		return err
	}
}

func (u unknownCommands) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		for _, cmd := range cmds {
			if err := u.check(cmd); err != nil {
				return err
			}
		}
		return next(ctx, cmds)
	}
}

func (u unknownCommands) check(cmd redis.Cmder) error {
	if u.world.KnowsCommand(cmd.Name()) {
		return nil
	}
	return notModelled(cmd)
}

func notModelled(cmd redis.Cmder) error {
	err := failure.New(failure.NotModelled, "the simulated Redis does not know %s", strings.ToUpper(cmd.FullName())).
		WithHint("the live Redis may: what follows cannot be rehearsed")
	cmd.SetErr(err)
	return err
}
