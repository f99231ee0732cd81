package redis

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/mepc/mepc-run/internal/clock"
	"github.com/mepc/mepc-run/internal/effect"
	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/runtime"
	"github.com/mepc/mepc-run/servers"
)

// Connection is a Redis as a recipe has it. Nothing is dialled before the first
// command.
type Connection struct {
	client   redis.UniversalClient
	endpoint string
	clock    clock.Clock // the server's world's
	timeout  time.Duration
	allow    Allow
}

// Endpoint names the server, without password.
func (r *Connection) Endpoint() string { return r.endpoint }

// Clock returns the clock on which its calls are bounded.
func (r *Connection) Clock() clock.Clock { return r.clock }

// Client returns what the connection is made of, for modules that keep something
// of their own in the recipe's Redis.
func (r *Connection) Client() redis.UniversalClient { return r.client }

// Explain says what an error of that client means, where the server or the way to it
// said so itself; nil otherwise.
func (r *Connection) Explain(err error) error { return Explain(err, r.endpoint) }

// String is what tostring(r) shows.
func (r *Connection) String() string { return "redis(" + r.endpoint + ")" }

// call is one command, ready to be sent.
type call struct {
	*command
	method string   // the first word
	words  []string // the others
	wait   time.Duration
}

// prepare checks what a recipe called before anything is sent.
func (r *Connection) prepare(method string, values []runtime.Value) (*call, error) {
	words, err := flatten(values)
	if err != nil {
		return nil, err
	}
	cmd, err := resolve(method, words)
	if err == nil {
		err = cmd.check(r.allow, words)
	}
	if err != nil {
		return nil, err
	}
	wait, err := cmd.patience(words)
	return &call{command: cmd, method: method, words: words, wait: wait}, err
}

func (k *call) keys() []string { return k.command.keys(k.words) }

// cmd makes what go-redis sends.
func (k *call) cmd(ctx context.Context) *redis.Cmd {
	args := make([]any, 1, 1+len(k.words))
	args[0] = k.method
	for _, w := range k.words {
		args = append(args, w)
	}
	c := redis.NewCmd(ctx, args...)
	if k.first > 0 {
		c.SetFirstKeyPos(int8(k.first))
	}
	return c
}

// sent describes the call for explain.
func (k *call) sent(endpoint string) sent {
	s := sent{verb: k.verb(), syntax: k.syntax, mutates: k.class.Mutates(), endpoint: endpoint}
	if keys := k.keys(); len(keys) > 0 {
		s.key = keys[0]
	}
	return s
}

func (k *call) verb() string { return strings.ToUpper(strings.ReplaceAll(k.name, "|", " ")) }

// once is a command that a cluster client does not send again when its answer
// is lost.
type once struct{ *redis.Cmd }

// NoRetry is asked by go-redis.
func (once) NoRetry() bool { return true }

// command passes one command through the gate.
func (r *Connection) command(c *runtime.Call, method string, a *commandArgs) (any, error) {
	k, err := r.prepare(method, a.Words)
	if err != nil {
		return nil, err
	}
	return gated(c, r, k, func(ctx context.Context, what sent) (any, error) {
		return attempt(ctx, r.clock, r.timeout+k.wait, what, func(ctx context.Context) (any, error) {
			cmd := once{k.cmd(ctx)}
			err := r.client.Process(ctx, cmd)
			return cmd.Val(), err
		})
	})
}

// gated passes k through the gate and converts the reply of send.
func gated(c *runtime.Call, self interface{ Endpoint() string }, k *call, send func(context.Context, sent) (any, error)) (any, error) {
	var reply any
	shown := []effect.Arg{{Name: "command", Value: show(k.method, k.words), Raw: append([]string{k.method}, k.words...)}}
	err := c.Gate(self, k.class, showKeys(k.keys()), shown, func(ctx context.Context) error {
		v, err := send(ctx, k.sent(self.Endpoint()))
		reply = replyOf(named(k.command, v))
		return err
	})
	return reply, err
}

// slow is how long a call that has ended may take to notice. go-redis keeps to
// deadlines by itself, but does not see that a context was cancelled while it
// reads. In a rehearsal it always notices: there nothing takes time by itself.
const slow = 250 * time.Millisecond

// attempt calls f, which talks to Redis, and explains its error. It returns in
// time though f may not; then f ends by itself at its deadline. A nil reply is
// no error.
func attempt[R any](ctx context.Context, clk clock.Clock, timeout time.Duration, s sent, f func(context.Context) (R, error)) (R, error) {
	ctx, cancel := clk.WithTimeout(ctx, timeout, failure.New(failure.Timeout, "no answer within %s", timeout).
		WithHint("does %s hang? redis.connect(url, {timeout=...}) waits longer", s.endpoint))
	defer cancel()
	tracked, handshake := servers.WatchHandshake(ctx)
	type answer struct {
		value R
		err   error
	}
	done := make(chan answer, 1)
	failure.Go(func() error {
		var a answer
		// go-redis panics on an answer that claims an absurd length.
		defer func() {
			if p := recover(); p != nil {
				a.err = fmt.Errorf("an answer that cannot be read: %v", p)
			}
			done <- a
		}()
		a.value, a.err = f(tracked)
		return nil
	})
	var a answer
	select {
	case a = <-done:
	case <-ctx.Done():
		late, stop := clk.WithTimeout(context.WithoutCancel(ctx), slow, nil)
		defer stop()
		select {
		case a = <-done:
		case <-late.Done():
			s.greeting = handshake.Underway()
			var none R
			return none, abandoned(ctx, s)
		}
	}
	if a.err == nil || a.err == redis.Nil { //nolint:errorlint // a Nil within is another thing
		return a.value, nil
	}
	s.greeting = handshake.Underway()
	var none R
	return none, explain(ctx, a.err, s)
}

// abandoned is the outcome of a call that its caller no longer waits for.
func abandoned(ctx context.Context, s sent) error {
	if s.greeting {
		return explain(ctx, context.DeadlineExceeded, s)
	}
	return lost(ctx, ctx.Err(), s)
}

// node returns the client of the one server that has keys: a transaction lives
// in one connection.
func (r *Connection) node(ctx context.Context, keys []string) (*redis.Client, error) {
	switch client := r.client.(type) {
	case *redis.Client:
		return client, nil
	case *redis.ClusterClient:
		if len(keys) == 0 {
			return nil, failure.New(failure.Invalid, "a transaction in a cluster needs a key, to know where it belongs")
		}
		for _, k := range keys[1:] {
			if slot(k) != slot(keys[0]) {
				return nil, failure.New(failure.Invalid, "%s and %s are in different slots of the cluster", showWord(keys[0]), showWord(k)).
					WithHint("keys of one transaction share a {tag}: frontend:{app} and dead:{app}")
			}
		}
		return client.MasterForKey(ctx, keys[0])
	}
	return nil, fmt.Errorf("redis: %T is no client of one server", r.client)
}
