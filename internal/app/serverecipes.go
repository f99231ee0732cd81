package app

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/mepc/mepc-run/internal/clock"
	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/internal/lint"
	"github.com/mepc/mepc-run/internal/reload"
	"github.com/mepc/mepc-run/internal/spec"
	"github.com/mepc/mepc-run/recipes"
	"github.com/mepc/mepc-run/servers"
)

// openGarden opens the recipes in dir, which are loaded in processes of their own. log
// is told of changes.
func (c *serveCmd) openGarden(dir string, log *slog.Logger) (*reload.Tree, error) {
	l := &loaders{dir, c.flags.settings, c.bounds}
	tree, err := reload.Open(reload.Options{
		Dir: dir, Library: recipes.FS, Always: []string{"reconcile.lua"}, Clock: clock.Wall{}, Load: l.load,
		Told: func(r *reload.Recipe, err error) {
			switch {
			case r == nil:
				log.Error("the recipe directory has a problem", "error", err)
			case r.Trouble != "":
				log.Error("a recipe was rejected; its last good version stays", "recipe", r.Name, "error", r.Trouble)
			default:
				log.Info("a recipe is active", "recipe", r.Name, "version", r.Version.Hash[:12])
			}
		},
	})
	if err != nil {
		return nil, failure.Wrap(failure.NotFound, failure.Innermost(err), "read the recipes in %s", dir)
	}
	return tree, nil
}

// loaders start the processes that load recipes.
type loaders struct {
	dir      string
	settings settings
	bounds   bounds
}

// loading is what such a process reads from its standard input.
type loading struct {
	Dir      string      `json:"dir"`
	Job      *reload.Job `json:"job"`
	Settings settings    `json:"settings"`
	Bounds   bounds      `json:"bounds"`
}

// silence is the longest a process that loads recipes may say nothing before it is taken
// for hung. What computes for too long ends itself much earlier.
const silence = reload.LoadTime + reload.SpecTime + 30*time.Second

// load implements reload.Options.Load.
func (l *loaders) load(ctx context.Context, job *reload.Job, told func(*reload.Facts)) error {
	var answers atomic.Int64
	lines := &reload.Answers{Told: func(f *reload.Facts) {
		answers.Add(1)
		told(f)
	}}
	p, err := startChild("load-recipes", loading{l.dir, job, l.settings, l.bounds}, nil, lines)
	if err != nil {
		return fmt.Errorf("%w: %w", reload.ErrNoLoader, err)
	}
	watched, over := context.WithCancel(ctx)
	defer failure.After(ctx, func() { _ = p.Kill() })()
	failure.Go(func() error {
		for seen := int64(-1); answers.Load() != seen; {
			seen = answers.Load()
			if (clock.Wall{}).Sleep(watched, silence) != nil {
				return nil
			}
		}
		return p.Kill()
	})
	said := p.Wait()
	over()
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case strings.Contains(said, "out of memory") || strings.Contains(said, "cannot allocate memory"):
		return failure.New(failure.Limit, "loading it needs more memory than a worker may use, %d MiB", l.bounds.Memory>>20).
			WithHint("start the server with a larger --worker-memory")
	}
	first, _, _ := strings.Cut(said, "\n")
	return failure.New(failure.Limit, "loading it ended the worker: %s", cmp.Or(first, "it said nothing"))
}

// loadCmd loads recipes for a server, in a process of their own.
type loadCmd struct{ *runner }

func loadCommand(in *invocation) *cobra.Command {
	c := &loadCmd{newRunner(in)}
	return &cobra.Command{
		Use: "load-recipes", Short: "Load recipes for mepc-run serve", Hidden: true, Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return c.load(cmd.Context()) },
	}
}

func (c *loadCmd) load(ctx context.Context) error {
	var w loading
	if err := json.NewDecoder(os.Stdin).Decode(&w); err != nil || w.Job == nil {
		return failure.Wrap(failure.Usage, err, "read what to load").WithHint("this command is started by mepc-run serve only")
	}
	c.flags.settings = w.Settings
	ctx, stop, err := w.Bounds.limit(ctx, w.Settings.Grace)
	defer stop()
	if err != nil {
		return err
	}
	limits := c.flags.Limits
	limits.Steps = checkSteps
	host, err := c.hostFor(c.routers(), limits)
	if err != nil {
		return err
	}
	world := servers.Live(servers.Options{Getenv: c.env.Getenv})
	defer world.Close()
	kit := newKit(c.runner, &project{dir: w.Dir})
	watch := &stopwatch{out: c.env.Stdout}
	failure.Go(func() error { watch.run(ctx); return nil })
	l := &reload.Loader{
		Host: host, Linter: lint.New(host, limits), Library: recipes.FS, World: world, Begins: watch.begins,
		Specs: func(ctx context.Context, files fs.FS, name string) ([]string, error) {
			return specsPassed(spec.Run(ctx, spec.Options{Kit: kit, Root: files, Project: w.Dir, Files: []string{name}, Limits: c.flags.specLimits()}))
		},
	}
	return l.Serve(ctx, w.Job, watch)
}

// stopwatch ends this process when an item of a job computes for too long, whatever
// it does: no recipe holds up the system's clock. It writes the answers, so that the
// last one can be its own.
type stopwatch struct {
	out io.Writer

	mu   sync.Mutex
	file string
	time time.Duration // that it has
	most time.Duration // what the process may have computed when it is over
}

// begins allows an item some time; what it is bounded by itself comes first.
func (s *stopwatch) begins(item reload.Item, most time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.file, s.time, s.most = item.File, most, computed()+most+time.Second
}

// Write writes answers.
func (s *stopwatch) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.out.Write(p)
}

func (s *stopwatch) run(ctx context.Context) {
	for (clock.Wall{}).Sleep(ctx, 100*time.Millisecond) == nil {
		s.mu.Lock()
		if s.most > 0 && computed() > s.most {
			_, _ = s.out.Write((&reload.Facts{Trouble: fmt.Sprintf("%s computes for more than %s", s.file, s.time)}).Line())
			os.Exit(1)
		}
		s.mu.Unlock()
	}
}

// computed returns the CPU time of this process.
func computed() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// specsPassed returns which files specs looked for, and the first failure.
func specsPassed(done []*spec.File) (uses []string, err error) {
	for _, f := range done {
		uses = append(uses, f.Uses...)
		if f.Err != nil {
			return uses, f.Err
		}
		for _, r := range f.Results {
			if r.Status == spec.Failed || r.Status == spec.Broken {
				return uses, fmt.Errorf("%s: %q fails: %w", r.Where, strings.Join(r.Names, " "), r.Err)
			}
		}
	}
	return uses, nil
}
