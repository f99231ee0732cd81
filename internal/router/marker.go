package router

import (
	"context"
	"errors"
	"strings"
	"time"
)

// marker marks backends dead, and lifts marks: in this router at once, in Redis on
// the side.
type marker struct {
	cfg   *Config
	table *table
	ctx   context.Context // ends with the router
	bg    *workers
}

// suspect marks url, of f, dead for host.
func (m *marker) suspect(host string, f *frontend, url, why string) {
	s, ok := m.table.suspect(host, f, url)
	if !ok {
		return
	}
	if strings.HasPrefix(host, "*") { // no router would look for such a set
		m.cfg.Log.Warn("backend "+why+"; avoided by this router alone", "backend", url, "host", host)
		return
	}
	m.bg.start(func() {
		ctx, cancel := context.WithTimeout(m.ctx, m.cfg.RedisTimeout)
		defer cancel()
		err := writeMark(ctx, m.cfg.Redis, s, m.cfg.DeadTTL)
		m.table.settle(s, err)
		switch {
		case err == nil:
			m.cfg.Log.Warn("backend "+why+"; marked dead", "backend", s.url, "host", s.host, "for", m.cfg.DeadTTL)
		case !errors.Is(err, errListChanged):
			m.cfg.Log.Warn("backend "+why+"; avoided by this router alone", "backend", s.url, "host", s.host, "error", err)
		}
	})
}

// acquit lifts what marks url, of f. It reports false when something is not from
// before since, and lifts nothing.
func (m *marker) acquit(f *frontend, url string, since time.Time) bool {
	s, newer := m.table.acquit(f, url, since)
	if newer || len(s.indexes) == 0 {
		return !newer
	}
	ctx, cancel := context.WithTimeout(m.ctx, m.cfg.RedisTimeout)
	defer cancel()
	if err := liftMark(ctx, m.cfg.Redis, s); err != nil {
		m.cfg.Log.Debug("a dead mark could not be lifted yet", "backend", url, "host", s.host, "error", err)
		return true
	}
	m.cfg.Log.Info("backend is healthy again; no longer marked dead", "backend", url, "host", s.host)
	return true
}
