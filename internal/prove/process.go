package prove

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/redis/go-redis/v9"

	"github.com/mepc/mepc-run/internal/effect"
	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/internal/rehearsal"
	"github.com/mepc/mepc-run/internal/state"
	"github.com/mepc/mepc-run/runtime"
	"github.com/mepc/mepc-run/servers"
)

// Call is one request of a recipe's to a server: a place for faults.
type Call struct {
	Place   Place
	Verb    string // what was sent, such as "POST /containers/app/start"
	Where   string // the recipe's line
	Target  string
	Server  string   // engine, redis or http
	Writes  bool     // it is sent to change something
	Changed bool     // and did, in this trial
	Changes bool     // it belongs to a call that changes something
	Fans    bool     // it belongs to a call that asks for many things at once
	Images  bool     // it has to do with images only
	Own     bool     // the host's own, outside of the recipe's calls
	Boxes   []string // the app's containers that ran just before
	moment  moment   // when it was made, if that is wanted
	host    bool     // it changes something even where its function does not
}

// greets are the commands that a new connection begins with: they belong to the
// call that wants it.
var greets = map[string]bool{"hello": true, "auth": true, "select": true}

// process is one run of a recipe: the process of someone who deploys. It is the
// rehearsal.Wire of its clients, and there puts the faults where they belong.
type process struct {
	trial  *trial
	other  string // whose it is; empty: the user's
	run    int
	faults []Fault     // of this run
	pause  *pause      // nil: it goes through
	snap   state.State // what Redis comes back with

	mu      sync.Mutex
	ops     map[*effect.Op]*opCount
	names   map[string]int
	calls   []Call
	trace   trace
	history history
	struck  int
	excused bool // a fault struck what undoes the run, or the world itself
	crashed bool
	kill    context.CancelCauseFunc
}

type opCount struct {
	n, parts int
	moment   moment // when it was allowed
}

var errCrashed = errors.New("the process is dead")

// start runs r as a process of its own and returns when that has ended.
func (t *trial) start(ctx context.Context, r Runner, other string, run int, faults []Fault) *process {
	return t.startPausing(ctx, r, other, run, faults, nil)
}

func (t *trial) startPausing(ctx context.Context, r Runner, other string, run int, faults []Fault, at *pause) *process {
	p := &process{
		pause: at,
		trial: t, other: other, run: run, faults: faults, ops: map[*effect.Op]*opCount{}, names: map[string]int{},
	}
	for _, f := range faults {
		if f.Kind == RedisRestart {
			p.snap = t.state()
		}
	}
	t.story.begin(other, run, t.again)
	ctx, p.kill = context.WithCancelCause(ctx)
	defer p.kill(nil)
	seed := t.seed()
	if t.keyed {
		p.history.heard(seed, other, t.now())
	}
	clients := rehearsal.Clients(servers.Options{}, t.world, rehearsal.Policy{
		Wire: p, Assume: func(string) {}, Project: t.scenario.Project, Draw: draws(seed),
	})
	defer clients.Close()
	res, err := r(ctx, runtime.RunOptions{World: clients, Guards: []runtime.Guard{p}, Clock: clients.Clock(), Abort: ctx, Seed: seed})
	p.finish(res, err)
	return p
}

// overlap starts d, which pauses just before its nth change and goes on when the run of
// p is over.
func (t *trial) overlap(p *process, d Deployer, nth int) {
	pause := &pause{before: nth, paused: make(chan struct{}), resume: make(chan struct{})}
	ended := failure.Go(func() error {
		t.startPausing(t.ctx, d.Run, d.Name, p.run, nil, pause)
		return nil
	})
	pause.ended = ended
	select {
	case <-pause.paused:
		t.paused = append(t.paused, pause)
	case err := <-ended:
		if err != nil {
			panic(err)
		}
	}
}

// pause is where a process waits for another.
type pause struct {
	before int // which of its changes
	seen   int
	paused chan struct{}
	resume chan struct{}
	ended  <-chan error
}

// pauses waits, when c is the change that the process is to pause before.
func (p *process) pauses(c Call) {
	if p.pause == nil || !c.Writes {
		return
	}
	if p.pause.seen++; p.pause.seen != p.pause.before {
		return
	}
	p.trial.story.add(Event{Ended: "they are slow"})
	close(p.pause.paused)
	<-p.pause.resume
	p.trial.story.add(Event{Run: "meanwhile they go on"})
}

// goOn lets those go on that wait for the end of a run.
func (t *trial) goOn() {
	for _, w := range t.paused {
		close(w.resume)
		if err := <-w.ended; err != nil {
			panic(err)
		}
	}
	t.paused = nil
}

// seed returns another seed for each process of the trial, as live runs draw theirs:
// what a run named by chance, the next one does not find again by chance.
func (t *trial) seed() int64 {
	t.started++
	return t.started
}

// draws numbers what a process draws, so that it is the same in each trial and another
// in each process.
func draws(seed int64) func() string {
	var n atomic.Int64
	return func() string { return fmt.Sprintf("%08x%08x", seed, n.Add(1)) }
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
	if p.trial.keyed {
		n.moment = p.trial.moment(p, moment{})
	}
	p.ops[op] = n
	at := Place{Run: p.run, Op: op.Name, N: n.n, Part: 1}
	p.trace.points = append(p.trace.points, p.now(at, len(p.calls)))
	p.mu.Unlock()
	p.strike(at, true)
	return nil
}

// exchange plays the fate of one request. do sends it on; its errors are the
// caller's. The answer says what the caller is to make of it.
func (p *process) exchange(ctx context.Context, c Call, do func() reply) (Kind, error) {
	p.mu.Lock()
	if p.crashed {
		p.mu.Unlock()
		return "", errCrashed
	}
	p.place(ctx, &c)
	c.Boxes = p.trial.ours
	if p.trial.keyed {
		c.moment = p.trial.moment(p, c.moment)
	}
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
	p.pauses(c)
	kind := p.strike(c.Place, false)
	p.excused = p.excused || kind != "" && effect.Undoing(ctx)
	switch kind {
	case CrashBefore:
		p.crash()
		p.trial.story.saw(c, kind)
		return kind, errCrashed
	case Refused, Cut, Unavailable:
		p.trial.story.saw(c, kind)
		p.heard(c, kind, reply{})
		return kind, nil
	}
	var before *trial
	if p.forks(c) {
		before = p.trial.fork()
	}
	said := do()
	p.heard(c, kind, said)
	p.mu.Lock()
	c.Changed = c.Writes && said.changed
	p.calls[n].Changed = c.Changed
	p.trace.replies[n].plain, p.trace.replies[n].sum = said.plain && kind == "", said.sum
	p.mu.Unlock()
	p.trial.story.saw(c, kind)
	if c.Writes {
		p.trial.look(c)
	}
	if before != nil {
		if c.Changed && len(p.trial.violations) == 0 {
			p.mu.Lock()
			calls := slices.Clone(p.calls[:n+1])
			p.mu.Unlock()
			p.trial.crashes(before, calls, c, CrashBefore)
			p.trial.crashes(p.trial.fork(), calls, c, CrashAfter)
		} else {
			before.world.Close()
		}
	}
	if kind == CrashAfter {
		p.crash()
		return kind, errCrashed
	}
	return kind, nil
}

// heard notes what the process was told about c.
func (p *process) heard(c Call, kind Kind, said reply) {
	if !p.trial.keyed {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if !said.plain {
		p.trial.sum = nil
	}
	if c.Server == "redis" {
		p.history.redis++
	}
	if kind != "" {
		said.sum = [sha256.Size]byte{}
	}
	p.history.heard(c.Place.String(), c.Verb, c.Target, string(kind), said.sum[:], p.trial.world.Clock().Now())
	if kind == "" && said.sum == ([sha256.Size]byte{}) {
		p.history.heard(unheard.Add(1)) // a stream: nobody knows what it says
	}
}

// unheard counts what has no sum, and therefore is like nothing else.
var unheard atomic.Int64

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
	if n.parts == 1 {
		c.moment = n.moment
	}
	c.Where, c.Target = op.Where, op.Target
	c.Changes, c.Fans = op.Class.Mutates(), op.Name == "docker.list" || op.Name == "docker.images"
	c.Images = c.Server == "engine" && !c.Changes && !strings.Contains(c.Verb, "/containers/")
	c.Own = c.Server == "redis" && !c.Changes && c.host // a lock that a look takes
	c.Writes = c.Writes && (c.Changes || c.Own)
}

// now is the point at a place that is reached after a number of calls.
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
			p.mu.Lock()
			before := len(p.calls)
			p.mu.Unlock()
			p.trial.happen(p, f)
			p.mu.Lock()
			p.excused = true
			p.trace.after = p.now(at, len(p.calls))
			p.trace.meanwhile = len(p.calls) > before
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

// elsewhere returns the effects that no server has seen, such as a file's.
func (p *process) elsewhere() []string {
	var all []string
	for op, n := range p.ops {
		if op.Class.Mutates() && n.parts == 0 {
			all = append(all, strings.TrimSpace(op.Name+" "+op.Target))
		}
	}
	slices.Sort(all)
	return all
}

func (p *process) dead() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.crashed
}

// finish strikes the faults of the end.
func (p *process) finish(res *runtime.Result, err error) {
	p.trial.ended(p, res, err)
	if p.other == "" {
		p.trial.goOn()
	}
	if p.trial.keyed && p.other == "" {
		p.trial.runs[len(p.trial.runs)-1].over = p.trial.moment(p, moment{1})
	}
	p.strike(end(p.run), true)
}

// Engine implements rehearsal.Wire.
func (p *process) Engine(req *http.Request, next http.RoundTripper) (*http.Response, error) {
	c := Call{Server: "engine", Verb: req.Method + " " + req.URL.Path, Writes: req.Method != http.MethodGet && req.Method != http.MethodHead}
	return p.http(req, next, c)
}

// HTTP implements rehearsal.Wire. What containers and routers answer is theirs to
// say; a request writes if its method may, and so may the function that sends it.
func (p *process) HTTP(req *http.Request, next http.RoundTripper) (*http.Response, error) {
	c := Call{Server: "http", Verb: req.Method + " " + req.URL.Host + req.URL.Path}
	if op := effect.Current(req.Context()); op != nil && op.Class.Mutates() {
		c.Writes = req.Method != http.MethodGet && req.Method != http.MethodHead && req.Method != http.MethodOptions
	}
	return p.http(req, next, c)
}

func (p *process) http(req *http.Request, next http.RoundTripper, c Call) (resp *http.Response, err error) {
	sent := false
	kind, over := p.exchange(req.Context(), c, func() reply {
		sent = true
		before := p.trial.version()
		if resp, err = next.RoundTrip(req); err != nil {
			return reply{sum: sha256.Sum256([]byte(err.Error()))}
		}
		said := httpReply(resp)
		if c.Server != "engine" {
			said.plain, said.changed = false, true // whatever a container makes of it
			return said
		}
		said.changed = !slices.Equal(before, p.trial.version())
		return said
	})
	if !sent && req.Body != nil {
		req.Body.Close() // its writer must not wait for a reader
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
		return rehearsal.Said(req, http.StatusInternalServerError, http.Header{"Content-Type": {"application/json"}}, `{"message":"an injected refusal"}`), nil
	}
	return resp, err
}

// Redis implements rehearsal.Wire.
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
		if !c.Writes {
			err = next()
			return redisReply(cmds)
		}
		before := p.trial.touched(cmds)
		err = next()
		said := redisReply(cmds)
		said.changed = before != p.trial.touched(cmds)
		return said
	})
	switch {
	case over != nil:
		return over
	case kind == Lost, kind == Cut:
		return io.EOF
	case kind == Unavailable:
		return &servers.DialError{Addr: "simulated:6379", Err: fmt.Errorf("connect: %w", syscall.ECONNREFUSED)}
	case kind == Refused:
		no := rehearsal.Answer("OOM command not allowed: an injected refusal")
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
