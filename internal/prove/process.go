package prove

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"syscall"

	"github.com/redis/go-redis/v9"

	"github.com/mepc/mepc-run/internal/effect"
	"github.com/mepc/mepc-run/internal/engine"
	"github.com/mepc/mepc-run/internal/sim"
	"github.com/mepc/mepc-run/runtime"
)

// Call is one request of a recipe's to a server: a place for faults.
type Call struct {
	Place   Place
	Verb    string // what was sent, such as "POST /containers/app/start"
	Where   string // the recipe's line
	Target  string
	Server  string   // engine, redis or http
	Writes  bool     // it changes something
	Changes bool     // it belongs to a call that changes something
	Fans    bool     // it belongs to a call that asks for many things at once
	Images  bool     // it has to do with images only
	Own     bool     // the host's own, outside of the recipe's calls
	Boxes   []string // the app's containers that ran just before
	host    bool     // it changes something even where its function does not
}

// greets are the commands that a new connection begins with: they belong to the
// call that wants it.
var greets = map[string]bool{"hello": true, "auth": true, "select": true}

// process is one run of a recipe: the process of someone who deploys. It is the
// engine.Wire of its clients, and there puts the faults where they belong.
type process struct {
	trial  *trial
	other  string // whose it is; empty: the user's
	run    int
	faults []Fault   // of this run
	snap   sim.State // what Redis comes back with

	mu      sync.Mutex
	ops     map[*effect.Op]*opCount
	names   map[string]int
	calls   []Call
	trace   trace
	struck  int
	crashed bool
	kill    context.CancelCauseFunc
}

type opCount struct{ n, parts int }

var errCrashed = errors.New("the process is dead")

// start runs r as a process of its own and returns when that has ended.
func (t *trial) start(ctx context.Context, r Runner, other string, run int, faults []Fault) *process {
	p := &process{trial: t, other: other, run: run, faults: faults, ops: map[*effect.Op]*opCount{}, names: map[string]int{}}
	for _, f := range faults {
		if f.Kind == RedisRestart {
			p.snap = t.state()
		}
	}
	t.story.begin(other, run, t.again)
	ctx, p.kill = context.WithCancelCause(ctx)
	defer p.kill(nil)
	clients := engine.Rehearsal(engine.Options{}, t.world, engine.Stage{Wire: p, Assume: func(string) {}, Project: t.scenario.Project})
	defer clients.Close()
	res, err := r(ctx, runtime.RunOptions{World: clients, Guards: []runtime.Guard{p}, Clock: clients.Clock(), Abort: ctx})
	p.finish(res, err)
	return p
}

// Allow implements runtime.Guard. The world's faults of a call happen here, before
// the host's own guards look: between two calls, as the recipe sees it.
func (p *process) Allow(_ context.Context, op *effect.Op) error {
	p.mu.Lock()
	if p.crashed {
		p.mu.Unlock()
		return errCrashed
	}
	p.names[op.Name]++
	n := &opCount{n: p.names[op.Name]}
	p.ops[op] = n
	at := Place{Run: p.run, Op: op.Name, N: n.n, Part: 1}
	p.trace.points = append(p.trace.points, p.now(at, len(p.calls)))
	p.mu.Unlock()
	p.strike(at, true)
	return nil
}

// exchange is what happens to one request. do sends it on; its errors are the
// caller's. The answer says what the caller is to make of it.
func (p *process) exchange(ctx context.Context, c Call, do func() reply) (Kind, error) {
	p.mu.Lock()
	if p.crashed {
		p.mu.Unlock()
		return "", errCrashed
	}
	p.place(ctx, &c)
	c.Boxes = p.trial.ours
	n := len(p.calls)
	p.calls = append(p.calls, c)
	p.trace.replies = append(p.trace.replies, reply{place: c.Place, verb: c.Verb})
	between := c.Place.Part > 1 || effect.Current(ctx) == nil // the others' faults struck in Allow
	if between {
		p.trace.points = append(p.trace.points, p.now(c.Place, n))
	}
	p.mu.Unlock()
	if between {
		p.strike(c.Place, true)
		p.mu.Lock()
		p.trace.within(c.Place, n, len(p.calls))
		p.mu.Unlock()
	}
	kind := p.strike(c.Place, false)
	switch kind {
	case CrashBefore:
		p.crash()
		p.trial.story.saw(c, kind)
		return kind, errCrashed
	case Refused, Cut, Unavailable:
		p.trial.story.saw(c, kind)
		return kind, nil
	}
	said := do()
	p.mu.Lock()
	p.trace.replies[n].plain, p.trace.replies[n].sum = said.plain && kind == "", said.sum
	p.mu.Unlock()
	p.trial.story.saw(c, kind)
	if c.Writes {
		p.trial.look(c)
	}
	if kind == CrashAfter {
		p.crash()
		return kind, errCrashed
	}
	return kind, nil
}

// place says which call of which function c is.
func (p *process) place(ctx context.Context, c *Call) {
	op := effect.Current(ctx)
	if op == nil { // the host's own, such as a lock's
		name := strings.ToLower(c.Server + " " + firstWord(c.Verb))
		p.names[name]++
		c.Own, c.Place = true, Place{Run: p.run, Op: name, N: p.names[name], Part: 1}
		return
	}
	n := p.ops[op]
	n.parts++
	c.Place = Place{Run: p.run, Op: op.Name, N: n.n, Part: n.parts}
	c.Where, c.Target = op.Where, op.Target
	c.Changes, c.Fans = op.Class.Mutates(), op.Name == "docker.list" || op.Name == "docker.images"
	c.Images = c.Server == "engine" && !c.Changes && !strings.Contains(c.Verb, "/containers/")
	c.Own = c.Server == "redis" && !c.Changes && c.host // a lock that a look takes
	c.Writes = c.Writes && (c.Changes || c.Own)
}

// now is the point at a place that is reached after so many calls.
func (p *process) now(at Place, calls int) point {
	return point{at, calls, p.trial.world.Clock().Now()}
}

func firstWord(s string) string {
	s, _, _ = strings.Cut(s, " ")
	return s
}

// strike lets those faults of a place happen that are the world's, or returns the
// one that is the call's.
func (p *process) strike(at Place, ofWorld bool) Kind {
	var kind Kind
	for _, f := range p.faults {
		if f.Place != at || f.Kind.ofWorld() != ofWorld {
			continue
		}
		p.struck++
		if ofWorld {
			p.trial.happen(p, f)
			p.mu.Lock()
			p.trace.after = p.now(at, len(p.calls))
			p.mu.Unlock()
		} else {
			kind = f.Kind
		}
	}
	return kind
}

func (p *process) crash() {
	p.mu.Lock()
	p.crashed = true
	p.mu.Unlock()
	p.kill(errCrashed)
}

func (p *process) dead() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.crashed
}

// finish strikes the faults of the end.
func (p *process) finish(res *runtime.Result, err error) {
	p.trial.ended(p, res, err)
	p.strike(end(p.run), true)
}

// Engine implements engine.Wire.
func (p *process) Engine(req *http.Request, next http.RoundTripper) (*http.Response, error) {
	c := Call{Server: "engine", Verb: req.Method + " " + req.URL.Path, Writes: req.Method != http.MethodGet && req.Method != http.MethodHead}
	return p.http(req, next, c)
}

// HTTP implements engine.Wire. What containers and routers answer is theirs to
// say; a recipe's request to them changes nothing that is watched.
func (p *process) HTTP(req *http.Request, next http.RoundTripper) (*http.Response, error) {
	return p.http(req, next, Call{Server: "http", Verb: req.Method + " " + req.URL.Host + req.URL.Path})
}

func (p *process) http(req *http.Request, next http.RoundTripper, c Call) (resp *http.Response, err error) {
	sent := false
	kind, over := p.exchange(req.Context(), c, func() reply {
		sent = true
		if resp, err = next.RoundTrip(req); err != nil || c.Server != "engine" {
			return reply{}
		}
		return engineReply(resp)
	})
	if !sent && req.Body != nil {
		req.Body.Close() // whoever writes it must not wait for a reader
	}
	if over != nil || kind == Lost {
		if resp != nil {
			resp.Body.Close()
		}
		if over == nil {
			over = io.EOF
		}
		return nil, over
	}
	switch kind {
	case Unavailable:
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: fmt.Errorf("connect: %w", syscall.ECONNREFUSED)}
	case Cut:
		return nil, io.EOF
	case Refused:
		const body = `{"message":"an injected refusal"}`
		return &http.Response{
			StatusCode: http.StatusInternalServerError, Status: "500 Internal Server Error",
			Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: http.Header{"Content-Type": {"application/json"}},
			Body: io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body)), Request: req,
		}, nil
	}
	return resp, err
}

// answer is an error of Redis itself.
type answer string

func (a answer) Error() string { return string(a) }

// RedisError marks what Redis answered.
func (answer) RedisError() {}

// Redis implements engine.Wire.
func (p *process) Redis(ctx context.Context, cmds []redis.Cmder, next func() error) error {
	if greets[cmds[0].Name()] {
		if p.dead() {
			return errCrashed
		}
		return next()
	}
	c := Call{Server: "redis", Verb: verb(cmds), host: len(cmds) > 1 || hostWrites[cmds[0].Name()]}
	c.Writes = c.host || effect.Current(ctx) != nil
	var err error
	kind, over := p.exchange(ctx, c, func() reply {
		err = next()
		return redisReply(cmds)
	})
	switch {
	case over != nil:
		return over
	case kind == Lost, kind == Cut:
		return io.EOF
	case kind == Unavailable:
		return &engine.DialError{Addr: "simulated:6379", Err: fmt.Errorf("connect: %w", syscall.ECONNREFUSED)}
	case kind == Refused:
		no := answer("OOM command not allowed: an injected refusal")
		for _, cmd := range cmds {
			cmd.SetErr(no)
		}
		return no
	}
	return err
}

// hostWrites are the commands that change something when the host sends them on
// its own, outside of a recipe's call.
var hostWrites = map[string]bool{"set": true, "del": true, "evalsha": true, "eval": true, "expire": true, "pexpire": true}

func verb(cmds []redis.Cmder) string {
	var names []string
	for _, cmd := range cmds {
		names = append(names, strings.ToUpper(cmd.Name()))
	}
	return strings.Join(names, " ")
}
