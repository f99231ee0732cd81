package spec

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"path"
	"slices"
	"sync"
	"time"

	"github.com/mepc/mepc-run/internal/clock"
	"github.com/mepc/mepc-run/internal/effect"
	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/internal/state"
	"github.com/mepc/mepc-run/runtime"
)

// file is one spec file while it is read and run. Its methods are what the file
// can say.
type file struct {
	opts *Options
	name string

	host    *runtime.Host
	session *runtime.Session
	lua     *runtime.Run // is set by the first insulate
	home    *block       // the insulated block for which things are made; nil: the file
	root    *block
	at      *block   // where describe and it put what they make
	running *running // the test that runs; nil while the file is read
	output  []string
	own     own
	worlds  []*World // that are open
	placed  []*Spy   // that stand in place of something
}

// running is a test that runs.
type running struct {
	finally []*runtime.Function
	pending string // why it ended as pending
}

// errPending ends a test as pending.
var errPending = errors.New("pending")

// still is the clock of a spec: it stands. A world has a time of its own.
type still struct{}

func (still) Now() time.Time { return state.Epoch() }

func (still) Sleep(context.Context, time.Duration) error { return nil }

func (still) WithTimeout(ctx context.Context, _ time.Duration, _ error) (context.Context, context.CancelFunc) {
	return context.WithCancel(ctx)
}

// runFile runs the tests of one file.
func runFile(ctx context.Context, opts *Options, name string) *File {
	seen := &seen{FS: opts.Root, names: map[string]bool{}}
	opts.Root = seen
	f := &file{opts: opts, name: name, root: &block{}}
	f.at = f.root
	began := clock.Wall{}.Now()
	out := &File{Name: name}
	if err := f.open(ctx); err != nil {
		out.Err = failure.As(err)
	} else {
		defer f.close()
		out.Results = f.run(ctx)
	}
	out.Duration, out.Uses = clock.Wall{}.Now().Sub(began), slices.Sorted(maps.Keys(seen.names))
	return out
}

// listFile returns the tests of one file.
func listFile(ctx context.Context, opts *Options, name string) *File {
	f := &file{opts: opts, name: name, root: &block{}}
	f.at = f.root
	out := &File{Name: name}
	if err := f.open(ctx); err != nil {
		out.Err = failure.As(err)
		return out
	}
	defer f.close()
	for _, t := range f.root.chosen(opts.Filter) {
		out.Results = append(out.Results, &Result{Names: t.names, Where: t.where})
	}
	return out
}

// open reads the file and runs its main chunk.
func (f *file) open(ctx context.Context) error {
	src, err := readFile(f.opts.Root, f.name)
	if err != nil {
		return err
	}
	limits := f.opts.Limits
	if limits.Steps == 0 {
		limits.Steps = defaultSteps
	}
	f.opts.Limits.Steps = limits.Steps
	f.host = runtime.New(runtime.Options{
		Modules: append(f.words(), f.borrowed()...), Library: f.opts.Library, Limits: limits, Cache: f.opts.Cache,
	})
	recipe, err := f.host.Load(f.name, src, f.tree())
	if err != nil {
		return err
	}
	ctx, cancel := f.deadline(ctx)
	defer cancel()
	f.session, err = f.host.Open(ctx, recipe, runtime.RunOptions{
		Clock: still{}, Seed: 1, Print: f.print, Sinks: []runtime.Sink{f}, Grace: f.opts.limit(),
	})
	return err
}

func (f *file) close() {
	f.closeWorlds(0)
	f.session.Close()
}

// print keeps what the spec prints, to be shown with the test.
func (f *file) print(line string) { f.output = append(f.output, line) }

// Event keeps what the spec logs. It implements runtime.Sink.
func (f *file) Event(ev runtime.Event) {
	if ev.Type == effect.LogLine {
		f.print(ev.Log.Level + ": " + ev.Log.Text)
	}
}

func (o *Options) limit() time.Duration { return cmp.Or(o.Timeout, defaultTimeout) }

// deadline bounds what a function of the spec may take in real time.
func (f *file) deadline(ctx context.Context) (context.Context, context.CancelFunc) {
	limit := f.opts.limit()
	return context.WithTimeoutCause(ctx, limit, failure.New(failure.Timeout, "it takes longer than %s", limit).
		WithHint("--timeout allows more"))
}

// call calls a function of the spec.
func (f *file) call(ctx context.Context, fn *runtime.Function) *runtime.Error {
	ctx, cancel := f.deadline(ctx)
	defer cancel()
	_, err := f.session.Call(ctx, f.opts.Limits.Steps, fn)
	return failure.As(err)
}

// run runs the tests that the filter takes, and returns their results in the
// order in which they stand in the file.
func (f *file) run(ctx context.Context) []*Result {
	results := f.brokenBlocks(f.root, nil)
	tests := f.root.chosen(f.opts.Filter)
	if f.opts.Faults != nil {
		tests = slices.DeleteFunc(tests, func(t *test) bool { return !f.opts.Faults.takes(t) })
	}
	if f.opts.Real != nil {
		tests = slices.DeleteFunc(tests, func(t *test) bool { return t.scenario != nil }) // they are about faults
	}
	order := f.root.inOrder(tests)
	if f.opts.Shuffle != 0 {
		order = shuffled(tests, nil, rand.New(rand.NewPCG(uint64(f.opts.Shuffle), uint64(len(f.name)))))
	}
	left := map[*block]int{} // tests that are still to come
	for _, t := range tests {
		for _, b := range t.around() {
			left[b]++
		}
	}
	done := map[*test]*Result{}
	for _, t := range order {
		if ctx.Err() != nil {
			break
		}
		done[t] = f.test(ctx, t)
		around := t.around()
		for n := len(around) - 1; n >= 0; n-- {
			b := around[n]
			if left[b]--; left[b] > 0 {
				continue
			}
			for _, s := range []*setup{&b.lazy, &b.strict} {
				if s.done {
					results = append(results, f.hooks(ctx, b, s.after)...)
				}
			}
			f.clear(b)
		}
	}
	for _, t := range tests {
		if r := done[t]; r != nil {
			results = append(results, r)
		}
	}
	return results
}

// brokenBlocks returns what went wrong while the file was read.
func (f *file) brokenBlocks(b *block, all []*Result) []*Result {
	if b.broken != nil {
		all = append(all, b.broken)
	}
	for _, i := range b.items {
		if i.block != nil {
			all = f.brokenBlocks(i.block, all)
		}
	}
	return all
}

// hooks runs hooks that belong to no test, and returns those that failed.
func (f *file) hooks(ctx context.Context, b *block, list []*hook) []*Result {
	defer f.enter(b)()
	var out []*Result
	for _, h := range list {
		if err := f.call(ctx, h.fn); err != nil {
			out = append(out, &Result{Names: append(b.names[:len(b.names):len(b.names)], h.word), Where: h.where, Status: statusOf(err), Err: err})
		}
	}
	return out
}

// test runs one test with everything around it.
func (f *file) test(ctx context.Context, t *test) *Result {
	r := &Result{Names: t.names, Where: t.where, Status: Passed}
	f.output = nil
	for _, b := range t.around() {
		r.fail(f.settle(ctx, b, &b.strict))
	}
	if r.Err == nil && t.fn == nil && t.scenario == nil {
		r.Status, r.Reason = Pending, t.why
		return r
	}
	began := clock.Wall{}.Now()
	for _, b := range t.around() { // before worlds are counted: what setup makes stays
		r.fail(f.settle(ctx, b, &b.lazy))
	}
	defer f.enter(t.block)()
	worlds, placed := len(f.worlds), len(f.placed)
	f.running = &running{}
	around := t.around()
	for _, b := range around {
		for _, h := range b.beforeEach {
			if r.Err == nil {
				r.fail(f.call(ctx, h.fn))
			}
		}
	}
	switch {
	case r.Err != nil:
	case t.scenario != nil:
		f.tries(ctx, t, r)
	default:
		r.fail(f.call(ctx, t.fn))
	}
	for i := len(f.running.finally) - 1; i >= 0; i-- {
		r.fail(f.call(ctx, f.running.finally[i]))
	}
	for i := len(around) - 1; i >= 0; i-- {
		for _, h := range around[i].afterEach {
			r.fail(f.call(ctx, h.fn))
		}
	}
	if r.Status == Pending {
		r.Reason = f.running.pending
	}
	if r.Status == Passed {
		r.fail(f.idle(f.worlds[worlds:]))
	}
	f.running = nil
	for _, b := range around {
		if b.seed != 0 && r.Err != nil {
			f.print(fmt.Sprintf("randomize(%d) repeats this order", b.seed))
		}
	}
	r.fail(f.closeWorlds(worlds))
	f.revertSpies(placed)
	r.Output, r.Duration = f.output, clock.Wall{}.Now().Sub(began)
	return r
}

// idle is the error of a fault that a test has planted and that never happened:
// it has tested nothing.
func (f *file) idle(worlds []*World) *runtime.Error {
	for _, w := range worlds {
		for _, fault := range w.faults.Idle() {
			e := failure.New(failure.Script, "the fault of %s never happened: no run came to such a call", fault.Op).
				WithHint("run.effects and mepc-run test -v show what a run does; w:heal() removes a fault")
			e.Where, e.Cause = fault.Where, errAssertion
			return e
		}
	}
	return nil
}

// settle runs setups of a block once. Their error is that of each test of the block.
func (f *file) settle(ctx context.Context, b *block, s *setup) *runtime.Error {
	if s.done {
		return s.err
	}
	s.done = true
	defer f.enter(b)()
	for _, h := range s.before {
		if s.err = f.call(ctx, h.fn); s.err != nil {
			break
		}
	}
	return s.err
}

// fail notes the first error of a test.
func (r *Result) fail(err *runtime.Error) {
	switch {
	case err == nil || r.Err != nil:
	case errors.Is(err, errPending):
		r.Status = Pending
	default:
		r.Status, r.Err = statusOf(err), err
	}
}

func statusOf(err *runtime.Error) Status {
	if errors.Is(err, errAssertion) {
		return Failed
	}
	return Broken
}

// maxSpec is the largest spec file accepted, in bytes.
const maxSpec = 1 << 20

func readFile(root fs.FS, name string) ([]byte, error) {
	in, err := root.Open(name)
	if err != nil {
		return nil, failure.Wrap(failure.NotFound, err, "open the spec")
	}
	defer in.Close()
	src, err := io.ReadAll(io.LimitReader(in, maxSpec+1))
	switch {
	case err != nil:
		return nil, failure.Wrap(failure.Invalid, err, "read the spec %s", name)
	case len(src) > maxSpec:
		return nil, failure.New(failure.Invalid, "%s is larger than 1 MiB", name)
	}
	return src, nil
}

// tree returns the places where the spec's require looks: beside the spec, among the recipes,
// then in the whole project.
func (f *file) tree() fs.FS {
	var all trees
	for _, dir := range []string{path.Dir(f.name), "recipes", "."} {
		if sub, err := fs.Sub(f.opts.Root, dir); err == nil {
			all = append(all, sub)
		}
	}
	return all
}

// trees are several trees, of which the first one that has a file counts.
type trees []fs.FS

// Open implements fs.FS.
func (t trees) Open(name string) (f fs.File, err error) {
	for _, tree := range t {
		if f, err = tree.Open(name); !errors.Is(err, fs.ErrNotExist) {
			return f, err
		}
	}
	return nil, err
}

// seen is a tree that remembers which files were looked for, also in vain: one
// that appears later is of interest, too.
type seen struct {
	fs.FS
	mu    sync.Mutex
	names map[string]bool
}

// Open implements fs.FS.
func (s *seen) Open(name string) (fs.File, error) {
	s.mu.Lock()
	s.names[name] = true
	s.mu.Unlock()
	return s.FS.Open(name)
}
