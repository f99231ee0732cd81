// Package watch tells when files below a directory have changed. Start with New.
//
// Directories are watched, and not files: an editor that saves by renaming would
// end a file's watch. What changes within a short time is told at once, after the
// last of it.
package watch

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"

	"github.com/mepc/mepc-run/internal/clock"
	"github.com/mepc/mepc-run/internal/failure"
)

// Delay is the quiet time required before changes are reported.
const Delay = 100 * time.Millisecond

// Watcher watches a directory and all below it, but those whose names begin with
// a dot.
type Watcher struct {
	root    string
	clock   clock.Clock
	backend *fsnotify.Watcher
	events  <-chan fsnotify.Event
	errors  <-chan error
	follow  func(dir string) error // watches a directory that is new
}

// New watches root.
func New(root string, clk clock.Clock) (*Watcher, error) {
	backend, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, err
	}
	w := &Watcher{root: root, clock: clk, backend: backend, events: backend.Events, errors: backend.Errors}
	w.follow = w.add
	if err := w.add(root); err != nil {
		return nil, errors.Join(err, backend.Close())
	}
	return w, nil
}

// Close ends the watch.
func (w *Watcher) Close() error { return w.backend.Close() }

// add watches dir and all directories below it. A file is none of them.
func (w *Watcher) add(dir string) error {
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist): // it is gone again
			return nil
		case err != nil:
			return err
		case !d.IsDir():
			return nil
		case path != w.root && strings.HasPrefix(d.Name(), "."):
			return filepath.SkipDir
		}
		return w.backend.Add(path)
	})
}

// Next waits for changes and returns the names of the files, with slashes and
// below the root, in order. The error is the context's cause, or says that the
// watch is broken.
func (w *Watcher) Next(ctx context.Context) ([]string, error) {
	changed := map[string]bool{}
	quiet, stop := make(chan struct{}), context.CancelFunc(func() {})
	defer func() { stop() }()
	for {
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case err := <-w.errors:
			return nil, err
		case e, ok := <-w.events:
			if !ok {
				return nil, fsnotify.ErrClosed
			}
			name, ok := w.name(e)
			if !ok {
				continue
			}
			if e.Has(fsnotify.Create) {
				if err := w.follow(e.Name); err != nil {
					return nil, err
				}
			}
			changed[name] = true
			stop()
			quiet, stop = w.after(ctx)
		case <-quiet:
			return slices.Sorted(maps.Keys(changed)), nil
		}
	}
}

// name returns the file that e is about, unless it is none of ours: a change of
// permissions alone, an editor's own file.
func (w *Watcher) name(e fsnotify.Event) (string, bool) {
	rel, err := filepath.Rel(w.root, e.Name)
	if err != nil || e.Op == fsnotify.Chmod {
		return "", false
	}
	name := filepath.ToSlash(rel)
	for part := range strings.SplitSeq(name, "/") {
		if strings.HasPrefix(part, ".") {
			return "", false
		}
	}
	return name, !strings.HasSuffix(name, "~") && name != "4913" // vim looks if it may write
}

// after returns a channel that is closed when the delay is over.
func (w *Watcher) after(ctx context.Context) (chan struct{}, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	over := make(chan struct{})
	failure.Go(func() error {
		if w.clock.Sleep(ctx, Delay) == nil {
			close(over)
		}
		return nil
	})
	return over, cancel
}
