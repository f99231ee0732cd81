package journal

import (
	"errors"
	"io"
	"io/fs"
	"math"
	"path/filepath"
	"strings"
	"syscall"
)

// raw is the descriptor of a journal that is read. An os.File costs three calls more,
// and there are thousands of journals to look at.
type raw int

// open opens the journal name, under its other name if it ended in between, and
// returns its name.
func (d *Dir) open(name string) (raw, string, error) {
	f, err := openRaw(filepath.Join(d.runs(), name))
	if base, open := strings.CutSuffix(name, openExt); open && errors.Is(err, fs.ErrNotExist) {
		name = base + endedExt
		f, err = openRaw(filepath.Join(d.runs(), name))
	}
	return f, name, err
}

func openRaw(path string) (raw, error) {
	for {
		// A pipe that someone put there is not waited for.
		fd, err := syscall.Open(path, syscall.O_RDONLY|syscall.O_NONBLOCK|syscall.O_CLOEXEC, 0)
		if !errors.Is(err, syscall.EINTR) {
			return raw(fd), err
		}
	}
}

// Close implements io.Closer. Nothing was written.
func (f raw) Close() error { return syscall.Close(int(f)) }

// ReadAt implements io.ReaderAt.
func (f raw) ReadAt(p []byte, at int64) (n int, err error) {
	for n < len(p) {
		got, err := syscall.Pread(int(f), p[n:], at+int64(n))
		switch {
		case errors.Is(err, syscall.EINTR):
		case errors.Is(err, syscall.ESPIPE), errors.Is(err, syscall.EISDIR):
			return n, errNoFile
		case err != nil:
			return n, err
		case got == 0:
			return n, io.EOF
		default:
			n += got
		}
	}
	return n, nil
}

// from returns a reader of all behind at.
func (f raw) from(at int64) io.Reader { return io.NewSectionReader(f, at, math.MaxInt64-at) }

// size returns how long it is.
func (f raw) size() (int64, error) {
	var info syscall.Stat_t
	if err := syscall.Fstat(int(f), &info); err != nil {
		return 0, err
	}
	if info.Mode&syscall.S_IFMT != syscall.S_IFREG {
		return 0, errNoFile
	}
	return info.Size, nil
}

// alive reports whether the process that writes it lives.
func (f raw) alive() bool {
	if err := syscall.Flock(int(f), syscall.LOCK_SH|syscall.LOCK_NB); err != nil {
		return true
	}
	_ = syscall.Flock(int(f), syscall.LOCK_UN) // closing f does it, too
	return false
}
