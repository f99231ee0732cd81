package redis

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/mepc/mepc-run/internal/effect"
	"github.com/mepc/mepc-run/internal/failure"
)

type replaceArgs struct {
	Key      string   `lua:"key,pos,required,target" doc:"the list"`
	Expected []string `lua:"expected,pos,required" doc:"what it holds now; {} for a list that does not exist"`
	New      []string `lua:"new,pos,required" doc:"what it is to hold; {} removes it"`
	Del      []string `lua:"del" doc:"keys that are deleted in the same transaction"`
}

// Op says that a list that is emptied, or a key deleted, is gone.
func (a *replaceArgs) Op(op *effect.Op) {
	if len(a.New) == 0 && len(a.Expected) > 0 {
		op.Class = effect.Destructive
	}
	if len(op.Args) > 0 {
		op.Args[0].Raw = append([]string{"replace_list", a.Key}, a.New...)
	}
}

// attempts bounds how often a list is looked at again that someone touched but
// left as it was expected.
const attempts = 5

// replaceList is r:replace_list. It needs no script: WATCH, LRANGE, compare,
// MULTI. The list is appended to and then trimmed, so that it never is empty
// and keeps its time to live.
func (r *Connection) replaceList(ctx context.Context, a *replaceArgs) (bool, error) {
	keys := append([]string{a.Key}, a.Del...)
	for range attempts {
		done, err := r.replaceOnce(ctx, a, keys)
		if !errors.Is(err, redis.TxFailedErr) {
			return done, err
		}
	}
	return false, changed(keys)
}

func (r *Connection) replaceOnce(ctx context.Context, a *replaceArgs, keys []string) (bool, error) {
	s, err := r.openSession(ctx, keys)
	if err != nil {
		return false, err
	}
	defer s.close(ctx)
	what := sent{verb: "LRANGE", key: a.Key, endpoint: r.endpoint}
	now, err := use(ctx, s, r.timeout, what, func(ctx context.Context, conn *redis.Conn) (state, error) {
		return look(ctx, conn, a)
	})
	if err != nil {
		return false, err
	}
	same := slices.Equal(now.list, a.New)
	switch {
	case same && now.leftovers == 0:
		effect.Unaltered(ctx)
		return false, nil
	case !same && !slices.Equal(now.list, a.Expected):
		return false, unexpected(a, now.list)
	}
	what = sent{verb: "the transaction", key: a.Key, mutates: true, endpoint: r.endpoint}
	_, err = use(ctx, s, r.timeout, what, func(ctx context.Context, conn *redis.Conn) ([]redis.Cmder, error) {
		return conn.TxPipelined(ctx, func(p redis.Pipeliner) error {
			if !same {
				rewrite(ctx, p, a, len(now.list))
			}
			if len(a.Del) > 0 {
				p.Del(ctx, a.Del...)
			}
			return nil
		})
	})
	return err == nil, err
}

// state is what there is before anything is changed.
type state struct {
	list      []string
	leftovers int64 // how many of the keys to delete exist
}

func look(ctx context.Context, conn *redis.Conn, a *replaceArgs) (state, error) {
	list, err := conn.LRange(ctx, a.Key, 0, -1).Result()
	if err != nil || len(a.Del) == 0 {
		return state{list: list}, err
	}
	n, err := conn.Exists(ctx, a.Del...).Result()
	return state{list, n}, err
}

func rewrite(ctx context.Context, p redis.Pipeliner, a *replaceArgs, old int) {
	if len(a.New) == 0 {
		p.Del(ctx, a.Key)
		return
	}
	items := make([]any, len(a.New))
	for i, item := range a.New {
		items[i] = item
	}
	p.RPush(ctx, a.Key, items...)
	if old > 0 {
		p.LTrim(ctx, a.Key, int64(old), -1)
	}
}

func unexpected(a *replaceArgs, now []string) error {
	e := failure.New(failure.Conflict, "%s is not what was expected: someone else changed it", showWord(a.Key)).
		WithHint("nothing was done: read it again and decide anew")
	e.Details = fmt.Sprintf("expected: %s\nit holds: %s", showList(a.Expected), showList(now))
	return e
}

func showList(items []string) string {
	if len(items) == 0 {
		return "nothing (no such list)"
	}
	return strings.TrimPrefix(show("", items), " ")
}
