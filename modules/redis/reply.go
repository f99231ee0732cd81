package redis

import (
	"fmt"
	"math/big"

	"github.com/redis/go-redis/v9"
)

// replyOf converts what Redis answered to what a recipe gets:
//
//   - a null is nil; within a list it is false, as in Redis' own scripts, for a
//     Lua list with a hole has no end; within a table of names it is left out
//   - statuses and strings are strings, byte for byte; integers and doubles
//     numbers (an integer beyond 2^53 is a string); booleans booleans
//   - arrays and sets are lists, maps tables by name
//   - an error within a list is a table with the field err
func replyOf(v any) any {
	switch v := v.(type) {
	case *big.Int:
		return v.String()
	case []any:
		list := make([]any, len(v))
		for i, item := range v {
			if list[i] = replyOf(item); list[i] == nil {
				list[i] = false
			}
		}
		return list
	case map[any]any:
		m := make(map[string]any, len(v))
		for k, item := range v {
			if r := replyOf(item); r != nil {
				m[fmt.Sprint(k)] = r
			}
		}
		return m
	case redis.Error:
		return map[string]any{"err": v.Error()}
	}
	return v
}

// named makes a table by name of the flat list that HGETALL and CONFIG GET are
// answered with by a Redis before 6, which does not speak RESP3.
func named(c *command, v any) any {
	list, ok := v.([]any)
	if !ok || c.name != "hgetall" && c.name != "config|get" || len(list)%2 != 0 {
		return v
	}
	m := make(map[any]any, len(list)/2)
	for i := 0; i < len(list); i += 2 {
		m[fmt.Sprint(list[i])] = list[i+1]
	}
	return m
}
