package rehearsal

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptrace"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/internal/sim"
	"github.com/mepc/mepc-run/servers"
)

// Policy says how a rehearsal deals with what its world does not have. Its
// functions are called from several goroutines.
type Policy struct {
	// Assume is called with a description of each assumption: a build that is not
	// executed, a request to a host outside of the world, which is answered with
	// 200 and an empty body. With nil such a request is an error.
	Assume func(what string)
	// Missing is called for a server that the recipe asks for and the world does not
	// have. It may be nil; the recipe gets an error in any case.
	Missing func(Need)
	// Wire, when it is not nil, carries what the clients send to the world.
	Wire Wire
	// Project, when it is not empty, is the one directory whose files are read.
	Project string
	// Draw returns what names one call or run among all; nil: it is drawn by chance.
	Draw func() string
}

// Wire stands where a network would be, between the clients and a rehearsal's
// world: a search for the effects of network faults puts them there. Its
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
		return nil, err
	}
	if t := httptrace.ContextClientTrace(req.Context()); t != nil && t.WroteHeaders != nil {
		t.WroteHeaders()
	}
	return resp, err
}

// Need names something that a world lacks. One of its fields is set.
type Need struct {
	Engine *servers.DockerEndpoint // an engine
	Pull   string                  // an image that a registry has
}

// Clients returns clients whose bytes go to world instead of to sockets. Their
// time is world's. An engine of world is found by its name, which is the endpoint
// as people know it; the default endpoint is the first one. Whichever Redis is
// asked for first is that of world; a second one is an error. Files that are
// written stay in memory.
func Clients(opts servers.Options, world *sim.World, policy Policy) *servers.Clients {
	traffic := carry{next: &rehearsedTraffic{world: world, policy: policy}}
	if policy.Wire != nil {
		traffic.by = policy.Wire.HTTP
	}
	return servers.New(opts, servers.Wiring{
		Rehearsed: true, Clock: world.Clock(), Dial: world.DialContext,
		Files: &drafts{disk: servers.Disk{Project: policy.Project}, files: map[string][]byte{}},
		Engine: func(e servers.Engine, _ http.RoundTripper) (http.RoundTripper, error) {
			return engineWire(world, policy, e)
		},
		HTTP: func(t *http.Transport) {
			t.ForceAttemptHTTP2 = false
			t.TLSNextProto = map[string]func(string, *tls.Conn) http.RoundTripper{} // net/http must not register https itself
			t.RegisterProtocol("http", traffic)
			t.RegisterProtocol("https", traffic)
		},
		Redis:   redisWiring(world, policy),
		Draw:    policy.Draw,
		Approve: func(question string) (bool, error) { return approve(world, policy, question) },
	})
}

func approve(world *sim.World, policy Policy, question string) (bool, error) {
	yes, known := world.Approved(question)
	switch {
	case known:
		return yes, nil
	case policy.Assume == nil:
		return false, failure.New(failure.NotModelled, "the simulated world has no answer to %q", question).
			WithHint("approvals = {[%q] = true}; a * at the end stands for any rest", question)
	}
	policy.Assume(fmt.Sprintf("%q was assumed to be approved", question))
	return true, nil
}

func engineWire(world *sim.World, policy Policy, asked servers.Engine) (http.RoundTripper, error) {
	e := world.Engine(asked.Name)
	if e == nil && asked.Default() {
		e = world.Engine("")
	}
	if e == nil {
		if policy.Missing != nil {
			policy.Missing(Need{Engine: &asked.Asked})
		}
		return nil, failure.New(failure.NotModelled, "the engine %s is not in the simulated world", asked.Name).
			WithHint("add it to the world file under engines, with this name")
	}
	c := carry{next: &rehearsedEngine{e, e.Terse(), policy}}
	if policy.Wire != nil {
		c.by = policy.Wire.Engine
	}
	return c, nil
}

// rehearsedEngine notes what the simulated engine only pretends.
type rehearsedEngine struct {
	engine *sim.Engine
	wire   http.RoundTripper // to engine
	policy Policy
}

func (r *rehearsedEngine) RoundTrip(req *http.Request) (*http.Response, error) {
	if name, ok := waitedFor(req); ok && r.policy.Assume != nil && r.engine.EndJob(name) {
		r.assume("the command of %s was not executed: exit code 0 was assumed", name)
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
		r.assume("the build of %s was not executed: its RUN steps were taken as passing", cmp.Or(q.Get("t"), "an image"))
	case strings.HasSuffix(path, "/images/create") && q.Get("fromImage") != "":
		image := q.Get("fromImage")
		if tag := q.Get("tag"); strings.HasPrefix(tag, "sha256:") {
			image += "@" + tag
		} else if tag != "" {
			image += ":" + tag
		}
		if resp.StatusCode == http.StatusOK {
			r.assume("%s was not pulled: the registry was taken to have what the world says", image)
		} else if resp.StatusCode == http.StatusNotFound && r.policy.Missing != nil {
			r.policy.Missing(Need{Pull: image})
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
	if r.policy.Assume != nil {
		r.policy.Assume(fmt.Sprintf(format, args...))
	}
}
