package serve

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"sync"
)

// pool bounds the connections of a server. A new one is always let in where any can
// be spared: when its address has its share, or all places are taken, the one that
// has been idle longest is closed, or else the one that has gone longest without
// proving itself. Those that have proved themselves with the token are never closed
// for those that have not, and have places of their own.
type pool struct {
	places places

	mu   sync.Mutex
	seq  uint64
	open map[*conn]bool
}

// places limits the number of connections.
type places struct {
	all      int
	reserved int // of all, for those with the token
	share    int // of one address, without the token
}

func newPool(p places) *pool { return &pool{places: p, open: map[*conn]bool{}} }

// conn is a connection of a pool, whose lock guards what is below.
type conn struct {
	net.Conn
	pool *pool
	from string // the address without the port; "" where all have the same

	idle    bool
	trusted bool
	since   uint64 // when that was last decided
}

// listen returns l with the pool's limits.
func (p *pool) listen(l net.Listener) net.Listener { return &pooled{l, p} }

type pooled struct {
	net.Listener
	pool *pool
}

// Accept implements net.Listener.
func (l *pooled) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if in := l.pool.admit(c); in != nil {
			return in, nil
		}
		_ = c.Close() // all are at work for those with the token
	}
}

// admit lets a connection in, in another's place if need be; nil: it cannot.
func (p *pool) admit(c net.Conn) *conn {
	in := &conn{Conn: c, pool: p}
	if at, ok := c.RemoteAddr().(*net.TCPAddr); ok {
		in.from = at.IP.String()
	}
	p.mu.Lock()
	victim, full := p.victim(in.from)
	if !full || victim != nil {
		if victim != nil {
			delete(p.open, victim)
		}
		p.touch(in)
		p.open[in] = true
	}
	p.mu.Unlock()
	if victim != nil {
		_ = victim.Conn.Close() // its owner learns of it
	}
	if full && victim == nil {
		return nil
	}
	return in
}

// victim returns the connection to close before another one from an address comes in;
// full says that one has to be.
func (p *pool) victim(from string) (c *conn, full bool) {
	strangers, own := 0, 0
	for c := range p.open {
		if !c.trusted {
			strangers++
			if c.from == from && from != "" {
				own++
			}
		}
	}
	switch {
	case own >= p.places.share:
		return p.oldest(func(c *conn) bool { return !c.trusted && c.from == from }), true
	case strangers >= p.places.all-p.places.reserved:
		return p.oldest(func(c *conn) bool { return !c.trusted }), true
	case len(p.open) < p.places.all:
		return nil, false
	case strangers > 0:
		return p.oldest(func(c *conn) bool { return !c.trusted }), true
	}
	return p.oldest(func(c *conn) bool { return c.idle }), true
}

// oldest returns the one among some that has been idle longest, or else at work.
func (p *pool) oldest(among func(*conn) bool) *conn {
	var found *conn
	for c := range p.open {
		if among(c) && (found == nil || c.idle && !found.idle || c.idle == found.idle && c.since < found.since) {
			found = c
		}
	}
	return found
}

func (p *pool) touch(c *conn) {
	p.seq++
	c.since = p.seq
}

// state implements http.Server.ConnState.
func (p *pool) state(c net.Conn, s http.ConnState) {
	in := pooledConn(c)
	if in == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	in.idle = s == http.StateIdle
	p.touch(in)
}

// pooledConn returns the pool's part of a connection.
func pooledConn(c net.Conn) *conn {
	if t, ok := c.(*tls.Conn); ok {
		c = t.NetConn()
	}
	in, _ := c.(*conn)
	return in
}

// Close implements net.Conn.
func (c *conn) Close() error {
	c.pool.mu.Lock()
	delete(c.pool.open, c)
	c.pool.mu.Unlock()
	return c.Conn.Close()
}

type connKey struct{}

// withConn implements http.Server.ConnContext.
func withConn(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, pooledConn(c))
}

// trust notes that the connection of a request has proved itself.
func trust(r *http.Request) {
	if c, _ := r.Context().Value(connKey{}).(*conn); c != nil {
		c.pool.mu.Lock()
		defer c.pool.mu.Unlock()
		c.trusted = true
	}
}
