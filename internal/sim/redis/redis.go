// Package redis is the Redis of a simulated world: a miniredis on the world's time.
// Start with New; connections come from Server.Dial.
package redis

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"sort"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/alicebob/miniredis/v2/server"

	"github.com/mepc/mepc-run/internal/clock"
	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/internal/sim/wire"
	"github.com/mepc/mepc-run/internal/state"
)

// Server is the world's Redis: a miniredis, made when it is first needed, whose
// time is the world's.
type Server struct {
	now   func() time.Time
	hangs time.Duration // how long it may take to answer, by the machine's clock

	mu    sync.Mutex
	mini  *miniredis.Miniredis
	conns map[net.Conn]bool
	down  bool
	ended error // why it is not asked any more: it has not answered in time, or panicked

	dbMu sync.Mutex
	dbs  map[int]bool // the databases that were ever selected, besides 0

	peerMu  sync.Mutex
	peers   map[*server.Peer]bool // the clients' ends; a script's calls come from others. true: a command of it is being done
	scripts scripts
	taken   atomic.Int64 // bytes of all that was ever sent
	seeded  sync.Once    // the server's randomness, which then is the same each time
}

// hangTime is the default time that a server may take to answer.
const hangTime = 30 * time.Second

// ErrStuck is the error of all that asks a Redis that hangs.
var ErrStuck = failure.New(failure.NotModelled, "the simulated Redis hangs: it does not answer").
	WithHint("does a script of the recipe (EVAL) ever end?")

// New makes an empty Redis; now is the world's time. hangs is how long, by the
// machine's clock, it may take to answer: that only ends what never would, such as
// an endless script. 0: thirty seconds.
func New(now func() time.Time, hangs time.Duration) *Server {
	return &Server{now: now, hangs: cmp.Or(hangs, hangTime)}
}

// Empty returns an empty Redis like s, on another time.
func (s *Server) Empty(now func() time.Time) *Server { return New(now, s.hangs) }

// Mini returns the miniredis, at the time of the world's clock: a router reads it
// without a connection.
func (s *Server) Mini() *miniredis.Miniredis {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.open()
}

func (s *Server) open() *miniredis.Miniredis {
	now := s.now()
	if s.mini != nil && s.ended == nil && !s.free() {
		s.ended = ErrStuck
	}
	if s.mini == nil || s.ended != nil {
		s.mini = miniredis.NewMiniRedis()
		s.mini.SetTime(now)
		s.mini.ClockTTL(true)
	} else {
		s.mini.SetTime(now)
	}
	return s.mini
}

// free waits until nobody has the server's lock, and reports whether that came about.
// A script has it while it runs.
func (s *Server) free() bool {
	for waited, pause := time.Duration(0), time.Millisecond; waited < s.hangs; waited, pause = waited+pause, min(2*pause, time.Second/10) {
		if s.mini.TryLock() {
			s.mini.Unlock()
			return true
		}
		_ = clock.Wall{}.Sleep(context.Background(), pause) // such a context does not end
	}
	return false
}

// Dial returns a connection to the world's Redis, whatever the address: it is the
// Dialer of a go-redis client. Commands that block (BLPOP, XREAD BLOCK) do so in
// real time; nobody is subscribed to anything.
func (s *Server) Dial(_ context.Context, network, address string) (net.Conn, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down {
		return nil, wire.Refused(network, address)
	}
	if s.ended != nil {
		return nil, s.ended
	}
	first := s.mini == nil || s.mini.Server() == nil
	m := s.open()
	if first { // the server is made with it
		c, err := m.Dial()
		if err != nil {
			return nil, fmt.Errorf("connect to the simulated Redis: %w", err)
		}
		_ = c.Close()
		m.Server().SetPreHook(s.before)
	}
	conn, end := net.Pipe()
	m.Server().ServeConn(&outbox{Conn: end})
	c := &redisConn{Conn: conn, s: s}
	if s.conns == nil {
		s.conns = map[net.Conn]bool{}
	}
	s.conns[c] = true
	return c, nil
}

// before does a command, and is asked again for it then: a panic of miniredis would
// end the process, since it serves each connection in a goroutine of its own. It leaves
// the server's lock behind, so the server is not asked any more.
func (s *Server) before(peer *server.Peer, cmd string, args ...string) bool {
	nested, again := s.seen(peer)
	if nested || again {
		return s.refuses(peer, nested, cmd, args)
	}
	if why := s.tooMuch(cmd, args); why != "" {
		s.end(failure.New(failure.NotModelled, "the simulated Redis does not take %s", why))
		return true
	}
	args = s.scripts.rewrite(cmd, args)
	bug := failure.Protect(func() error {
		s.mini.Server().Dispatch(peer, append([]string{cmd}, args...))
		return nil
	})
	s.done(peer)
	if bug != nil {
		s.end(failure.New(failure.NotModelled, "the simulated Redis cannot do this %s: %v", cmd, failure.As(bug).Message))
	}
	return true
}

// The data of a world are in the memory of the process that rehearses.
const (
	mostSent   = 32 << 20
	mostOffset = 16 << 20
)

// tooMuch says what of a command is more than a world holds, or "".
func (s *Server) tooMuch(cmd string, args []string) string {
	sent := int64(0)
	for _, a := range args {
		sent += int64(len(a))
	}
	if s.taken.Add(sent) > mostSent {
		return fmt.Sprintf("more than %d MiB, in all commands together", mostSent>>20)
	}
	offsets, bits := args, int64(8)
	switch cmd {
	case "SETRANGE":
		offsets, bits = args[min(1, len(args)):min(2, len(args))], 1
	case "SETBIT":
		offsets = args[min(1, len(args)):min(2, len(args))]
	case "BITFIELD":
	default:
		return ""
	}
	for _, a := range offsets {
		n, err := strconv.ParseInt(strings.TrimPrefix(a, "#"), 10, 64)
		if err == nil && n > mostOffset*bits {
			return fmt.Sprintf("a %s at %s: a value has at most %d MiB", cmd, a, mostOffset>>20)
		}
	}
	return ""
}

// refuses moves the server's time before each command, and reports whether it has
// answered it. A script's own commands come here, too, while it has the server's lock:
// for them nothing that takes the lock may be called, and nothing that waits may be done.
func (s *Server) refuses(peer *server.Peer, nested bool, cmd string, args []string) bool {
	if !nested {
		s.mini.SetTime(s.now())
	} else if why := s.tooMuch(cmd, args); why != "" {
		peer.WriteError("ERR " + state.NotModelled + why)
		return true
	}
	switch cmd {
	case lookCommand:
		if !nested {
			break // an unknown command
		}
		if s.isEnded() == nil && s.scripts.look() {
			peer.WriteOK()
			return true
		}
		peer.WriteError(fmt.Sprintf("ERR %sa script that holds more than %d MiB", state.NotModelled, scriptHeap>>20))
		return true
	case "SUBSCRIBE", "PSUBSCRIBE", "SSUBSCRIBE":
		peer.WriteError("ERR " + state.NotModelled + cmd)
		return true
	case "BLPOP", "BRPOP", "BLMOVE", "BRPOPLPUSH", "BLMPOP", "BZPOPMIN", "BZPOPMAX", "BZMPOP", "XREAD", "XREADGROUP":
		if waits := cmd[0] == 'B' || slices.ContainsFunc(args, func(a string) bool { return strings.EqualFold(a, "BLOCK") }); nested && waits {
			peer.WriteError("ERR " + state.NotModelled + cmd + " in a script")
			return true
		}
	case "SRANDMEMBER", "SPOP", "RANDOMKEY", "HRANDFIELD", "ZRANDMEMBER", "EVAL", "EVALSHA", "EVAL_RO", "EVALSHA_RO":
		if !nested {
			s.seeded.Do(func() { s.mini.Seed(1) }) // costs more than most rehearsals
		}
	}
	if cmd == "SELECT" && len(args) == 1 && args[0] != "0" {
		if n, err := strconv.Atoi(args[0]); err == nil && n > 0 && n < 16 {
			s.use(n)
		}
	}
	return false
}

// seen reports whether a command comes from a script, from a peer that has a state
// before its first command, and whether it is being done already.
func (s *Server) seen(peer *server.Peer) (nested, again bool) {
	s.peerMu.Lock()
	defer s.peerMu.Unlock()
	if doing, known := s.peers[peer]; known {
		s.peers[peer] = true
		return false, doing
	}
	if peer.Ctx != nil {
		return true, false
	}
	if s.peers == nil {
		s.peers = map[*server.Peer]bool{}
	}
	s.peers[peer] = true
	peer.OnDisconnect(func() {
		s.peerMu.Lock()
		defer s.peerMu.Unlock()
		delete(s.peers, peer)
	})
	return false, false
}

func (s *Server) done(peer *server.Peer) {
	s.peerMu.Lock()
	defer s.peerMu.Unlock()
	if _, known := s.peers[peer]; known {
		s.peers[peer] = false
	}
}

func (s *Server) use(db int) {
	if db == 0 {
		return
	}
	s.dbMu.Lock() // not mu, with which the server's lock may be waited for
	defer s.dbMu.Unlock()
	if s.dbs == nil {
		s.dbs = map[int]bool{}
	}
	s.dbs[db] = true
}

// databases returns the numbers of the databases that may hold something.
func (s *Server) databases() []int {
	s.dbMu.Lock()
	defer s.dbMu.Unlock()
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
	s     *Server
	until time.Time // the client's own deadline for reading
}

// A connection that the world has cut says EOF, as a socket's would.

func (c *redisConn) Read(p []byte) (int, error) {
	end := clock.Wall{}.Now().Add(c.s.hangs)
	own := c.until.IsZero() || end.Before(c.until)
	if own {
		_ = c.Conn.SetReadDeadline(end) // a pipe that is closed says so when it is read
	}
	n, err := c.Conn.Read(p)
	if own && errors.Is(err, os.ErrDeadlineExceeded) {
		c.s.end(ErrStuck)
	}
	return n, c.why(err)
}

func (c *redisConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	return n, c.why(err)
}

func (c *redisConn) why(err error) error {
	if err == nil {
		return nil
	}
	return cmp.Or(c.s.isEnded(), cutError(err))
}

func (c *redisConn) SetDeadline(t time.Time) error {
	c.until = t
	return c.why(c.Conn.SetDeadline(t))
}

func (c *redisConn) SetReadDeadline(t time.Time) error {
	c.until = t
	return c.why(c.Conn.SetReadDeadline(t))
}

func (c *redisConn) SetWriteDeadline(t time.Time) error { return c.why(c.Conn.SetWriteDeadline(t)) }

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

// SetDown makes Redis cut all connections and refuse new ones, or answer again,
// with the data that it had.
func (s *Server) SetDown(down bool) {
	s.mu.Lock()
	s.down = down
	s.mu.Unlock()
	if down {
		s.cut()
	}
}

// Down says whether it refuses connections.
func (s *Server) Down() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.down
}

func (s *Server) cut() {
	s.mu.Lock()
	conns := s.conns
	s.conns = nil
	s.mu.Unlock()
	for c := range conns {
		c.(*redisConn).Conn.Close()
	}
}

// Close ends the connections. The data can still be read.
func (s *Server) Close() {
	s.cut()
	s.mu.Lock()
	m := s.mini
	s.mu.Unlock()
	if m != nil && m.TryLock() { // else a script has it for good
		m.Unlock()
		m.Close()
	}
}

// end ends all that waits for the server, because of err.
func (s *Server) end(err error) {
	s.mu.Lock()
	s.ended = cmp.Or(s.ended, err)
	s.mu.Unlock()
	s.cut()
}

func (s *Server) isEnded() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ended
}

// Restart cuts all connections and goes on with other data: that of an earlier
// State, as a Redis does that comes back from its last snapshot.
func (s *Server) Restart(data *state.State) error {
	s.cut()
	s.Mini().FlushAll()
	return s.Load(data)
}

// List returns a list of database 0; nothing when there is none.
func (s *Server) List(key string) []string {
	l, err := s.Mini().DB(0).List(key)
	if err != nil {
		return nil
	}
	return slices.Clone(l) // LINSERT writes into it
}

// Key returns one key of one database; ok is false when it is not there. It costs
// nothing for the other keys, as State does.
func (s *Server) Key(db int, name string) (k state.RedisKey, ok bool, err error) {
	s.mu.Lock()
	unused := s.mini == nil
	s.mu.Unlock()
	if unused {
		return k, false, nil
	}
	d := s.Mini().DB(db)
	if err := s.isEnded(); err != nil {
		return k, false, err
	}
	if !d.Exists(name) {
		return k, false, nil
	}
	k, err = readKey(d, name)
	if err != nil {
		return k, false, fmt.Errorf("redis key %q: %w", name, err)
	}
	k.TTL = state.Duration(d.TTL(name))
	return k, true, nil
}

// KnowsCommand reports whether it has a command of this name. What
// it does not know must not be put into a transaction: unlike a real one it
// would go on without.
func (s *Server) KnowsCommand(name string) bool {
	s.mu.Lock()
	srv := s.open().Server()
	s.mu.Unlock()
	if srv == nil { // it is made with the first connection
		c, err := s.Dial(context.Background(), "tcp", "")
		if err != nil {
			return true // it is down, and will say so
		}
		c.Close()
		srv = s.Mini().Server()
	}
	return srv.IsRegisteredCommand(name)
}
