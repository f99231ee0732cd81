package app

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/internal/plan"
	"github.com/mepc/mepc-run/internal/queue"
	"github.com/mepc/mepc-run/internal/reload"
	"github.com/mepc/mepc-run/runtime"
	"github.com/mepc/mepc-run/servers"
)

// work is the request a worker reads from its standard input.
type work struct {
	Rehearse string         `json:"rehearse,omitempty"` // the world to do it in; "": it is a run
	Attempt  queue.Attempt  `json:"attempt"`
	Recipe   string         `json:"recipe"`
	Params   map[string]any `json:"params,omitempty"` // of a rehearsal; a run's are in its request
	File     string         `json:"file"`             // which of the files is the recipe
	Files    reload.Files   `json:"files"`
	Settings settings       `json:"settings"`
	Bounds   bounds         `json:"bounds"`
}

// bounds limit what a process of a server may use.
type bounds struct {
	Memory uint64        // in bytes
	CPU    time.Duration // how long it may compute
}

// workerCmd runs a recipe for a server, in a process of its own.
type workerCmd struct{ *runner }

func workerCommand(in *invocation) *cobra.Command {
	c := &workerCmd{newRunner(in)}
	return &cobra.Command{
		Use: "worker", Short: "Run one recipe for mepc-run serve", Hidden: true, Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return c.work(cmd.Context()) },
	}
}

func (c *workerCmd) work(ctx context.Context) error {
	var w work
	if err := json.NewDecoder(os.Stdin).Decode(&w); err != nil {
		return failure.Wrap(failure.Usage, err, "read what to do").WithHint("this command is started by mepc-run serve only")
	}
	c.flags.settings = w.Settings
	c.recipe = w.Recipe
	ctx, stop, err := w.Bounds.limit(ctx, w.Settings.Grace)
	defer stop()
	if err != nil {
		return err
	}
	if w.Rehearse != "" {
		return c.rehearse(ctx, &w)
	}
	c.flags.quiet, c.env.Stdout = true, io.Discard // the journal has it all
	c.env.Stderr = &firstOf{c.env.Stderr, maxSaying}
	s, err := takeRequest(w.Attempt)
	if err != nil {
		return err
	}
	x := execution{name: w.Recipe, from: only(w.Files, w.File), served: s, opts: runtime.RunOptions{Params: s.request.Params, Abort: c.abort}}
	world := servers.Live(c.servers())
	defer world.Close()
	if err := c.prepare(ctx, &x, world); err != nil {
		return err
	}
	return c.execute(ctx, world, x)
}

// prepare makes of the run what its request wants: one that goes on with another,
// or one that carries out a plan.
func (c *workerCmd) prepare(ctx context.Context, x *execution, world *servers.Clients) error {
	if id := x.served.attempt.Resumes; id != "" {
		dir, err := c.stateDir()
		if err != nil {
			return err
		}
		run, err := dir.Find(id)
		if err != nil {
			return err
		}
		sources, err := dir.Sources(run)
		if err != nil {
			return err
		}
		x.from, x.resumes = only(reload.Files(sources), run.File), run
		if err := sameServers(ctx, world, run); err != nil {
			return err
		}
	}
	if len(x.served.request.Plan) == 0 {
		return nil
	}
	p, err := plan.Decode(x.served.request.Plan)
	if err != nil {
		return failure.Wrap(failure.Invalid, err, "the plan")
	}
	if x.resumes == nil { // what the plan rests on is, by now, what the run made of it
		s := &stage{runner: c.runner, name: p.Recipe.Name, params: x.opts.Params, from: x.from}
		if err := s.fresh(ctx, p); err != nil {
			return err
		}
	}
	x.opts.Guards = append(x.opts.Guards, plan.NewGuard(p, &resolver{world: world, engines: p.World.Engines}))
	return nil
}

// rehearse rehearses, and prints the plan and how the rehearsal ended.
func (c *workerCmd) rehearse(ctx context.Context, w *work) error {
	s := &stage{runner: c.runner, name: w.Recipe, params: w.Params, from: only(w.Files, w.File)}
	defer s.close()
	if err := s.open(ctx, w.Rehearse); err != nil {
		return err
	}
	p, err := s.play(ctx)
	if err != nil {
		return err
	}
	data, err := p.Encode()
	if err != nil {
		return err
	}
	_, err = c.env.Stdout.Write(data)
	return err
}

// served is the request that a worker's run is for. A nil one belongs to a run
// which someone started by hand.
type served struct {
	file    *os.File
	request *queue.Request
	attempt queue.Attempt
}

// requestFile is the descriptor of the request's file in a worker. It is locked,
// and when its lock is released, the server knows the worker has exited.
const requestFile = 3

func takeRequest(a queue.Attempt) (*served, error) {
	syscall.CloseOnExec(requestFile) // what the worker starts must not keep the lock
	f := os.NewFile(requestFile, "request")
	r, _, err := queue.Read(f)
	if err != nil {
		return nil, failure.Wrap(failure.Usage, err, "read the request").WithHint("this command is started by mepc-run serve only")
	}
	return &served{f, r, a}, nil
}

// id returns the name that the run is to have; "": any.
func (s *served) id() string {
	if s == nil {
		return ""
	}
	return s.attempt.ID
}

// who returns who asked for the run, where that is not user.
func (s *served) who(user string) string {
	if s == nil {
		return user
	}
	return cmp.Or(s.request.Who, user)
}

// begun notes that the run has begun.
func (s *served) begun(id string) error {
	if s == nil {
		return nil
	}
	return queue.Begun(s.file, id)
}

// limit bounds this process, before it loads a recipe. The context ends when the
// time for computing is over; some more is left for the undoing.
//
// Memory is bounded three times: what the recipe takes, by the watch of the
// sandbox, which ends the run with an error; the collector's effort, by the soft
// limit; and, should both fail, the process's data, by the kernel. The address
// space cannot be: Go reserves far more of it than it uses.
func (b *bounds) limit(ctx context.Context, grace time.Duration) (context.Context, func(), error) {
	ctx, end := context.WithCancelCause(ctx)
	spent := make(chan os.Signal, 1)
	stop := func() { signal.Stop(spent); end(nil) }
	for what, n := range map[int]uint64{syscall.RLIMIT_CORE: 0, syscall.RLIMIT_DATA: b.Memory, syscall.RLIMIT_CPU: uint64(b.CPU.Seconds())} {
		if n == 0 && what != syscall.RLIMIT_CORE {
			continue
		}
		l := syscall.Rlimit{Cur: n, Max: n}
		if what == syscall.RLIMIT_CPU {
			l.Max += uint64(max(grace.Seconds(), 1))
		}
		if err := syscall.Setrlimit(what, &l); err != nil {
			return ctx, stop, failure.Wrap(failure.Internal, err, "limit the worker")
		}
	}
	if b.Memory > 0 {
		debug.SetMemoryLimit(int64(min(b.Memory/4*3, math.MaxInt64)))
	}
	// When memory is short, the kernel is to take this process, and not the server.
	_ = os.WriteFile("/proc/self/oom_score_adj", []byte("500"), 0)
	signal.Notify(spent, syscall.SIGXCPU)
	failure.Go(func() error {
		select {
		case <-spent:
			end(failure.New(failure.Limit, "the run computed for more than %s", b.CPU))
		case <-ctx.Done():
		}
		return nil
	})
	return ctx, stop, nil
}

// worker is a process that runs, or rehearses, a recipe.
type worker struct {
	cmd  *exec.Cmd
	said *os.File // its standard error, in a file without a name
}

// maxSaid limits how much of a worker's output is kept.
const maxSaid = 8 << 10

// maxSaying limits a worker's output. It goes to a file, so that it can end
// after its server did.
const maxSaying = 1 << 20

// firstOf passes on the first bytes, up to a limit, and drops the rest.
type firstOf struct {
	io.Writer
	left int
}

// Write implements io.Writer.
func (w *firstOf) Write(p []byte) (int, error) {
	pass := p[:min(len(p), w.left)]
	w.left -= len(pass)
	if _, err := w.Writer.Write(pass); err != nil {
		return 0, err
	}
	return len(p), nil
}

// startChild starts this program again, as it is now: also when its file was replaced
// by a newer one. It is told what to do on its standard input; one that is not told all
// of it does nothing. A nil request is for a process that runs none.
func startChild(command string, told any, request *os.File, stdout io.Writer) (*worker, error) {
	data, err := json.Marshal(told)
	if err != nil {
		return nil, err
	}
	said, err := os.CreateTemp("", "mepc-run-worker-")
	if err != nil {
		return nil, err
	}
	_ = os.Remove(said.Name())
	cmd := &exec.Cmd{
		Path: "/proc/self/exe", Args: []string{os.Args[0], command}, Stdin: bytes.NewReader(data), Stdout: stdout, Stderr: said,
		SysProcAttr: &syscall.SysProcAttr{Setpgid: true}, WaitDelay: time.Second,
	}
	if request != nil {
		cmd.ExtraFiles = []*os.File{request}
	}
	if err := cmd.Start(); err != nil {
		return nil, errors.Join(failure.Wrap(failure.Unavailable, err, "start a worker"), said.Close())
	}
	return &worker{cmd, said}, nil
}

// Wait implements queue.Process.
func (w *worker) Wait() string {
	err := w.cmd.Wait()
	_ = w.Kill() // what it left running
	size, _ := w.said.Seek(0, io.SeekEnd)
	text, _ := io.ReadAll(io.NewSectionReader(w.said, max(0, size-maxSaid), maxSaid))
	_ = w.said.Close()
	var exit *exec.ExitError
	switch {
	case len(text) > 0:
		return strings.TrimSpace(string(text))
	case errors.As(err, &exit):
		return fmt.Sprintf("its process ended: %s", exit)
	case err != nil:
		return err.Error()
	}
	return ""
}

// Interrupt implements queue.Process.
func (w *worker) Interrupt() error { return w.cmd.Process.Signal(syscall.SIGTERM) }

// Kill implements queue.Process.
func (w *worker) Kill() error {
	err := syscall.Kill(-w.cmd.Process.Pid, syscall.SIGKILL)
	if errors.Is(err, syscall.ESRCH) {
		return nil
	}
	return err
}
