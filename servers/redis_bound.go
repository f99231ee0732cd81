package servers

import (
	"errors"
	"net"
	"syscall"

	"github.com/mepc/mepc-run/internal/failure"
)

// maxReply is how large the answers to one command, pipeline or transaction may be
// together. go-redis has no such bound: a key of half a gigabyte would be taken
// into memory before anybody could look at its size.
const maxReply = 64 << 20

// boundedConn is a connection on which what is read after a write is bounded.
type boundedConn struct {
	net.Conn
	left int
}

// SyscallConn lets go-redis see whether an idle connection was closed meanwhile.
func (c *boundedConn) SyscallConn() (syscall.RawConn, error) {
	if s, ok := c.Conn.(syscall.Conn); ok {
		return s.SyscallConn()
	}
	return nil, errors.ErrUnsupported
}

func (c *boundedConn) Write(b []byte) (int, error) {
	c.left = maxReply
	return c.Conn.Write(b)
}

func (c *boundedConn) Read(b []byte) (int, error) {
	if c.left <= 0 {
		return 0, failure.New(failure.Limit, "the answer of Redis is larger than %d MiB", maxReply>>20).
			WithHint("ask for parts of it: LRANGE, GETRANGE, or SCAN, HSCAN, SSCAN and ZSCAN with a cursor")
	}
	n, err := c.Conn.Read(b[:min(len(b), c.left)])
	c.left -= n
	return n, err
}
