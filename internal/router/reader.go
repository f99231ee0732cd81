package router

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/mepc/mepc-run/internal/failure"
)

const (
	frontendPrefix = "frontend:"
	probeEvery     = 500 * time.Millisecond
	probeHosts     = 100
)

// reader keeps the table up to date on behalf of requests. At most one pipeline
// is under way; callers that come meanwhile share the next one, so what refresh
// brings was always read after refresh was called.
type reader struct {
	ctx    context.Context // ends with the router, not with a request
	cfg    *Config
	table  *table
	bg     *workers
	mu     sync.Mutex
	busy   bool   // someone runs a batch
	next   *batch // what is to be run after it
	away   bool   // Redis did not answer; a probe is trying
	awayAt time.Time
}

type batch struct {
	hosts map[string]struct{}
	done  chan struct{}
	err   error
}

// refresh reads the lists that hosts may be under. An error means that Redis was
// not read and the table holds what was last known.
func (r *reader) refresh(ctx context.Context, hosts ...string) error {
	r.mu.Lock()
	if r.away {
		r.mu.Unlock()
		return errRedisAway
	}
	if r.next == nil {
		r.next = &batch{hosts: make(map[string]struct{}, len(hosts)), done: make(chan struct{})}
	}
	b := r.next
	for _, h := range hosts {
		b.hosts[h] = struct{}{}
	}
	if r.busy {
		r.mu.Unlock()
		select {
		case <-b.done:
			return b.err
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	r.busy, r.next = true, nil
	r.mu.Unlock()

	// The first to come runs its batch itself, which saves the quiet router a
	// hand-over, and leaves what has gathered meanwhile to a goroutine.
	r.run(b)
	if next := r.take(); next != nil {
		rest := func() {
			for ; next != nil; next = r.take() {
				r.run(next)
			}
		}
		if !r.bg.start(rest) {
			rest() // the router is at its end, so this fails at once for all of them
		}
	}
	return b.err
}

// take returns the batch that has gathered, or nil when the reader may rest.
func (r *reader) take() *batch {
	r.mu.Lock()
	defer r.mu.Unlock()
	b := r.next
	r.next = nil
	r.busy = b != nil
	return b
}

func (r *reader) run(b *batch) {
	defer close(b.done)
	if r.isAway() {
		b.err = errRedisAway // it joined before the circuit opened; no second wait
		return
	}
	if b.err = failure.Protect(func() error { return r.read(r.ctx, b.hosts) }); b.err != nil {
		r.opened(b)
	}
}

// read fetches hosts and applies what came. A failure that is not a timeout is
// tried once more: reading is harmless, and a connection from the pool may be
// one that Redis has closed.
func (r *reader) read(ctx context.Context, hosts map[string]struct{}) error {
	ctx, cancel := context.WithTimeout(ctx, r.cfg.RedisTimeout)
	defer cancel()
	began := r.table.readings.Add(1)
	got, err := r.fetch(ctx, hosts)
	if err != nil && ctx.Err() == nil {
		got, err = r.fetch(ctx, hosts)
	}
	if err != nil {
		return err
	}
	got.began = began
	r.table.apply(got)
	r.table.readAt.Store(r.cfg.Clock.Now().UnixNano())
	return nil
}

// fetch is one round trip: the keys of each host down to the one that served it
// last time. When none of them has a list, a second one reads the rest.
func (r *reader) fetch(ctx context.Context, hosts map[string]struct{}) (reading, error) {
	got := reading{lists: make(map[string][]string), settings: make(map[string]map[string]string), dead: make(map[string][]int)}
	keys, dead := make(map[string]struct{}), make([]string, 0, len(hosts))
	likely := r.table.likely(hosts)
	for h, n := range likely {
		for _, key := range lookups(h)[:n] {
			keys[key] = struct{}{}
		}
		dead = append(dead, h)
	}
	if err := r.ask(ctx, got, keys, dead); err != nil {
		return reading{}, err
	}
	rest := make(map[string]struct{})
	for h, n := range likely {
		all := lookups(h)
		if n == len(all) || slices.ContainsFunc(all[:n], func(key string) bool { return len(got.lists[key]) > 0 }) {
			continue
		}
		for _, key := range all[n:] {
			rest[key] = struct{}{}
		}
	}
	if len(rest) == 0 {
		return got, nil
	}
	return got, r.ask(ctx, got, rest, nil)
}

// ask is one pipeline. LRANGE goes before SMEMBERS: an edit in between then
// pairs an old list with an emptied set, never a new list with old indexes. It is
// no MULTI since a cluster may keep the keys in different slots.
func (r *reader) ask(ctx context.Context, got reading, keys map[string]struct{}, hosts []string) error {
	pipe := r.cfg.Redis.Pipeline()
	lists := make(map[string]*redis.StringSliceCmd, len(keys))
	hashes := make(map[string]*redis.MapStringStringCmd, len(keys))
	for key := range keys {
		lists[key] = pipe.LRange(ctx, frontendPrefix+key, 0, -1)
		hashes[key] = pipe.HGetAll(ctx, settingsPrefix+key)
	}
	dead := make(map[string]*redis.StringSliceCmd, len(hosts))
	for _, h := range hosts {
		dead[h] = pipe.SMembers(ctx, deadPrefix+h)
	}
	// Exec's own error is the first of the commands', so each is looked at.
	_, _ = pipe.Exec(ctx)

	for key, cmd := range lists {
		list, err := cmd.Result()
		if wrongType(err) {
			r.cfg.Log.Debug("not a list; what was last known of it stays", "key", frontendPrefix+key)
			continue
		}
		if err != nil {
			return fmt.Errorf("read %s%s: %w", frontendPrefix, key, err)
		}
		got.lists[key] = list
	}
	for key, cmd := range hashes {
		hash, err := cmd.Result()
		if refused(err) {
			hash = map[string]string{err.Error(): ""} // reported once, as a wrong setting is
		} else if err != nil {
			return fmt.Errorf("read %s%s: %w", settingsPrefix, key, err)
		}
		got.settings[key] = hash
	}
	for h, cmd := range dead {
		members, err := cmd.Result()
		if err != nil && !wrongType(err) {
			return fmt.Errorf("read %s%s: %w", deadPrefix, h, err)
		}
		var indexes []int
		for _, m := range members {
			if i, err := strconv.Atoi(m); err == nil && i >= 0 {
				indexes = append(indexes, i)
			}
		}
		got.dead[h] = indexes
	}
	return nil
}

// refused tells what Redis will not say of one key from a Redis that cannot answer: a
// user who may read the lists may not be allowed to read settings.
func refused(err error) bool {
	var reply redis.Error
	return wrongType(err) || errors.As(err, &reply) && strings.HasPrefix(reply.Error(), "NOPERM")
}

// wrongType tells a key of the wrong type, someone's mistake in one key, from a
// Redis that cannot answer.
func wrongType(err error) bool {
	var reply redis.Error
	return errors.As(err, &reply) && strings.HasPrefix(reply.Error(), "WRONGTYPE")
}

func (r *reader) isAway() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.away
}

// opened stops asking Redis for requests and starts the probe that goes on asking
// what b asked.
func (r *reader) opened(b *batch) {
	if r.ctx.Err() != nil {
		return // not Redis but the router ended
	}
	r.mu.Lock()
	r.away, r.awayAt = true, r.cfg.Clock.Now()
	r.mu.Unlock()
	r.cfg.Log.Warn("redis is away: serving the last known lists until it answers", "error", b.err)

	hosts := make(map[string]struct{})
	for h := range b.hosts {
		if hosts[h] = struct{}{}; len(hosts) == probeHosts {
			break
		}
	}
	r.bg.keep(func() { r.probe(hosts) })
}

func (r *reader) probe(hosts map[string]struct{}) {
	for r.cfg.Clock.Sleep(r.ctx, probeEvery) == nil {
		if r.read(r.ctx, hosts) != nil {
			continue
		}
		r.mu.Lock()
		r.away = false
		after := r.cfg.Clock.Now().Sub(r.awayAt)
		r.mu.Unlock()
		r.cfg.Log.Info("redis is back", "after", after.Round(time.Millisecond))
		return
	}
}
