package redis

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/mepc/mepc-run/internal/clock"
	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/servers"
)

// sent is what is known of a call that failed.
type sent struct {
	verb     string // "LINSERT"
	key      string // the first one, "" for none
	syntax   string
	mutates  bool
	endpoint string
	greeting bool // the connection was still being set up: nothing was sent
}

// explain turns what go-redis returned into a failure. Every error of this
// module's commands comes through here.
func explain(ctx context.Context, err error, s sent) error {
	if errors.Is(err, redis.TxFailedErr) {
		return err // its caller knows what was watched
	}
	var answer redis.Error
	if errors.As(err, &answer) && !strings.HasPrefix(err.Error(), "redis: ") {
		if what, ok := strings.CutPrefix(answer.Error(), "ERR "+servers.NotModelled); ok {
			return failure.New(failure.NotModelled, "the simulated Redis does not know %s", what).
				WithHint("the live Redis may: what follows cannot be rehearsed")
		}
		return refusal(answer.Error(), s)
	}
	if f := failure.As(err); f != nil {
		if f.Kind == failure.Limit && s.mutates { // it answers what was done
			return failure.New(failure.Unknown, "%s; %s was sent and was probably done", f.Message, s.verb).WithHint("look before doing it again%s", at(s.key))
		}
		return f
	}
	var dial *servers.DialError
	var network *net.OpError
	switch {
	case cancelled(ctx):
		return context.Cause(ctx) // Ctrl-C, or a sibling that failed
	case strings.Contains(err.Error(), "all sentinels"):
		if errors.Is(err, redis.Nil) {
			return away(err, s, "the sentinels of %s know no master of that name", s.endpoint).
				WithHint("ask one: redis-cli -p 26379 SENTINEL MASTERS")
		}
		return away(err, s, "no sentinel of %s names a master: %s", s.endpoint, reason(err))
	case errors.As(err, &dial):
		return unreachable(dial, s)
	case errors.Is(err, redis.ErrPoolTimeout), errors.Is(err, redis.ErrPoolExhausted):
		return away(err, s, "every connection is busy")
	case errors.Is(err, redis.ErrClosed):
		return failure.New(failure.Cancelled, "the run is over")
	case s.greeting && timedOut(err):
		return away(err, s, "%s accepts connections but does not answer", s.endpoint).
			WithHint("is it hung, or loading, or does it want TLS (rediss://)? Nothing was sent")
	case s.greeting:
		return away(err, s, "%s closed the connection before it answered", s.endpoint).
			WithHint("is it Redis, or does it want TLS (rediss://)? Nothing was sent")
	case errors.Is(err, context.DeadlineExceeded):
		// The client says so itself only while it waits for a connection; once a
		// command is under way it is the socket that times out.
		return away(err, s, "no connection in time: %s", causeText(ctx)).
			WithHint("nothing was sent")
	case errors.As(err, &network) && network.Op == "write":
		// Redis executes nothing that it did not get to the end.
		return away(err, s, "the connection broke while %s was sent: %s", s.verb, reason(err)).
			WithHint("Redis did not get the whole of it, so nothing was done")
	}
	return lost(ctx, err, s)
}

// Explain is explain for modules and commands that have a client of their own, as far
// as the server, or the way to it, said itself what is wrong; nil otherwise.
func Explain(err error, endpoint string) error {
	var answer redis.Error
	var dial *servers.DialError
	s := sent{endpoint: endpoint}
	switch {
	case errors.As(err, &answer) && !strings.HasPrefix(err.Error(), "redis: "):
		return refusal(answer.Error(), s)
	case errors.As(err, &dial):
		return unreachable(dial, s)
	}
	return nil
}

// lost is for a command that was sent, and whose answer did not come.
func lost(ctx context.Context, err error, s sent) error {
	why := "the connection was lost: " + reason(err)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		<-ctx.Done() // the socket's deadline is the context's: now, or a moment ago
	}
	if timedOut(err) || ctx.Err() != nil {
		why = causeText(ctx)
	}
	if s.mutates && !cancelled(ctx) {
		return failure.New(failure.Unknown, "%s; %s was sent and may have been done", why, s.verb).
			WithHint("look before doing it again%s", at(s.key))
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return away(err, s, "%s", why)
}

// cancelled reports whether ctx ended for another reason than its time.
func cancelled(ctx context.Context) bool { return ctx.Err() != nil && !clock.TimedOut(ctx) }

func at(key string) string {
	if key == "" {
		return ""
	}
	return ": what does " + showWord(key) + " hold now?"
}

// away is an error of a server that is not there. Nothing was done.
func away(err error, s sent, format string, args ...any) *failure.Error {
	e := failure.New(failure.Unavailable, format, args...)
	e.Retryable = true
	if !ended(err) {
		e.Cause = err
	}
	return e.WithHint("is Redis running at %s?", s.endpoint)
}

// ended reports whether err is a context's own. Such an error is not kept as a
// cause: the gate would take the whole for a call whose answer is open.
func ended(err error) bool {
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)
}

func unreachable(dial *servers.DialError, s sent) error {
	e := away(dial, s, "%s", dial.Error())
	switch {
	case dial.TLS && timedOut(dial):
		return e.WithHint("does it speak TLS? Without TLS the URL begins with redis://")
	case dial.TLS:
		e.Kind, e.Retryable = failure.Auth, false
		return e.WithHint("does it speak TLS, and is its certificate signed by the URL's ca and made out to its server_name? Without TLS the URL begins with redis://")
	case errors.Is(dial.Err, fs.ErrPermission):
		e.Kind, e.Retryable = failure.Auth, false
		return e.WithHint("the socket may be used by another user or group only: see unixsocketperm in redis.conf")
	case timedOut(dial.Err):
		e.Message = fmt.Sprintf("no connection to %s: it does not answer (%s)", dial.Addr, reason(dial.Err))
	}
	return e.WithHint("is Redis running there? Another is chosen by --redis, REDIS_URL or redis.connect(url)")
}

func timedOut(err error) bool {
	var network net.Error
	return errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.DeadlineExceeded) ||
		errors.As(err, &network) && network.Timeout()
}

// causeText says why ctx ended.
func causeText(ctx context.Context) string {
	if cause := context.Cause(ctx); cause != nil {
		return cause.Error()
	}
	return "no answer in time"
}

// reason is the innermost part of err that says what happened.
func reason(err error) string {
	var network *net.OpError
	if errors.As(err, &network) {
		return network.Err.Error()
	}
	return err.Error()
}

// refusals maps the first word of what Redis answers to a kind and a hint.
// Nothing was done in any of these cases.
var refusals = []struct {
	prefix    string
	kind      failure.Kind
	retryable bool
	hint      string
}{
	{"WRONGTYPE", failure.Conflict, false, "see what KEY is: r:type(KEY)"},
	{"NOAUTH", failure.Auth, false, "it wants a password: redis://:password@host:6379 by --redis, REDIS_URL or redis.connect(url)"},
	{"WRONGPASS", failure.Auth, false, "is the user and the password in the URL right? Special characters are percent-encoded there"},
	{"NOPERM", failure.Auth, false, "the server's ACL does not allow it to this user: see ACL GETUSER there"},
	{"DENIED", failure.Auth, false, "the server is in protected mode: set a password, or connect from its own machine"},
	{"ERR invalid password", failure.Auth, false, "is the password in the URL right?"},
	{"ERR AUTH", failure.Auth, false, "the server has no password: leave it out of the URL"},
	{"ERR Client sent AUTH", failure.Auth, false, "the server has no password: leave it out of the URL"},
	{"ERR DB index", failure.Invalid, false, "the server has fewer databases: see databases in redis.conf"},
	{"MOVED", failure.Invalid, false, "this is a cluster: its URL begins with redis-cluster://"},
	{"ASK ", failure.Unavailable, true, "the cluster is moving this key"},
	{"CROSSSLOT", failure.Invalid, false, "in a cluster the keys of one call lie in one slot: give them the same {tag}"},
	{"CLUSTERDOWN", failure.Unavailable, true, "see CLUSTER INFO"},
	{"TRYAGAIN", failure.Unavailable, true, "the cluster is moving these keys"},
	{"LOADING", failure.Unavailable, true, "the server has started and reads its data"},
	{"MASTERDOWN", failure.Unavailable, true, "a replica that has lost its master"},
	{"READONLY", failure.Unavailable, true, "this is a replica: connect to its master, or by redis-sentinel://"},
	{"NOREPLICAS", failure.Unavailable, true, "too few replicas: see min-replicas-to-write in redis.conf"},
	{"ERR max number of clients", failure.Unavailable, true, "see maxclients in redis.conf"},
	{"BUSYGROUP", failure.Conflict, false, ""},
	{"BUSYKEY", failure.Conflict, false, "the key exists; REPLACE overwrites it"},
	{"BUSY ", failure.Unavailable, true, "a script runs in the server"},
	{"OOM", failure.Refused, false, "the server is out of memory: see maxmemory in redis.conf"},
	{"MISCONF", failure.Refused, false, "the server cannot save to disk: its log says why"},
	{"NOGROUP", failure.NotFound, false, ""},
	{"NOSCRIPT", failure.NotFound, false, "SCRIPT LOAD it first"},
	{"ERR no such key", failure.NotFound, false, ""},
	{"ERR unknown command", failure.Refused, false, "this server does not have it: see r:info(\"server\") for its version"},
	{"ERR unknown subcommand", failure.Refused, false, "this server does not have it: see r:info(\"server\") for its version"},
	{"ERR syntax error", failure.Invalid, false, "usage: USAGE"},
	{"ERR wrong number of arguments", failure.Invalid, false, "usage: USAGE"},
}

// refusal explains an answer that says no.
func refusal(answer string, s sent) error {
	e := failure.New(failure.Refused, "%s", answer)
	for _, r := range refusals {
		if !strings.HasPrefix(answer, r.prefix) {
			continue
		}
		e.Kind, e.Retryable = r.kind, r.retryable
		if key := s.key; r.hint != "" && (key != "" || !strings.Contains(r.hint, "KEY")) {
			e.Hint = strings.NewReplacer("KEY", fmt.Sprintf("%q", key), "USAGE", s.syntax).Replace(r.hint)
		}
		break
	}
	return e
}
