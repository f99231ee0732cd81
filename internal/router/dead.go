package router

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	deadChannel = "dead"
	deadPrefix  = "dead:"
	// maxMarkedHosts bounds what a flood on the channel can make us remember.
	maxMarkedHosts = 10_000
	// markAgain is the interval at which a backend that goes on failing is marked anew.
	markAgain = time.Second
)

// deadSet is dead:<host> as last read.
type deadSet struct {
	indexes []int
	readAt  time.Time
	began   uint64 // the reading that it is of
}

// mark vouches for an index: at that time the list had length backends, and url
// was the one at the index.
type mark struct {
	url    string
	length int
	made   time.Time
	until  time.Time
	// own is set while the mark is in no dead set: not written yet, or not
	// writable. It then holds by itself.
	own bool
}

// deadLocked returns the URLs of f that are believed to be dead for host, by the
// rule of the package comment.
func (t *table) deadLocked(host string, f *frontend, now time.Time) []string {
	var urls []string
	believe := func(host string) {
		set := t.dead[host].indexes
		for i, m := range t.marks[host] {
			if now.Before(m.until) && m.length == len(f.list)-1 && i < m.length && f.list[i+1] == m.url &&
				(m.own || slices.Contains(set, i)) && !slices.Contains(urls, m.url) {
				urls = append(urls, m.url)
			}
		}
	}
	believe(host)
	if host != f.key { // what checks of a wildcard found
		believe(f.key)
	}
	return urls
}

// announcement is one message of the dead channel.
type announcement struct {
	host   string
	url    string
	index  int
	length int
}

func (a announcement) String() string {
	return a.host + ";" + a.url + ";" + strconv.Itoa(a.index) + ";" + strconv.Itoa(a.length)
}

// parseAnnouncement reads "host;url;index;length". A URL may hold semicolons.
func parseAnnouncement(s string) (announcement, error) {
	bad := fmt.Errorf("message %.200q is not host;url;index;length", s)
	host, rest, ok := strings.Cut(s, ";")
	j := strings.LastIndexByte(rest, ';')
	if !ok || host == "" || j < 0 {
		return announcement{}, bad
	}
	i := strings.LastIndexByte(rest[:j], ';')
	if i < 0 {
		return announcement{}, bad
	}
	index, err1 := strconv.Atoi(rest[i+1 : j])
	length, err2 := strconv.Atoi(rest[j+1:])
	if err1 != nil || err2 != nil || index < 0 || index >= length {
		return announcement{}, bad
	}
	return announcement{host, rest[:i], index, length}, nil
}

// hear remembers what someone announced.
func (t *table) hear(a announcement) {
	now := t.cfg.Clock.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.markLocked(a, now, false)
}

func (t *table) markLocked(a announcement, now time.Time, own bool) {
	host := t.marks[a.host]
	if host == nil {
		if len(t.marks) >= maxMarkedHosts {
			t.sweepMarksLocked(now)
			if len(t.marks) >= maxMarkedHosts {
				return // an unknown mark is an unbelieved one: safe
			}
		}
		host = make(map[int]mark)
		t.marks[a.host] = host
	}
	host[a.index] = mark{a.url, a.length, now, now.Add(t.cfg.DeadTTL), own}
}

func (t *table) sweepMarksLocked(now time.Time) {
	for host, marks := range t.marks {
		for i, m := range marks {
			if !now.Before(m.until) {
				delete(marks, i)
			}
		}
		if len(marks) == 0 {
			delete(t.marks, host)
		}
	}
}

// suspicion is a mark that is to be written to Redis.
type suspicion struct {
	host    string
	key     string   // of the frontend, which a wildcard may have found
	list    []string // the whole list the indexes are of
	url     string
	indexes []int
}

func (s suspicion) announcements() []announcement {
	out := make([]announcement, len(s.indexes))
	for i, index := range s.indexes {
		out[i] = announcement{s.host, s.url, index, len(s.list) - 1}
	}
	return out
}

func suspicionOf(host string, f *frontend, url string) suspicion {
	s := suspicion{host: host, key: f.key, list: f.list, url: url}
	for i, listed := range f.list {
		if i > 0 && listed == url {
			s.indexes = append(s.indexes, i-1)
		}
	}
	return s
}

// suspect marks url dead in this router, at once, and returns what is to be
// written to Redis. ok is false when the list does not hold url any more, or it
// was marked just now.
func (t *table) suspect(host string, f *frontend, url string) (s suspicion, ok bool) {
	now := t.cfg.Clock.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	s = suspicionOf(host, f, url)
	if len(s.indexes) == 0 {
		return s, false
	}
	m, marked := t.marks[host][s.indexes[0]]
	if marked && m.url == url && m.length == len(f.list)-1 && now.Sub(m.made) < markAgain {
		return s, false
	}
	for _, a := range s.announcements() {
		t.markLocked(a, now, true)
	}
	return s, true
}

// settle records how the writing of s went: written marks hold as long as the
// dead set has them, void ones not at all, others by themselves.
func (t *table) settle(s suspicion, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, a := range s.announcements() {
		m, ok := t.marks[s.host][a.index]
		if !ok || m.url != s.url || !m.own {
			continue
		}
		switch {
		case err == nil:
			m.own = false
			t.marks[s.host][a.index] = m
		case errors.Is(err, errListChanged):
			delete(t.marks[s.host], a.index)
		}
	}
}

// acquit lifts the marks of url, in this router at once, and returns those that are
// to be lifted in Redis; none when newer: one is not from before since.
func (t *table) acquit(f *frontend, url string, since time.Time) (s suspicion, newer bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s = suspicionOf(f.key, f, url)
	marks := t.marks[f.key]
	for _, i := range s.indexes {
		if m := marks[i]; m.url == url && !m.made.Before(since) {
			return s, true
		}
	}
	for _, i := range s.indexes {
		if marks[i].url == url {
			delete(marks, i)
		}
	}
	set := t.dead[f.key].indexes
	s.indexes = slices.DeleteFunc(s.indexes, func(i int) bool { return !slices.Contains(set, i) })
	return s, false
}

var errListChanged = errors.New("the list was changed meanwhile")

// writeMark writes s as Hipache does.
func writeMark(ctx context.Context, client redis.UniversalClient, s suspicion, ttl time.Duration) error {
	return edit(ctx, client, s, func(p redis.Pipeliner) {
		for _, a := range s.announcements() {
			p.SAdd(ctx, deadPrefix+s.host, a.index)
			p.Expire(ctx, deadPrefix+s.host, ttl)
			p.Publish(ctx, deadChannel, a.String())
		}
	})
}

// liftMark takes s out of the dead set.
func liftMark(ctx context.Context, client redis.UniversalClient, s suspicion) error {
	return edit(ctx, client, s, func(p redis.Pipeliner) {
		for _, i := range s.indexes {
			p.SRem(ctx, deadPrefix+s.host, i)
		}
	})
}

// edit does what fill says in one transaction, only if the list is the one that the
// indexes of s are of.
func edit(ctx context.Context, client redis.UniversalClient, s suspicion, fill func(redis.Pipeliner)) error {
	key := frontendPrefix + s.key
	err := client.Watch(ctx, func(tx *redis.Tx) error {
		list, err := tx.LRange(ctx, key, 0, -1).Result()
		if err != nil {
			return err
		}
		if !slices.Equal(list, s.list) {
			return errListChanged
		}
		_, err = tx.TxPipelined(ctx, func(p redis.Pipeliner) error {
			fill(p)
			return nil
		})
		return err
	}, key)
	if errors.Is(err, redis.TxFailedErr) {
		return errListChanged
	}
	if err != nil && !errors.Is(err, errListChanged) {
		return fmt.Errorf("edit the marks of %s for %s: %w", s.url, s.host, err)
	}
	return err
}

// listen hears the dead channel until ctx ends. The client subscribes again by
// itself when the connection is lost; what was announced meanwhile is not heard,
// and so not believed.
func (t *table) listen(ctx context.Context, client redis.UniversalClient) {
	sub := client.Subscribe(ctx, deadChannel)
	defer sub.Close()
	messages := sub.Channel()
	for {
		select {
		case <-ctx.Done():
			return
		case m, ok := <-messages:
			if !ok {
				return
			}
			a, err := parseAnnouncement(m.Payload)
			if err != nil {
				t.cfg.Log.Debug("dead channel", "error", err)
				continue
			}
			t.hear(a)
		}
	}
}
