package lab

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// prefix begins the name of every lab's directory. The name, with its random
// end, is the mark on everything else a lab makes: see residue.
const prefix = "mepc-lab-"

// home is a lab's private directory, locked for as long as the lab lives. The
// kernel drops the lock when this program dies, however it dies, and so tells
// an abandoned lab from one in use without comparing process IDs.
type home struct {
	path string
	lock *os.File
}

// newHome sweeps what dead labs left in parent, then makes a directory there.
func newHome(parent string) (*home, error) {
	if parent == "" {
		parent = os.TempDir()
	}
	parent, err := filepath.Abs(parent)
	if err != nil {
		return nil, err
	}
	// Below it comes a socket path such as
	// /mepc-lab-1234567890/exec/libnetwork/123456789012.sock, and the kernel
	// takes 107 bytes.
	if len(parent) > 45 {
		return nil, fmt.Errorf("make a lab in %s: the path is too long for the sockets below it (45 bytes at most): set TMPDIR to a shorter one", parent)
	}
	sweep(parent)

	// The directory gets its name only once it is locked, so that no sweep
	// takes it for an abandoned one.
	tmp, err := os.MkdirTemp(parent, ".mepc-new-")
	if err != nil {
		return nil, fmt.Errorf("make a lab: %w", err)
	}
	lock, err := lockDir(tmp)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("lock %s: %w", tmp, err), os.RemoveAll(tmp))
	}
	path := filepath.Join(parent, prefix+strings.TrimPrefix(filepath.Base(tmp), ".mepc-new-"))
	if err := os.Rename(tmp, path); err != nil {
		return nil, errors.Join(err, lock.Close(), os.RemoveAll(tmp))
	}
	return &home{path: path, lock: lock}, nil
}

// name is the lab's mark.
func (h *home) name() string { return filepath.Base(h.path) }

func (h *home) join(elem ...string) string {
	return filepath.Join(append([]string{h.path}, elem...)...)
}

// remove takes away everything that carries the lab's mark, the directory last.
// It may be called again.
func (h *home) remove() error {
	err := clearResidue(h.path)
	return errors.Join(err, h.lock.Close())
}

// sweep clears the labs in parent whose program is gone. What it cannot clear
// it leaves for the next one: the lab that is starting is not to blame.
func sweep(parent string) {
	dirs, err := filepath.Glob(filepath.Join(parent, prefix+"*"))
	if err != nil {
		return
	}
	for _, dir := range dirs {
		lock, err := lockDir(dir)
		if err != nil {
			continue // in use, being swept, or not a lab's
		}
		_ = clearResidue(dir)
		_ = lock.Close()
	}
}

// lockDir takes the lock of a lab's directory, or fails at once when another
// process has it or when dir is not a directory of this user.
func lockDir(dir string) (*os.File, error) {
	info, err := os.Lstat(dir)
	if err != nil {
		return nil, err
	}
	var st unix.Stat_t
	if err := unix.Lstat(dir, &st); err != nil {
		return nil, err
	}
	if !info.IsDir() || int(st.Uid) != os.Getuid() {
		return nil, &fs.PathError{Op: "lock", Path: dir, Err: fs.ErrPermission}
	}
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}
