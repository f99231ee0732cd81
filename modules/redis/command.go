package redis

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/mepc/mepc-run/internal/effect"
	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/runtime"
)

//go:generate go run ./gen

// command is a row of the table: a command, or a subcommand, "config|get".
type command struct {
	name   string
	arity  int // words with the name; at least that many when negative
	class  effect.Class
	access access
	// The keys are words first to last (counted from the end when negative), by
	// step; first is 0 when there is none, or its place is known only to Redis.
	first, last, step int
	blocks            bool // it may wait for something to happen
	syntax, doc       string
}

const (
	read        = effect.Read
	write       = effect.Write
	destructive = effect.Destructive
)

// access says who may use a command.
type access uint8

const (
	open    access = iota // every recipe
	scripts               // recipes that may run scripts: Allow.Scripts
	admin                 // recipes that may administer the server: Allow.Admin
	never                 // no recipe: it belongs to a connection, or between servers
)

// Allow is what the operator permits recipes beyond reading and writing keys.
type Allow struct {
	// Scripts permits EVAL, FCALL, SCRIPT and FUNCTION. The grave holes of
	// Redis (CVE-2022-0543, 2024-31449, 2024-46981, 2025-49844) need a script
	// to be reached.
	Scripts bool
	// Admin permits what acts on the whole server, beyond one app's keys:
	// FLUSHALL, FLUSHDB, SWAPDB, SHUTDOWN, CONFIG SET, REPLICAOF, MODULE, ACL,
	// DEBUG, MIGRATE, RESTORE and the like.
	Admin bool
}

// instead says what to use in place of a command that no recipe may send.
var instead = map[string]string{
	"multi":      "use r:multi(function(tx) ... end): it sends MULTI, what tx was given, and EXEC at once",
	"exec":       "r:multi(function(tx) ... end) ends with EXEC by itself",
	"discard":    "raise an error inside r:multi(function(tx) ... end): nothing is sent then",
	"watch":      "use r:watch({key, ...}, function(tx) ... end)",
	"unwatch":    "r:watch({key, ...}, function(tx) ... end) ends with UNWATCH by itself",
	"subscribe":  "use r:subscribe({channel, ...}, {timeout = ...})",
	"psubscribe": "use r:subscribe({pattern, ...}, {patterns = true, timeout = ...})",
	"select":     `name the database in the URL: redis.connect("redis://host:6379/2")`,
	"auth":       "give user and password in the URL: redis://user:password@host:6379",
	"hello":      "the connection greets Redis by itself; user and password stand in the URL",
	"wait":       "connections are shared, so it would speak of another connection's writes",
}

// lookup returns the row of name, "get" or "config|get", or nil.
func lookup(name string) *command {
	i, ok := slices.BinarySearchFunc(table[:], name, func(c command, name string) int {
		return strings.Compare(c.name, name)
	})
	if !ok {
		return nil
	}
	return &table[i]
}

// subcommands returns the second words that name takes, "get", "set", ...
func subcommands(name string) []string {
	var subs []string
	prefix := name + "|"
	first, _ := slices.BinarySearchFunc(table[:], prefix, func(c command, prefix string) int {
		return strings.Compare(c.name, prefix)
	})
	for i := first; i < len(table); i++ { // the table is sorted
		sub, ok := strings.CutPrefix(table[i].name, prefix)
		if !ok {
			break
		}
		subs = append(subs, sub)
	}
	return subs
}

// known checks a method's name before anything is called: it returns a command,
// or nil when name has subcommands.
func known(name string) (*command, error) {
	if c := lookup(name); c != nil || len(subcommands(name)) > 0 {
		return c, nil
	}
	names := make([]string, 0, len(table))
	for i := range table {
		first, _, _ := strings.Cut(table[i].name, "|")
		names = append(names, first)
	}
	err := failure.New(failure.Invalid, "redis has no command %q%s", name, runtime.DidYouMean(name, names))
	if first, sub, ok := strings.Cut(name, "_"); ok && lookup(first+"|"+sub) != nil {
		return nil, err.WithHint("%s is written r:%s(%q, ...)", strings.ToUpper(first+" "+sub), first, sub)
	}
	return nil, err.WithHint("known are the commands of Redis %s, and multi, pipeline, watch, subscribe and replace_list", tableVersion)
}

// resolve finds the command that name with words means.
func resolve(name string, words []string) (*command, error) {
	subs := subcommands(name)
	if len(subs) > 0 && len(words) > 0 {
		sub := strings.ToLower(words[0])
		if c := lookup(name + "|" + sub); c != nil {
			return c, nil
		}
		return nil, failure.New(failure.Invalid, "redis has no command %q%s", name+" "+sub, runtime.DidYouMean(sub, subs)).
			WithHint("%s takes %s", strings.ToUpper(name), strings.Join(subs, ", "))
	}
	if c := lookup(name); c != nil {
		return c, nil
	}
	return nil, failure.New(failure.Invalid, "%s needs a second word", name).
		WithHint("one of %s", strings.Join(subs, ", "))
}

// check refuses what Redis, or the operator, would not take. words are those
// after the method's name.
func (c *command) check(allow Allow, words []string) error {
	upper := strings.ToUpper(strings.ReplaceAll(c.name, "|", " "))
	switch {
	case c.access == never:
		hint := instead[c.name]
		if hint == "" {
			hint = "it changes the connection, which the calls of a run share, or belongs between servers"
		}
		return failure.New(failure.Denied, "%s is not for recipes", upper).WithHint("%s", hint)
	case c.access == scripts && !allow.Scripts:
		return failure.New(failure.Denied, "%s runs scripts in the server, which the operator has not allowed", upper).
			WithHint("use r:multi, r:watch or r:replace_list for what has to be atomic; or run with --allow redis-scripts")
	case c.access == admin && !allow.Admin:
		return failure.New(failure.Denied, "%s acts on the whole server, which the operator has not allowed", upper).
			WithHint("run with --allow redis-admin")
	}
	return c.checkArity(len(words))
}

// checkArity counts n words after the method's name.
func (c *command) checkArity(n int) error {
	fixed := 1 // the words of the arity that are not n's
	want, got := c.arity-fixed, n
	if c.arity < 0 {
		want = -c.arity - fixed
	}
	if sub := strings.Count(c.name, "|"); sub > 0 {
		want, got = want-sub, got-sub
	}
	upper := strings.ToUpper(strings.ReplaceAll(c.name, "|", " "))
	switch {
	case c.arity >= 0 && got != want:
		return failure.New(failure.Invalid, "%s takes %s, got %d", upper, arguments(want), got).WithHint("usage: %s", c.syntax)
	case c.arity < 0 && got < want:
		return failure.New(failure.Invalid, "%s takes at least %s, got %d", upper, arguments(want), got).WithHint("usage: %s", c.syntax)
	}
	return nil
}

func arguments(n int) string {
	switch n {
	case 0:
		return "no arguments"
	case 1:
		return "1 argument"
	}
	return strconv.Itoa(n) + " arguments"
}

// keys returns those of words, which follow the method's name, that are keys.
func (c *command) keys(words []string) []string {
	if c.first == 0 {
		return nil
	}
	last := c.last
	if last < 0 {
		last = len(words) + 1 + last
	}
	var keys []string
	for i := c.first; i <= last && i <= len(words); i += max(1, c.step) {
		keys = append(keys, words[i-1])
	}
	return keys
}

// patience returns how long the command itself may wait in Redis. It must say
// so, and not "for ever": a run that hangs holds its locks.
func (c *command) patience(words []string) (time.Duration, error) {
	if !c.blocks {
		return 0, nil
	}
	at, unit := len(words)-1, time.Second
	switch c.name {
	case "blmpop", "bzmpop":
		at = 0
	case "xread", "xreadgroup":
		at, unit = -1, time.Millisecond
		for i := range words {
			if strings.EqualFold(words[i], "STREAMS") {
				break
			}
			if strings.EqualFold(words[i], "BLOCK") && i+1 < len(words) {
				at = i + 1
			}
		}
		if at < 0 {
			return 0, nil // without BLOCK it does not wait
		}
	}
	n, err := strconv.ParseFloat(words[at], 64)
	if err != nil || !(n > 0) || n > math.MaxInt32 {
		return 0, failure.New(failure.Invalid, "%s wants a time to wait, got %q", strings.ToUpper(c.name), words[at]).
			WithHint("usage: %s; 0, which means for ever, is not taken", c.syntax)
	}
	return time.Duration(n * float64(unit)), nil
}
