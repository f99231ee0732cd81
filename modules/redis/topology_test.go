package redis_test

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mepc/mepc-run/internal/clock"
	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/internal/lab"
	"github.com/mepc/mepc-run/modules/redis"
)

// until polls ready for at most 15 seconds.
func until(t *testing.T, ready func() error) {
	t.Helper()
	var err error
	for range 300 {
		if err = ready(); err == nil {
			return
		}
		if clockErr := (clock.Wall{}).Sleep(t.Context(), 50*time.Millisecond); clockErr != nil {
			break
		}
	}
	t.Fatal(err)
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

func TestCluster(t *testing.T) {
	addrs := lab.NewCluster(t, 2)
	b := &bench{t: t, url: "redis-cluster://" + strings.Join(addrs, ",")}
	t.Run("all keys are found at its masters", func(t *testing.T) {
		got := b.must(`
			local n = 0
			for i = 1, 20 do r:set("part:" .. i, i) end
			local masters = r:masters()
			for _, m in ipairs(masters) do n = n + #m:scan("0", "MATCH", "part:*", "COUNT", "10000")[2] end
			for i = 1, 20 do r:del("part:" .. i) end
			return {r:clustered(), #masters, n}`)
		if diff := cmp.Diff([]any{true, 2.0, 20.0}, got); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("any command reaches the node of its key", func(t *testing.T) {
		got := b.must(`for i = 1, 20 do r:set("k" .. i, i) end
local sum = 0
for i = 1, 20 do sum = sum + tonumber(r:get("k" .. i)) end
r:xadd("s", "*", "f", "v") assert(r:xread("STREAMS", "s", "0").s)
return sum`)
		if got != 210.0 {
			t.Errorf("got %v", got)
		}
	})
	t.Run("slots are as Redis counts them", func(t *testing.T) {
		for _, key := range []string{"", "a", "123456789", "frontend:{app}", "{}a", "{a}{b}", "a{b", "a}b{c}", "é"} {
			if got := b.must(fmt.Sprintf(`return r:cluster("keyslot", %q)`, key)); got != float64(redis.Slot(key)) {
				t.Errorf("%q: Redis counts %v, we %d", key, got, redis.Slot(key))
			}
		}
	})
	t.Run("transactions with one tag", func(t *testing.T) {
		got := b.must(`r:rpush("frontend:{app}", "app", "old")
r:replace_list("frontend:{app}", {"app", "old"}, {"app", "new"}, {del={"dead:{app}"}})
r:watch({"frontend:{app}"}, function(tx) local l = tx:lrange("frontend:{app}", 0, -1) tx:multi(function(m) m:rpush("frontend:{app}", l[2]) end) end)
return r:multi(function(tx) tx:del("dead:{app}") tx:lrange("frontend:{app}", 0, -1) end)`)
		if diff := cmp.Diff([]any{0.0, []any{"app", "new", "new"}}, got); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
	})
	t.Run("keys of two slots are refused", func(t *testing.T) {
		b.fails(failure.Invalid, `r:multi(function(tx) tx:set("a", 1) tx:set("b", 1) end)`, "a and b are in different slots", "{tag}")
		b.fails(failure.Invalid, `r:watch({"a", "b"}, function() end)`, "different slots")
		b.fails(failure.Invalid, `r:replace_list("a", {}, {"x"}, {del={"b"}})`, "different slots")
		b.fails(failure.Invalid, `r:mset("a", 1, "b", 2)`, "CROSSSLOT", "{tag}")
		b.fails(failure.Invalid, `r:multi(function(tx) tx:ping() end)`, "needs a key")
	})
	t.Run("a plain URL is told so", func(t *testing.T) {
		for _, addr := range addrs {
			b := &bench{t: t, url: "redis://" + addr}
			if _, err := b.run(`r:get("a") r:get("b")`); err != nil {
				expect(t, nil, err, failure.Invalid, "MOVED", "redis-cluster://")
				return
			}
		}
		t.Error("both nodes have both keys")
	})
	t.Run("nothing is there", func(t *testing.T) {
		b := &bench{t: t, url: "redis-cluster://127.0.0.1:1,127.0.0.1:2"}
		b.fails(failure.Unavailable, `r:set("a", 1)`, "connection refused")
	})
}

func TestAClusterSendsNothingTwice(t *testing.T) {
	addrs := make(chan string, 1)
	addr := sync.OnceValue(func() string { return <-addrs })
	url := cutter(t, "rpush", func() (net.Conn, error) { return net.Dial("tcp", addr()) })
	_, announced, _ := net.SplitHostPort(strings.TrimPrefix(url, "redis://"))
	b, server, cli := start(t, lab.RedisOptions{TCP: true, Args: []string{
		"cluster-enabled yes", "cluster-port " + strconv.Itoa(freePort(t)),
		"cluster-announce-ip 127.0.0.1", "cluster-announce-port " + announced,
	}})
	addrs <- strings.TrimPrefix(server.TCPURL(), "redis://")
	cli.Do(t.Context(), "CLUSTER", "ADDSLOTSRANGE", 0, 16383)
	until(t, func() error {
		if info := cli.ClusterInfo(t.Context()).Val(); !strings.Contains(info, "cluster_state:ok") {
			return errors.New(info)
		}
		return nil
	})
	b.url = "redis-cluster" + strings.TrimPrefix(url, "redis")
	b.fails(failure.Unknown, `r:rpush("l", "x")`, "RPUSH was sent and may have been done")
	b.fails(failure.Unknown, `r:multi(function(tx) tx:rpush("l", "y") end)`, "may have been done")
	if got := strings.Join(cli.LRange(t.Context(), "l", 0, -1).Val(), " "); got != "x y" {
		t.Errorf("l holds %q", got)
	}
}

func TestSentinel(t *testing.T) {
	b, server, cli := start(t, lab.RedisOptions{TCP: true, Password: "pw1234"})
	master := server.TCPURL()[strings.Index(server.TCPURL(), "@")+1:]
	host, masterPort, _ := net.SplitHostPort(master)
	port := freePort(t)
	conf := filepath.Join(t.TempDir(), "sentinel.conf")
	text := fmt.Sprintf("port %d\nbind 127.0.0.1\nsentinel monitor front %s %s 1\nsentinel auth-pass front pw1234\n", port, host, masterPort)
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "redis-server", conf, "--sentinel")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	until(t, func() error {
		conn, err := net.Dial("tcp", fmt.Sprint("127.0.0.1:", port))
		if err == nil {
			conn.Close()
		}
		return err
	})

	b.url = fmt.Sprintf("redis-sentinel://:pw1234@127.0.0.1:%d,127.0.0.1:1/front?db=3", port)
	b.must(`r:rpush("l", "x") r:multi(function(tx) tx:rpush("l", "y") end) r:replace_list("l", {"x", "y"}, {"z"})`)
	cli.Do(t.Context(), "SELECT", 3)
	if want := fmt.Sprintf("redis-sentinel://127.0.0.1:%d,127.0.0.1:1/front?db=3", port); b.events.ends[0].Op.Endpoint != want {
		t.Errorf("endpoint %s", b.events.ends[0].Op.Endpoint)
	}
	b.url = fmt.Sprintf("redis-sentinel://:pw1234@127.0.0.1:%d/nobody", port)
	b.fails(failure.Unavailable, `r:set("k", 1)`, "know no master of that name")
	b.url = "redis-sentinel://127.0.0.1:1,127.0.0.1:2/front"
	b.fails(failure.Unavailable, `r:set("k", 1)`, "no sentinel of redis-sentinel://127.0.0.1:1,127.0.0.1:2/front names a master", "connection refused")
}
