package redis

import (
	"context"
	"strings"

	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/runtime"
	"github.com/mepc/mepc-run/servers"
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

type listsArgs struct {
	Pattern string `lua:"pattern,pos,required" doc:"which keys, as SCAN takes it, such as frontend:*"`
}

func listsFunc() runtime.Func {
	return runtime.Func{
		Name: "lists", Class: runtime.Read,
		Doc: "Reads every list whose key matches a pattern: all its items, in pages of a thousand keys and one way there and back for each. " +
			"Keys of other types are left out. In a cluster all masters are asked.",
		From:    "SCAN, LRANGE",
		Returns: "a table of lists by key",
		Raises:  []runtime.Kind{failure.Limit, failure.Refused, failure.Unavailable, failure.Timeout, failure.Auth},
		Example: `for key, items in pairs(redis.connect():lists("frontend:*")) do log(key .. " has " .. #items .. " items") end`,
		Timeout: gateBound,
		Call:    runtime.Effect((*Connection).lists),
	}
}

func (r *Connection) lists(ctx context.Context, a *listsArgs) (map[string][]string, error) {
	return servers.Lists(ctx, r.client, a.Pattern, func(ctx context.Context, do func(context.Context) error) error {
		_, err := attempt(ctx, r.clock, r.timeout, sent{verb: "SCAN", endpoint: r.endpoint}, func(ctx context.Context) (struct{}, error) {
			return struct{}{}, do(ctx)
		})
		return err
	})
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
	all, err := servers.Masters(ctx, r.client)
	if err != nil {
		return nil, explain(ctx, err, sent{verb: "CLUSTER SLOTS", endpoint: r.endpoint})
	}
	if len(all) == 1 && all[0] == r.client {
		return []*Connection{r}, nil
	}
	var out []*Connection
	for _, client := range all {
		out = append(out, &Connection{client: client, endpoint: r.endpoint, clock: r.clock, timeout: r.timeout, allow: r.allow})
	}
	return out, nil
}
