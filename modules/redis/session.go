package redis

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/mepc/mepc-run/internal/clock"
	"github.com/mepc/mepc-run/internal/failure"
)

// session is one connection that a recipe, or a helper of ours, has for itself:
// WATCH belongs to a connection.
type session struct {
	clock clock.Clock

	mu   sync.Mutex
	conn *redis.Conn
	over bool // given back, or lost with a call that did not come back
}

var errOver = errors.New("the connection it had for itself is gone")

// openSession takes a connection to the server that has keys and watches them.
func (r *Connection) openSession(ctx context.Context, keys []string) (*session, error) {
	what := sent{verb: "WATCH", key: keys[0], syntax: "WATCH key [key ...]", endpoint: r.endpoint}
	s := &session{clock: r.clock, over: true}
	_, err := attempt(ctx, r.clock, r.timeout, what, func(ctx context.Context) (struct{}, error) {
		node, err := r.node(ctx, keys)
		if err != nil {
			return struct{}{}, err
		}
		conn := node.Conn()
		args := []any{"watch"}
		for _, k := range keys {
			args = append(args, k)
		}
		if err := conn.Process(ctx, redis.NewStatusCmd(ctx, args...)); err != nil {
			conn.Close()
			return struct{}{}, err
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		if ctx.Err() != nil { // nobody waits for it any more
			s.release(ctx, conn)
			return struct{}{}, ctx.Err()
		}
		s.conn, s.over = conn, false
		return struct{}{}, nil
	})
	return s, err
}

// use runs f with the connection, for one branch at a time. When f does not
// come back in time the session is over, and f itself ends the connection.
func use[R any](ctx context.Context, s *session, timeout time.Duration, what sent, f func(context.Context, *redis.Conn) (R, error)) (R, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over {
		var none R
		return none, failure.Wrap(failure.Unavailable, errOver, "%s", what.verb)
	}
	conn, back := s.conn, make(chan struct{})
	v, err := attempt(ctx, s.clock, timeout, what, func(ctx context.Context) (R, error) {
		defer close(back)
		return f(ctx, conn)
	})
	select {
	case <-back:
	default:
		s.over = true
		failure.Go(func() error {
			<-back
			s.release(ctx, conn)
			return nil
		})
	}
	return v, err
}

// close gives the connection back. It may be called again.
func (s *session) close(ctx context.Context) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.over {
		s.over = true
		s.release(ctx, s.conn)
	}
}

// release gives conn back with nothing watched. When that fails the pool drops
// it, and with it what it watched.
func (s *session) release(ctx context.Context, conn *redis.Conn) {
	ctx, cancel := s.clock.WithTimeout(context.WithoutCancel(ctx), time.Second, nil)
	defer cancel()
	_ = conn.Process(ctx, redis.NewStatusCmd(ctx, "unwatch"))
	conn.Close()
}
