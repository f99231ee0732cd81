package plan

import (
	"cmp"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/mepc/mepc-run/internal/effect"
	"github.com/mepc/mepc-run/internal/state"
)

// asked holds what a run asked for: names of things, keys, and patterns of them.
type asked struct {
	facts    map[factKey]bool
	keys     []dbKey  // all keys that were named, in order
	patterns []string // of keys
}

type factKey struct{ kind, name string }

// dbKey is a key of one of the databases of a Redis.
type dbKey struct {
	db   int
	name string
}

func isRedis(op *effect.Op) bool { return strings.HasPrefix(op.Name, "redis.") }

// subjects says what the target of each docker function is.
var subjects = map[string]string{
	"inspect": "container", "find": "container", "create": "container", "start": "container", "stop": "container",
	"kill": "container", "restart": "container", "remove": "container", "rename": "container", "wait": "container",
	"wait_healthy": "container", "address": "container", "logs": "container", "update": "container",
	"pause": "container", "unpause": "container", "exec": "container", "top": "container", "copy_to": "container", "copy_from": "container",
	"commit": "container", "history": "image",
	"network_connect": "network", "network_disconnect": "network", "network": "network", "network_create": "network", "network_remove": "network",
	"service": "service", "service_create": "service", "service_update": "service", "service_scale": "service", "service_rollback": "service",
	"service_remove": "service", "service_wait": "service", "tasks": "service",
	"image": "image", "tag": "image", "remove_image": "image", "build": "image", "pull": "image", "push": "image", "save": "image", "copy_image": "image",
}

// op notes what a call asks for.
func (a *asked) op(op *effect.Op) {
	if isRedis(op) {
		a.keys = append(a.keys, keysOf(op)...)
		a.patterns = append(a.patterns, patternsOf(op)...)
		return
	}
	name, ok := strings.CutPrefix(op.Name, "docker.")
	if !ok {
		return
	}
	if kind := subjects[name]; kind != "" && op.Target != "" {
		a.facts[factKey{kind, op.Target}] = true
	}
	for _, arg := range op.Args {
		switch {
		case name == "list" && arg.Name == "labels":
			a.facts[factKey{"containers", arg.Value}] = true
		case name == "images" && arg.Name == "reference":
			a.facts[factKey{"images", arg.Value}] = true
		case name == "create" && arg.Name == "image":
			a.facts[factKey{"image", arg.Value}] = true
		}
	}
	if name == "images" && op.Target != "" {
		a.facts[factKey{"images", op.Target}] = true
	}
}

// keysOf returns the keys of a call, which its target lists.
func keysOf(op *effect.Op) []dbKey {
	var out []dbKey
	db := databaseOf(op.Endpoint)
	for rest := op.Target; rest != ""; {
		word, tail, _ := strings.Cut(rest, " ")
		if q, err := strconv.QuotedPrefix(rest); err == nil {
			word, tail = q, strings.TrimPrefix(rest[len(q):], " ")
			word, _ = strconv.Unquote(q)
		}
		if word == "..." {
			break
		}
		out = append(out, dbKey{db, word})
		rest = tail
	}
	return out
}

// databaseOf reads the database from an endpoint: redis://host:6379/2 or
// unix:///path?db=2.
func databaseOf(endpoint string) int {
	u, err := url.Parse(endpoint)
	if err != nil {
		return 0
	}
	text := u.Query().Get("db")
	if u.Scheme == "redis" || u.Scheme == "rediss" {
		text = strings.Trim(u.Path, "/")
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		return 0
	}
	return n
}

// patternsOf returns the pattern of SCAN and KEYS; without one it is "*".
func patternsOf(op *effect.Op) []string {
	for _, arg := range op.Args {
		words := strings.Fields(arg.Value)
		switch {
		case len(words) > 1 && words[0] == "KEYS":
			return []string{words[1]}
		case len(words) > 1 && words[0] == "SCAN":
			for i := 2; i+1 < len(words); i++ {
				if strings.EqualFold(words[i], "MATCH") {
					return []string{words[i+1]}
				}
			}
			return []string{"*"}
		}
	}
	return nil
}

// Keys returns the keys and patterns of keys that the run asked for so far, each
// as a pattern. A snapshot that has not read them does not know of them.
func (r *Recorder) Keys() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := slices.Clone(r.asked.patterns)
	for _, k := range r.asked.keys {
		out = append(out, escape.Replace(k.name))
	}
	slices.Sort(out)
	return slices.Compact(out)
}

var escape = strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`)

// Covers reports whether one of patterns finds all that pattern finds, as far as
// can be seen: they are equal, or one of patterns is a prefix and a star.
func Covers(patterns []string, pattern string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool {
		prefix, open := strings.CutSuffix(p, "*")
		return p == pattern || open && !strings.ContainsAny(prefix, `*?[\`) && strings.HasPrefix(pattern, prefix)
	})
}

// basis returns the state that the plan depends on: what effects touch, the
// things that were asked for by name, and those that were listed by their labels
// or repository. What was only found by going through everything is left out:
// the plan would be stale as soon as anyone does anything.
func (a *asked) basis(before *state.State, touched map[string]bool) []Fact {
	kinds := map[factKey]bool{}
	for k := range a.facts {
		kinds[k] = true
	}
	for _, k := range a.keys {
		if touched[k.name] || !Covers(a.patterns, escape.Replace(k.name)) {
			kinds[factKey{"key", dbName(k)}] = true
		}
	}
	facts := []Fact{}
	for k := range kinds {
		facts = append(facts, Fact{Kind: k.kind, Name: k.name, Was: look(before, k)})
	}
	slices.SortFunc(facts, func(x, y Fact) int { return cmp.Or(cmp.Compare(x.Kind, y.Kind), cmp.Compare(x.Name, y.Name)) })
	return facts
}

// dbName writes the database before keys of other ones than 0.
func dbName(k dbKey) string {
	if k.db == 0 {
		return k.name
	}
	return fmt.Sprintf("%d %s", k.db, k.name)
}
