package servers_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/mepc/mepc-run/internal/lab"
	"github.com/mepc/mepc-run/servers"
)

func TestKeysOfAllMastersAreFound(t *testing.T) {
	cluster := redis.NewClusterClient(&redis.ClusterOptions{Addrs: lab.NewCluster(t, 3)})
	defer cluster.Close()
	single, err := lab.StartRedis(t.Context(), lab.RedisOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer single.Stop()
	server, err := single.Client()
	if err != nil {
		t.Fatal(err)
	}
	for masters, store := range map[int]redis.UniversalClient{3: cluster, 1: server} {
		found := map[string]bool{}
		for i := range 50 {
			if err := store.Set(t.Context(), fmt.Sprintf("keys-test:%d", i), i, 0).Err(); err != nil {
				t.Fatal(err)
			}
		}
		for key, err := range servers.Keys(t.Context(), store, "keys-test:*") {
			if err != nil {
				t.Fatal(err)
			}
			found[key] = true
		}
		if all, err := servers.Masters(t.Context(), store); err != nil || len(all) != masters || len(found) != 50 {
			t.Errorf("%d masters (%v) and %d keys, want %d and 50", len(all), err, len(found), masters)
		}
		for range servers.Keys(t.Context(), store, "keys-test:*") {
			break // whoever has seen enough
		}
		want := map[string][]string{}
		for i := range 30 {
			key := fmt.Sprintf("keys-test:list:%d", i)
			want[key] = []string{"a", strconv.Itoa(i)}
			if err := store.RPush(t.Context(), key, "a", i).Err(); err != nil {
				t.Fatal(err)
			}
		}
		trips := 0
		lists, err := servers.Lists(t.Context(), store, "keys-test:*", func(ctx context.Context, do func(context.Context) error) error {
			trips++
			return do(ctx)
		})
		if err != nil || !maps.EqualFunc(lists, want, slices.Equal) || trips != 1+2*masters {
			t.Errorf("%d lists in %d trips (%v), want the 30 in %d", len(lists), trips, err, 1+2*masters)
		}
	}
	_ = server.Close()
	if _, err := servers.Lists(t.Context(), server, "*", func(ctx context.Context, do func(context.Context) error) error { return do(ctx) }); err == nil {
		t.Error("a closed connection finds lists")
	}
	for _, err := range servers.Keys(t.Context(), server, "*") {
		if err == nil {
			t.Error("a closed connection finds keys")
		}
	}
}
