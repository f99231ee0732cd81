package engine

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/mepc/mepc-run/internal/sim"
)

// NotModelled begins what a simulated server says to a call that it does not
// know.
const NotModelled = sim.NotModelled

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
