package app

import (
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

	"github.com/mepc/mepc-run/internal/clock"
	"github.com/mepc/mepc-run/internal/effect"
	"github.com/mepc/mepc-run/internal/engine"
	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/internal/plan"
	"github.com/mepc/mepc-run/internal/queue"
	"github.com/mepc/mepc-run/internal/reload"
	"github.com/mepc/mepc-run/runtime"
)

// work is what a worker is told on its standard input.
type work struct {
	Rehearse string         `json:"rehearse,omitempty"` // the world to do it in; "": it is a run
	Attempt  queue.Attempt  `json:"attempt"`
	Recipe   string         `json:"recipe"`
	Params   map[string]any `json:"params,omitempty"` // of a rehearsal; a run's are in its request
	File     string         `json:"file"`             // which of the files is the recipe
	Files    reload.Files   `json:"files"`
	Settings settings       `json:"settings"`
}

// settings are the flags that a server hands on to its workers. They go by a pipe:
// a command line could be read by everyone on the machine.
type settings struct {
	Docker   engine.DockerEndpoint
	Insecure bool
	Redis    string
	Routers  []string
	Timeout  time.Duration
	Grace    time.Duration
	LockWait time.Duration
	Allow    []string
	Env      []string
	Secrets  []string
	Limits   runtime.Limits
	State    string
	KeepRuns int64
	Seed     int64
	Memory   uint64        // what a worker may take of it, in bytes
	CPU      time.Duration // how long it may compute
}

func (f *flags) settings() settings {
	return settings{
		Docker: f.docker, Insecure: f.insecure, Redis: f.redis, Routers: f.routers, Timeout: f.timeout, Grace: f.grace, LockWait: f.lockWait,
		Allow: f.allow, Env: f.env, Secrets: f.secrets, Limits: f.limits, State: f.state, KeepRuns: f.keepRuns, Seed: f.seed,
	}
}

func (f *flags) take(s *settings) {
	f.docker, f.insecure, f.redis, f.routers, f.timeout, f.grace, f.lockWait = s.Docker, s.Insecure, s.Redis, s.Routers, s.Timeout, s.Grace, s.LockWait
	f.allow, f.env, f.secrets, f.limits, f.state, f.keepRuns, f.seed = s.Allow, s.Env, s.Secrets, s.Limits, s.State, s.KeepRuns, s.Seed
}

// workerCommand is how a server runs a recipe in a process of its own.
func (c *command) workerCommand() *cobra.Command {
	return &cobra.Command{
		Use: "worker", Short: "Run one recipe for mepc-run serve", Hidden: true, Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return c.work(cmd.Context()) },
	}
}

func (c *command) work(ctx context.Context) error {
	var w work
	if err := json.NewDecoder(os.Stdin).Decode(&w); err != nil {
		return failure.Wrap(failure.Usage, err, "read what is to be done").WithHint("mepc-run serve starts workers; nobody else does")
	}
	c.flags.take(&w.Settings)
	c.pinned, c.pinnedFile, c.recipe = w.Files, w.File, w.Recipe
	ctx, stop, err := w.Settings.limit(ctx)
	defer stop()
	if err != nil {
		return err
	}
	if w.Rehearse != "" {
		return c.workRehearsal(ctx, &w)
	}
	c.flags.quiet, c.env.Stdout = true, io.Discard // the journal has it all
	s, err := takeRequest(w.Attempt)
	if err != nil {
		return err
	}
	x := execution{name: w.Recipe, served: s, opts: runtime.RunOptions{Params: s.request.Params, Abort: c.abort}}
	world := engine.Live(c.servers())
	defer world.Close()
	if err := c.prepare(ctx, &x, world); err != nil {
		return err
	}
	return c.execute(ctx, world, x)
}

// prepare makes of the run what its request wants: one that goes on with another,
// or one that carries out a plan.
func (c *command) prepare(ctx context.Context, x *execution, world *engine.World) error {
	if id := x.served.attempt.Resumes; id != "" {
		dir, err := c.stateDir()
		if err != nil {
			return err
		}
		run, err := dir.Find(id)
		if err != nil {
			return err
		}
		c.pinned, c.pinnedFile, x.resumes = run.Sources(), run.File, run
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
		if err := c.fresh(ctx, p, x.opts.Params); err != nil {
			return err
		}
	}
	x.opts.Guards = append(x.opts.Guards, plan.NewGuard(p, &resolver{world: world, engines: p.World.Engines}))
	return nil
}

// workRehearsal rehearses, and prints the plan and how the rehearsal ended.
func (c *command) workRehearsal(ctx context.Context, w *work) error {
	s := &stage{command: c, name: w.Recipe, params: w.Params}
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

// served is the request that a worker's run is for. A nil one is that of a run
// which someone started by hand.
type served struct {
	file    *os.File
	request *queue.Request
	attempt queue.Attempt
}

// requestFile is the descriptor of the request's file in a worker. It is locked,
// and its end is how a server knows that of the worker.
const requestFile = 3

func takeRequest(a queue.Attempt) (*served, error) {
	syscall.CloseOnExec(requestFile) // what the worker starts must not keep the lock
	f := os.NewFile(requestFile, "request")
	r, _, err := queue.Read(f)
	if err != nil {
		return nil, failure.Wrap(failure.Usage, err, "read the request").WithHint("mepc-run serve starts workers; nobody else does")
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

// printed is a line that the recipe printed.
func printed(line string) runtime.Event {
	return runtime.Event{Type: effect.LogLine, Time: clock.Wall{}.Now(), Log: &effect.Log{Level: "print", Text: line}}
}

// limit bounds this process, before it loads a recipe. The context ends when the
// time for computing is over; some more is left for the undoing.
//
// Memory is bounded three times: what the recipe takes, by the watch of the
// sandbox, which ends the run with an error; the collector's effort, by the soft
// limit; and, should both fail, the process's data, by the kernel. The address
// space cannot be: Go reserves far more of it than it uses.
func (s *settings) limit(ctx context.Context) (context.Context, func(), error) {
	ctx, end := context.WithCancelCause(ctx)
	spent := make(chan os.Signal, 1)
	stop := func() { signal.Stop(spent); end(nil) }
	for what, n := range map[int]uint64{syscall.RLIMIT_CORE: 0, syscall.RLIMIT_DATA: s.Memory, syscall.RLIMIT_CPU: uint64(s.CPU.Seconds())} {
		if n == 0 && what != syscall.RLIMIT_CORE {
			continue
		}
		l := syscall.Rlimit{Cur: n, Max: n}
		if what == syscall.RLIMIT_CPU {
			l.Max += uint64(max(s.Grace.Seconds(), 1))
		}
		if err := syscall.Setrlimit(what, &l); err != nil {
			return ctx, stop, failure.Wrap(failure.Internal, err, "limit the worker")
		}
	}
	if s.Memory > 0 {
		debug.SetMemoryLimit(int64(min(s.Memory/4*3, math.MaxInt64)))
	}
	// When memory is short, the kernel is to take this process, and not the server.
	_ = os.WriteFile("/proc/self/oom_score_adj", []byte("500"), 0)
	signal.Notify(spent, syscall.SIGXCPU)
	go func() {
		select {
		case <-spent:
			end(failure.New(failure.Limit, "the run computed for more than %s", s.CPU))
		case <-ctx.Done():
		}
	}()
	return ctx, stop, nil
}

// worker is a process that runs, or rehearses, a recipe.
type worker struct {
	cmd  *exec.Cmd
	said *os.File // its standard error, in a file without a name
}

// maxSaid is how much is kept of what a worker says.
const maxSaid = 8 << 10

// startWorker starts this program again as a worker, as it is now: also when its
// file was replaced by a newer one. A nil request is for a rehearsal.
func startWorker(w *work, request *os.File, stdout io.Writer) (*worker, error) {
	told, err := json.Marshal(w)
	if err != nil {
		return nil, err
	}
	said, err := os.CreateTemp("", "mepc-run-worker-")
	if err != nil {
		return nil, err
	}
	_ = os.Remove(said.Name())
	in, out, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(err, said.Close())
	}
	cmd := &exec.Cmd{
		Path: "/proc/self/exe", Args: []string{os.Args[0], "worker"}, Stdin: in, Stdout: stdout, Stderr: said,
		SysProcAttr: &syscall.SysProcAttr{Setpgid: true},
	}
	if request != nil {
		cmd.ExtraFiles = []*os.File{request}
	}
	err = cmd.Start()
	_ = in.Close() // the child has it
	if err != nil {
		return nil, errors.Join(failure.Wrap(failure.Unavailable, err, "start a worker"), out.Close(), said.Close())
	}
	p := &worker{cmd, said}
	// A worker that is not told all of it does nothing.
	if _, err := out.Write(told); err != nil {
		return nil, errors.Join(err, out.Close(), p.Kill(), cmd.Wait(), said.Close())
	}
	return p, out.Close()
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
