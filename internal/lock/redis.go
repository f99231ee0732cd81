package lock

import (
	"context"
	"encoding/json"
	"errors"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/mepc/mepc-run/internal/clock"
	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/servers"
)

// Key returns the key of app's lock.
func Key(app string) string { return "mepc:lock:{" + app + "}" }

// FenceKey returns the key of the highest token that any lock of app had.
func FenceKey(app string) string { return "mepc:fence:{" + app + "}" }

// ErrLost says that the lock is free or someone else's.
var ErrLost = errors.New("the lock is lost")

// answerTime bounds each exchange with Redis.
const answerTime = 3 * time.Second

// races is the number of attempts at a transaction that others keep winning.
const races = 20

// Redis is a Redis that has locks. It needs no scripts, and so no right to them.
type Redis struct {
	client  redis.UniversalClient
	name    string
	clock   clock.Clock // of the world that the Redis is in
	explain func(error) error
}

// InRedis returns the place in a Redis of clk's world, which people know as name.
// explain says what an error of that Redis means, or returns nil; it may be nil.
func InRedis(client redis.UniversalClient, name string, clk clock.Clock, explain func(error) error) *Redis {
	return &Redis{client, name, clk, explain}
}

// String names the Redis.
func (r *Redis) String() string { return r.name }

// transact runs f with the keys watched, again and again until no one interferes.
func (r *Redis) transact(ctx context.Context, app string, f func(ctx context.Context, tx *redis.Tx, now *Holder) error) error {
	var err error
	for range races {
		call, cancel := r.clock.WithTimeout(ctx, answerTime, nil)
		err = r.client.Watch(call, func(tx *redis.Tx) error {
			now, err := read(call, tx, app)
			if err != nil {
				return err
			}
			return f(call, tx, now)
		}, Key(app), FenceKey(app))
		cancel()
		if !errors.Is(err, redis.TxFailedErr) {
			break
		}
	}
	return r.failed(ctx, err)
}

func (r *Redis) failed(ctx context.Context, err error) error {
	if err == nil || errors.Is(err, ErrLost) || failure.As(err) != nil {
		return err
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if r.explain != nil {
		if known := failure.As(r.explain(err)); known != nil {
			known.Message = "the lock in " + r.name + ": " + known.Message
			return known
		}
	}
	return failure.Wrap(failure.Unavailable, err, "the lock in %s", r.name).WithHint("is Redis running at %s?", r.name)
}

// read returns who has the lock, or nil.
func read(ctx context.Context, c redis.Cmdable, app string) (*Holder, error) {
	text, err := c.Get(ctx, Key(app)).Result()
	if errors.Is(err, redis.Nil) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	h := &Holder{}
	if err := json.Unmarshal([]byte(text), h); err != nil || h.Owner == "" {
		return nil, failure.New(failure.Conflict, "%s holds no lock of mepc-run: %.60q", Key(app), text).
			WithHint("find out who wrote it; redis-cli DEL '%s' removes it", Key(app))
	}
	return h, nil
}

// Take implements Place.
func (r *Redis) Take(ctx context.Context, app string, h Holder, over *Holder, floor int64) (*Holder, error) {
	var got *Holder
	err := r.transact(ctx, app, func(ctx context.Context, tx *redis.Tx, now *Holder) error {
		if now != nil && !now.yields(&h, over) {
			got = now
			return nil
		}
		at, err := tx.Time(ctx).Result()
		if err != nil {
			return err
		}
		if now != nil && now.Owner == h.Owner {
			h.Token, h.Since = now.Token, now.Since
		} else {
			fence, err := tx.Get(ctx, FenceKey(app)).Int64()
			if err != nil && !errors.Is(err, redis.Nil) {
				return err
			}
			h.Token, h.Since = max(fence+1, floor+1, at.UnixMilli()), at
		}
		h.Renewed = at
		got = &h
		return r.put(ctx, tx, app, h)
	})
	return got, err
}

func (r *Redis) put(ctx context.Context, tx *redis.Tx, app string, h Holder) error {
	text, err := json.Marshal(h)
	if err != nil {
		return err
	}
	life := h.life()
	if h.Manual() {
		life = 0 // it stays until it is given back
	}
	_, err = tx.TxPipelined(ctx, func(p redis.Pipeliner) error {
		p.Set(ctx, Key(app), text, life)
		p.Set(ctx, FenceKey(app), strconv.FormatInt(h.Token, 10), 0)
		return nil
	})
	return err
}

// Renew implements Place.
func (r *Redis) Renew(ctx context.Context, app string, h Holder, gone bool) error {
	return r.transact(ctx, app, func(ctx context.Context, tx *redis.Tx, now *Holder) error {
		switch {
		case now != nil && (now.Owner != h.Owner || now.Token != h.Token):
			return ErrLost
		case now == nil && gone:
			return ErrLost
		case now == nil: // Redis lost it, as one does that came back from an older snapshot
			fence, err := tx.Get(ctx, FenceKey(app)).Int64()
			if err != nil && !errors.Is(err, redis.Nil) {
				return err
			}
			if fence > h.Token {
				return ErrLost
			}
		}
		at, err := tx.Time(ctx).Result()
		if err != nil {
			return err
		}
		h.Renewed = at
		return r.put(ctx, tx, app, h)
	})
}

// Release implements Place.
func (r *Redis) Release(ctx context.Context, app, owner string) error {
	return r.transact(ctx, app, func(ctx context.Context, tx *redis.Tx, now *Holder) error {
		if now == nil || now.Owner != owner {
			return nil
		}
		_, err := tx.TxPipelined(ctx, func(p redis.Pipeliner) error {
			p.Del(ctx, Key(app))
			return nil
		})
		return err
	})
}

// Break takes the lock away from its holder, who notices at its next renewal.
func (r *Redis) Break(ctx context.Context, app string) error {
	return r.transact(ctx, app, func(ctx context.Context, tx *redis.Tx, now *Holder) error {
		if now == nil {
			return nil
		}
		_, err := tx.TxPipelined(ctx, func(p redis.Pipeliner) error {
			p.Del(ctx, Key(app))
			p.Set(ctx, FenceKey(app), strconv.FormatInt(now.Token+1, 10), 0)
			return nil
		})
		return err
	})
}

// Look implements Place.
func (r *Redis) Look(ctx context.Context, app string) (*Holder, error) {
	ctx, cancel := r.clock.WithTimeout(ctx, answerTime, nil)
	defer cancel()
	h, err := read(ctx, r.client, app)
	return h, r.failed(ctx, err)
}

// Apps returns the apps that are locked.
func (r *Redis) Apps(ctx context.Context) ([]string, error) {
	ctx, cancel := r.clock.WithTimeout(ctx, answerTime, nil)
	defer cancel()
	var apps []string
	prefix, suffix := Key("")[:len(Key(""))-1], "}"
	for key, err := range servers.Keys(ctx, r.client, prefix+"*") {
		if err != nil {
			return apps, r.failed(ctx, err)
		}
		if len(key) > len(prefix)+len(suffix) {
			apps = append(apps, key[len(prefix):len(key)-len(suffix)])
		}
	}
	return apps, nil
}
