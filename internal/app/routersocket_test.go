package app_test

import (
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// As systemd starts it: the socket is descriptor 3, and readiness is told.
func TestTheRouterServesASocketOfSystemd(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f, err := l.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	_ = l.Close()
	dir, err := os.MkdirTemp("", "rs")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	told, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Net: "unixgram", Name: dir + "/n"})
	if err != nil {
		t.Fatal(err)
	}
	defer told.Close()

	cmd := exec.Command("sh", "-c", `LISTEN_PID=$$ exec mepc-run router --listen "$0" --admin "" --access-log "" --table "" --redis redis://127.0.0.1:1`,
		l.Addr().String())
	cmd.Env = append(os.Environ(), "LISTEN_FDS=1", "NOTIFY_SOCKET="+dir+"/n", "GORACE=atexit_sleep_ms=0")
	cmd.ExtraFiles = []*os.File{f}
	var said strings.Builder
	cmd.Stderr = &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		if err := cmd.Wait(); err != nil {
			t.Errorf("it ended with %v:\n%s", err, said.String())
		}
	}()
	_ = told.SetReadDeadline(time.Now().Add(20 * time.Second))
	b := make([]byte, 100)
	if n, err := told.Read(b); err != nil || string(b[:n]) != "READY=1" {
		t.Fatalf("told %q, %v", b[:n], err)
	}
	resp, err := http.Get("http://" + l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != 503 {
		t.Errorf("it answers %d", resp.StatusCode)
	}
}
