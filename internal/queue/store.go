package queue

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/mepc/mepc-run/internal/disk"
	"github.com/mepc/mepc-run/internal/failure"
)

// store is the directory that requests are in.
//
//	lock           held by the server of this state directory
//	paused         there while nothing is to be started; holds who said so
//	queue/ID.json  a request; behind it a line for each run of it that has begun
//	done/ID.json   an Entry that has ended
type store struct{ path string }

const (
	ext = ".json"
	// maxFile bounds what is read of one file: a plan is the largest part of it.
	maxFile = 80 << 20
)

func (s store) queued(id string) string { return filepath.Join(s.path, "queue", id+ext) }
func (s store) done(id string) string   { return filepath.Join(s.path, "done", id+ext) }
func (s store) paused() string          { return filepath.Join(s.path, "paused") }

// open makes the directories and takes the lock, which is held until the file is
// closed.
func (s store) open() (*os.File, error) {
	for _, dir := range []string{"queue", "done"} {
		if err := os.MkdirAll(filepath.Join(s.path, dir), 0o700); err != nil {
			return nil, err
		}
	}
	for _, dir := range []string{s.path, filepath.Dir(s.path)} {
		if err := disk.SyncDir(dir); err != nil {
			return nil, err
		}
	}
	f, err := os.OpenFile(filepath.Join(s.path, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := flock(f); err != nil {
		return nil, errors.Join(failure.New(failure.Conflict, "another mepc-run serve uses the state directory %s", filepath.Dir(s.path)).
			WithHint("mepc-run status shows it; give this one its own directory with --state"), f.Close())
	}
	return f, nil
}

// flock locks f, or fails when someone has it.
func flock(f *os.File) error { return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) }

// put writes a request. It is durable at return.
func (s store) put(r *Request) error { return s.write(s.queued(r.ID), r) }

// probe writes a file, as put does, and removes it.
func (s store) probe() error {
	name := filepath.Join(s.path, "probe")
	if err := s.write(name, struct{}{}); err != nil {
		return err
	}
	return os.Remove(name)
}

// finish writes the entry of a request that has ended, and takes the request
// itself away.
func (s store) finish(e *Entry) error {
	if err := s.write(s.done(e.ID), e); err != nil {
		return err
	}
	if err := os.Remove(s.queued(e.ID)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// write writes a file as a whole or not at all.
func (s store) write(name string, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	if err := disk.Write(name, append(data, '\n')); err != nil {
		return err
	}
	return disk.SyncDir(filepath.Dir(name))
}

// ids returns the requests in a directory, oldest first, and removes what a crash
// left half written.
func (s store) ids(dir string) ([]string, error) {
	entries, err := os.ReadDir(filepath.Join(s.path, dir))
	if err != nil {
		return nil, err
	}
	var ids []string
	for _, e := range entries {
		if id, ok := strings.CutSuffix(e.Name(), ext); ok {
			ids = append(ids, id)
		} else {
			_ = os.Remove(filepath.Join(s.path, dir, e.Name()))
		}
	}
	slices.SortFunc(ids, cmp.Compare)
	return ids, nil
}

// entry reads one that has ended.
func (s store) entry(id string) (*Entry, error) {
	data, err := os.ReadFile(s.done(id))
	if err != nil {
		return nil, err
	}
	e := &Entry{}
	return e, json.Unmarshal(data, e)
}

// begun is the line behind a request that says which run of it has begun.
type begun struct {
	Run string `json:"run"`
}

// Begun notes in a request's file that a run of it has begun. The process that
// runs it calls this when the run's journal is open, and before anything else:
// so that a journal that is not there any more is known to have been.
func Begun(file *os.File, run string) error {
	line, err := json.Marshal(begun{run})
	if err != nil {
		return err
	}
	if _, err := file.Write(append(line, '\n')); err != nil {
		return err
	}
	return file.Sync()
}

// Read reads a request's file: the request, and the runs of it that have begun.
func Read(file io.Reader) (*Request, []string, error) {
	data, err := io.ReadAll(io.LimitReader(file, maxFile))
	if err != nil {
		return nil, nil, err
	}
	first, rest, _ := bytes.Cut(data, []byte("\n"))
	r := &Request{}
	if err := json.Unmarshal(first, r); err != nil {
		return nil, nil, err
	}
	var runs []string
	for line := range bytes.Lines(rest) {
		var b begun
		if json.Unmarshal(line, &b) == nil { // one that a crash tore was not durable
			runs = append(runs, b.Run)
		}
	}
	return r, runs, nil
}

// hold opens a request's file and locks it. The file is nil when another process
// has it.
func (s store) hold(id string) (*os.File, *Request, []string, error) {
	f, err := os.OpenFile(s.queued(id), os.O_RDWR|os.O_APPEND, 0)
	if err != nil {
		return nil, nil, nil, err
	}
	held := flock(f) == nil
	r, runs, err := Read(f)
	if err == nil {
		_, err = f.Seek(0, io.SeekStart) // the process that gets it reads it, too
	}
	if err != nil || !held {
		return nil, r, runs, errors.Join(err, f.Close())
	}
	return f, r, runs, nil
}
