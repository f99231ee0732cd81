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
		return (&stream{s, t, r, map[string]string{}}).read(ctx)
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

const stale = 30 * time.Second // after which an entry is taken from a consumer that does nothing for it

// block is the time one read of a stream waits, and so how often the entries whose
// runs go on are seen to.
var block = 5 * time.Second

// stream is a source's part in a consumer group.
type stream struct {
	*source
	*on.Redis
	client redis.UniversalClient
	going  map[string]string // entries that are acknowledged when their requests end, and these
}

// read fires for each entry, and acknowledges it when the request is durable or, if
// so wanted, has ended; at once when it can never be one.
func (s *stream) read(ctx context.Context) error {
	err := s.client.XGroupCreateMkStream(ctx, s.Stream, s.Group, "$").Err()
	if err != nil && !strings.HasPrefix(err.Error(), "BUSYGROUP") {
		return err
	}
	for ctx.Err() == nil {
		if err := s.tend(ctx); err != nil {
			return err
		}
		abandoned, _, err := s.client.XAutoClaim(ctx, &redis.XAutoClaimArgs{
			Stream: s.Stream, Group: s.Group, Consumer: s.Name, MinIdle: stale, Start: "0", Count: 100,
		}).Result()
		if err != nil {
			return err
		}
		if err := s.take(ctx, abandoned); err != nil {
			return err
		}
		read, cancel := context.WithTimeout(ctx, 2*block)
		got, err := s.client.XReadGroup(read, &redis.XReadGroupArgs{
			Group: s.Group, Consumer: s.Name, Streams: []string{s.Stream, ">"}, Count: 100, Block: block,
		}).Result()
		cancel()
		if err != nil && !errors.Is(err, redis.Nil) {
			return err
		}
		for _, of := range got {
			if err := s.take(ctx, of.Messages); err != nil {
				return err
			}
		}
	}
	return nil
}

// take fires for entries.
func (s *stream) take(ctx context.Context, entries []redis.XMessage) error {
	for _, e := range entries {
		id, err := s.request(e.Values, s.Stream+" "+e.ID)
		if err != nil && !final(err) {
			return err // it stays pending
		}
		if err == nil && s.Ack == "ended" {
			s.going[e.ID] = id
			continue
		}
		if err := s.ack(ctx, e.ID); err != nil {
			return err
		}
	}
	return nil
}

// tend acknowledges the entries whose requests have ended, and keeps the others from
// being taken over.
func (s *stream) tend(ctx context.Context) error {
	var mine []string
	for entry, request := range s.going {
		if !s.Ended(request) {
			mine = append(mine, entry)
			continue
		}
		if err := s.ack(ctx, entry); err != nil {
			return err
		}
		delete(s.going, entry)
	}
	if len(mine) == 0 {
		return nil
	}
	return s.client.XClaimJustID(ctx, &redis.XClaimArgs{Stream: s.Stream, Group: s.Group, Consumer: s.Name, Messages: mine}).Err()
}

func (s *stream) ack(ctx context.Context, entry string) error {
	return s.client.XAck(ctx, s.Stream, s.Group, entry).Err()
}
