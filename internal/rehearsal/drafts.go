package rehearsal

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"sync"
	"syscall"

	"github.com/mepc/mepc-run/servers"
)

// drafts are the files that a rehearsal wrote, over those on disk: they exist for
// it alone.
type drafts struct {
	disk servers.Disk

	mu    sync.Mutex
	files map[string][]byte // by absolute path
}

// Path implements servers.Files.
func (d *drafts) Path(path string) (string, error) { return d.disk.Path(path) }

// Open implements servers.Files. A rehearsal reads what it wrote itself before that.
func (d *drafts) Open(path string) (io.ReadCloser, int64, error) {
	path, err := d.Path(path)
	if err != nil {
		return nil, 0, err
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, 0, err
	}
	d.mu.Lock()
	b, ok := d.files[abs]
	d.mu.Unlock()
	if !ok {
		return d.disk.Open(path)
	}
	return io.NopCloser(bytes.NewReader(b)), int64(len(b)), nil
}

// Create implements servers.Files. It fails where the directory is not there, as it
// would for a real file.
func (d *drafts) Create(path string) (*servers.NewFile, error) {
	path, err := d.Path(path)
	if err != nil {
		return nil, err
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	if info, err := os.Stat(filepath.Dir(path)); err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: errors.Unwrap(err)}
	} else if !info.IsDir() {
		return nil, &os.PathError{Op: "open", Path: path, Err: syscall.ENOTDIR}
	}
	b := &bytes.Buffer{}
	return &servers.NewFile{Writer: b, Abort: func() {}, Commit: func() error {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.files[abs] = b.Bytes()
		return nil
	}}, nil
}
