package sim

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"sort"
	"strconv"
	"sync"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/alicebob/miniredis/v2/server"
)

// store is the world's Redis: a miniredis, made when it is first needed, whose
// time is the world's.
type store struct {
	world *World

	mu    sync.Mutex
	mini  *miniredis.Miniredis
	dbs   map[int]bool // the databases that were ever selected, besides 0
	conns map[net.Conn]bool
	down  bool

	seeded sync.Once // the server's randomness, which then is the same each time
}

// redis returns the miniredis, at the time of the world's clock.
func (s *store) redis() *miniredis.Miniredis {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.open()
}

func (s *store) open() *miniredis.Miniredis {
	now := s.world.clock.Now()
	if s.mini == nil {
		s.mini = miniredis.NewMiniRedis()
		s.mini.SetTime(now)
		s.mini.ClockTTL(true)
	} else {
		s.mini.SetTime(now)
	}
	return s.mini
}

// DialRedis returns a connection to the world's Redis, whatever the address: it
// is the Dialer of a go-redis client. Commands that block (BLPOP, XREAD BLOCK) do
// so in real time; nobody is subscribed to anything.
func (w *World) DialRedis(_ context.Context, network, address string) (net.Conn, error) {
	s := &w.store
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down {
		return nil, refused(network, address)
	}
	first := s.mini == nil || s.mini.Server() == nil
	m := s.open()
	conn, err := m.Dial()
	if err != nil {
		return nil, fmt.Errorf("connect to the simulated Redis: %w", err)
	}
	if first {
		m.Server().SetPreHook(s.before)
	}
	c := &redisConn{Conn: conn, s: s}
	if s.conns == nil {
		s.conns = map[net.Conn]bool{}
	}
	s.conns[c] = true
	return c, nil
}

// before moves the server's time before each command.
func (s *store) before(peer *server.Peer, cmd string, args ...string) bool {
	s.mini.SetTime(s.world.clock.Now())
	switch cmd {
	case "SUBSCRIBE", "PSUBSCRIBE", "SSUBSCRIBE":
		peer.WriteError("ERR " + NotModelled + cmd)
		return true
	case "SRANDMEMBER", "SPOP", "RANDOMKEY", "HRANDFIELD", "ZRANDMEMBER":
		s.seeded.Do(func() { s.mini.Seed(1) }) // costs more than most rehearsals
	}
	if cmd == "SELECT" && len(args) == 1 && args[0] != "0" {
		if n, err := strconv.Atoi(args[0]); err == nil && n > 0 && n < 16 {
			s.use(n)
		}
	}
	return false
}

func (s *store) use(db int) {
	if db == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.dbs == nil {
		s.dbs = map[int]bool{}
	}
	s.dbs[db] = true
}

// databases returns the numbers of the databases that may hold something.
func (s *store) databases() []int {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := []int{0}
	for n := range s.dbs {
		all = append(all, n)
	}
	sort.Ints(all)
	return all
}

// redisConn forgets itself when it is closed.
type redisConn struct {
	net.Conn
	s *store
}

// A connection that the world has cut says EOF, as a socket's would.

func (c *redisConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	return n, cutError(err)
}

func (c *redisConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	return n, cutError(err)
}

func (c *redisConn) SetDeadline(t time.Time) error     { return cutError(c.Conn.SetDeadline(t)) }
func (c *redisConn) SetReadDeadline(t time.Time) error { return cutError(c.Conn.SetReadDeadline(t)) }

func (c *redisConn) SetWriteDeadline(t time.Time) error { return cutError(c.Conn.SetWriteDeadline(t)) }

func cutError(err error) error {
	if errors.Is(err, io.ErrClosedPipe) {
		return io.EOF
	}
	return err
}

// Close ends the connection, and the server's side of it.
func (c *redisConn) Close() error {
	c.s.mu.Lock()
	delete(c.s.conns, c)
	c.s.mu.Unlock()
	return c.Conn.Close()
}

// SetRedisDown makes Redis cut all connections and refuse new ones, or answer
// again, with the data that it had.
func (w *World) SetRedisDown(down bool) {
	w.store.mu.Lock()
	w.store.down = down
	w.store.mu.Unlock()
	if down {
		w.store.cut()
	}
}

func (s *store) cut() {
	s.mu.Lock()
	conns := s.conns
	s.conns = nil
	s.mu.Unlock()
	for c := range conns {
		c.(*redisConn).Conn.Close()
	}
}

func (s *store) close() {
	s.cut()
	s.mu.Lock()
	m := s.mini
	s.mu.Unlock()
	if m != nil {
		m.Close()
	}
}

// RestartRedis cuts all connections and goes on with other data: that of an
// earlier State, as a Redis does that comes back from its last snapshot.
func (w *World) RestartRedis(data State) error {
	w.store.cut()
	w.store.redis().FlushAll()
	return w.store.load(&data)
}

// load adds the keys of a state.
func (s *store) load(state *State) error {
	if len(state.Redis) > 0 {
		if err := s.loadDB(0, state.Redis); err != nil {
			return err
		}
	}
	for n, keys := range state.RedisDBs {
		s.use(n)
		if err := s.loadDB(n, keys); err != nil {
			return err
		}
	}
	return nil
}

func (s *store) loadDB(n int, keys map[string]RedisKey) error {
	db := s.redis().DB(n)
	for name, k := range keys {
		if err := k.put(db, name); err != nil {
			return fmt.Errorf("redis key %q: %w", name, err)
		}
		if k.TTL > 0 {
			db.SetTTL(name, k.TTL.Std())
		}
	}
	return nil
}

// dump returns the keys of one database.
func (s *store) dump(n int) (map[string]RedisKey, error) {
	s.mu.Lock()
	unused := s.mini == nil
	s.mu.Unlock()
	if unused {
		return nil, nil
	}
	m := s.redis()
	m.DB(n) // what has expired goes
	db := m.DB(n)
	var out map[string]RedisKey
	for _, name := range db.Keys() {
		k, err := readKey(db, name)
		if err != nil {
			return nil, fmt.Errorf("redis key %q: %w", name, err)
		}
		k.TTL = Duration(db.TTL(name))
		if out == nil {
			out = map[string]RedisKey{}
		}
		out[name] = k
	}
	return out, nil
}

// list returns a list of database 0; nothing when there is none.
func (s *store) list(key string) []string {
	l, err := s.redis().DB(0).List(key)
	if err != nil {
		return nil
	}
	return slices.Clone(l) // LINSERT writes into it
}
