package e2e

import (
	"bytes"
	"cmp"
	"context"
	"io"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/redis/go-redis/v9"
)

// cutter stands between mepc-run and Redis and cuts the connection around the
// first EXEC it sees of a transaction on a key that contains of, the routing list
// when that is empty: before Redis gets it, or before the answer is passed on.
// With meanwhile it cuts nothing, but calls that first.
type cutter struct {
	of        string
	before    bool
	meanwhile func()

	mu   sync.Mutex
	done bool
}

// listen starts the cutter before the Redis socket and returns its own URL.
func (c *cutter) listen(t *testing.T, redis string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "r.sock")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	t.Cleanup(func() { _ = l.Close(); all.Wait() })
	all.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() { c.serve(client, strings.TrimPrefix(redis, "unix://")) })
		}
	})
	return "unix://" + path
}

func (c *cutter) serve(client net.Conn, redis string) {
	defer client.Close()
	server, err := net.Dial("unix", redis)
	if err != nil {
		return
	}
	defer server.Close()
	go func() { _, _ = io.Copy(client, server); _ = client.Close() }()
	buf := make([]byte, 64<<10)
	for {
		n, err := client.Read(buf)
		if err != nil {
			return
		}
		cut := c.first(buf[:n])
		if cut && c.meanwhile != nil {
			c.meanwhile()
			cut = false
		}
		if cut && !c.before {
			_ = client.Close() // Redis gets it; nobody gets the answer
		}
		if !cut || !c.before {
			if _, err := server.Write(buf[:n]); err != nil {
				return
			}
		}
		if cut {
			// Redis reads what was sent to it before it sees the end.
			_ = server.(*net.UnixConn).CloseWrite()
			_, _ = io.Copy(io.Discard, server)
			return
		}
	}
}

// first reports whether data has the first EXEC that is meant.
func (c *cutter) first(data []byte) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.done || !bytes.Contains(data, []byte(cmp.Or(c.of, "frontend:"))) || !bytes.Contains(bytes.ToLower(data), []byte("\r\nexec\r\n")) {
		return false
	}
	c.done = true
	return true
}

// The lock was taken, or not, and nobody said so: asking again gives the same one.
func TestLockWhoseReplyIsLost(t *testing.T) {
	s := shared(t)
	s.deploy("1.0")
	direct := s.redis
	for version, before := range map[string]bool{"1.1": true, "1.2": false} {
		c := &cutter{of: "mepc:lock:", before: before}
		s.redis = c.listen(t, direct)
		s.deploy(version)
		if !c.done {
			t.Error("no transaction was cut")
		}
		s.redis = direct
		s.serves(version, 1)
		s.mentions(s.exec1("lock", "status", s.app, "--redis", direct), s.app+": free")
	}
}

// The switch was made, and nobody said so: the list tells.
func TestSwitchWhoseReplyIsLost(t *testing.T) {
	s := shared(t)
	s.deploy("1.0")
	l := s.load()
	c := &cutter{}
	s.redis = c.listen(t, s.redis)
	s.deploy("1.1")
	if !c.done {
		t.Error("no transaction was cut")
	}
	l.end()
	s.serves("1.1", 1)
}

// The switch never reached Redis: everything is undone.
func TestSwitchThatIsLost(t *testing.T) {
	s := shared(t)
	s.deploy("1.0")
	l := s.load()
	c := &cutter{before: true}
	direct := s.redis
	s.redis = c.listen(t, direct)
	s.unchanged(func() {
		r := s.refuse("unknown", "1.1")
		s.mentions(r.Err.State, s.app+" points to http://", "was removed")
	})
	s.redis = direct
	s.deploy("1.1")
	l.end()
	s.serves("1.1", 1)
}

// Another run of the same release was faster by a hair: its switch is ours.
func TestSwitchThatAnotherRunMadeMeanwhile(t *testing.T) {
	s := shared(t)
	s.deploy("1.0")
	c := &cutter{meanwhile: func() {
		_, err := s.store.TxPipelined(context.Background(), func(p redis.Pipeliner) error {
			for _, url := range s.addresses(s.running("1.1")) {
				p.LInsertAfter(context.Background(), "frontend:"+s.app, s.app, url)
			}
			p.LTrim(context.Background(), "frontend:"+s.app, 0, 1)
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	}}
	s.redis = c.listen(t, s.redis)
	s.deploy("1.1")
	if !c.done {
		t.Error("no transaction was seen")
	}
	s.serves("1.1", 1)
}
