package e2e

import (
	"net"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/mepc/mepc-run/internal/lab"
)

// redisCluster starts a cluster of three masters, as redis-cli makes it, and returns
// their addresses.
func redisCluster(t *testing.T) []string {
	t.Helper()
	var addrs []string
	for range 3 {
		bus, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		port := bus.Addr().(*net.TCPAddr).Port
		bus.Close()
		r, err := lab.StartRedis(t.Context(), lab.RedisOptions{
			TCP:  true,
			Args: []string{"cluster-enabled yes", "cluster-port " + strconv.Itoa(port), "cluster-node-timeout 2000", `save ""`},
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := r.Stop(); err != nil {
				t.Error(err)
			}
		})
		addrs = append(addrs, strings.TrimPrefix(r.TCPURL(), "redis://"))
	}
	out, err := exec.CommandContext(t.Context(), "redis-cli", append(append([]string{"--cluster", "create"}, addrs...), "--cluster-yes")...).CombinedOutput()
	if err != nil {
		t.Fatalf("redis-cli --cluster create: %v\n%s", err, out)
	}
	return addrs
}

// The routing list, the lock and the marks of dead backends are in a cluster, each
// where its key belongs.
func TestDeployInARedisCluster(t *testing.T) {
	s, _ := own(t, lab.Options{})
	addrs := redisCluster(t)
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
}
