package journal

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// Settle notes in the journal of a run that was cut off that another dealt with
// it, and how. With durable it waits until that is on disk.
func (d *Dir) Settle(id string, by By, durable bool) error {
	path := filepath.Join(d.runs(), id+openExt)
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // someone else did
	}
	if err != nil {
		return err
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if err == nil && d.isAt(f, path) {
		err = d.settle(f, path, by, durable)
	}
	return errors.Join(err, f.Close())
}

// isAt reports whether f is still the file at path: another may have settled and
// renamed it before f was locked.
func (d *Dir) isAt(f *os.File, path string) bool {
	mine, err := f.Stat()
	there, missing := os.Stat(path)
	return err == nil && missing == nil && os.SameFile(mine, there)
}

func (d *Dir) settle(f *os.File, path string, by By, durable bool) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	h := &Head{}
	from, err := h.readFirst(&ends{rest: f})
	if err == nil {
		err = h.Bad
	}
	if err != nil {
		return err
	}
	end, err := h.readTail(&ends{rest: f}, from, info.Size())
	switch {
	case err != nil:
		return err
	case end < 0: // no whole line is near: what follows begins a line of its own
		end = info.Size()
		if _, err := f.WriteAt([]byte("\n"), end); err != nil {
			return err
		}
		end++
	default:
		if err := f.Truncate(end); err != nil {
			return err
		}
	}
	if _, err := f.Seek(end, 0); err != nil {
		return err
	}
	j := &Journal{dir: d, path: path, file: f, clock: d.clock, n: h.n, effects: max(h.Effects, 0)}
	if err := j.write(&Record{Type: Settled, By: &by}, durable); err != nil {
		return err
	}
	return d.finish(path)
}
