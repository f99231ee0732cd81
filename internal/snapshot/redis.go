package snapshot

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/internal/state"
	"github.com/mepc/mepc-run/servers"
)

// RoutingKeys are the patterns of the keys that recipes live by: the routing
// lists, what routers found dead, and mepc-run's own.
func RoutingKeys() []string { return []string{"frontend:*", "dead:*", "mepc:*"} }

// maxKeys is the most keys a snapshot takes.
const maxKeys = 10_000

// Redis reads the keys that one of the patterns matches; none:
// RoutingKeys, since other keys may hold anything, sessions and passwords
// included. It sends only SCAN, TYPE, PTTL and the reading command of each type.
func Redis(ctx context.Context, rdb redis.UniversalClient, patterns ...string) (map[string]state.RedisKey, error) {
	if len(patterns) == 0 {
		patterns = RoutingKeys()
	}
	out := map[string]state.RedisKey{}
	for _, p := range patterns {
		for name, err := range servers.Keys(ctx, rdb, p) {
			if err != nil {
				return nil, fmt.Errorf("read the keys %s: %w", p, err)
			}
			if _, done := out[name]; done {
				continue
			}
			if len(out) == maxKeys {
				return nil, fmt.Errorf("there are more than %d keys that match %v: a snapshot takes no more", maxKeys, patterns)
			}
			k, found, err := fetchKey(ctx, rdb, name)
			if err != nil {
				return nil, fmt.Errorf("read the key %s: %w", name, err)
			}
			if found {
				out[name] = k
			}
		}
	}
	if len(out) == 0 {
		return nil, nil
	}
	return out, nil
}

// fetchKey reads one key; it may have gone since it was listed.
func fetchKey(ctx context.Context, rdb redis.UniversalClient, name string) (k state.RedisKey, found bool, err error) {
	t, err := rdb.Type(ctx, name).Result()
	if err != nil {
		return k, false, err
	}
	empty := false
	switch t {
	case "none":
		return k, false, nil
	case "string":
		var s string
		if s, err = rdb.Get(ctx, name).Result(); errors.Is(err, redis.Nil) {
			return k, false, nil
		}
		k.String = &s
	case "list":
		k.List, err = rdb.LRange(ctx, name, 0, -1).Result()
		empty = len(k.List) == 0
	case "set":
		k.Set, err = rdb.SMembers(ctx, name).Result()
		empty = len(k.Set) == 0
	case "hash":
		k.Hash, err = rdb.HGetAll(ctx, name).Result()
		empty = len(k.Hash) == 0
	case "zset":
		var all []redis.Z
		all, err = rdb.ZRangeWithScores(ctx, name, 0, -1).Result()
		k.ZSet = map[string]float64{}
		for _, z := range all {
			k.ZSet[fmt.Sprint(z.Member)] = z.Score
		}
		empty = len(all) == 0
	default:
		return k, false, failure.New(failure.NotModelled, "%sthe key %q, of the type %q", state.NotModelled, name, t)
	}
	if err != nil || empty {
		return k, false, err
	}
	ttl, err := rdb.PTTL(ctx, name).Result()
	if ttl > 0 {
		k.TTL = state.Duration(ttl.Round(time.Millisecond))
	}
	return k, true, err
}
