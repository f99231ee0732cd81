package journal

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/mepc/mepc-run/internal/disk"
	"github.com/mepc/mepc-run/internal/failure"
)

// sources are the recipes' files, each once, named by its SHA-256. The time of a
// file is that of the last run that loaded it.
func (d *Dir) sources() string { return filepath.Join(d.path, "sources") }

// keepSource keeps text, durably, for a run that began at began, and returns its
// hash.
func (d *Dir) keepSource(text []byte, began time.Time) (string, error) {
	sum := sha256.Sum256(text)
	hash := hex.EncodeToString(sum[:])
	unlock, err := d.lockSources(syscall.LOCK_SH)
	if err != nil {
		return hash, err
	}
	defer unlock()
	path := filepath.Join(d.sources(), hash)
	if kept, err := os.ReadFile(path); err != nil || !bytes.Equal(kept, text) {
		if err := d.writeSource(path, text); err != nil {
			return hash, err
		}
	}
	used := d.clock.Now()
	if used.Before(began) {
		used = began
	}
	if info, err := os.Stat(path); err == nil && info.ModTime().After(used) {
		return hash, nil
	}
	return hash, os.Chtimes(path, used, used)
}

// writeSource writes text to path so that a reader finds all of it, or nothing.
func (d *Dir) writeSource(path string, text []byte) error {
	if err := disk.Write(path, text); err != nil {
		return err
	}
	return disk.SyncDir(d.sources())
}

const sourcesLock = ".lock"

// lockSources keeps sources from being removed (LOCK_SH) or used (LOCK_EX).
func (d *Dir) lockSources(how int) (unlock func(), err error) {
	f, err := os.OpenFile(filepath.Join(d.sources(), sourcesLock), os.O_CREATE|os.O_RDWR, 0o600)
	if errors.Is(err, fs.ErrNotExist) {
		if err := os.MkdirAll(d.sources(), 0o700); err != nil {
			return nil, err
		}
		if err := disk.SyncDir(d.path); err != nil {
			return nil, err
		}
		return d.lockSources(how)
	}
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), how); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return func() { _ = f.Close() }, nil // nothing was written
}

// Sources returns the recipe's files as the run loaded them, by name.
func (d *Dir) Sources(run *Run) (map[string]string, error) {
	files := map[string]string{}
	for _, r := range run.Records {
		if r.Source == nil {
			continue
		}
		text := r.Source.Text
		if hash := r.Source.Hash; hash != "" {
			data, err := d.source(hash)
			if err != nil {
				return nil, failure.Wrap(failure.Journal, err, "read %s as run %s loaded it", r.Source.File, run.ID).
					WithHint("to deploy, run the recipe: it finds what that run left")
			}
			text = string(data)
		}
		files[r.Source.File] = text
	}
	return files, nil
}

func (d *Dir) source(hash string) ([]byte, error) {
	path := filepath.Join(d.sources(), filepath.Base(hash))
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	if sum := sha256.Sum256(data); hex.EncodeToString(sum[:]) != hash {
		return nil, errors.New(path + " is damaged: its text is not that of its name")
	}
	return data, nil
}
