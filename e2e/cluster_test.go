package e2e

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/mepc/mepc-run/internal/lab"
)

// The routing list, the lock and the marks of dead backends are in a cluster, each
// where its key belongs.
func TestDeployInARedisCluster(t *testing.T) {
	s, _ := own(t, lab.Options{})
	addrs := lab.NewCluster(t, 3)
	s.redis = "redis-cluster://" + strings.Join(addrs, ",")
	client := func() redis.UniversalClient {
		return redis.NewClusterClient(&redis.ClusterOptions{Addrs: addrs, ContextTimeoutEnabled: true, MaxRetries: -1})
	}
	s.store = client()
	s.startRouter(client())
	s.eventually("the cluster", func() bool { return s.store.Set(t.Context(), "ready", 1, 0).Err() == nil })
	s.deploy("1.0")
	audience := s.load()
	s.deploy("1.1")
	if err := s.store.SAdd(t.Context(), "dead:"+s.app, 1).Err(); err != nil { // what a router may leave
		t.Fatal(err)
	}
	if r := s.exec(s.canary("1.2", "steps=50")...); r.Code != 0 {
		t.Fatal(r)
	}
	audience.end()
	s.serves("1.2", 1)
	s.refuse("conflict", "1.1", "identifier=someone-elses")
	if r := s.exec("--json", "--docker", s.docker, "--redis", s.redis, "--router", s.router, "../recipes/rollback.lua",
		"app="+s.app, "host="+s.app, "health=/health", "confirm=/version", "drain=100ms", "admin="+s.admin, "wait=20s"); r.Code != 0 {
		t.Fatal(r)
	}
	s.serves("1.1", 1)

	for range 4 { // a rehearsal has the lists of all masters, too
		out, err := s.command("-n", "--docker", s.docker, "--redis", s.redis, "--router", s.router, "../recipes/reconcile.lua", "app="+s.app, "host="+s.app).CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}

	// One server's SCAN may miss the list that leads to the container: not the guard's.
	stop := filepath.Join(t.TempDir(), "stop.lua")
	text := `for _ = 1, 8 do
		local _, err = try(docker.stop, ` + strconv.Quote(s.running("1.1")[0]) + `)
		assert(err and err.kind == "denied", "a container with traffic was stopped")
	end`
	if err := os.WriteFile(stop, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if r := s.exec("--json", "--docker", s.docker, "--redis", s.redis, stop); r.Code != 0 {
		t.Error(r)
	}
}
