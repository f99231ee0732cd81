package trigger

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/mepc/mepc-run/modules/on"
)

// messages fires for each message of a channel or a stream.
func (s *source) messages(ctx context.Context, t *on.Redis) error {
	r, err := s.Redis(ctx)
	if err != nil {
		return err
	}
	if t.Stream != "" {
		return s.stream(ctx, r, t)
	}
	sub := r.Subscribe(ctx, t.Channel)
	defer sub.Close()
	for {
		m, err := sub.ReceiveMessage(ctx)
		if err != nil {
			return err
		}
		event := map[string]any{}
		if json.Unmarshal([]byte(m.Payload), &event) != nil {
			event = map[string]any{"message": m.Payload}
		}
		_ = s.fire(event, "") // it was told, and nobody keeps it
	}
}

const (
	block = 5 * time.Second  // one read of a stream
	stale = 30 * time.Second // after which an entry that a consumer took is taken from it
)

// stream fires for each entry, and acknowledges it when the request is durable, or
// can never be one.
func (s *source) stream(ctx context.Context, r redis.UniversalClient, t *on.Redis) error {
	err := r.XGroupCreateMkStream(ctx, t.Stream, t.Group, "$").Err()
	if err != nil && !strings.HasPrefix(err.Error(), "BUSYGROUP") {
		return err
	}
	for ctx.Err() == nil {
		abandoned, _, err := r.XAutoClaim(ctx, &redis.XAutoClaimArgs{
			Stream: t.Stream, Group: t.Group, Consumer: s.Name, MinIdle: stale, Start: "0", Count: 100,
		}).Result()
		if err != nil {
			return err
		}
		if err := s.entries(ctx, r, t, abandoned); err != nil {
			return err
		}
		read, cancel := context.WithTimeout(ctx, 2*block)
		got, err := r.XReadGroup(read, &redis.XReadGroupArgs{
			Group: t.Group, Consumer: s.Name, Streams: []string{t.Stream, ">"}, Count: 100, Block: block,
		}).Result()
		cancel()
		if err != nil && !errors.Is(err, redis.Nil) {
			return err
		}
		for _, stream := range got {
			if err := s.entries(ctx, r, t, stream.Messages); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *source) entries(ctx context.Context, r redis.UniversalClient, t *on.Redis, entries []redis.XMessage) error {
	for _, e := range entries {
		if err := s.fire(e.Values, t.Stream+" "+e.ID); err != nil && !final(err) {
			return err // it stays pending
		}
		if err := r.XAck(ctx, t.Stream, t.Group, e.ID).Err(); err != nil {
			return err
		}
	}
	return nil
}
