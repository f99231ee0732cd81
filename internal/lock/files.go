package lock

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/mepc/mepc-run/internal/clock"
	"github.com/mepc/mepc-run/internal/failure"
)

// Files is a directory that has locks, for one machine alone. Each app has a file
// with its last holder, from which the next token follows, and it is changed
// under the kernel's lock of a file beside it.
type Files struct {
	dir   string
	clock clock.Clock
}

// InFiles returns the place in a directory, which need not exist yet.
func InFiles(dir string, clk clock.Clock) *Files { return &Files{dir, clk} }

// String names the directory.
func (f *Files) String() string { return f.dir }

// entry is the content of an app's file.
type entry struct {
	Fence  int64   `json:"fence"`
	Holder *Holder `json:"holder,omitempty"`
}

// live returns the holder, unless its time is over.
func (e *entry) live(now time.Time) *Holder {
	if e.Holder == nil || !e.Holder.Manual() && now.Sub(e.Holder.Renewed) > e.Holder.life() {
		return nil
	}
	return e.Holder
}

// change lets f change app's entry while nobody else can.
func (f *Files) change(app string, change func(*entry) error) error {
	err := f.locked(app, change)
	if err == nil || errors.Is(err, ErrLost) || failure.As(err) != nil {
		return err
	}
	return failure.Wrap(failure.Unavailable, err, "the lock in %s", f.dir)
}

func (f *Files) locked(app string, change func(*entry) error) error {
	if err := os.MkdirAll(f.dir, 0o700); err != nil {
		return err
	}
	name := filepath.Join(f.dir, url.PathEscape(app))
	mutex, err := os.OpenFile(name+".mutex", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	defer mutex.Close()
	if err := syscall.Flock(int(mutex.Fd()), syscall.LOCK_EX); err != nil { // held for a few milliseconds
		return err
	}
	e := &entry{}
	data, err := os.ReadFile(name + ".json")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err == nil {
		if err := json.Unmarshal(data, e); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	before, err := json.Marshal(e)
	if err != nil {
		return err
	}
	if err := change(e); err != nil {
		return err
	}
	after, err := json.Marshal(e)
	if err != nil || string(after) == string(before) {
		return err
	}
	if err := os.WriteFile(name+".new", after, 0o600); err != nil {
		return err
	}
	return os.Rename(name+".new", name+".json")
}

// Take implements Place.
func (f *Files) Take(_ context.Context, app string, h Holder, over *Holder, floor int64) (*Holder, error) {
	var got *Holder
	err := f.change(app, func(e *entry) error {
		at := f.clock.Now()
		now := e.live(at)
		switch {
		case now != nil && !now.yields(&h, over):
			got = now
			return nil
		case now == nil && e.Holder != nil && !e.Holder.yields(&h, over):
			dead := *e.Holder
			dead.late = true // or the clock was put forward
			got = &dead
			return nil
		case now != nil && now.Owner == h.Owner:
			h.Token, h.Since = now.Token, now.Since
		default:
			h.Token, h.Since = max(e.Fence+1, floor+1, at.UnixMilli()), at
		}
		h.Renewed = at
		got, e.Holder, e.Fence = &h, &h, h.Token
		return nil
	})
	return got, err
}

// Renew implements Place.
func (f *Files) Renew(_ context.Context, app string, h Holder, gone bool) error {
	return f.change(app, func(e *entry) error {
		if e.Fence != h.Token || e.Holder == nil || e.Holder.Owner != h.Owner || gone && e.live(f.clock.Now()) == nil {
			return ErrLost
		}
		h.Renewed = f.clock.Now()
		e.Holder = &h
		return nil
	})
}

// Release implements Place.
func (f *Files) Release(_ context.Context, app, owner string) error {
	return f.change(app, func(e *entry) error {
		if e.Holder != nil && e.Holder.Owner == owner {
			e.Holder = nil
		}
		return nil
	})
}

// Look implements Place.
func (f *Files) Look(_ context.Context, app string) (*Holder, error) {
	var h *Holder
	err := f.change(app, func(e *entry) error {
		h = e.live(f.clock.Now())
		return nil
	})
	return h, err
}
