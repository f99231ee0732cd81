package journal

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// A run that begins removes at most so much of what others left: it is not to wait
// for that, and the next one goes on.
const (
	pruneFiles = 32
	pruneBytes = 64 << 20
)

// keepCutOff is the minimum number of interrupted runs kept: whatever
// --keep-runs says, there is work to be done about them.
const keepCutOff = 100

// Tidy removes the journals beyond the newest keep of runs that ended, those older
// than age, be the run ended or cut off, and the sources that no journal names any
// more. It returns the interrupted runs that were not dealt with, newest
// first.
func (d *Dir) Tidy(keep int, age time.Duration) ([]*Head, error) {
	names, err := d.names()
	if err != nil {
		return nil, err
	}
	var left []*Head
	for _, h := range d.heads(opened(names)) {
		switch {
		case h == nil:
		case h.CutOff():
			left = append(left, h)
		case !h.locked && (h.Ended != nil || h.Settled != nil): // its process died before it said so
			_ = d.finish(filepath.Join(d.runs(), h.ID+openExt)) // or the next run does
		}
	}
	return left, d.prune(names, keep, age)
}

// prune removes journals from the oldest on, and what they alone needed.
func (d *Dir) prune(names []string, keep int, age time.Duration) error {
	oldest := d.clock.Now().UTC().Add(-age).Format(idTime)
	open := opened(names)
	ended := slices.DeleteFunc(slices.Clone(names), func(name string) bool { return filepath.Ext(name) == openExt })
	files, bytes := 0, int64(0)
	for _, list := range []*[]string{&ended, &open} {
		most := keep
		if list == &open {
			most = max(keep, keepCutOff)
		}
		for at := len(*list) - 1; at >= 0 && files < pruneFiles && bytes < pruneBytes; at-- {
			name := (*list)[at]
			if at < most && name >= oldest {
				break // as are those that are newer
			}
			size, err := d.remove(name)
			if err != nil {
				return err
			}
			if size >= 0 {
				files, bytes = files+1, bytes+size
				*list = slices.Delete(*list, at, at+1)
			}
		}
	}
	if files == 0 {
		return nil
	}
	return errors.Join(d.pruneAnswers(ended, open), d.pruneSources(ended, open))
}

// remove removes the journal name unless its run goes on, and returns how long it
// was; -1 when it stays.
func (d *Dir) remove(name string) (int64, error) {
	path := filepath.Join(d.runs(), name)
	info, err := os.Lstat(path)
	if err == nil && filepath.Ext(name) == openExt && info.Mode().IsRegular() {
		f, err := openRaw(path)
		if err != nil {
			return -1, absent(err)
		}
		// One that is empty and not locked yet is about to begin.
		goesOn := f.alive() || info.Size() == 0 && d.clock.Now().Sub(info.ModTime()) < time.Hour
		if err := f.Close(); err != nil || goesOn {
			return -1, err
		}
	}
	if err == nil {
		err = os.Remove(path)
	}
	if err != nil {
		return -1, absent(err) // another process was faster
	}
	return info.Size(), nil
}

// absent returns err, unless it says that there is no such file.
func absent(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// pruneAnswers removes the answers to questions of runs that are not there.
func (d *Dir) pruneAnswers(ended, open []string) error {
	answers, err := list(d.answers())
	if err != nil || len(answers) == 0 {
		return err
	}
	for _, name := range answers {
		id := strings.TrimSuffix(name, filepath.Ext(name)) // RUN.N
		id = strings.TrimSuffix(id, filepath.Ext(id))
		if slices.Contains(open, id+openExt) || slices.Contains(ended, id+endedExt) || strings.HasPrefix(name, newAnswer) {
			continue
		}
		if err := absent(os.Remove(filepath.Join(d.answers(), name))); err != nil {
			return err
		}
	}
	return nil
}

// pruneSources removes the sources that none of the journals names. A run marks
// what it loads with a time that is not before its own. So what was marked before
// the oldest journal of an ended run can only be named by one that is older still,
// of a run that was cut off or goes on: those are read.
func (d *Dir) pruneSources(ended, open []string) error {
	oldest := d.clock.Now()
	if n := len(ended); n > 0 {
		if oldest = timeOf(ended[n-1]); oldest.IsZero() {
			return nil // it does not say when it began
		}
	}
	unlock, err := d.lockSources(syscall.LOCK_EX | syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return nil // a run loads some: the next one looks again
	}
	if err != nil {
		return err
	}
	defer unlock()
	unmarked, err := d.unmarked(oldest)
	if err != nil || len(unmarked) == 0 {
		return err
	}
	named, all := d.named(open, oldest)
	now := d.clock.Now()
	for _, hash := range unmarked {
		path := filepath.Join(d.sources(), hash)
		if all && !named[hash] {
			err = os.Remove(path)
		} else {
			err = os.Chtimes(path, now, now) // it is not looked for again at once
		}
		if err := absent(err); err != nil {
			return err
		}
	}
	return nil
}

// unmarked returns the sources that no run marked since oldest.
func (d *Dir) unmarked(oldest time.Time) ([]string, error) {
	names, err := list(d.sources())
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(names, func(name string) bool {
		info, err := os.Lstat(filepath.Join(d.sources(), name))
		if err != nil || name == sourcesLock {
			return true
		}
		marked := info.ModTime()
		if marked.Nanosecond() == 0 { // a backup keeps whole seconds
			marked = marked.Add(time.Second)
		}
		return !marked.Before(oldest)
	}), nil
}

// scanMost limits how much of the journals is read to find the sources that they name.
const scanMost = 64 << 20

// named returns the hashes of the sources that the open journals before oldest name,
// and whether all of those were read.
func (d *Dir) named(open []string, oldest time.Time) (hashes map[string]bool, all bool) {
	hashes = map[string]bool{}
	read := int64(0)
	for _, name := range open {
		if t := timeOf(name); !t.IsZero() && !t.Before(oldest) {
			continue
		}
		info, err := os.Lstat(filepath.Join(d.runs(), name))
		if err != nil {
			continue // it is gone, or has ended since
		}
		if read += info.Size(); read > scanMost {
			return hashes, false
		}
		_, _ = d.load(name, func(t Type) bool { return t == SourceRead }, func(r *Record) error {
			if r.Source != nil {
				hashes[r.Source.Hash] = true
			}
			return nil
		})
	}
	return hashes, true
}
