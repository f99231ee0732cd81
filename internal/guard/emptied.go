package guard

import (
	"context"
	"errors"
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/mepc/mepc-run/internal/effect"
	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/internal/journal"
	"github.com/mepc/mepc-run/servers"
)

// lists refuses to leave a routing list without a backend that has one, and notes
// what op is about to make of it: its commands are played through before they are
// sent.
func (g *Guard) lists(ctx context.Context, op *effect.Op) error {
	var keys []string
	for _, a := range op.Args {
		for _, w := range a.Raw {
			if strings.HasPrefix(w, prefix) && !slices.Contains(keys, w) {
				keys = append(keys, w)
			}
		}
	}
	if len(keys) == 0 {
		return nil
	}
	stores, err := g.world.Stores(ctx)
	if err != nil {
		return err
	}
	store := stores[op.Endpoint]
	if store == nil {
		return nil // no Redis: words that look like a key
	}
	for _, key := range keys {
		list, err := g.list(ctx, store, op.Endpoint, key)
		if redis.HasErrorPrefix(err, "WRONGTYPE") {
			continue
		}
		if err != nil {
			return err
		}
		left := list
		for _, a := range op.Args {
			left = play(left, key, a.Raw)
		}
		g.note(journal.Was{Seq: op.Seq, List: strings.TrimPrefix(key, prefix), Items: list, Left: left})
		if len(list) > 1 && len(left) <= 1 && !g.lifted(EmptyList) {
			return failure.New(failure.Denied, "%s would be left without a backend: it has %s", key, strings.Join(list[1:], ", ")).
				WithHint("put the new backends in before the old ones are taken out; or lift this guard with --allow %s", EmptyList)
		}
		g.changes(op.Endpoint, key)
	}
	return nil
}

// list reads the routing list in key.
func (g *Guard) list(ctx context.Context, store redis.UniversalClient, endpoint, key string) ([]string, error) {
	var list []string
	tracked, greeting := servers.WatchHandshake(ctx)
	err := g.trip(tracked, func(ctx context.Context) (err error) {
		list, err = store.LRange(ctx, key, 0, -1).Result()
		return err
	})
	switch {
	case err == nil || redis.HasErrorPrefix(err, "WRONGTYPE"):
		return list, err
	case greeting.Underway() && timedOut(err):
		return nil, failure.New(failure.Unavailable, "%s accepts connections but does not answer", endpoint).
			WithHint("is it hung or loading, or does it need TLS (rediss://)? Nothing was sent")
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case greeting.Underway() && g.explain(err, endpoint) == nil:
		return nil, failure.New(failure.Unavailable, "%s closed the connection before it answered", endpoint).
			WithHint("is it Redis, or does it need TLS (rediss://)? Nothing was sent")
	}
	if known := g.explain(err, endpoint); known != nil { // the command itself would say the same
		return nil, known
	}
	return nil, unseen(ctx, EmptyList, err, "%s could not be read before the change", key)
}

func timedOut(err error) bool {
	var network net.Error
	return errors.Is(err, context.DeadlineExceeded) || errors.As(err, &network) && network.Timeout()
}

// play returns what a command leaves of the list in key. Of a command that is not
// known here and can take something away it says that nothing is left.
func play(list []string, key string, words []string) []string {
	if len(words) < 2 || !slices.Contains(words[1:], key) {
		return list
	}
	args := slices.Clone(words[2:])
	switch strings.ToLower(words[0]) {
	case "rpush":
		return append(slices.Clone(list), args...)
	case "lpush":
		slices.Reverse(args)
		return append(args, list...)
	case "rpushx", "lpushx":
		if len(list) == 0 {
			return list
		}
		return play(list, key, append([]string{strings.TrimSuffix(strings.ToLower(words[0]), "x")}, words[1:]...))
	case "linsert":
		return inserted(list, args)
	case "lset":
		return set(list, args)
	case "persist":
		return list
	case "ltrim":
		return trimmed(list, args)
	case "lrem":
		return removed(list, args)
	case "lpop", "rpop":
		n := 1
		if len(args) > 0 {
			n, _ = strconv.Atoi(args[0])
		}
		n = max(0, min(n, len(list)))
		if strings.EqualFold(words[0], "lpop") {
			return list[n:]
		}
		return list[:len(list)-n]
	case "replace_list":
		return args
	case "copy":
		if words[1] == key { // it is only read
			return list
		}
	}
	return nil
}

func inserted(list, args []string) []string {
	if len(args) != 3 {
		return list
	}
	at := slices.Index(list, args[1])
	if at < 0 {
		return list
	}
	if strings.EqualFold(args[0], "after") {
		at++
	}
	return slices.Insert(slices.Clone(list), at, args[2])
}

func set(list, args []string) []string {
	if len(args) != 2 {
		return list
	}
	at, err := strconv.Atoi(args[0])
	if at < 0 {
		at += len(list)
	}
	if err != nil || at < 0 || at >= len(list) {
		return list
	}
	list = slices.Clone(list)
	list[at] = args[1]
	return list
}

func trimmed(list, args []string) []string {
	if len(args) != 2 {
		return list
	}
	from, err1 := strconv.Atoi(args[0])
	to, err2 := strconv.Atoi(args[1])
	if err1 != nil || err2 != nil {
		return list // Redis refuses it
	}
	if from < 0 {
		from = max(0, len(list)+from)
	}
	if to < 0 {
		to += len(list)
	}
	to = min(to, len(list)-1)
	if from > to {
		return nil
	}
	return list[from : to+1]
}

func removed(list, args []string) []string {
	if len(args) != 2 {
		return list
	}
	n, err := strconv.Atoi(args[0])
	if err != nil {
		return list
	}
	list = slices.Clone(list)
	backwards := n < 0
	if backwards {
		slices.Reverse(list)
		n = -n
	}
	gone := 0
	list = slices.DeleteFunc(list, func(item string) bool {
		if item != args[1] || n != 0 && gone >= n {
			return false
		}
		gone++
		return true
	})
	if backwards {
		slices.Reverse(list)
	}
	return list
}
