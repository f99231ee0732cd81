package engine

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"sync"
	"syscall"

	"github.com/mepc/mepc-run/internal/failure"
)

// Every file that a recipe names is opened here, or its path has passed inside.

// inside returns the path by which a file is to be opened. In a world with a
// project it refuses one that leads out of it, be it by .. or by a link.
func (w *World) inside(path string) (string, error) {
	if w.project == "" {
		return path, nil
	}
	outside := failure.New(failure.Denied, "%s is outside of the project: nothing else is read or written here", path).
		WithHint("the project is %s; put the file into it", w.project)
	rel, err := filepath.Rel(w.project, absolute(path))
	if err != nil || !filepath.IsLocal(rel) {
		return "", outside
	}
	root, err := os.OpenRoot(w.project)
	if err != nil {
		return "", err
	}
	defer root.Close()
	// What is not there, or may not be read, is for the caller to find out: the
	// system says so. That a link leads out, os.Root says itself.
	var system syscall.Errno
	if _, err := root.Stat(rel); err != nil && !errors.As(err, &system) {
		return "", outside
	}
	return filepath.Clean(path), nil
}

// ReadFile reads a file that a recipe names, such as a certificate.
func (w *World) ReadFile(path string) ([]byte, error) {
	r, _, err := w.Open(path)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}

// Open opens a file of the operator's machine to be read. A rehearsal reads what
// it wrote itself before that.
func (w *World) Open(path string) (io.ReadCloser, int64, error) {
	path, err := w.inside(path)
	if err != nil {
		return nil, 0, err
	}
	if w.drafts != nil {
		if b, ok := w.drafts.read(path); ok {
			return io.NopCloser(bytes.NewReader(b)), int64(len(b)), nil
		}
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, 0, err
	}
	info, err := f.Stat()
	if err == nil && info.IsDir() {
		err = &os.PathError{Op: "open", Path: path, Err: errors.New("is a directory")}
	}
	if err != nil {
		return nil, 0, errors.Join(err, f.Close())
	}
	return f, info.Size(), nil
}

// Create makes a file that takes its name only with Commit: until then, and
// after Abort, whatever was there stays. A rehearsal's files are kept in memory.
func (w *World) Create(path string) (*NewFile, error) {
	path, err := w.inside(path)
	if err != nil {
		return nil, err
	}
	if w.drafts != nil {
		return w.drafts.create(path)
	}
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return nil, err
	}
	return &NewFile{Writer: f, commit: func() error { return publish(f, path) }, abort: func() {
		_ = f.Close() // the file goes away
		_ = os.Remove(f.Name())
	}}, nil
}

// NewFile is a file being written.
type NewFile struct {
	io.Writer
	commit func() error
	abort  func()
}

// Commit gives the file its name, its bytes being on disk. Only its owner may
// read it, as with docker save: images can hold secrets.
func (n *NewFile) Commit() error { return n.commit() }

// Abort removes what was written.
func (n *NewFile) Abort() { n.abort() }

func publish(f *os.File, path string) error {
	err := errors.Join(f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}

// drafts are the files that a rehearsal wrote: they exist for it alone.
type drafts struct {
	mu    sync.Mutex
	files map[string][]byte // by absolute path
}

func (d *drafts) read(path string) ([]byte, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	b, ok := d.files[absolute(path)]
	return b, ok
}

// create fails where the directory is not there, as it would for a real file.
func (d *drafts) create(path string) (*NewFile, error) {
	if info, err := os.Stat(filepath.Dir(path)); err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: errors.Unwrap(err)}
	} else if !info.IsDir() {
		return nil, &os.PathError{Op: "open", Path: path, Err: syscall.ENOTDIR}
	}
	b := &bytes.Buffer{}
	return &NewFile{Writer: b, abort: func() {}, commit: func() error {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.files[absolute(path)] = b.Bytes()
		return nil
	}}, nil
}

// absolute names a file by one path, whatever it was called by.
func absolute(path string) string {
	if abs, err := filepath.Abs(path); err == nil {
		return abs
	}
	return path
}
