package redis

import (
	"context"
	"errors"

	"github.com/redis/go-redis/v9"

	"github.com/mepc/mepc-run/internal/clock"
	"github.com/mepc/mepc-run/internal/effect"
	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/runtime"
)

// changed is the error of a WATCH that was right to watch.
func changed(keys []string) error {
	verb := "was"
	if len(keys) > 1 {
		verb = "(one of them) was"
	}
	return failure.New(failure.Conflict, "%s %s changed by someone else in between", showKeys(keys), verb).
		WithHint("nothing was done: read it again and decide anew")
}

// watching is what the function of r:watch gets: a connection of its own.
type watching struct {
	*session
	of   *Connection
	keys []string
	done string // why it takes no more calls
}

// Endpoint names the server, without password.
func (w *watching) Endpoint() string { return w.of.endpoint }

// Clock is that of the connection.
func (w *watching) Clock() clock.Clock { return w.of.clock }

// String is what tostring(tx) shows.
func (w *watching) String() string { return "redis.watching(" + showKeys(w.keys) + ")" }

type watchArgs struct {
	Keys []string          `lua:"keys,pos,required" doc:"the keys that no one else may change until the transaction is done"`
	Fn   *runtime.Function `lua:"fn,pos,required" doc:"gets a connection of its own: it reads, decides, and writes in one tx:multi"`
}

// Validate refuses an empty list.
func (a *watchArgs) Validate() error {
	if len(a.Keys) == 0 {
		return errors.New("keys: at least one expected")
	}
	return nil
}

// watch is r:watch.
func (r *Connection) watch(c *runtime.Call, a *watchArgs) (runtime.Results, error) {
	w := &watching{of: r, keys: a.Keys}
	shown := []effect.Arg{{Name: "command", Value: show("watch", a.Keys)}}
	err := c.Gate(r, read, showKeys(a.Keys), shown, func(ctx context.Context) (err error) {
		w.session, err = r.openSession(ctx, a.Keys)
		return err
	})
	if err != nil {
		return nil, err
	}
	defer c.Block(w.close)
	out, err := a.Fn.Call(c, w)
	w.done = "the function that r:watch called has returned"
	return out, err
}

// command reads at once, in the watching connection.
func (w *watching) command(c *runtime.Call, method string, a *commandArgs) (any, error) {
	if w.done != "" {
		return nil, failure.New(failure.Invalid, "the watch is over: %s", w.done)
	}
	k, err := w.of.prepare(method, a.Words)
	if err != nil {
		return nil, err
	}
	if k.class != read || k.wait > 0 {
		return nil, failure.New(failure.Invalid, "within r:watch %s belongs into tx:multi(function(m) ... end)", k.verb()).
			WithHint("sent by itself it would not depend on what is watched")
	}
	return gated(c, w, k, func(ctx context.Context, what sent) (any, error) {
		return use(ctx, w.session, w.of.timeout, what, func(ctx context.Context, conn *redis.Conn) (any, error) {
			cmd := k.cmd(ctx)
			err := conn.Process(ctx, cmd)
			return cmd.Val(), err
		})
	})
}

// multi is tx:multi: what ends the watch.
func (w *watching) multi(c *runtime.Call, a *multiArgs) (any, error) {
	if w.done != "" {
		return nil, failure.New(failure.Invalid, "the watch is over: %s", w.done)
	}
	return w.of.transact(c, w, transaction, a.Fn, func(ctx context.Context, _ []string, what sent, run txFunc) ([]redis.Cmder, error) {
		w.done = "its tx:multi was sent; begin another r:watch"
		cmds, err := use(ctx, w.session, w.of.timeout, what, func(ctx context.Context, conn *redis.Conn) ([]redis.Cmder, error) {
			return run(ctx, conn.TxPipelined)
		})
		if errors.Is(err, redis.TxFailedErr) {
			return nil, changed(w.keys)
		}
		return cmds, err
	})
}
