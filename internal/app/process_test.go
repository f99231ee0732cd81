package app_test

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"sync"
	"testing"
	"time"

	"github.com/mepc/mepc-run/internal/lab"
)

// process is a mepc-run under way.
type process struct {
	t    *testing.T
	cmd  *exec.Cmd
	done chan struct{}

	mu   sync.Mutex
	more *sync.Cond
	out  bytes.Buffer
	seen int // how much of out was waited for
	end  bool
}

// start runs mepc-run in dir, against these servers.
func start(t *testing.T, engine *lab.Engine, redis *lab.Redis, dir string, args ...string) *process {
	t.Helper()
	return launch(t, exec.Command("mepc-run", args...), dir, "DOCKER_HOST="+engine.Host(), "REDIS_URL="+redis.URL())
}

// launch starts cmd in dir.
func launch(t *testing.T, cmd *exec.Cmd, dir string, env ...string) *process {
	t.Helper()
	p := &process{t: t, cmd: cmd, done: make(chan struct{})}
	p.more = sync.NewCond(&p.mu)
	p.cmd.Dir = dir
	p.cmd.Env = append(append(os.Environ(), "GORACE=atexit_sleep_ms=0", "HOME="+dir), env...)
	stderr, err := p.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	timer := time.AfterFunc(2*time.Minute, func() { p.cmd.Process.Kill() })
	go func() {
		defer close(p.done)
		lines := bufio.NewScanner(stderr)
		for lines.Scan() {
			p.mu.Lock()
			fmt.Fprintln(&p.out, lines.Text())
			p.mu.Unlock()
			p.more.Broadcast()
		}
		p.cmd.Wait()
		timer.Stop()
		p.mu.Lock()
		p.end = true
		p.mu.Unlock()
		p.more.Broadcast()
	}()
	t.Cleanup(func() {
		p.cmd.Process.Kill()
		<-p.done
	})
	return p
}

// waitFor returns when a line of stderr, after those that were waited for
// before, matches re.
func (p *process) waitFor(re string) {
	p.t.Helper()
	want := regexp.MustCompile(`(?m)^\d\d:\d\d:\d\d ` + re)
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		if at := want.FindIndex(p.out.Bytes()[p.seen:]); at != nil {
			p.seen += at[1]
			return
		}
		if p.end {
			p.t.Fatalf("it ended without %q:\n%s", re, p.out.String())
		}
		p.more.Wait()
	}
}

// waitSent returns when the process has written n bytes, wherever to.
func (p *process) waitSent(n int) {
	p.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
		counts, err := os.ReadFile(fmt.Sprintf("/proc/%d/io", p.cmd.Process.Pid))
		if err != nil || time.Now().After(deadline) {
			p.t.Fatalf("it did not write %d bytes: %v", n, err)
		}
		var read, written int
		if _, err := fmt.Sscanf(string(counts), "rchar: %d\nwchar: %d", &read, &written); err != nil {
			p.t.Fatal(err)
		}
		if written >= n {
			return
		}
	}
}

func (p *process) signal(s os.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatal(err)
	}
}

// wait returns what was written when the process has ended with code.
func (p *process) wait(code int) string {
	p.t.Helper()
	<-p.done
	p.mu.Lock()
	defer p.mu.Unlock()
	if got := p.cmd.ProcessState.ExitCode(); got != code {
		p.t.Fatalf("exit code %d, want %d:\n%s", got, code, p.out.String())
	}
	return p.out.String()
}

func sparse(t *testing.T, name string, size int64) {
	t.Helper()
	write(t, name, "")
	if err := os.Truncate(name, size); err != nil {
		t.Fatal(err)
	}
}

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
