package plan

import (
	"cmp"
	"fmt"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/mepc/mepc-run/internal/effect"
	"github.com/mepc/mepc-run/internal/sim"
)

// asked is what a run asked for: names of things, keys, and patterns of them.
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
	"network_connect": "network", "network_disconnect": "network", "network": "network", "network_create": "network", "network_remove": "network",
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

// basis returns what the plan rests on, as it was: what effects touch, the
// things that were asked for by name, and those that were listed by their labels
// or repository. What was only found by going through everything is left out:
// the plan would be stale as soon as anyone does anything.
func (a *asked) basis(before *sim.State, touched map[string]bool) []Fact {
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

// look returns the properties of a thing in s. Things of the same name on several
// engines are told apart by a number.
func look(s *sim.State, k factKey) map[string]string {
	out := map[string]string{}
	if k.kind == "key" {
		return lookKey(s, k.name)
	}
	for n := range s.Engines {
		prefix := ""
		if n > 0 {
			prefix = fmt.Sprintf("engine %d: ", n+1)
		}
		for name, value := range lookOn(&s.Engines[n], k) {
			out[prefix+name] = value
		}
	}
	return out
}

func lookKey(s *sim.State, name string) map[string]string {
	keys := s.Redis
	if db, rest, ok := strings.Cut(name, " "); ok {
		if n, err := strconv.Atoi(db); err == nil {
			keys, name = s.RedisDBs[n], rest
		}
	}
	k, ok := keys[name]
	if !ok {
		return map[string]string{}
	}
	return map[string]string{"value": keyText(name, &k)}
}

func lookOn(e *sim.EngineState, k factKey) map[string]string {
	out := map[string]string{}
	switch k.kind {
	case "container":
		for i := range e.Containers {
			if c := &e.Containers[i]; c.Name == k.name || c.ID == k.name || len(k.name) >= 12 && strings.HasPrefix(c.ID, k.name) {
				return containerFact(c)
			}
		}
	case "containers":
		for i := range e.Containers {
			if c := &e.Containers[i]; labelled(c, k.name) {
				f := containerFact(c)
				out[c.Name] = strings.Join(slices.DeleteFunc([]string{f["id"], f["status"], f["ip"]}, func(s string) bool { return s == "" }), " ")
			}
		}
	case "image":
		for ref, id := range references(e.Images) {
			if ref == withTag(k.name) || ref == k.name || id == k.name {
				out["is"] = "there"
				if id != "" {
					out["id"] = shortID(id)
				}
			}
		}
	case "images":
		for ref, id := range references(e.Images) {
			if repository(ref) == repository(k.name) || matches(k.name, ref) {
				out[ref] = shortID(id)
			}
		}
	case "network":
		for i := range e.Networks {
			if n := &e.Networks[i]; n.Name == k.name || n.ID == k.name {
				out["id"] = shortID(n.ID)
			}
		}
	}
	return out
}

// containerFact leaves out what the state does not say.
func containerFact(c *sim.Container) map[string]string {
	f := map[string]string{"status": statusOf(c)}
	if c.ID != "" {
		f["id"] = shortID(c.ID)
	}
	var ips []string
	for _, n := range c.Networks {
		if n.IP != "" {
			ips = append(ips, n.IP)
		}
	}
	if len(ips) > 0 {
		slices.Sort(ips)
		f["ip"] = strings.Join(ips, " ")
	}
	return f
}

// labelled reports whether c has the labels "a=b c=d"; an empty value stands for any.
func labelled(c *sim.Container, labels string) bool {
	for _, l := range strings.Fields(labels) {
		name, value, _ := strings.Cut(l, "=")
		if got, ok := c.Labels[name]; !ok || value != "" && got != value {
			return false
		}
	}
	return true
}

func withTag(ref string) string {
	if strings.LastIndexByte(ref, ':') > strings.LastIndexByte(ref, '/') {
		return ref
	}
	return ref + ":latest"
}

func repository(ref string) string {
	if i := strings.LastIndexByte(ref, ':'); i > strings.LastIndexByte(ref, '/') {
		return ref[:i]
	}
	return ref
}

func matches(pattern, ref string) bool {
	ok, err := path.Match(pattern, ref)
	return err == nil && ok
}

// Stale returns, in a line each, what of the plan's basis is different in s. What
// the plan's world did not say is not compared.
func (p *Plan) Stale(s *sim.State) []string {
	var out []string
	for _, f := range p.Basis {
		is := look(s, factKey{f.Kind, f.Name})
		name := f.Kind + " " + f.Name
		switch {
		case len(f.Was) == 0 && len(is) > 0:
			out = append(out, name+": was not there, and is now: "+factText(is))
			continue
		case len(f.Was) > 0 && len(is) == 0:
			out = append(out, name+": was there, and is gone: "+factText(f.Was))
			continue
		}
		several := f.Kind == "containers" || f.Kind == "images"
		for _, k := range sortedKeys(f.Was, is) {
			was, had := f.Was[k]
			now, has := is[k]
			switch {
			case had && !has:
				out = append(out, fmt.Sprintf("%s: %s was %s, and is gone", name, k, was))
			case !had && has && several:
				out = append(out, fmt.Sprintf("%s: %s is new: %s", name, k, now))
			case had && was != now:
				out = append(out, fmt.Sprintf("%s: %s was %s, and is %s", name, k, was, now))
			}
		}
	}
	return out
}

func factText(f map[string]string) string {
	var parts []string
	for _, k := range sortedKeys(f, nil) {
		parts = append(parts, k+" "+f[k])
	}
	return strings.Join(parts, ", ")
}

func sortedKeys(a, b map[string]string) []string {
	var keys []string
	for k := range a {
		keys = append(keys, k)
	}
	for k := range b {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}
