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
)

// Names says what of a directory is of interest.
type Names struct {
	Suffix string          // what ends so; empty: nothing does
	Each   map[string]bool // what has one of these names
	Any    bool            // whatever it is called
}

func (n Names) has(name string) bool {
	return n.Any || n.Each[name] || n.Suffix != "" && strings.HasSuffix(name, n.Suffix)
}

// Set watches directories that its user names, and names anew when links or what
// is in them have changed. Start with NewSet, then Watch, then Next.
type Set struct {
	dirs    map[string]Names
	backend *fsnotify.Watcher
}

// NewSet returns a Set that watches nothing yet.
func NewSet() (*Set, error) {
	backend, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, err
	}
	return &Set{backend: backend}, nil
}

// Close ends the watch.
func (s *Set) Close() error { return s.backend.Close() }

// Watch watches dirs, whose paths have no links in them, and nothing else. One that
// is gone again is left out. The error is that of one that cannot be watched; the
// others are.
func (s *Set) Watch(dirs map[string]Names) error {
	for _, dir := range s.backend.WatchList() {
		if _, wanted := dirs[dir]; !wanted {
			_ = s.backend.Remove(dir) // it may be gone
		}
	}
	s.dirs = dirs
	var first error
	for _, dir := range slices.Sorted(maps.Keys(dirs)) {
		// Always: the directory of that name may be another one than before.
		err := s.backend.Add(dir)
		if err != nil && !errors.Is(err, fs.ErrNotExist) && first == nil {
			first = err
		}
	}
	return first
}

// Dirs returns how many directories are watched.
func (s *Set) Dirs() int { return len(s.backend.WatchList()) }

// Next waits until something of interest has changed and it was quiet for the time
// delay, at the longest ten times that, and returns the paths. None means that
// anything may have changed: events got lost, or none came for the time idle.
func (s *Set) Next(ctx context.Context, delay, idle time.Duration) ([]string, error) {
	e, err := s.event(ctx, idle)
	changed, lost := map[string]bool{}, false
	longest, stop := context.WithTimeout(ctx, 10*delay)
	defer stop()
	for ; e != (fsnotify.Event{}) && err == nil; e, err = s.event(longest, delay) {
		lost = lost || e.Name == ""
		changed[e.Name] = true
	}
	switch {
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case err != nil || lost:
		return nil, err
	}
	return slices.Sorted(maps.Keys(changed)), nil
}

// lostEvents stands for events that the kernel had no room for.
var lostEvents = fsnotify.Event{Op: fsnotify.Write}

// event returns the next event of interest, or none after the time most.
func (s *Set) event(ctx context.Context, most time.Duration) (none fsnotify.Event, err error) {
	ctx, stop := context.WithTimeout(ctx, most)
	defer stop()
	for {
		select {
		case <-ctx.Done():
			return none, nil
		case err := <-s.backend.Errors:
			if errors.Is(err, fsnotify.ErrEventOverflow) {
				return lostEvents, nil
			}
			return none, err
		case e, ok := <-s.backend.Events:
			switch {
			case !ok:
				return none, fsnotify.ErrClosed
			case s.concerns(e):
				return e, nil
			}
		}
	}
}

// Quiet reports whether nothing of interest has changed since Next returned.
func (s *Set) Quiet() bool {
	for {
		select {
		case e, ok := <-s.backend.Events:
			if !ok || s.concerns(e) {
				return false
			}
		default:
			return true
		}
	}
}

func (s *Set) concerns(e fsnotify.Event) bool {
	if e.Op == fsnotify.Chmod {
		return false
	}
	if _, itself := s.dirs[e.Name]; itself {
		return true
	}
	return s.dirs[filepath.Dir(e.Name)].has(filepath.Base(e.Name))
}
