package router

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"time"
)

// Keeper keeps the table for the next start.
type Keeper interface {
	// Load returns what Save was given last; nothing when there is none.
	Load() ([]byte, error)
	// Save replaces it whole, or leaves it.
	Save([]byte) error
}

const (
	saveEvery = 5 * time.Second
	// savedFor is the maximum age of a saved list that is served: after
	// longer its addresses may be someone else's.
	savedFor = 24 * time.Hour
)

// savedTable is the file: a version, the table, and a digest over that, so that a torn
// or edited file is noticed.
type savedTable struct {
	Version int             `json:"version"`
	Digest  string          `json:"sha256"`
	Table   json.RawMessage `json:"table"`
}

type savedFrontend struct {
	List     []string          `json:"list"`
	Settings map[string]string `json:"settings,omitempty"`
	ReadAt   time.Time         `json:"read_at"`
}

func (s *savedTable) digest() string {
	sum := sha256.Sum256(s.Table)
	return hex.EncodeToString(sum[:])
}

// save returns the table as a file, and the state of the table that it is of. It is
// nil when the table is still in the state before.
func (t *table) save(before uint64) (file []byte, state uint64, err error) {
	t.mu.Lock()
	if state = t.state; state == before {
		t.mu.Unlock()
		return nil, state, nil
	}
	all := make(map[string]savedFrontend, len(t.frontends))
	for key, f := range t.frontends {
		if f.exists {
			all[key] = savedFrontend{f.list, maps.Clone(f.hash), f.readAt.UTC()}
		}
	}
	t.mu.Unlock()
	s := savedTable{Version: 1}
	if s.Table, err = json.Marshal(all); err != nil {
		return nil, state, err
	}
	s.Digest = s.digest()
	file, err = json.Marshal(s)
	return file, state, err
}

// load makes the table what file says, to be served until Redis is read.
func (t *table) load(file []byte) (n int, err error) {
	var s savedTable
	if err := json.Unmarshal(file, &s); err != nil {
		return 0, fmt.Errorf("it is not whole: %w", err)
	}
	if s.Version != 1 {
		return 0, fmt.Errorf("it is of version %d", s.Version)
	}
	if s.Digest != s.digest() {
		return 0, errors.New("it was changed: its digest is another")
	}
	var all map[string]savedFrontend
	if err := json.Unmarshal(s.Table, &all); err != nil {
		return 0, err
	}
	now := t.cfg.Clock.Now()
	got := reading{lists: make(map[string][]string), settings: make(map[string]map[string]string)}
	for key, f := range all {
		if age := now.Sub(f.ReadAt); age < savedFor && len(f.List) > 0 {
			got.lists[key], got.settings[key] = f.List, f.Settings
		}
	}
	t.apply(got)
	t.mu.Lock()
	defer t.mu.Unlock()
	for key, f := range t.frontends {
		f.readAt = all[key].ReadAt
	}
	return len(got.lists), nil
}

// remember loads what was saved; what is wrong with it is logged, and it is not used.
func (r *Router) remember() {
	file, err := r.cfg.Keeper.Load()
	if err == nil && len(file) == 0 {
		return
	}
	n := 0
	if err == nil {
		n, err = r.table.load(file)
	}
	if err != nil {
		r.cfg.Log.Warn("the saved table is not used", "error", err)
		return
	}
	r.cfg.Log.Info("the saved table serves until Redis is read", "hosts", n)
}

// keepSaving saves the table when it changed, until the router ends, and then once more.
func (r *Router) keepSaving() {
	var saved uint64
	var said string
	for ended := false; !ended; {
		ended = r.cfg.Clock.Sleep(r.life, saveEvery) != nil
		select {
		case <-r.followed: // the follower keeps it
			return
		default:
		}
		file, state, err := r.table.save(saved)
		if err == nil && file != nil {
			err = r.cfg.Keeper.Save(file)
		}
		switch {
		case err == nil:
			saved, said = state, ""
		case said != err.Error():
			said = err.Error()
			r.cfg.Log.Warn("the table cannot be saved", "error", err)
		}
	}
}
