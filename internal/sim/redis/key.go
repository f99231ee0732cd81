package redis

import (
	"errors"
	"maps"
	"slices"

	"github.com/alicebob/miniredis/v2"

	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/internal/state"
)

// putKey writes a key.
func putKey(db *miniredis.RedisDB, name string, k *state.RedisKey) error {
	kinds := 0
	var err error
	if k.String != nil {
		kinds++
		err = db.Set(name, *k.String)
	}
	if k.List != nil {
		kinds++
		if len(k.List) > 0 {
			_, err = db.Push(name, k.List...)
		}
	}
	if k.Set != nil {
		kinds++
		if len(k.Set) > 0 {
			_, err = db.SetAdd(name, k.Set...)
		}
	}
	if k.Hash != nil {
		kinds++
		for field, v := range k.Hash {
			db.HSet(name, field, v)
		}
	}
	if k.ZSet != nil {
		kinds++
		for member, score := range k.ZSet {
			_, err = db.ZAdd(name, score, member)
		}
	}
	if k.Stream != nil {
		kinds++
		for _, e := range k.Stream {
			if _, err = db.XAdd(name, e.ID, e.Values); err != nil {
				return err
			}
		}
	}
	if kinds != 1 {
		return errors.New("exactly one of string, list, set, hash, zset and stream is needed")
	}
	return err
}

// readKey reads a key of any type that a State can hold.
func readKey(db *miniredis.RedisDB, name string) (k state.RedisKey, err error) {
	switch t := db.Type(name); t {
	case "string":
		var s string
		s, err = db.Get(name)
		k.String = &s
	case "list":
		k.List, err = db.List(name)
		k.List = slices.Clone(k.List) // LINSERT writes into it
	case "set":
		k.Set, err = db.Members(name)
	case "zset":
		k.ZSet, err = db.SortedSet(name)
		k.ZSet = maps.Clone(k.ZSet)
	case "hash":
		var fields []string
		fields, err = db.HKeys(name)
		k.Hash = make(map[string]string, len(fields))
		for _, f := range fields {
			k.Hash[f] = db.HGet(name, f)
		}
	case "stream":
		var entries []miniredis.StreamEntry
		entries, err = db.Stream(name)
		for _, e := range entries {
			k.Stream = append(k.Stream, state.RedisEntry{ID: e.ID, Values: e.Values})
		}
	default:
		err = failure.New(failure.NotModelled, "%sthe key %q, of the type %q", state.NotModelled, name, t)
	}
	return k, err
}
