package journal

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/mepc/mepc-run/internal/clock"
	"github.com/mepc/mepc-run/internal/disk"
	"github.com/mepc/mepc-run/internal/failure"
)

// Dir is a state directory.
type Dir struct {
	path  string
	clock clock.Clock
}

const (
	runsDir  = "runs"
	openExt  = ".open"  // of a run that goes on, or was cut off
	endedExt = ".jsonl" // of one that ended
)

// Open returns the state directory at path, which need not exist yet.
func Open(path string, clk clock.Clock) *Dir { return &Dir{path, clk} }

// Path returns where it is.
func (d *Dir) Path() string { return d.path }

func (d *Dir) runs() string { return filepath.Join(d.path, runsDir) }

// Settings hold what Begin needs besides the header.
type Settings struct {
	Clean func(string) string // takes secrets out of text
	Memo  map[string]json.RawMessage
}

// newID returns the name of a new run: its time, to the millisecond, and three
// drawn digits.
func (d *Dir) newID() string {
	var b [2]byte
	_, _ = rand.Read(b[:]) // never fails
	now := d.clock.Now().UTC()
	return fmt.Sprintf("%s-%03d%s", now.Format(idTime), now.Nanosecond()/1e6, hex.EncodeToString(b[:])[:3])
}

const idTime = "20060102T150405"

// Begin opens the journal of a new run, whose header is durable at return. An
// empty h.ID is drawn.
func (d *Dir) Begin(h Header, s Settings) (*Journal, error) {
	j, err := d.begin(h, s)
	if err == nil {
		return j, nil
	}
	var known *failure.Error
	if errors.As(err, &known) {
		return nil, err
	}
	return nil, failure.Wrap(failure.Journal, failure.Innermost(err), "open a journal in %s", d.path).
		WithHint("every effect must be in a journal first: name a writable directory with --state or MEPC_STATE")
}

func (d *Dir) begin(h Header, s Settings) (*Journal, error) {
	if err := d.make(); err != nil {
		return nil, err
	}
	h.Format, h.Started = Format, d.clock.Now().UTC()
	h.ID = cmp.Or(h.ID, d.newID())
	path := filepath.Join(d.runs(), h.ID+openExt)
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(flock(f), disk.SyncDir(d.runs())); err != nil {
		return nil, errors.Join(err, f.Close(), os.Remove(path))
	}
	j := &Journal{
		dir: d, id: h.ID, app: h.App, path: path, file: f, clock: d.clock, clean: s.Clean, began: h.Started,
		intent: map[int]bool{}, unkept: map[int]error{}, memo: map[string][]byte{}, looks: newLooks(),
	}
	if t := timeOf(h.ID); t.After(j.began) { // by a clock that was ahead
		j.began = t
	}
	if err := j.write(&Record{Type: RunBegins, Run: &h}, true); err != nil {
		return nil, errors.Join(err, f.Close(), os.Remove(path))
	}
	for name, v := range s.Memo {
		j.memo[name] = v
		if err := j.write(&Record{Type: Kept, Memo: &Memo{Name: name, Value: v}}, false); err != nil {
			return nil, errors.Join(err, f.Close())
		}
	}
	return j, nil
}

// make makes the directory, durably: a journal in a directory that a crash takes
// away is none.
func (d *Dir) make() error {
	if info, err := os.Stat(d.runs()); err == nil && info.IsDir() {
		return nil
	}
	if err := os.MkdirAll(d.runs(), 0o700); err != nil {
		return err
	}
	return errors.Join(disk.SyncDir(d.path), disk.SyncDir(filepath.Dir(d.path)))
}

// flock marks f as belonging to a living process, and waits while another looks whether
// it is. It is lost with the process.
func flock(f *os.File) error {
	for {
		if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}

func (d *Dir) finish(path string) error {
	return os.Rename(path, strings.TrimSuffix(path, openExt)+endedExt)
}

// names returns the files of runs, newest first.
func (d *Dir) names() ([]string, error) {
	all, err := list(d.runs())
	if err != nil {
		return nil, failure.Wrap(failure.Journal, failure.Innermost(err), "read %s", d.runs())
	}
	names := slices.DeleteFunc(all, func(name string) bool {
		return !strings.HasSuffix(name, openExt) && !strings.HasSuffix(name, endedExt)
	})
	slices.SortFunc(names, func(a, b string) int { return strings.Compare(b, a) })
	return names, nil
}

// list returns the names in a directory, in no order; none when there is none.
func list(path string) ([]string, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return f.Readdirnames(-1)
}

// timeOf returns when a run got its name; zero when that does not say.
func timeOf(id string) time.Time {
	if len(id) < len(idTime) {
		return time.Time{}
	}
	t, err := time.Parse(idTime, id[:len(idTime)])
	if err != nil {
		return time.Time{}
	}
	if ms, err := strconv.Atoi(strings.TrimPrefix(id[len(idTime):min(len(id), len(idTime)+4)], "-")); err == nil && ms >= 0 {
		t = t.Add(time.Duration(ms) * time.Millisecond)
	}
	return t
}

// IDs returns the names of all runs, newest first.
func (d *Dir) IDs() ([]string, error) {
	names, err := d.names()
	for i, name := range names {
		names[i] = strings.TrimSuffix(name, filepath.Ext(name))
	}
	return names, err
}

// chunk is the number of journals read before the first is reported.
const chunk = 512

// Each calls visit with the head of each run, newest first, until it returns an
// error. Of each file only the two ends are read.
func (d *Dir) Each(visit func(*Head) error) error {
	names, err := d.names()
	if err != nil {
		return err
	}
	for part := range slices.Chunk(names, chunk) {
		for _, h := range d.heads(part) {
			if h == nil { // it is gone
				continue
			}
			if err := visit(h); err != nil {
				return err
			}
		}
	}
	return nil
}

// heads returns the heads of the files; nil where there is none any more.
func (d *Dir) heads(names []string) []*Head {
	all := make([]*Head, len(names))
	var next atomic.Int64
	workers, _ := failure.NewGroup(context.Background(), -1)
	for range min(runtime.GOMAXPROCS(0), len(names)) {
		workers.Go(func() error {
			g := &glance{}
			for {
				i := int(next.Add(1)) - 1
				if i >= len(names) {
					return nil
				}
				bug := failure.Protect(func() (err error) { all[i], err = d.glance(names[i], g); return nil })
				if bug != nil {
					all[i] = unreadable(names[i], bug)
				}
			}
		})
	}
	_ = workers.Wait() // each journal has its own
	return all
}

// CutOff returns the interrupted runs that were not dealt with, newest
// first. It opens no journal of a run that ended.
func (d *Dir) CutOff() ([]*Head, error) {
	names, err := d.names()
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(d.heads(opened(names)), func(h *Head) bool { return h == nil || !h.CutOff() }), nil
}

// Running returns the runs that go on, newest first.
func (d *Dir) Running() ([]*Run, error) {
	names, err := d.names()
	if err != nil {
		return nil, err
	}
	var all []*Run
	for _, h := range d.heads(opened(names)) {
		if h == nil || !h.Running {
			continue
		}
		if run, err := d.Get(h.ID); err == nil && run != nil && run.Running {
			all = append(all, run)
		}
	}
	return all, nil
}

// opened returns the files among names of runs that go on, or were cut off.
func opened(names []string) []string {
	var open []string
	for _, name := range names {
		if filepath.Ext(name) == openExt {
			open = append(open, name)
		}
	}
	return open
}

// needed are the types of records that a Run has which a Dir read: all but those
// that only tell a reader what happened in between.
func needed(t Type) bool {
	return t != Looked && t != LogLine && t != StepBegins && t != StepEnds
}

// load reads all of the journal name.
func (d *Dir) load(name string, want func(Type) bool, visit func(*Record) error) (*Run, error) {
	f, name, err := d.open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if _, err := f.size(); err != nil {
		return nil, err
	}
	open := filepath.Ext(name) == openExt
	locked := open && f.alive() // before what is read: nothing is written behind it
	run, err := read(f.from(0), want, visit)
	if err != nil {
		return nil, err
	}
	run.open, run.locked, run.Running = open, locked, locked && run.Ended == nil
	return run, nil
}

// isID reports whether id can be the name of a run.
func isID(id string) bool {
	return id != "" && id == filepath.Base(id) && !strings.ContainsRune(id, 0) && len(id) < 200
}

// Dead reports whether the run is known here and its process is gone.
func (d *Dir) Dead(id string) bool {
	h, err := d.Head(id)
	return err == nil && h != nil && !h.Running
}

// Head returns the head of the run with exactly this name, or nil when there is
// none. It fails when its header cannot be read.
func (d *Dir) Head(id string) (*Head, error) {
	if !isID(id) {
		return nil, nil
	}
	h, err := d.head(id + openExt)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err == nil && h.Bad != nil:
		err = h.Bad
	}
	if err != nil {
		return nil, unreadableRun(id, err)
	}
	return h, nil
}

// Get returns the run with exactly this name, or nil when there is none.
func (d *Dir) Get(id string) (*Run, error) {
	if !isID(id) {
		return nil, nil
	}
	run, err := d.load(id+openExt, needed, nil)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, unreadableRun(id, err)
	}
	return run, nil
}

func unreadableRun(id string, err error) error {
	return failure.Wrap(failure.Journal, failure.Innermost(err), "the journal of run %s cannot be read", id)
}

// Find returns the run that name means: its name, the beginning or the end of
// it, where no other has that; "latest" is the newest one.
func (d *Dir) Find(name string) (*Run, error) {
	file, err := d.resolve(name)
	if err != nil {
		return nil, err
	}
	run, err := d.load(file, needed, nil)
	if err != nil {
		return nil, unreadableRun(strings.TrimSuffix(file, filepath.Ext(file)), err)
	}
	return run, nil
}

// Replay calls visit with each record of the run that name means, as Find has it,
// in order.
func (d *Dir) Replay(name string, visit func(*Record) error) error {
	file, err := d.resolve(name)
	if err != nil {
		return err
	}
	var stopped error
	_, err = d.load(file, func(Type) bool { return true }, func(r *Record) error {
		stopped = visit(r)
		return stopped
	})
	if err != nil && stopped == nil {
		return unreadableRun(strings.TrimSuffix(file, filepath.Ext(file)), err)
	}
	return stopped
}

// resolve returns the file of the run that name means.
func (d *Dir) resolve(name string) (string, error) {
	names, err := d.names()
	if err != nil {
		return "", err
	}
	if len(names) == 0 {
		return "", failure.New(failure.NotFound, "no runs in %s", d.path).
			WithHint("runs are kept where they were started; --state names another directory")
	}
	var found []string
	for _, n := range names {
		id := strings.TrimSuffix(n, filepath.Ext(n))
		if name == id || name == "latest" {
			return n, nil
		}
		if strings.HasPrefix(id, name) || strings.HasSuffix(id, name) {
			found = append(found, n)
		}
	}
	switch len(found) {
	case 0:
		return "", failure.New(failure.NotFound, "no run %s in %s", name, d.path).WithHint("mepc-run runs lists them")
	case 1:
		return found[0], nil
	}
	return "", failure.New(failure.Usage, "%d runs match %s...", len(found), name).WithHint("give more digits; mepc-run runs lists them")
}
