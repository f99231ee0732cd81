package router

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

// What pick can answer instead of a backend.
var (
	errUnknownHost = errors.New("no such host in the routing table")
	errRedisAway   = errors.New("redis is away and the host was never asked for before")
	errNoBackend   = errors.New("the host's list holds no usable backend")
	errAllTried    = errors.New("every backend was tried")
)

// forgetAfter is how long a backend or frontend that is listed no more is kept
// for the admin server.
const forgetAfter = 10 * time.Minute

// table is all the state there is: what the lists held when they were last read,
// which backends are dead, and what is in flight. One lock guards the whole of
// it, and everything done under it takes microseconds; that is what makes "not
// listed and none in flight" a fact and not an observation of two moments.
type table struct {
	cfg *Config

	mu        sync.Mutex
	frontends map[string]*frontend // by key, without "frontend:"
	backends  map[string]*backend  // by URL as listed
	dead      map[string]deadSet   // by host asked for, empty ones left out
	marks     map[string]map[int]mark
}

// frontend is one list, as last read. One that is gone from Redis stays a while
// with exists false, for its numbers.
type frontend struct {
	key    string
	exists bool
	list   []string // the whole list, identifier first
	peers  []*peer  // the usable backends, each once
	readAt time.Time
	goneAt time.Time
	stats  stats
}

func newTable(cfg *Config) *table {
	return &table{
		cfg:       cfg,
		frontends: make(map[string]*frontend),
		backends:  make(map[string]*backend),
		dead:      make(map[string]deadSet),
		marks:     make(map[string]map[int]mark),
	}
}

// reading is what one pipeline brought back.
type reading struct {
	lists map[string][]string // by key; empty when there is no such list
	dead  map[string][]int    // by host
}

// apply makes the table what Redis said. Readings come in the order in which
// they were made: the reader has only one under way.
func (t *table) apply(r reading) {
	now := t.cfg.Clock.Now()
	var left []*backend
	var bad []error

	t.mu.Lock()
	for key, list := range r.lists {
		f := t.frontends[key]
		if f == nil {
			if len(list) == 0 {
				continue // hosts nobody registered leave no trace
			}
			f = &frontend{key: key}
			t.frontends[key] = f
		}
		f.readAt = now
		if f.exists == (len(list) > 0) && slices.Equal(f.list, list) {
			continue
		}
		if f.exists = len(list) > 0; !f.exists {
			f.goneAt = now
		}
		f.list = list
		before := f.peers
		f.peers, bad = t.peersLocked(list, bad)
		for _, p := range before {
			p.backend.listedIn--
		}
		for _, p := range before {
			if p.backend.listedIn == 0 {
				p.backend.left = now
				left = append(left, p.backend)
			}
		}
	}
	for host, indexes := range r.dead {
		if len(indexes) == 0 {
			delete(t.dead, host)
		} else {
			t.dead[host] = deadSet{indexes, now}
		}
	}
	t.mu.Unlock()

	for _, b := range left {
		b.closeIdle()
	}
	for _, err := range bad {
		t.cfg.Log.Warn("a list holds something that is not a backend; it is left out", "error", err)
	}
}

// peersLocked turns a list into peers and counts them as listed.
func (t *table) peersLocked(list []string, bad []error) ([]*peer, []error) {
	if len(list) == 0 {
		return nil, bad
	}
	var peers []*peer
	place := make(map[string]*peer, len(list)-1)
	for _, url := range list[1:] {
		if p := place[url]; p != nil {
			p.weight++
			continue
		}
		b := t.backends[url]
		if b == nil {
			var err error
			if b, err = newBackend(url, t.cfg); err != nil {
				bad = append(bad, fmt.Errorf("%s: %w", list[0], err))
				continue
			}
			t.backends[url] = b
		}
		b.listedIn++
		p := &peer{url: url, weight: 1, backend: b}
		place[url] = p
		peers = append(peers, p)
	}
	return peers, bad
}

// pick chooses a backend for x, not one that x has tried, and counts x as in
// flight there. away says that Redis could not be read. It prefers backends that
// are not dead.
func (t *table) pick(x *exchange, away bool) error {
	now := t.cfg.Clock.Now()
	t.mu.Lock()
	defer t.mu.Unlock()

	f := t.findLocked(x.keys)
	if f != x.frontend {
		if x.frontend != nil {
			x.frontend.stats.end(now, failNone, 0)
		}
		if f != nil {
			f.stats.begin(now)
		}
		x.frontend = f
	}
	if f == nil {
		if away {
			return errRedisAway
		}
		return errUnknownHost
	}
	untried := func(p *peer) bool { return !slices.Contains(x.tried, p.url) }
	var best *peer
	if dead := t.deadLocked(x.host, f, now); len(dead) == 0 {
		best = pickPeer(f.peers, untried)
	} else {
		best = pickPeer(f.peers, func(p *peer) bool { return untried(p) && !slices.Contains(dead, p.url) })
		if best == nil {
			best = pickPeer(f.peers, untried) // all dead: better a dead one than none
		}
	}
	if best == nil {
		if len(x.tried) > 0 {
			return errAllTried
		}
		return errNoBackend
	}
	best.backend.stats.begin(now)
	x.backend = best.backend
	return nil
}

// findLocked returns the first of keys that has a list.
func (t *table) findLocked(keys []string) *frontend {
	for _, key := range keys {
		if f := t.frontends[key]; f != nil && f.exists {
			return f
		}
	}
	return nil
}

// release ends x's attempt on its backend.
func (t *table) release(x *exchange, fail failure) {
	now := t.cfg.Clock.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	x.backend.stats.end(now, fail, x.wait)
	x.tried = append(x.tried, x.backend.url)
	x.backend = nil
}

// finish ends x, and its attempt if it has one.
func (t *table) finish(x *exchange) {
	now := t.cfg.Clock.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	if x.backend != nil {
		x.backend.stats.end(now, x.fail, x.wait)
	}
	if x.frontend != nil {
		x.frontend.stats.end(now, x.fail, x.wait)
	}
}

// known returns every key the table has, so that all can be read again.
func (t *table) known() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	keys := make([]string, 0, len(t.frontends))
	for key := range t.frontends {
		keys = append(keys, key)
	}
	return keys
}

// sweep forgets what has been out of the lists for forgetAfter.
func (t *table) sweep() {
	now := t.cfg.Clock.Now()
	old := func(at time.Time) bool { return now.Sub(at) > forgetAfter }
	var gone []*backend

	t.mu.Lock()
	for url, b := range t.backends {
		if b.listedIn == 0 && b.stats.inFlight == 0 && old(b.left) && old(b.stats.last) {
			delete(t.backends, url)
			gone = append(gone, b)
		}
	}
	for key, f := range t.frontends {
		if !f.exists && f.stats.inFlight == 0 && old(f.goneAt) {
			delete(t.frontends, key)
		}
	}
	for host, d := range t.dead {
		if old(d.readAt) {
			delete(t.dead, host)
		}
	}
	t.sweepMarksLocked(now)
	t.mu.Unlock()

	for _, b := range gone {
		b.closeIdle()
	}
}

// closeIdle drops every idle connection to a backend.
func (t *table) closeIdle() {
	t.mu.Lock()
	all := make([]*backend, 0, len(t.backends))
	for _, b := range t.backends {
		all = append(all, b)
	}
	t.mu.Unlock()
	for _, b := range all {
		b.closeIdle()
	}
}
