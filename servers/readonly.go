package servers

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/mepc/mepc-run/internal/failure"
)

// ReadOnly returns clients of real servers whose transports let nothing pass but
// what reads: GET and HEAD to engines, a list of commands to Redis. Whoever uses
// them for anything else gets an error, and nothing is sent.
func ReadOnly(opts Options) *Clients {
	return New(opts, Wiring{
		Engine: func(_ Engine, wire http.RoundTripper) (http.RoundTripper, error) { return readOnlyHTTP{wire}, nil },
		HTTP: func(t *http.Transport) {
			refuse := func(context.Context, string, string) (net.Conn, error) {
				return nil, failure.New(failure.Denied, "read-only clients ask engines and Redis alone")
			}
			t.DialContext, t.DialTLSContext = refuse, refuse
		},
		Redis: func(string) (RedisWire, error) {
			return RedisWire{Conn: func(c net.Conn) net.Conn { return &readOnlyRedis{Conn: c} }}, nil
		},
	})
}

// readOnlyHTTP refuses requests that could change something.
type readOnlyHTTP struct{ base http.RoundTripper }

func (t readOnlyHTTP) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Method != http.MethodGet && req.Method != http.MethodHead {
		if req.Body != nil {
			req.Body.Close()
		}
		return nil, failure.New(failure.Denied, "%s %s is not sent: only reads are", req.Method, req.URL.Path)
	}
	return t.base.RoundTrip(req)
}

// readingCommands are what Redis may be sent: what reads, and what a connection
// begins with. SUBSCRIBE is how a client follows its sentinels.
var readingCommands = []string{
	"ASKING", "AUTH", "CLIENT SETINFO", "CLIENT SETNAME", "CLUSTER INFO", "CLUSTER NODES", "CLUSTER SHARDS", "CLUSTER SLOTS", "COMMAND", "CONFIG GET",
	"DBSIZE", "EXISTS", "GET", "HELLO", "HGETALL", "HSCAN", "INFO", "LLEN", "LRANGE", "PING", "PTTL", "PUNSUBSCRIBE", "READONLY", "ROLE",
	"SCAN", "SELECT", "SENTINEL GET-MASTER-ADDR-BY-NAME", "SENTINEL MASTER", "SENTINEL REPLICAS", "SENTINEL SENTINELS",
	"SENTINEL SLAVES", "SMEMBERS", "SSCAN", "STRLEN", "SUBSCRIBE", "TIME", "TTL", "TYPE", "UNSUBSCRIBE", "XRANGE",
	"ZRANGE", "ZSCAN",
}

// readOnlyRedis reads along what is written to a Redis and passes on whole
// commands that read. After the first other one nothing passes any more.
type readOnlyRedis struct {
	net.Conn
	mu      sync.Mutex
	pending []byte // a command that is not whole yet
	refused error
}

func (c *readOnlyRedis) Write(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.refused != nil {
		return 0, c.refused
	}
	c.pending = append(c.pending, b...)
	whole := 0
	for whole < len(c.pending) {
		words, n, err := readCommand(c.pending[whole:])
		if errors.Is(err, errPartial) {
			break
		}
		if err == nil && !reads(words) {
			err = failure.New(failure.Denied, "%s is not sent: only reads are", strings.ToUpper(words[0]))
		}
		if err != nil {
			c.refused = err
			return 0, err
		}
		whole += n
	}
	if whole > 0 {
		if _, err := c.Conn.Write(c.pending[:whole]); err != nil {
			return 0, err
		}
		c.pending = append(c.pending[:0], c.pending[whole:]...)
	}
	return len(b), nil
}

func reads(words []string) bool {
	name := strings.ToUpper(words[0])
	if len(words) > 1 && slices.Contains(readingCommands, name+" "+strings.ToUpper(words[1])) {
		return true
	}
	return slices.Contains(readingCommands, name)
}

var (
	errPartial = errors.New("there is more to come")
	errNoRESP  = errors.New("what is sent to Redis is not in its protocol")
)

// readCommand returns the words of the command that b begins with, and its
// length. Clients send commands as arrays of bulk strings, and nothing else.
func readCommand(b []byte) (words []string, n int, err error) {
	count, n, err := readLength(b, '*')
	if err != nil {
		return nil, 0, err
	}
	if count < 1 {
		return nil, 0, errNoRESP
	}
	for range count {
		size, m, err := readLength(b[n:], '$')
		if err != nil {
			return nil, 0, err
		}
		n += m
		if len(b)-n < size+2 {
			return nil, 0, errPartial
		}
		words = append(words, string(b[n:n+size]))
		n += size + 2
	}
	return words, n, nil
}

// readLength reads "*3\r\n".
func readLength(b []byte, kind byte) (length, n int, err error) {
	if len(b) == 0 {
		return 0, 0, errPartial
	}
	if b[0] != kind {
		return 0, 0, errNoRESP
	}
	end := bytes.Index(b[:min(len(b), 24)], []byte("\r\n"))
	if end < 0 {
		if len(b) >= 24 {
			return 0, 0, errNoRESP
		}
		return 0, 0, errPartial
	}
	length, err = strconv.Atoi(string(b[1:end]))
	if err != nil || length < 0 || length > 512<<20 {
		return 0, 0, errNoRESP
	}
	return length, end + 2, nil
}
