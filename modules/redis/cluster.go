package redis

import (
	"context"
	"strings"

	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/internal/keys"
	"github.com/mepc/mepc-run/runtime"
)

func clusteredFunc() runtime.Func {
	return runtime.Func{
		Name: "clustered", Class: runtime.Pure,
		Doc:     "Whether the connection is to a cluster, in which the keys of one transaction have to be in one slot.",
		From:    "the URL",
		Returns: "true or false",
		Raises:  []runtime.Kind{failure.Invalid},
		Example: `if redis.connect():clustered() then log("a transaction has the keys of one slot") end`,
		Call: runtime.Inline(func(r *Connection, _ *runtime.Call, _ *runtime.None) (bool, error) {
			return strings.Contains(r.endpoint, "-cluster://"), nil
		}),
	}
}

func mastersFunc() runtime.Func {
	return runtime.Func{
		Name: "masters", Class: runtime.Read,
		Doc:     "The servers that have the keys, as a connection each: a cluster's masters, of which SCAN and the like see their own keys only; or the connection itself.",
		From:    "CLUSTER SLOTS",
		Returns: "a list of connections",
		Raises:  []runtime.Kind{failure.Unavailable, failure.Timeout, failure.Auth},
		Example: `for _, m in ipairs(redis.connect():masters()) do m:scan("0") end`,
		Call:    runtime.Effect((*Connection).masters),
	}
}

func (r *Connection) masters(ctx context.Context, _ *runtime.None) ([]*Connection, error) {
	all, err := keys.Masters(ctx, r.client)
	if err != nil {
		return nil, explain(ctx, err, sent{verb: "CLUSTER SLOTS", endpoint: r.endpoint})
	}
	if len(all) == 1 && all[0] == r.client {
		return []*Connection{r}, nil
	}
	var out []*Connection
	for _, client := range all {
		out = append(out, &Connection{client: client, endpoint: r.endpoint, timeout: r.timeout, allow: r.allow})
	}
	return out, nil
}
