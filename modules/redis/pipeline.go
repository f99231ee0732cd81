package redis

import (
	"context"

	"github.com/redis/go-redis/v9"

	"github.com/mepc/mepc-run/runtime"
)

// batch is a way to send several commands at once.
type batch struct{ noun, method string }

var (
	transaction = batch{"transaction", "multi"}
	inOneGo     = batch{"pipeline", "pipeline"}
)

func pipelineFunc() runtime.Func {
	return runtime.Func{
		Name: "pipeline", Class: runtime.Write,
		Doc: "Sends several commands in one go and reads their replies together: one way there and back in place of many. " +
			"It is not a transaction: other clients' commands may come in between, and when the connection breaks some may be done and others not. " +
			"A command that fails is an error, when all have been done. In a cluster the keys are in one slot.",
		From:    "the commands",
		Returns: "a list of the replies, false for null",
		Raises:  commandKinds,
		Example: `local got = r:pipeline(function(p) p:set("a", 1) p:get("a") end)
assert(got[2] == "1")`,
		Timeout: gateBound,
		Call:    runtime.Inline((*Connection).pipeline),
	}
}

type pipelineArgs struct {
	Fn *runtime.Function `lua:"fn,pos,required" doc:"gets the queue: each command called on it is sent, in order, when fn returns"`
}

// pipeline is r:pipeline.
func (r *Connection) pipeline(c *runtime.Call, a *pipelineArgs) (any, error) {
	return r.transact(c, r, inOneGo, a.Fn, func(ctx context.Context, keys []string, what sent, run txFunc) ([]redis.Cmder, error) {
		return attempt(ctx, r.clock, r.timeout, what, func(ctx context.Context) ([]redis.Cmder, error) {
			node, err := r.anyNode(ctx, keys)
			if err != nil {
				return nil, err
			}
			return run(ctx, node.Pipelined)
		})
	})
}

// anyNode is node for commands that may have no key.
func (r *Connection) anyNode(ctx context.Context, keys []string) (*redis.Client, error) {
	if cluster, ok := r.client.(*redis.ClusterClient); ok && len(keys) == 0 {
		return cluster.MasterForKey(ctx, "")
	}
	return r.node(ctx, keys)
}
