package journal

import (
	"cmp"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/mepc/mepc-run/internal/clock"
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

// Settings are what Begin needs besides the header.
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
	return nil, failure.Wrap(failure.Journal, innermost(err), "open a journal in %s", d.path).
		WithHint("nothing is done that no journal holds: name a directory that can be written with --state, or MEPC_STATE")
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
	if err := errors.Join(flock(f), syncDir(d.runs())); err != nil {
		return nil, errors.Join(err, f.Close(), os.Remove(path))
	}
	j := &Journal{
		dir: d, id: h.ID, app: h.App, path: path, file: f, clock: d.clock, clean: s.Clean,
		intent: map[int]bool{}, memo: map[string][]byte{},
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
	return errors.Join(syncDir(d.path), syncDir(filepath.Dir(d.path)))
}

func syncDir(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	err = f.Sync()
	if errors.Is(err, syscall.EINVAL) { // file systems that cannot, and need not
		err = nil
	}
	return errors.Join(err, f.Close())
}

// flock marks f as that of a living process. It is lost with the process.
func flock(f *os.File) error { return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) }

func (d *Dir) finish(path string) error {
	return os.Rename(path, strings.TrimSuffix(path, openExt)+endedExt)
}

// names returns the files of runs, newest first.
func (d *Dir) names() ([]string, error) {
	entries, err := os.ReadDir(d.runs())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, failure.Wrap(failure.Journal, innermost(err), "read %s", d.runs())
	}
	var names []string
	for _, e := range entries {
		if ext := filepath.Ext(e.Name()); ext == openExt || ext == endedExt {
			names = append(names, e.Name())
		}
	}
	slices.Sort(names)
	slices.Reverse(names)
	return names, nil
}

// IDs returns the names of all runs, newest first.
func (d *Dir) IDs() ([]string, error) {
	names, err := d.names()
	for i, name := range names {
		names[i] = strings.TrimSuffix(name, filepath.Ext(name))
	}
	return names, err
}

// Runs returns the runs, newest first, that want accepts by their header. A file
// that is no journal is left out.
func (d *Dir) Runs(want func(*Header) bool) ([]*Run, error) {
	names, err := d.names()
	if err != nil {
		return nil, err
	}
	var all []*Run
	for _, name := range names {
		if run, err := d.load(name); err == nil && want(&run.Header) {
			all = append(all, run)
		}
	}
	return all, nil
}

// CutOff returns the runs that were cut off and that nobody dealt with, newest
// first, and want accepts. It opens no journal of a run that ended.
func (d *Dir) CutOff(want func(*Header) bool) ([]*Run, error) {
	names, err := d.names()
	if err != nil {
		return nil, err
	}
	var all []*Run
	for _, name := range names {
		if filepath.Ext(name) != openExt {
			continue
		}
		if run, err := d.load(name); err == nil && run.CutOff() && want(&run.Header) {
			all = append(all, run)
		}
	}
	return all, nil
}

func (d *Dir) load(name string) (*Run, error) {
	f, err := os.Open(filepath.Join(d.runs(), name))
	if errors.Is(err, fs.ErrNotExist) && filepath.Ext(name) == openExt { // it ended in between
		f, err = os.Open(filepath.Join(d.runs(), strings.TrimSuffix(name, openExt)+endedExt))
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	running := filepath.Ext(name) == openExt && alive(f)
	run, err := Read(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	run.Running = running && run.Ended == nil
	return run, nil
}

// alive reports whether the process that writes f lives.
func alive(f *os.File) bool {
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_SH|syscall.LOCK_NB); err != nil {
		return true
	}
	_ = syscall.Flock(int(f.Fd()), syscall.LOCK_UN) // closing f does it, too
	return false
}

// Dead reports whether the run is known here and its process is gone.
func (d *Dir) Dead(id string) bool {
	if id == "" || id != filepath.Base(id) {
		return false
	}
	run, err := d.load(id + openExt)
	return err == nil && !run.Running
}

// Get returns the run with exactly this name, or nil when there is none.
func (d *Dir) Get(id string) (*Run, error) {
	if id == "" || id != filepath.Base(id) {
		return nil, nil
	}
	run, err := d.load(id + openExt)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, failure.Wrap(failure.Journal, err, "read the journal")
	}
	return run, nil
}

// Find returns the run that name means: its name, the beginning or the end of
// it, where no other has that; "latest" is the newest one.
func (d *Dir) Find(name string) (*Run, error) {
	names, err := d.names()
	if err != nil {
		return nil, err
	}
	if len(names) == 0 {
		return nil, failure.New(failure.NotFound, "there is no run in %s", d.path).
			WithHint("runs are kept where they were started; --state names another directory")
	}
	var found []string
	for _, n := range names {
		id := strings.TrimSuffix(n, filepath.Ext(n))
		switch {
		case name == id || name == "latest":
			found = []string{n}
		case strings.HasPrefix(id, name) || strings.HasSuffix(id, name):
			found = append(found, n)
			continue
		default:
			continue
		}
		break
	}
	switch len(found) {
	case 0:
		return nil, failure.New(failure.NotFound, "no run %s in %s", name, d.path).WithHint("mepc-run runs lists them")
	case 1:
		run, err := d.load(found[0])
		if err != nil {
			return nil, failure.Wrap(failure.Journal, err, "read the journal")
		}
		return run, nil
	}
	return nil, failure.New(failure.Usage, "%d runs are called %s...", len(found), name).WithHint("mepc-run runs lists them; more digits tell them apart")
}

// Settle notes in the journal of a run that was cut off that another dealt with
// it, and how.
func (d *Dir) Settle(id string, by By) error {
	path := filepath.Join(d.runs(), id+openExt)
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // someone else did
	}
	if err != nil {
		return err
	}
	if err := flock(f); err != nil {
		return errors.Join(err, f.Close())
	}
	run, err := Read(f)
	if err == nil {
		err = f.Truncate(run.whole)
	}
	if err == nil {
		_, err = f.Seek(run.whole, 0)
	}
	if err == nil {
		j := &Journal{dir: d, id: id, path: path, file: f, clock: d.clock, n: len(run.Records)}
		err = j.write(&Record{Type: Settled, By: &by}, true)
	}
	if err == nil {
		err = d.finish(path)
	}
	return errors.Join(err, f.Close())
}

// Prune removes the journals of runs that ended beyond the newest keep, and those
// older than age. Runs that were cut off stay until someone deals with them.
func (d *Dir) Prune(keep int, age time.Duration) error {
	names, err := d.names()
	if err != nil {
		return err
	}
	oldest := d.clock.Now().UTC().Add(-age).Format(idTime)
	ended := 0
	for _, name := range names {
		if filepath.Ext(name) != endedExt {
			continue
		}
		if ended++; ended > keep || name < oldest {
			if err := os.Remove(filepath.Join(d.runs(), name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
	}
	return nil
}

func innermost(err error) error {
	for {
		next := errors.Unwrap(err)
		if next == nil {
			return err
		}
		err = next
	}
}
