// Package disk writes files as a whole or not at all: a reader, and a crash, find the
// old one or the new one. Only their owner may read them. Start with Write.
package disk

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
)

// Write writes a file. After a crash it may be the old one, until SyncDir.
func Write(name string, data []byte) error {
	f, err := New(name)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	return Publish(f, name, err)
}

// New makes what is to become the file name, beside it.
func New(name string) (*os.File, error) {
	return os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+".*")
}

// Publish closes f and gives it its name; or, where writing it failed, removes it.
func Publish(f *os.File, name string, failed error) error {
	if failed == nil {
		failed = f.Sync()
	}
	if err := f.Close(); failed == nil {
		failed = err
	}
	if failed == nil {
		failed = os.Rename(f.Name(), name)
	}
	if failed != nil {
		_ = os.Remove(f.Name())
	}
	return failed
}

// SyncDir makes durable which files a directory has.
func SyncDir(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	err = f.Sync()
	if errors.Is(err, syscall.EINVAL) { // file systems that cannot, and need not
		err = nil
	}
	if closed := f.Close(); err == nil {
		err = closed
	}
	return err
}
