package e2e

import (
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/mepc/mepc-run/internal/lab"
)

// The routing list is in a Redis that a sentinel names.
func TestDeployThroughASentinel(t *testing.T) {
	s, l := own(t, lab.Options{Redis: lab.RedisOptions{TCP: true}})
	master, err := url.Parse(l.Redis.TCPURL())
	if err != nil {
		t.Fatal(err)
	}
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := free.Addr().(*net.TCPAddr).Port
	free.Close()
	conf := filepath.Join(t.TempDir(), "sentinel.conf")
	text := fmt.Sprintf("port %d\nbind 127.0.0.1\nsentinel monitor front %s %s 1\n", port, master.Hostname(), master.Port())
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	sentinel := exec.Command("redis-server", conf, "--sentinel")
	sentinel.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := sentinel.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = sentinel.Process.Kill()
		_ = sentinel.Wait()
	}()
	ask := redis.NewSentinelClient(&redis.Options{Addr: fmt.Sprintf("127.0.0.1:%d", port)})
	defer ask.Close()
	s.eventually("the sentinel", func() bool { return ask.Ping(t.Context()).Err() == nil })
	s.redis = fmt.Sprintf("redis-sentinel://127.0.0.1:%d/front", port)
	s.deploy("1.0")
	audience := s.load()
	s.deploy("1.1")
	audience.end()
	s.serves("1.1", 1)
}
