package servers

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"syscall"

	"github.com/mepc/mepc-run/internal/disk"
	"github.com/mepc/mepc-run/internal/failure"
)

// Files are those of the operator's machine that a recipe may name.
type Files interface {
	// Path returns the path by which a file is to be opened.
	Path(path string) (string, error)
	// Open opens a file to be read, and says how large it is.
	Open(path string) (io.ReadCloser, int64, error)
	// Create makes a file that takes its name only with Commit: until then, and
	// after Abort, whatever was there stays.
	Create(path string) (*NewFile, error)
}

// NewFile is a file being written.
type NewFile struct {
	io.Writer
	// Commit gives the file its name, its bytes being on disk. Only its owner may
	// read it, as with docker save: images can hold secrets.
	Commit func() error
	// Abort removes what was written.
	Abort func()
}

// Disk is the disk.
type Disk struct {
	Project string // the one directory that files are in; empty: any
}

// Path implements Files. Where there is a project it refuses a path that leads
// out of it, be it by .. or by a link.
func (d Disk) Path(path string) (string, error) {
	if d.Project == "" {
		return path, nil
	}
	outside := failure.New(failure.Denied, "%s is outside of the project: nothing else is read or written here", path).
		WithHint("the project is %s; put the file into it", absolute(d.Project))
	rel, err := filepath.Rel(absolute(d.Project), absolute(path))
	if err != nil || !filepath.IsLocal(rel) {
		return "", outside
	}
	root, err := os.OpenRoot(d.Project)
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

// absolute names a file by one path, whatever it was called by.
func absolute(path string) string {
	if abs, err := filepath.Abs(path); err == nil {
		return abs
	}
	return path
}

// Open implements Files.
func (d Disk) Open(path string) (io.ReadCloser, int64, error) {
	path, err := d.Path(path)
	if err != nil {
		return nil, 0, err
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

// Create implements Files.
func (d Disk) Create(path string) (*NewFile, error) {
	path, err := d.Path(path)
	if err != nil {
		return nil, err
	}
	f, err := disk.New(path)
	if err != nil {
		return nil, err
	}
	return &NewFile{Writer: f, Commit: func() error { return disk.Publish(f, path, nil) }, Abort: func() {
		_ = f.Close() // the file goes away
		_ = os.Remove(f.Name())
	}}, nil
}

// ReadFile reads a file that a recipe names, such as a certificate.
func (w *Clients) ReadFile(path string) ([]byte, error) {
	r, _, err := w.Open(path)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}

// Open opens a file that a recipe names to be read, and says how large it is.
func (w *Clients) Open(path string) (io.ReadCloser, int64, error) { return w.wire.Files.Open(path) }

// Create makes a file that a recipe names.
func (w *Clients) Create(path string) (*NewFile, error) { return w.wire.Files.Create(path) }
