package servers

import (
	"context"
	"iter"
	"slices"
	"sync"

	"github.com/redis/go-redis/v9"
)

// scanned is how many keys a server looks at for one SCAN.
const scanned = 1000

// Masters returns a client for each master of a cluster, which have a part of its
// keys each, in the order of their
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

// Keys yields the keys of a Redis, be it one server or a cluster, that match a
// pattern, by SCAN; some may come twice. An error
// is the last that it yields.
func Keys(ctx context.Context, store redis.UniversalClient, pattern string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		masters, err := Masters(ctx, store)
		if err != nil {
			yield("", err)
			return
		}
		for _, m := range masters {
			scan := m.Scan(ctx, 0, pattern, scanned).Iterator()
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

// Trip makes one way there and back to a Redis, by calling do, and bounds it.
type Trip func(ctx context.Context, do func(context.Context) error) error

// Lists returns the lists whose keys match a pattern, and all their items. Keys of other
// types are left out. A trip brings a page of keys and the lists of the page before. With
// an error comes what was read so far.
func Lists(ctx context.Context, store redis.UniversalClient, pattern string, trip Trip) (map[string][]string, error) {
	found := map[string][]string{}
	var masters []redis.UniversalClient
	err := trip(ctx, func(ctx context.Context) (err error) {
		masters, err = Masters(ctx, store)
		return err
	})
	for _, m := range masters {
		var page []string
		var cursor uint64
		for first := true; err == nil && (first || cursor != 0 || len(page) > 0); first = false {
			scan, keys := first || cursor != 0, page
			err = trip(ctx, func(ctx context.Context) (err error) {
				page, cursor, err = readPage(ctx, m, keys, found, pattern, cursor, scan)
				return err
			})
		}
	}
	return found, err
}

// readPage adds the lists in keys to found. With scan it returns the next page of keys.
func readPage(ctx context.Context, m redis.UniversalClient, keys []string, found map[string][]string, pattern string, cursor uint64, scan bool) ([]string, uint64, error) {
	pipe := m.Pipeline()
	lists := map[string]*redis.StringSliceCmd{}
	for _, key := range keys {
		if _, known := found[key]; !known && lists[key] == nil {
			lists[key] = pipe.LRange(ctx, key, 0, -1)
		}
	}
	var next *redis.ScanCmd
	if scan {
		next = pipe.Scan(ctx, cursor, pattern, scanned)
	}
	cmds, err := pipe.Exec(ctx)
	answered := err == nil
	for _, cmd := range cmds {
		if e := cmd.Err(); e != nil && !redis.HasErrorPrefix(e, "WRONGTYPE") {
			return nil, 0, e
		} else if e != nil {
			answered = true
		}
	}
	if !answered {
		return nil, 0, err
	}
	for key, cmd := range lists {
		if items := cmd.Val(); len(items) > 0 { // else it is gone, or no list
			found[key] = items
		}
	}
	if next == nil {
		return nil, 0, nil
	}
	return next.Result()
}
