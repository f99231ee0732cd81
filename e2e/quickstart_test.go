package e2e

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/mepc/mepc-run/internal/lab"
)

// TestTheQuickstartWorks pastes the shell blocks of README.md's "Deploy something" into a
// shell. Only where the servers are is different.
func TestTheQuickstartWorks(t *testing.T) {
	t.Parallel()
	l := lab.ForTest(t)
	page, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(page), "\n## Deploy something\n")
	section, _, _ = strings.Cut(section, "\n## ")
	blocks := regexp.MustCompile("(?ms)^```sh\n(.*?)^```$").FindAllStringSubmatch(section, -1)
	if len(blocks) != 3 {
		t.Fatalf("the quickstart has %d shell blocks", len(blocks))
	}
	bin, err := program()
	if err != nil {
		t.Fatal(err)
	}
	path := t.TempDir()
	if err := os.Symlink(bin, filepath.Join(path, "mepc-run")); err != nil {
		t.Fatal(err)
	}
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = free.Close()
	here := strings.NewReplacer(
		"make build && export PATH=\"$PWD/bin:$PATH\"\n", "", // program has built it
		"redis-cli ping || redis-server --daemonize yes\n", "", // REDIS_URL names one
		"router --listen :8080", "router --admin 127.0.0.1:0 --listen "+free.Addr().String(), "127.0.0.1:8080", free.Addr().String(),
		">router.log", ">"+filepath.Join(t.TempDir(), "router.log"),
		"shop", l.Name("shop"), // the lab is shared
	)
	script := "set -eu\ntrap 'kill $(jobs -p)' EXIT\n"
	for i, b := range blocks {
		script += fmt.Sprintf("echo block %d\n%s", i, here.Replace(b[1]))
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "bash", "-c", script)
	cmd.Dir, cmd.WaitDelay = "..", 10*time.Second
	cmd.Env = append(os.Environ(), "PATH="+path+":"+os.Getenv("PATH"), "DOCKER_HOST="+l.Engine.Host(), "REDIS_URL="+l.Redis.URL(), "MEPC_STATE="+t.TempDir())
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s\n%s", err, script, out)
	}
	t.Logf("%s", out)
	_, last, _ := strings.Cut(string(out), "block 2\n")
	if !strings.Contains(last, "app 1.1 on ") || !strings.Contains(last, "to 1.0") && !strings.Contains(last, "returning") {
		t.Errorf("it does not end as the page says:\n%s", last)
	}
}
