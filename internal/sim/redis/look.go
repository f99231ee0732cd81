package redis

import (
	"fmt"
	"slices"
	"strings"

	"github.com/mepc/mepc-run/internal/state"
)

// wide are the commands that may change keys which are not among their words.
var wide = []string{"flushall", "flushdb", "swapdb", "eval", "evalsha", "fcall", "function"}

// Look returns, as a text, all that a command may change: what the keys hold that
// its words name, in all databases. So whether it changed anything is seen by
// looking before and after it.
func (s *Server) Look(words []string) (string, error) {
	all := len(words) > 0 && slices.Contains(wide, strings.ToLower(words[0]))
	var b strings.Builder
	for _, n := range s.databases() {
		names := words
		if all {
			keys, err := s.dump(n)
			if err != nil {
				return "", err
			}
			names = nil
			for name := range keys {
				names = append(names, name)
			}
			slices.Sort(names)
		}
		for _, name := range names {
			k, ok, err := s.Key(n, name)
			if err != nil {
				return "", err
			}
			if ok {
				fmt.Fprintf(&b, "%d %q ", n, name)
				write(&b, &k)
			}
		}
	}
	return b.String(), nil
}

// write writes all of a key.
func write(b *strings.Builder, k *state.RedisKey) {
	if k.String != nil {
		fmt.Fprintf(b, "%q ", *k.String)
	}
	slices.Sort(k.Set)
	fmt.Fprintln(b, k.List, k.Set, k.Hash, k.ZSet, k.Stream, k.TTL) // fmt sorts maps
}
