package keys_test

import (
	"fmt"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/mepc/mepc-run/internal/keys"
	"github.com/mepc/mepc-run/internal/lab"
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
		for key, err := range keys.Match(t.Context(), store, "keys-test:*") {
			if err != nil {
				t.Fatal(err)
			}
			found[key] = true
		}
		if all, err := keys.Masters(t.Context(), store); err != nil || len(all) != masters || len(found) != 50 {
			t.Errorf("%d masters (%v) and %d keys, want %d and 50", len(all), err, len(found), masters)
		}
		for range keys.Match(t.Context(), store, "keys-test:*") {
			break // whoever has seen enough
		}
	}
	_ = server.Close()
	for _, err := range keys.Match(t.Context(), server, "*") {
		if err == nil {
			t.Error("a closed connection finds keys")
		}
	}
}
