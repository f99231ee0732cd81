package lab

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/mepc/mepc-run/internal/clock"
)

// process is one server that the lab runs.
type process struct {
	name   string
	cmd    *exec.Cmd
	log    string        // the file that has its output
	exited chan struct{} // closed once it has been waited for
}

// start runs argv in dir with its output appended to dir/<name>.log and, when
// tee is not nil, copied there too. If this program is killed the kernel sends
// the server onDeath, so that an aborted test leaves no engine running; what
// that leaves on disk, the next lab sweeps.
func start(dir, name string, tee io.Writer, onDeath syscall.Signal, env []string, argv ...string) (*process, error) {
	path := filepath.Join(dir, name+".log")
	file, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer file.Close()

	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Dir = dir // also the mark by which residue knows it, see there
	cmd.Env = env
	cmd.Stdout, cmd.Stderr = file, file
	if tee != nil {
		copied := io.MultiWriter(&appender{path}, tee)
		cmd.Stdout, cmd.Stderr = copied, copied
		cmd.WaitDelay = time.Second // a shim may keep the pipe open
	}
	// A process group of its own keeps the terminal's Ctrl-C away from it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: onDeath}

	p := &process{name: name, cmd: cmd, log: path, exited: make(chan struct{})}
	started := make(chan error, 1)
	go func() {
		// The death signal comes when the *thread* that forked ends. This
		// goroutine keeps its thread until the server is gone, and gives it
		// back then: a goroutine that ends with its thread locked takes the
		// thread along, and with it each process that others forked there.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait()
			close(p.exited)
		}
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	return p, nil
}

// appender writes to the end of a file, opening it anew each time: it is used
// for a few log lines and has no one to close it.
type appender struct{ path string }

func (a *appender) Write(b []byte) (int, error) {
	f, err := os.OpenFile(a.path, os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		// The lab has removed its directory; the line is not worth failing for.
		return len(b), nil
	}
	defer f.Close()
	return f.Write(b)
}

func (p *process) running() bool {
	if p == nil {
		return false
	}
	select {
	case <-p.exited:
		return false
	default:
		return true
	}
}

// signal sends s; a server that is already gone is not an error.
func (p *process) signal(s syscall.Signal) error {
	if !p.running() {
		return nil
	}
	if err := p.cmd.Process.Signal(s); err != nil && p.running() {
		return fmt.Errorf("send %v to %s: %w", s, p.name, err)
	}
	return nil
}

// pause stops the server with SIGSTOP and returns when none of its threads runs
// any more: the signal alone returns while some still answer.
func (p *process) pause() error {
	if err := p.signal(syscall.SIGSTOP); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	for p.running() && !p.halted() {
		if err := (clock.Wall{}).Sleep(ctx, time.Millisecond); err != nil {
			return fmt.Errorf("pause %s: %w", p.name, err)
		}
	}
	return nil
}

// halted reports whether every thread is in the state T: the first field after
// the command's name, which is in parentheses and may hold any character.
func (p *process) halted() bool {
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", p.cmd.Process.Pid))
	if err != nil || len(threads) == 0 {
		return false
	}
	for _, t := range threads {
		b, err := os.ReadFile(t)
		if err != nil {
			return false
		}
		if _, state, ok := bytes.Cut(b[bytes.LastIndexByte(b, ')')+1:], []byte(" ")); !ok || !bytes.HasPrefix(state, []byte("T")) {
			return false
		}
	}
	return true
}

// stop asks with SIGTERM, insists with SIGKILL after patience, and returns when
// the server is gone.
func (p *process) stop(patience time.Duration) {
	if !p.running() {
		return
	}
	_ = p.signal(syscall.SIGTERM)
	_ = p.signal(syscall.SIGCONT) // SIGTERM waits while a server is paused
	t := time.NewTimer(patience)
	defer t.Stop()
	select {
	case <-p.exited:
	case <-t.C:
		p.kill()
	}
}

// kill sends SIGKILL and returns when the server is gone.
func (p *process) kill() {
	if p.running() {
		_ = p.signal(syscall.SIGKILL)
		<-p.exited
	}
}

// await polls ready until it answers nil. It gives up when the server exits or
// ctx ends, and then says what ready said last and what the server logged last.
func (p *process) await(ctx context.Context, ready func(context.Context) error) error {
	for {
		last := ready(ctx)
		if last == nil {
			return nil
		}
		if !p.running() {
			return fmt.Errorf("%s exited: %v; it said:\n%s", p.name, p.cmd.ProcessState, p.tail())
		}
		if err := (clock.Wall{}).Sleep(ctx, 5*time.Millisecond); err != nil {
			return fmt.Errorf("wait for %s: %w (last: %w); it said:\n%s", p.name, err, last, p.tail())
		}
	}
}

// tail returns the last 20 lines of the server's log, indented.
func (p *process) tail() string {
	b, err := os.ReadFile(p.log)
	if err != nil {
		return "    (no log: " + err.Error() + ")"
	}
	lines := strings.Split(string(bytes.TrimSpace(b)), "\n")
	lines = lines[max(0, len(lines)-20):]
	return "    " + strings.Join(lines, "\n    ")
}
