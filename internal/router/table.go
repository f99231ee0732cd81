package router

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// What pick can answer instead of a backend.
var (
	errUnknownHost = errors.New("no such host in the routing table")
	errRedisAway   = errors.New("redis is away and the host was never requested before")
	errNoBackend   = errors.New("the host's list holds no usable backend")
	errAllTried    = errors.New("every backend was tried")
)

// forgetAfter is the time a backend or frontend that is no longer listed is kept
// for the admin server.
const forgetAfter = 10 * time.Minute

// table is all the state there is: what the lists held when they were last read,
// which backends are dead, and what is in flight. One lock guards the whole of
// it, and everything done under it takes microseconds; that is what makes "not
// listed and none in flight" a fact and not an observation of two moments.
type table struct {
	cfg      *Config
	readings atomic.Uint64    // how many have begun
	readAt   atomic.Int64     // when the last one came, in Unix nanoseconds
	check    func(key string) // starts the health checks of a frontend

	mu        sync.Mutex
	state     uint64               // grows with every change that is worth saving
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
	list   []string          // the whole list, identifier first
	peers  []*peer           // the usable backends, each once
	hash   map[string]string // its settings in Redis
	want   *settings         // the same, checked
	checks bool              // something checks its backends
	began  uint64            // the reading that it is of
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

// reading holds the answers of one pipeline.
type reading struct {
	began    uint64                       // its place in the order in which readings began
	lists    map[string][]string          // by key; empty when there is no such list
	settings map[string]map[string]string // by key
	dead     map[string][]int             // by host
}

// apply makes the table what Redis said. Of two readings of a list that were under
// way at one time the one that began last counts: it was read after all that the
// other was read for arrived.
func (t *table) apply(r reading) {
	now := t.cfg.Clock.Now()
	var left []*backend
	var bad, wrong []error
	var check []string

	t.mu.Lock()
	for key, list := range r.lists {
		f := t.frontends[key]
		if f == nil {
			if len(list) == 0 {
				continue // hosts nobody registered leave no trace
			}
			f = &frontend{key: key, want: &settings{}}
			t.frontends[key] = f
		}
		if r.began < f.began {
			continue
		}
		if now.Sub(f.readAt) > savedFor/24 {
			t.state++ // it is known to be good for longer
		}
		f.readAt, f.began = now, r.began
		if hash := r.settings[key]; !maps.Equal(hash, f.hash) {
			want, errs := parseSettings(hash)
			for name, err := range errs {
				if said, ok := f.hash[name]; !ok || said != hash[name] {
					wrong = append(wrong, fmt.Errorf("%s%s: %w", settingsPrefix, key, err))
				}
			}
			f.hash, f.want = hash, &want
			t.state++
		}
		if f.want.health.path != "" && len(list) > 0 && !f.checks {
			f.checks = true
			check = append(check, key)
		}
		if f.exists == (len(list) > 0) && slices.Equal(f.list, list) {
			continue
		}
		if f.exists = len(list) > 0; !f.exists {
			f.goneAt = now
		}
		f.list = list
		t.state++
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
		switch {
		case r.began < t.dead[host].began:
		case len(indexes) == 0:
			delete(t.dead, host)
		default:
			t.dead[host] = deadSet{indexes, now, r.began}
		}
	}
	t.mu.Unlock()

	for _, b := range left {
		b.closeIdle()
	}
	for _, err := range bad {
		t.cfg.Log.Warn("a list holds something that is not a backend; it is ignored", "error", err)
	}
	for _, err := range wrong {
		t.cfg.Log.Warn("a setting is wrong and has no effect", "error", err)
	}
	for _, key := range check {
		t.check(key)
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
	dead := t.deadLocked(x.host, f, now)
	fine := func(p *peer) bool {
		return untried(p) && !slices.Contains(dead, p.url) && !p.backend.onTrial()
	}
	best := pickPeer(f.peers, x.home(f.peers, fine), fine)
	if best == nil {
		best = pickPeer(f.peers, nil, untried) // all dead: better a dead one than none
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

// settings returns those of the first of keys that has a list.
func (t *table) settings(keys []string) *settings {
	t.mu.Lock()
	defer t.mu.Unlock()
	if f := t.findLocked(keys); f != nil {
		return f.want
	}
	return &settings{}
}

// has reports whether key itself has a list.
func (t *table) has(key string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	f := t.frontends[key]
	return f != nil && f.exists
}

// likely says how many of each host's lookups are worth reading: up to the one that
// has the list, if that is known.
func (t *table) likely(hosts map[string]struct{}) map[string]int {
	out := make(map[string]int, len(hosts))
	t.mu.Lock()
	defer t.mu.Unlock()
	for h := range hosts {
		keys := lookups(h)
		out[h] = len(keys)
		if f := t.findLocked(keys); f != nil {
			out[h] = slices.Index(keys, f.key) + 1
		}
	}
	return out
}

// release ends x's attempt on its backend.
func (t *table) release(x *exchange, fail mishap) {
	now := t.cfg.Clock.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	x.backend.stats.end(now, fail, x.wait)
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

// listing returns the keys of the lists that hold one of urls, as last read.
func (t *table) listing(urls []string) (keys []string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for key, f := range t.frontends {
		if slices.ContainsFunc(f.peers, func(p *peer) bool { return slices.Contains(urls, p.url) }) {
			keys = append(keys, key)
		}
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
