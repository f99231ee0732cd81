package rehearsal

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"syscall"

	"github.com/redis/go-redis/v9"

	"github.com/mepc/mepc-run/internal/effect"
	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/servers"
)

// Fault describes what goes wrong with calls of one function: on the wire, so that what
// the modules make of it is what they would make of it on a network.
type Fault struct {
	Op     string // the function, such as docker.start; redis.linsert is a command
	Target string // only calls to it; empty: all
	Nth    int    // only this one of them, from 1; 0: all
	After  int    // skip this many first
	// Kind is the way in which the server or the network fails: one of FaultKinds. Nothing
	// is done. Empty: the call is done, and its reply lost.
	Kind    failure.Kind
	Message string // in the server's words; empty: one that such a server has
	Where   string // who planted it, for people
}

// FaultKinds are the kinds of error that a Fault can have.
var FaultKinds = []failure.Kind{
	failure.Conflict, failure.NotFound, failure.Refused, failure.Invalid, failure.Auth, failure.Unavailable, failure.Timeout,
}

// statuses are the answers of an engine, and of any server that speaks HTTP, by kind.
var statuses = map[failure.Kind]struct {
	code int
	text string
}{
	failure.Conflict: {http.StatusConflict, "Conflict: a fault of the spec"},
	failure.NotFound: {http.StatusNotFound, "No such thing: a fault of the spec"},
	failure.Refused:  {http.StatusInternalServerError, "a fault of the spec"},
	failure.Invalid:  {http.StatusBadRequest, "a fault of the spec: bad parameter"},
	failure.Auth:     {http.StatusUnauthorized, "a fault of the spec: unauthorized"},
}

// answers are those of Redis.
var answers = map[failure.Kind]string{
	failure.Conflict: "WRONGTYPE Operation against a key holding the wrong kind of value",
	failure.NotFound: "ERR no such key", failure.Refused: "OOM command not allowed when used memory > 'maxmemory'.",
	failure.Invalid: "ERR syntax error", failure.Auth: "NOPERM this user has no permissions to run this command",
}

// Faults is a wire on which calls fail while it is switched on. The zero value is
// off, and carries everything on.
type Faults struct {
	mu      sync.Mutex
	on      bool
	planted []*planted
	count   Requests
}

// Requests counts what was sent while faults were on.
type Requests struct {
	Docker int `lua:"docker" doc:"requests to engines"`
	Redis  int `lua:"redis" doc:"ways to Redis and back; a pipeline or a transaction is one"`
	HTTP   int `lua:"http" doc:"requests to containers, routers and others"`
}

// Switch switches the faults on or off. On, they count from the start.
func (f *Faults) Switch(on bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.on = on
	if on {
		f.count = Requests{}
	}
}

// Requests returns what was sent since the faults were switched on.
func (f *Faults) Requests() Requests {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.count
}

// sent counts a request.
func (f *Faults) sent(which func(*Requests) *int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.on {
		*which(&f.count)++
	}
}

// planted is a fault with the calls that it has seen.
type planted struct {
	Fault
	seen   map[*effect.Op]int // which one of the calls it is
	lost   map[*effect.Op]bool
	struck bool // it has happened
}

// Plant adds a fault.
func (f *Faults) Plant(fault Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.planted = append(f.planted, &planted{Fault: fault, seen: map[*effect.Op]int{}, lost: map[*effect.Op]bool{}})
}

// Clear takes all faults out.
func (f *Faults) Clear() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.planted = nil
}

// Idle returns the faults that have not happened.
func (f *Faults) Idle() []Fault {
	f.mu.Lock()
	defer f.mu.Unlock()
	var idle []Fault
	for _, p := range f.planted {
		if !p.struck {
			idle = append(idle, p.Fault)
		}
	}
	return idle
}

// of returns the fault of a request, or nil. commands are the Redis commands, if it
// is such. A lost reply is that of the call's first write, and no other.
func (f *Faults) of(ctx context.Context, write bool, commands ...string) *Fault {
	op := effect.Current(ctx)
	if op == nil {
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.on {
		return nil
	}
	for _, p := range f.planted {
		if !p.matches(op, commands) {
			continue
		}
		if p.seen[op] == 0 {
			p.seen[op] = len(p.seen) + 1
		}
		if n := p.seen[op]; p.Nth != 0 && n != p.Nth || n <= p.After {
			continue
		}
		if p.Kind != failure.Unavailable && !write && op.Class.Mutates() {
			continue // a look before or after it
		}
		if p.Kind == "" || p.Kind == failure.Timeout {
			if p.lost[op] {
				continue
			}
			p.lost[op] = true
		}
		p.struck = true
		return &p.Fault
	}
	return nil
}

func (p *planted) matches(op *effect.Op, commands []string) bool {
	if p.Target != "" && p.Target != op.Target {
		return false
	}
	if p.Op == op.Name {
		return true
	}
	command, ok := strings.CutPrefix(p.Op, "redis.")
	if !ok {
		return false
	}
	for _, c := range commands {
		if strings.EqualFold(c, command) {
			return true
		}
	}
	return false
}

// Engine implements Wire.
func (f *Faults) Engine(req *http.Request, next http.RoundTripper) (*http.Response, error) {
	f.sent(func(r *Requests) *int { return &r.Docker })
	fault := f.of(req.Context(), req.Method != http.MethodGet && req.Method != http.MethodHead)
	if strings.HasSuffix(req.URL.Path, "/_ping") {
		fault = nil
	}
	return fault.http(req, next, "unix", refusal)
}

// HTTP implements Wire.
func (f *Faults) HTTP(req *http.Request, next http.RoundTripper) (*http.Response, error) {
	f.sent(func(r *Requests) *int { return &r.HTTP })
	return f.of(req.Context(), true).http(req, next, "tcp", func(req *http.Request, code int, text string) *http.Response {
		return Said(req, code, http.Header{"Content-Type": {"text/plain; charset=utf-8"}}, text)
	})
}

// http makes the fault, if any, of a request that refuse can refuse.
func (f *Fault) http(req *http.Request, next http.RoundTripper, network string, refuse func(*http.Request, int, string) *http.Response) (*http.Response, error) {
	if f == nil {
		return next.RoundTrip(req)
	}
	if s, ok := statuses[f.Kind]; ok {
		return refuse(req, s.code, cmp.Or(f.Message, s.text)), nil
	}
	return nil, f.network(network, func() error {
		resp, err := next.RoundTrip(req)
		if err == nil {
			resp.Body.Close()
		}
		return err
	})
}

// Redis implements Wire.
func (f *Faults) Redis(ctx context.Context, cmds []redis.Cmder, next func() error) error {
	f.sent(func(r *Requests) *int { return &r.Redis })
	var names []string
	write := false
	for _, c := range cmds {
		names = append(names, c.Name())
		write = write || !readOnly[strings.ToLower(c.Name())]
	}
	fault := f.of(ctx, write, names...)
	if fault == nil {
		return next()
	}
	if text, ok := answers[fault.Kind]; ok {
		return Answer(cmp.Or(fault.Message, text))
	}
	if fault.Kind == failure.Unavailable {
		return &servers.DialError{Addr: "the simulated Redis", Err: fault.network("tcp", next)}
	}
	return fault.network("tcp", next)
}

// readOnly are commands of a transaction's preparation: the reply that is lost is
// that of its write.
var readOnly = map[string]bool{
	"watch": true, "unwatch": true, "multi": true, "get": true, "lrange": true, "exists": true, "hello": true, "client": true, "type": true,
}

// Answer is an error that Redis itself answers with.
type Answer string

func (a Answer) Error() string { return string(a) }

// RedisError makes it a redis.Error.
func (Answer) RedisError() {}

// network returns the error of a network: nobody takes the connection, or the reply to a
// call that was done does not come.
func (f *Fault) network(network string, do func() error) error {
	if f.Kind == failure.Unavailable {
		return &net.OpError{Op: "dial", Net: network, Err: syscall.ECONNREFUSED}
	}
	if err := do(); err != nil {
		return err
	}
	if f.Kind == failure.Timeout {
		return context.DeadlineExceeded
	}
	return io.ErrUnexpectedEOF
}

// refusal is an engine's answer that says no.
func refusal(req *http.Request, code int, text string) *http.Response {
	message, _ := json.Marshal(text) // a string always can be
	header := http.Header{"Content-Type": {"application/json"}, "Api-Version": {"1.41"}, "Server": {"Docker/20.10.24 (linux)"}}
	return Said(req, code, header, `{"message":`+string(message)+`}`)
}

// Said is a response that no server has sent.
func Said(req *http.Request, code int, header http.Header, body string) *http.Response {
	return &http.Response{
		StatusCode: code, Status: fmt.Sprintf("%d %s", code, http.StatusText(code)), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: req,
		Header: header, ContentLength: int64(len(body)), Body: io.NopCloser(strings.NewReader(body)),
	}
}
