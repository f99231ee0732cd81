package e2e

import (
	"bytes"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/mepc/mepc-run/internal/lab"
)

// E2E_TRAEFIK names a Traefik to be tested with. It is not built from here.
func TestTraefikUnderLoad(t *testing.T) {
	path := os.Getenv("E2E_TRAEFIK")
	if path == "" {
		t.Skip("E2E_TRAEFIK names no Traefik")
	}
	s, l := own(t, lab.Options{Redis: lab.RedisOptions{TCP: true, Args: []string{"notify-keyspace-events KEA"}}})
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := free.Addr().String()
	free.Close()
	var log bytes.Buffer
	traefik := exec.Command(path, "--providers.redis.endpoints="+strings.TrimPrefix(l.Redis.TCPURL(), "redis://"),
		"--entrypoints.web.address="+address, "--log.level=INFO")
	traefik.Stdout, traefik.Stderr = &log, &log
	traefik.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := traefik.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = traefik.Process.Kill()
		_ = traefik.Wait()
		if t.Failed() {
			t.Log(log.String())
		}
	}()
	s.router = "http://" + address
	s.eventually("Traefik", func() bool {
		res, err := http.Get(s.router)
		if err == nil {
			res.Body.Close()
		}
		return err == nil
	})
	deploy := func(version string, more ...string) *run {
		return s.deploy(version, append(more, "dialect=traefik", "admin=")...)
	}
	deploy("1.0")
	audience := s.load()
	for _, version := range []string{"1.1", "1.2", "1.0", "1.1"} {
		deploy(version)
		s.serves(version, 1)
	}
	deploy("1.2", "replicas=2")
	r := s.exec(s.canary("1.0", "steps=25,50", "no_data=pass", "dialect=traefik", "admin=", "replicas=2")...)
	if r.Code != 0 {
		t.Error(r)
	}
	audience.end()
	s.serves("1.0", 2)
}
