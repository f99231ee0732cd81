package queue

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/mepc/mepc-run/internal/clock"
	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/internal/journal"
	"github.com/mepc/mepc-run/internal/say"
)

// Options configures a Queue.
type Options struct {
	Journal *journal.Dir // of the runs; the queue is kept beside them
	Clock   clock.Clock
	// Start starts the process of an attempt, which must keep file open, and locked,
	// as long as it lives. Its error says why the recipe cannot be started; ErrClosed,
	// that the server ends first: the request is left for the next one.
	Start func(r *Request, a Attempt, file *os.File) (Process, error)
	Log   *slog.Logger
	// Workers limits how many runs go on at a time, Max how many requests may wait,
	// MaxRecipe how many of one recipe (0: as many as of all), Keep how many that have
	// ended are remembered.
	Workers, Max, MaxRecipe, Keep int
}

// Process is a run's.
type Process interface {
	// Wait returns when the process has ended, with the last it said.
	Wait() string
	// Interrupt makes the run end and undo what it did; the second time it makes the
	// undoing end.
	Interrupt() error
	// Kill ends the process and all that it started.
	Kill() error
}

// Queue is an open queue. It is safe for concurrent use.
type Queue struct {
	opts  Options
	store store
	lock  *os.File
	runs  failure.Crew

	mu         sync.Mutex
	entries    map[string]*entry
	waiting    []*entry          // in order
	writing    []*entry          // that are about to wait
	busy       map[string]string // by app: the request whose run goes on
	running    int
	deliveries map[string]*entry // by what is taken once, see Request.once
	ended      []string          // oldest first
	counts     map[Outcome]int
	last       time.Time // that of the newest ID
	pause      string    // who paused it
	probing    *probe    // nil: there is none under way
	closed     bool
	changed    chan struct{} // closed, and made anew, at each change
}

type entry struct {
	Entry
	durable chan struct{} // closed when it is on disk, or will never be
	lost    error         // why it is not
	process Process       // while it runs
	begun   time.Time     // when this server began, or took over, its run
	killed  bool          // by someone: it is not resumed
}

// ErrFull is the error of Add when too many requests wait, ErrRecipeFull when they are the
// recipe's own.
var (
	ErrFull       = failure.New(failure.Limit, "the queue is full").WithHint("try again later; mepc-run status shows what waits")
	ErrRecipeFull = failure.New(failure.Limit, "too many requests for this recipe are waiting").WithHint("try again later; mepc-run status shows what waits")
)

// ErrClosed is the error of Add when the server is about to end.
var ErrClosed = failure.New(failure.Unavailable, "the server is stopping").WithHint("try again when it is back")

// attempts limits how often a request is run: the first time, and again when
// its process died.
const attempts = 3

// Open opens the queue in the state directory of opts.Journal, takes over the runs
// of a server that died there, and begins to run what waits.
func Open(opts Options) (*Queue, error) {
	q := &Queue{
		opts: opts, store: store{filepath.Join(opts.Journal.Path(), "serve")}, entries: map[string]*entry{},
		busy: map[string]string{}, deliveries: map[string]*entry{}, counts: map[Outcome]int{}, changed: make(chan struct{}),
	}
	q.mu.Lock() // runs that load begins can end before the rest is read
	defer q.mu.Unlock()
	lock, err := q.store.open()
	if err == nil {
		q.lock = lock
		err = q.load()
	}
	if err != nil {
		if lock != nil {
			err = errors.Join(err, lock.Close())
		}
		if failure.As(err) != nil {
			return nil, err
		}
		return nil, failure.Wrap(failure.Journal, err, "open the queue").WithHint("name a writable directory with --state or MEPC_STATE")
	}
	q.schedule()
	return q, nil
}

// load reads what is there. Requests that were begun go first: their apps are
// theirs.
func (q *Queue) load() error {
	if who, err := os.ReadFile(q.store.paused()); err == nil {
		q.pause = cmp.Or(strings.TrimSpace(string(who)), "someone")
	}
	runs, err := q.opts.Journal.IDs() // a request must not get the name of a run
	if err != nil {
		return err
	}
	for _, id := range runs {
		q.newest(id)
	}
	ended, err := q.store.ids("done")
	if err != nil {
		return err
	}
	for _, id := range ended {
		e, err := q.store.entry(id)
		if err != nil {
			q.opts.Log.Warn("a request that ended cannot be read", "request", id, "error", err)
			continue
		}
		q.remember(q.add(&entry{Entry: *e}))
	}
	ids, err := q.store.ids("queue")
	if err != nil {
		return err
	}
	var fresh []*entry
	for _, id := range ids {
		if q.entries[id] != nil { // it ended; the server died before it took this away
			if err := os.Remove(q.store.queued(id)); err != nil {
				return err
			}
			continue
		}
		file, r, runs, err := q.store.hold(id)
		if err != nil {
			q.opts.Log.Error("a request cannot be read and is not run", "request", id, "error", err)
			continue
		}
		held := file == nil
		if !held {
			if err := file.Close(); err != nil {
				return err
			}
		}
		e := q.add(&entry{Entry: Entry{Request: *r, State: Queued}})
		if run, _ := q.opts.Journal.Head(id); held || len(runs) > 0 || run != nil {
			q.begin(e)
		} else {
			fresh = append(fresh, e)
		}
	}
	for _, e := range fresh {
		q.coalesce(e)
		q.waiting = append(q.waiting, e)
	}
	return nil
}

// add makes an entry known, by its ID and by what is taken once.
func (q *Queue) add(e *entry) *entry {
	q.entries[e.ID] = e
	q.newest(e.ID)
	for _, key := range e.once() {
		if q.deliveries[key] == nil {
			q.deliveries[key] = e
		}
	}
	if e.durable == nil {
		e.durable = make(chan struct{})
		close(e.durable)
	}
	return e
}

// drop makes an entry unknown.
func (q *Queue) drop(e *entry) {
	delete(q.entries, e.ID)
	for _, key := range e.once() {
		if q.deliveries[key] == e {
			delete(q.deliveries, key)
		}
	}
}

// Add takes a request. When it returns one, that is durable: it will be run, also
// after a crash. known says that it was asked for before, by the same delivery or
// content.
func (q *Queue) Add(r Request) (got Entry, known bool, err error) {
	q.mu.Lock()
	for _, key := range r.once() {
		first := q.deliveries[key]
		if first == nil {
			continue
		}
		q.mu.Unlock()
		<-first.durable
		q.mu.Lock()
		defer q.mu.Unlock()
		return first.Entry, true, first.lost
	}
	if err := q.room(&r); err != nil {
		q.mu.Unlock()
		return Entry{}, false, err
	}
	e := &entry{Entry: Entry{Request: r, State: Queued}, durable: make(chan struct{})}
	e.Received = q.opts.Clock.Now().UTC()
	e.ID = q.newID(e.Received)
	q.add(e)
	q.writing = append(q.writing, e)
	defer q.runs.Hold()() // Close waits for what is being written
	q.mu.Unlock()

	err = q.store.put(&e.Request)
	q.mu.Lock()
	defer q.mu.Unlock()
	defer close(e.durable)
	q.writing = slices.DeleteFunc(q.writing, func(w *entry) bool { return w == e })
	if err != nil {
		e.lost = failure.Wrap(failure.Journal, failure.Innermost(err), "write the request")
		q.opts.Log.Error("a request is refused: it cannot be written", "recipe", r.Recipe, "app", r.App, "directory", q.store.path, "error", err)
		q.drop(e)
		return Entry{}, false, e.lost
	}
	q.opts.Log.Info("queued", "request", e.ID, "recipe", e.Recipe, "app", e.App, "source", e.Source, "who", e.Who)
	q.coalesce(e)
	q.waiting = append(q.waiting, e)
	q.schedule()
	return e.Entry, false, nil
}

// room says why a request cannot wait.
func (q *Queue) room(r *Request) error {
	own := 0
	for _, all := range [][]*entry{q.waiting, q.writing} {
		for _, e := range all {
			if e.Recipe == r.Recipe {
				own++
			}
		}
	}
	switch {
	case q.closed:
		return ErrClosed
	case q.opts.MaxRecipe > 0 && own >= q.opts.MaxRecipe:
		return ErrRecipeFull
	case len(q.waiting)+len(q.writing) >= q.opts.Max:
		return ErrFull
	}
	return nil
}

// coalesce ends the requests that wait and that e takes the place of.
func (q *Queue) coalesce(e *entry) {
	q.waiting = slices.DeleteFunc(q.waiting, func(w *entry) bool {
		superseded := w.Coalesce && w.Recipe == e.Recipe && w.App == e.App
		if superseded {
			q.finish(w, Result{Status: Superseded, By: e.ID, Text: "replaced by a later request: " + e.ID})
		}
		return superseded
	})
}

// finish notes how a request ended.
func (q *Queue) finish(e *entry, res Result) {
	res.Ended = q.opts.Clock.Now().UTC()
	q.counts[Outcome{e.Recipe, res.Status}]++
	e.State, e.Result, e.Plan = Done, &res, nil
	told := []any{"request", e.ID, "recipe", e.Recipe, "app", e.App, "status", res.Status}
	if !e.begun.IsZero() {
		told = append(told, "run", e.Run, "took", q.opts.Clock.Now().Sub(e.begun).Round(time.Millisecond))
	}
	if res.Text != "" {
		told = append(told, "text", say.Clip(res.Text, 500))
	}
	q.opts.Log.Info("ended", told...)
	if err := q.store.finish(&e.Entry); err != nil {
		// After a restart its run's journal says the same.
		q.opts.Log.Error("the end of a request cannot be written", "request", e.ID, "error", err)
	}
	q.remember(e)
	q.tell()
}

// remember keeps the newest that have ended.
func (q *Queue) remember(e *entry) {
	q.ended = append(q.ended, e.ID)
	for len(q.ended) > q.opts.Keep {
		old := q.entries[q.ended[0]]
		if err := os.Remove(q.store.done(old.ID)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			q.opts.Log.Warn("an old request cannot be removed", "request", old.ID, "error", err)
		}
		q.drop(old)
		q.ended = q.ended[1:]
	}
}

// schedule begins what can be begun.
func (q *Queue) schedule() {
	defer q.tell()
	if q.closed || q.pause != "" {
		return
	}
	q.waiting = slices.DeleteFunc(q.waiting, func(e *entry) bool {
		if q.running >= q.opts.Workers || q.busy[e.App] != "" {
			return false
		}
		q.begin(e)
		return true
	})
}

// begin runs a request in a goroutine of its own.
func (q *Queue) begin(e *entry) {
	e.State, e.begun = Running, q.opts.Clock.Now()
	q.busy[e.App] = e.ID
	q.running++
	q.runs.Go(func() {
		var res *Result
		bug := failure.Protect(func() error { res = q.run(e); return nil })
		if bug != nil {
			failure.BugTo(q.opts.Log)(bug)
			res = &Result{Status: "unknown", Text: bug.Error()}
		}
		q.mu.Lock()
		defer q.mu.Unlock()
		e.process = nil
		q.running--
		if q.busy[e.App] == e.ID {
			delete(q.busy, e.App)
		}
		if res != nil {
			q.finish(e, *res)
		}
		q.schedule()
	}, failure.BugTo(q.opts.Log))
}

// Pause makes nothing be started from now on, until Resume, also after a restart.
// What runs goes on.
func (q *Queue) Pause(who string) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if err := os.WriteFile(q.store.paused(), []byte(who+"\n"), 0o600); err != nil {
		return failure.Wrap(failure.Journal, failure.Innermost(err), "note that the queue is paused")
	}
	q.pause = cmp.Or(who, "someone")
	q.tell()
	return nil
}

// Resume ends a Pause.
func (q *Queue) Resume() error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if err := os.Remove(q.store.paused()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return failure.Wrap(failure.Journal, failure.Innermost(err), "note that the queue is resumed")
	}
	q.pause = ""
	q.schedule()
	return nil
}

// Abort takes a request out of the queue, or interrupts its run, which then undoes
// what it did; with kill its process ends at once, and its run is cut off. id may
// be that of a run that resumed the request's first.
func (q *Queue) Abort(id, who string, kill bool) (Entry, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	e := q.find(id)
	if e == nil {
		return Entry{}, failure.New(failure.NotFound, "no request %s waits or runs", id).WithHint("mepc-run status lists them")
	}
	var err error
	switch {
	case e.State == Done:
		return e.Entry, failure.New(failure.Conflict, "%s has ended: %s", id, e.Result.Status)
	case e.State == Queued:
		at := slices.Index(q.waiting, e)
		if at < 0 {
			return Entry{}, failure.New(failure.Conflict, "%s is being written", id).WithHint("try again")
		}
		q.waiting = slices.Delete(q.waiting, at, at+1)
		q.finish(e, Result{Status: Withdrawn, Text: "taken out of the queue by " + who})
	case e.process == nil:
		err = failure.New(failure.Conflict, "%s is just being started", id).WithHint("try again")
	case kill:
		e.killed = true
		err = e.process.Kill()
	default:
		err = e.process.Interrupt()
	}
	return e.Entry, err
}

func (q *Queue) tell() {
	close(q.changed)
	q.changed = make(chan struct{})
}

// Close starts nothing any more, waits for what runs until ctx ends, and leaves the
// rest to the next to open the queue: it goes on.
func (q *Queue) Close(ctx context.Context) error {
	q.mu.Lock()
	q.closed = true
	q.tell()
	q.mu.Unlock()
	over := failure.Go(func() error { q.runs.Wait(); return nil })
	select {
	case <-over:
	case <-ctx.Done():
		running, _ := q.List()
		for _, e := range running {
			q.opts.Log.Info("a run goes on without this server", "run", cmp.Or(e.Run, e.ID), "recipe", e.Recipe)
		}
	}
	return q.lock.Close()
}
