package redis

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/mepc/mepc-run/internal/clock"
	"github.com/mepc/mepc-run/internal/effect"
	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/runtime"
)

// queue collects the commands of a transaction or a pipeline while its function
// runs.
type queue struct {
	of    *Connection
	kind  batch
	calls []*call
	over  bool
}

// Endpoint names the server, without password.
func (q *queue) Endpoint() string { return q.of.endpoint }

// Clock is that of the connection.
func (q *queue) Clock() clock.Clock { return q.of.clock }

// String is what tostring(tx) shows.
func (q *queue) String() string { return "redis.queue(" + q.of.endpoint + ")" }

// command queues one command. It has no reply yet.
func (q *queue) command(_ *runtime.Call, method string, a *commandArgs) (any, error) {
	if q.over {
		return nil, failure.New(failure.Invalid, "the %s is over", q.kind.noun).
			WithHint("its queue lives only as long as the function that r:%s calls", q.kind.method)
	}
	k, err := q.of.prepare(method, a.Words)
	if err != nil {
		return nil, err
	}
	if k.wait > 0 {
		return nil, failure.New(failure.Invalid, "%s cannot wait within a %s", k.verb(), q.kind.noun)
	}
	q.calls = append(q.calls, k)
	return nil, nil
}

type multiArgs struct {
	Fn *runtime.Function `lua:"fn,pos,required" doc:"gets the queue: each command called on it is sent, in order, when fn returns"`
}

// multi is r:multi.
func (r *Connection) multi(c *runtime.Call, a *multiArgs) (any, error) {
	return r.transact(c, r, transaction, a.Fn, func(ctx context.Context, keys []string, what sent, run txFunc) ([]redis.Cmder, error) {
		return attempt(ctx, r.clock, r.timeout, what, func(ctx context.Context) ([]redis.Cmder, error) {
			node, err := r.node(ctx, keys)
			if err != nil {
				return nil, err
			}
			return run(ctx, node.TxPipelined)
		})
	})
}

// pipelined is what a client and a connection have for MULTI/EXEC.
type pipelined func(context.Context, func(redis.Pipeliner) error) ([]redis.Cmder, error)

// txFunc sends the transaction by way of pipelined. Errors of single commands
// are not its own.
type txFunc func(context.Context, pipelined) ([]redis.Cmder, error)

// transact lets fn queue commands and passes them through the gate as one
// effect. send finds a connection and calls its txFunc.
func (r *Connection) transact(c *runtime.Call, self interface{ Endpoint() string }, kind batch, fn *runtime.Function,
	send func(context.Context, []string, sent, txFunc) ([]redis.Cmder, error),
) (any, error) {
	q := &queue{of: r, kind: kind}
	_, err := fn.Call(c, q)
	q.over = true
	if err != nil || len(q.calls) == 0 {
		return []any{}, err
	}
	class, keys, shown := q.describe()
	what := sent{verb: "the " + kind.noun, syntax: "r:" + kind.method + "(function(tx) ... end)", mutates: class.Mutates(), endpoint: r.endpoint}
	if len(keys) > 0 {
		what.key = keys[0]
	}
	var cmds []redis.Cmder
	var broken error
	err = c.Gate(self, class, showKeys(keys), shown, func(ctx context.Context) error {
		var err error
		cmds, err = send(ctx, keys, what, q.run)
		if err != nil {
			return err
		}
		// A command that fails within EXEC fails alone: what happened is an
		// effect, and then an error of the recipe's.
		broken = q.failed(cmds)
		if broken != nil {
			effect.Note(ctx, failure.As(broken).Message)
		}
		return nil
	})
	if err == nil {
		err = broken
	}
	if err != nil {
		return nil, err
	}
	return q.replies(cmds), nil
}

// describe returns the transaction's class, keys and commands for people.
func (q *queue) describe() (class effect.Class, keys []string, shown []effect.Arg) {
	class = read
	seen := map[string]bool{}
	for i, k := range q.calls {
		class = max(class, k.class)
		for _, key := range k.keys() {
			if !seen[key] {
				seen[key] = true
				keys = append(keys, key)
			}
		}
		shown = append(shown, effect.Arg{Name: strconv.Itoa(i + 1), Value: show(k.method, k.words), Raw: append([]string{k.method}, k.words...)})
	}
	return class, keys, shown
}

// run sends the queue. When Redis discards it, the error is that of the command
// that Redis did not take.
func (q *queue) run(ctx context.Context, exec pipelined) ([]redis.Cmder, error) {
	cmds, err := exec(ctx, func(p redis.Pipeliner) error {
		for _, k := range q.calls {
			if err := p.Process(ctx, k.cmd(ctx)); err != nil {
				return err
			}
		}
		return nil
	})
	switch {
	case err == nil:
		return cmds, nil
	case errors.Is(err, redis.TxFailedErr):
		return nil, err
	case redis.IsExecAbortError(err):
		for i, cmd := range cmds {
			if e := cmd.Err(); e != nil && !redis.IsExecAbortError(e) {
				refused := failure.As(refusal(e.Error(), q.calls[i].sent(q.of.endpoint)))
				refused.Message = fmt.Sprintf("Redis did not take %s: %s", q.calls[i].verb(), refused.Message)
				refused.Details = "the transaction was discarded: nothing was done"
				return nil, refused
			}
		}
		return nil, err
	}
	// An error that is a command's own leaves the others theirs; anything else
	// is everyone's.
	var answer redis.Error
	if !errors.As(err, &answer) {
		return nil, err
	}
	return cmds, q.firstOfAll(cmds)
}

// firstOfAll returns the first command's error when every command has one: then
// nothing was done, be it that MULTI itself was refused.
func (q *queue) firstOfAll(cmds []redis.Cmder) error {
	for _, cmd := range cmds {
		if !failedAlone(cmd) {
			return nil
		}
	}
	return refusal(cmds[0].Err().Error(), q.calls[0].sent(q.of.endpoint))
}

func failedAlone(cmd redis.Cmder) bool {
	err := cmd.Err()
	return err != nil && err != redis.Nil //nolint:errorlint // a Nil within is another thing
}

// failed returns the error of the first command that failed in EXEC.
func (q *queue) failed(cmds []redis.Cmder) error {
	for i, cmd := range cmds {
		if !failedAlone(cmd) {
			continue
		}
		f := failure.As(refusal(cmd.Err().Error(), q.calls[i].sent(q.of.endpoint)))
		f.Message = fmt.Sprintf("command %d of %d in the %s failed, %s: %s",
			i+1, len(cmds), q.kind.noun, strings.TrimSpace(q.calls[i].verb()+" "+showKeys(q.calls[i].keys())), f.Message)
		f.Details = "The other commands were done: Redis undoes nothing.\n" + q.outcomes(cmds)
		return f
	}
	return nil
}

func (q *queue) outcomes(cmds []redis.Cmder) string {
	var b strings.Builder
	for i, cmd := range cmds {
		outcome := "done"
		if failedAlone(cmd) {
			outcome = cmd.Err().Error()
		}
		fmt.Fprintf(&b, "%d. %s: %s\n", i+1, show(q.calls[i].method, q.calls[i].words), outcome)
	}
	return strings.TrimSuffix(b.String(), "\n")
}

func (q *queue) replies(cmds []redis.Cmder) []any {
	list := make([]any, len(cmds))
	for i, cmd := range cmds {
		list[i] = named(q.calls[i].command, cmd.(*redis.Cmd).Val())
	}
	return replyOf(list).([]any)
}
