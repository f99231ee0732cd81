package rehearsal

import (
	"context"
	"errors"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/internal/sim"
	"github.com/mepc/mepc-run/internal/state"
	"github.com/mepc/mepc-run/servers"
)

// redisWiring lets the world's Redis stand for the one that is asked for first, be
// it a cluster with sentinels.
func redisWiring(world *sim.World, policy Policy) func(string) (servers.RedisWire, error) {
	var mu sync.Mutex
	var known string
	return func(name string) (servers.RedisWire, error) {
		mu.Lock()
		defer mu.Unlock()
		if known != "" && known != name {
			return servers.RedisWire{}, failure.New(failure.NotModelled, "the simulated world has one Redis, which stands for %s: %s is another", known, name)
		}
		known = name
		return servers.RedisWire{
			Single: func(ctx context.Context, network, _ string) (net.Conn, error) {
				return world.DialRedis(ctx, network, "simulated:6379")
			},
			Ready: func(c *redis.Client) {
				c.AddHook(unknownCommands{world})
				c.AddHook(waiting{world, c})
				if policy.Wire != nil {
					c.AddHook(redisWire{policy.Wire})
				}
			},
		}, nil
	}
}

// waiting lets commands that block (BLPOP, XREAD BLOCK ...) wait on the
// rehearsal's clock: they are tried, within a transaction, where they do not
// block, until something is there or their time is up.
type waiting struct {
	world  *sim.World
	client *redis.Client
}

func (waiting) DialHook(next redis.DialHook) redis.DialHook { return next }

func (waiting) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func (w waiting) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		patience, blocks := blockTime(cmd.Args())
		reply, ok := cmd.(interface{ SetVal(any) })
		if !blocks || !ok {
			return next(ctx, cmd)
		}
		for step, left := 10*time.Millisecond, patience; ; step = min(2*step, time.Second) {
			try := redis.NewCmd(ctx, cmd.Args()...)
			_, err := w.client.TxPipelined(ctx, func(p redis.Pipeliner) error { return p.Process(ctx, try) })
			if err == nil || !errors.Is(err, redis.Nil) || left <= 0 {
				reply.SetVal(try.Val())
				cmd.SetErr(err)
				return err
			}
			d := min(step, left)
			if err := w.world.Clock().Sleep(ctx, d); err != nil {
				cmd.SetErr(err)
				return err
			}
			left -= d
		}
	}
}

// blockTime returns how long a command may wait; false when it does not block.
func blockTime(args []any) (time.Duration, bool) {
	if len(args) < 2 {
		return 0, false
	}
	words := make([]string, len(args))
	for i, a := range args {
		words[i], _ = a.(string)
	}
	at, unit := len(words)-1, time.Second
	switch strings.ToLower(words[0]) {
	case "blpop", "brpop", "blmove", "brpoplpush", "bzpopmin", "bzpopmax":
	case "blmpop", "bzmpop":
		at = 1
	case "xread", "xreadgroup":
		at, unit = -1, time.Millisecond
		for i, w := range words {
			if strings.EqualFold(w, "STREAMS") {
				break
			}
			if strings.EqualFold(w, "BLOCK") && i+1 < len(words) {
				at = i + 1
			}
		}
	default:
		return 0, false
	}
	if at < 0 {
		return 0, false
	}
	n, err := strconv.ParseFloat(words[at], 64)
	return time.Duration(n * float64(unit)), err == nil
}

// redisWire is a Wire as go-redis has it.
type redisWire struct{ Wire }

func (redisWire) DialHook(next redis.DialHook) redis.DialHook { return next }

func (r redisWire) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		err := r.Redis(ctx, []redis.Cmder{cmd}, func() error { return next(ctx, cmd) })
		cmd.SetErr(err)
		return err
	}
}

func (r redisWire) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		return r.Redis(ctx, cmds, func() error { return next(ctx, cmds) })
	}
}

// unknownCommands makes a kind of its own of what the simulated Redis does not
// know. That the command exists was checked before.
type unknownCommands struct{ world *sim.World }

func (unknownCommands) DialHook(next redis.DialHook) redis.DialHook { return next }

func (u unknownCommands) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if err := u.check(cmd); err != nil {
			return err
		}
		err := next(ctx, cmd)
		var answer redis.Error
		if errors.As(err, &answer) && strings.HasPrefix(answer.Error(), "ERR unknown ") { // a subcommand
			return notModelled(cmd)
		}
		if errors.As(err, &answer) {
			if _, what, found := strings.Cut(answer.Error(), state.NotModelled); found {
				err = failure.New(failure.NotModelled, "%s: the simulated Redis does not take %s", strings.ToUpper(cmd.FullName()), what).
					WithHint("the live Redis may: what follows cannot be rehearsed")
				cmd.SetErr(err)
			}
		}
		return err
	}
}

func (u unknownCommands) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		for _, cmd := range cmds {
			if err := u.check(cmd); err != nil {
				return err
			}
		}
		return next(ctx, cmds)
	}
}

func (u unknownCommands) check(cmd redis.Cmder) error {
	if u.world.KnowsCommand(cmd.Name()) {
		return nil
	}
	return notModelled(cmd)
}

func notModelled(cmd redis.Cmder) error {
	err := failure.New(failure.NotModelled, "the simulated Redis does not support %s", strings.ToUpper(cmd.FullName())).
		WithHint("the live Redis may: the rest cannot be rehearsed")
	cmd.SetErr(err)
	return err
}
