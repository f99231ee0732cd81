package redis

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/mepc/mepc-run/internal/clock"
	"github.com/mepc/mepc-run/internal/effect"
	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/runtime"
)

func subscribeFunc() runtime.Func {
	return runtime.Func{
		Name: "subscribe", Class: runtime.Read,
		Doc: "Listens to channels for a bounded time, on a connection of its own, and returns what was said: it ends at max messages, or when the time is up. " +
			"Receiving no message is not an error: look at the length of the list. Earlier messages are not received. " +
			"A rehearsal has nobody else who would say something, and ends here as not_modelled.",
		From:    "SUBSCRIBE, PSUBSCRIBE",
		Returns: "the messages, in the order in which they came",
		Raises:  commandKinds,
		Example: `local said = r:subscribe({"dead"}, {timeout = "100ms"})
log(#said .. " backends were marked dead")`,
		Timeout: gateBound,
		Call:    runtime.Effect((*Connection).subscribe),
	}
}

type subscribeArgs struct {
	Channels []string      `lua:"channels,pos,required,target" doc:"the channels"`
	Patterns bool          `lua:"patterns" doc:"the channels are patterns, such as news.*"`
	Max      int           `lua:"max" default:"100" min:"1" max:"100000" doc:"how many messages at most"`
	MaxBytes runtime.Size  `lua:"max_bytes" default:"1MiB" max:"16777216" doc:"how large they may be together; more is an error"`
	Timeout  time.Duration `lua:"timeout" default:"10s" min:"0.001" max:"86400" doc:"how long to listen"`
}

// Validate refuses what would listen to nothing.
func (a *subscribeArgs) Validate() error {
	if len(a.Channels) == 0 {
		return errors.New("channels: at least one expected")
	}
	return nil
}

// Message is something that was said on a channel.
type Message struct {
	Channel string `lua:"channel" doc:"where it was said"`
	Pattern string `lua:"pattern" doc:"the pattern that it was heard by; empty without"`
	Payload string `lua:"payload" doc:"what was said, byte for byte"`
}

// subscribe is r:subscribe.
func (r *Connection) subscribe(ctx context.Context, a *subscribeArgs) ([]Message, error) {
	what := sent{verb: "SUBSCRIBE", syntax: "r:subscribe({channel, ...})", endpoint: r.endpoint}
	list := []Message{}
	_, err := attempt(ctx, r.clock, r.timeout+a.Timeout, what, func(ctx context.Context) (struct{}, error) {
		var ps *redis.PubSub
		if a.Patterns {
			ps = r.client.PSubscribe(ctx, a.Channels...)
		} else {
			ps = r.client.Subscribe(ctx, a.Channels...)
		}
		defer ps.Close()
		for range a.Channels { // until it is heard that we listen
			if _, err := ps.ReceiveTimeout(ctx, r.timeout); err != nil {
				return struct{}{}, err
			}
		}
		var wall clock.Wall
		end, bytes := wall.Now().Add(a.Timeout), 0
		for len(list) < a.Max {
			left := end.Sub(wall.Now())
			if left <= 0 {
				return struct{}{}, nil
			}
			// A read's own bound: the client does not look at the context's meanwhile.
			got, err := ps.ReceiveTimeout(ctx, left)
			var network net.Error
			switch {
			case errors.As(err, &network) && network.Timeout() && ctx.Err() == nil:
				return struct{}{}, nil
			case err != nil:
				return struct{}{}, err
			}
			m, ok := got.(*redis.Message)
			if !ok {
				continue // a confirmation
			}
			if bytes += len(m.Payload); bytes > int(a.MaxBytes) {
				return struct{}{}, failure.New(failure.Limit, "the messages are larger than %d bytes together", a.MaxBytes).WithHint("max_bytes allows more")
			}
			list = append(list, Message{m.Channel, m.Pattern, m.Payload})
		}
		return struct{}{}, nil
	})
	if err != nil {
		return nil, err
	}
	effect.Note(ctx, fmt.Sprintf("%d messages", len(list)))
	return list, nil
}
