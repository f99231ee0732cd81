// Package keys lists the keys of a Redis, be it one server or a cluster, whose masters
// have a part each.
package keys

import (
	"context"
	"iter"
	"slices"
	"sync"

	"github.com/redis/go-redis/v9"
)

// count is how many keys a server looks at for one SCAN.
const count = 1000

// Masters returns a client for each master of a cluster, in the order of their
// addresses, or the client itself.
func Masters(ctx context.Context, store redis.UniversalClient) ([]redis.UniversalClient, error) {
	cluster, ok := store.(*redis.ClusterClient)
	if !ok {
		return []redis.UniversalClient{store}, nil
	}
	var mu sync.Mutex
	found := map[string]redis.UniversalClient{}
	err := cluster.ForEachMaster(ctx, func(_ context.Context, master *redis.Client) error {
		mu.Lock()
		defer mu.Unlock()
		found[master.Options().Addr] = master
		return nil
	})
	addrs := make([]string, 0, len(found))
	for addr := range found {
		addrs = append(addrs, addr)
	}
	slices.Sort(addrs)
	all := make([]redis.UniversalClient, len(addrs))
	for i, addr := range addrs {
		all[i] = found[addr]
	}
	return all, err
}

// Match yields the keys that match a pattern, by SCAN; some may come twice. An error
// is the last that it yields.
func Match(ctx context.Context, store redis.UniversalClient, pattern string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		masters, err := Masters(ctx, store)
		if err != nil {
			yield("", err)
			return
		}
		for _, m := range masters {
			scan := m.Scan(ctx, 0, pattern, count).Iterator()
			for scan.Next(ctx) {
				if !yield(scan.Val(), nil) {
					return
				}
			}
			if err := scan.Err(); err != nil {
				yield("", err)
				return
			}
		}
	}
}
