package plan

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/mepc/mepc-run/internal/state"
)

// diffEngines returns what is different on the engines. Of what was there before
// and still is, only what touched names counts: time alone changes things, too.
// Symbols stand for what the engine chose.
func diffEngines(before, now []state.Engine, touched func(name string) bool) []Change {
	var all []Change
	for n := range now {
		engine := ""
		if len(now) > 1 {
			engine = now[n].Name
		}
		for _, c := range diffEngine(&before[n], &now[n], touched) {
			c.Engine = engine
			all = append(all, c)
		}
	}
	return all
}

func diffEngine(before, now *state.Engine, touched func(string) bool) []Change {
	var all []Change
	all = append(all, diffThings("container", before.Containers, now.Containers, thing[state.Container]{
		key:  func(c *state.Container) string { return c.ID },
		name: func(c *state.Container) string { return c.Name },
		text: containerText,
		diff: containerDiff,
		app:  func(c *state.Container) string { return c.Labels["mepc.app"] },
	}, touched)...)
	all = append(all, diffImages(before.Images, now.Images)...)
	all = append(all, diffThings("network", before.Networks, now.Networks, thing[state.Network]{
		key:  func(n *state.Network) string { return n.ID },
		name: func(n *state.Network) string { return n.Name },
		text: func(n *state.Network) string { return n.Driver },
	}, touched)...)
	all = append(all, diffSwarm(before.Swarm, now.Swarm, touched)...)
	return append(all, diffThings("volume", before.Volumes, now.Volumes, thing[state.Volume]{
		key:  func(v *state.Volume) string { return v.Name },
		name: func(v *state.Volume) string { return v.Name },
		text: func(v *state.Volume) string { return v.Driver },
	}, touched)...)
}

// thing defines how things of one kind are compared and shown.
type thing[T any] struct {
	key, name, text func(*T) string
	diff            func(was, is *T) string // nil: it never changes
	app             func(*T) string         // nil: it belongs to none
}

func diffThings[T any](kind string, before, now []T, t thing[T], touched func(string) bool) []Change {
	was := make(map[string]*T, len(before))
	for i := range before {
		was[t.key(&before[i])] = &before[i]
	}
	var all []Change
	add := func(mark Mark, v *T, text string) {
		c := Change{Mark: mark, Kind: kind, Name: t.name(v), Text: text}
		if t.app != nil {
			c.App = t.app(v)
		}
		all = append(all, c)
	}
	for i := range now {
		is := &now[i]
		old := was[t.key(is)]
		delete(was, t.key(is))
		if old == nil {
			add(Added, is, t.text(is))
		} else if t.diff != nil && (touched(t.name(is)) || touched(t.name(old))) {
			if text := t.diff(old, is); text != "" {
				add(Changed, is, text)
			}
		}
	}
	for i := range before {
		if v := &before[i]; was[t.key(v)] == v {
			add(Removed, v, t.text(v))
		}
	}
	slices.SortStableFunc(all, func(a, b Change) int { return cmp.Or(cmp.Compare(a.App, b.App), cmp.Compare(a.Name, b.Name)) })
	return all
}

func containerText(c *state.Container) string {
	parts := []string{imageName(c), statusOf(c)}
	if r := c.Labels["mepc.release"]; r != "" {
		parts = append(parts, "release "+r)
	}
	return strings.Join(parts, ", ")
}

func imageName(c *state.Container) string {
	v, app := c.Labels["mepc.version"], c.Labels["mepc.app"]
	if v != "" && app != "" && isID(c.Image) {
		return "version " + v
	}
	return c.Image
}

func isID(ref string) bool { return strings.HasPrefix(ref, "sha256:") }

func statusOf(c *state.Container) string { return cmp.Or(c.Status, "running") }

func containerDiff(was, is *state.Container) string {
	var parts []string
	for _, f := range []struct{ name, was, is string }{
		{"name", was.Name, is.Name},
		{"", statusOf(was), statusOf(is)},
		{"restart", cmp.Or(was.Restart, "no"), cmp.Or(is.Restart, "no")},
		{"networks", networkNames(was), networkNames(is)},
	} {
		if f.was != f.is {
			parts = append(parts, strings.TrimSpace(f.name+" "+f.was+" -> "+f.is))
		}
	}
	if len(parts) == 0 && statusOf(is) == "running" && !was.Started.Equal(is.Started) {
		parts = append(parts, "restarted")
	}
	return strings.Join(parts, ", ")
}

func networkNames(c *state.Container) string {
	names := make([]string, 0, len(c.Networks))
	for _, n := range c.Networks {
		names = append(names, n.Network)
	}
	slices.Sort(names)
	return cmp.Or(strings.Join(names, " "), "none")
}

// diffImages tells of references, which is how people know images, and of images
// without one.
func diffImages(before, now []state.Image) []Change {
	was, is := references(before), references(now)
	var all []Change
	for ref, id := range is {
		switch old, ok := was[ref]; {
		case !ok:
			all = append(all, Change{Mark: Added, Kind: "image", Name: ref, Text: shortID(id)})
		case old != id:
			all = append(all, Change{Mark: Changed, Kind: "image", Name: ref, Text: shortID(old) + " -> " + shortID(id)})
		}
	}
	for ref, id := range was {
		if _, ok := is[ref]; !ok {
			all = append(all, Change{Mark: Removed, Kind: "image", Name: ref, Text: shortID(id)})
		}
	}
	slices.SortFunc(all, func(a, b Change) int { return cmp.Compare(a.Name, b.Name) })
	return all
}

func references(images []state.Image) map[string]string {
	refs := make(map[string]string, len(images))
	for i := range images {
		img := &images[i]
		switch {
		case img.Absent:
		case img.Ref == "":
			refs[img.ID] = img.ID
		default:
			refs[img.Ref] = img.ID
			for _, t := range img.Tags {
				refs[t] = img.ID
			}
		}
	}
	return refs
}

// shortID is an ID as people see it: its first 12 digits.
func shortID(id string) string {
	id = strings.TrimPrefix(id, "sha256:")
	return id[:min(12, len(id))]
}

// routing begins the key of a list of backends.
const routing = "frontend:"

// diffKey compares a key with what it was; nil is not there. It reports false
// when nothing is different.
func diffKey(name string, was, is *state.RedisKey) (Change, bool) {
	c := Change{Kind: "key", Name: name}
	if strings.HasPrefix(name, routing) && (was == nil || was.List != nil) && (is == nil || is.List != nil) {
		c.Kind = "list"
	}
	switch {
	case was == nil && is == nil, was != nil && is != nil && equalKeys(was, is):
		return c, false
	case was == nil:
		c.Mark, c.Text = Added, keyText(name, is)
	case is == nil:
		c.Mark, c.Text = Removed, keyText(name, was)
	default:
		c.Mark, c.Text = Changed, keyText(name, was)+" -> "+keyText(name, is)
	}
	if c.Kind == "list" {
		c.Text, c.Lines = "", listLines(backends(was), backends(is))
	}
	return c, true
}

// equalKeys leaves out how long a key has still to live: that is time's affair.
func equalKeys(a, b *state.RedisKey) bool {
	return valueText(a) == valueText(b) && (a.TTL > 0) == (b.TTL > 0)
}

func backends(k *state.RedisKey) []string {
	if k == nil {
		return nil
	}
	return k.List
}

// listLines returns the entries of a list that stay, then those that go, come, or
// stand there another number of times.
func listLines(was, is []string) []string {
	before, after := counts(was), counts(is)
	var stay, leave, come []string
	for _, v := range unique(append(slices.Clone(is), was...)) {
		switch n, m := before[v], after[v]; {
		case n == m:
			stay = append(stay, "  "+times(v, n))
		case m == 0:
			leave = append(leave, "- "+times(v, n))
		case n == 0:
			come = append(come, "+ "+times(v, m))
		default:
			come = append(come, fmt.Sprintf("~ %s x%d -> x%d", v, n, m))
		}
	}
	if len(leave)+len(come) == 0 && !slices.Equal(was, is) {
		come = append(come, "  in another order")
	}
	return slices.Concat(stay, leave, come)
}

// times is v with how often it stands there, when that is more than once.
func times(v string, n int) string {
	if n == 1 {
		return v
	}
	return fmt.Sprintf("%s x%d", v, n)
}

func counts(list []string) map[string]int {
	n := make(map[string]int, len(list))
	for _, v := range list {
		n[v]++
	}
	return n
}

func unique(list []string) []string {
	seen := make(map[string]bool, len(list))
	return slices.DeleteFunc(list, func(v string) bool {
		again := seen[v]
		seen[v] = true
		return again
	})
}

// ours reports whether a key holds nothing but routing and mepc-run's own notes.
// The values of others are not shown.
func ours(name string) bool {
	return strings.HasPrefix(name, routing) || strings.HasPrefix(name, "dead:") || strings.HasPrefix(name, "mepc:")
}

// keyText says what a key holds.
func keyText(name string, k *state.RedisKey) string {
	if ours(name) {
		return valueText(k)
	}
	switch {
	case k.String != nil:
		return fmt.Sprintf("string of %d bytes", len(*k.String))
	case k.List != nil:
		return fmt.Sprintf("list of %d", len(k.List))
	case k.Set != nil:
		return fmt.Sprintf("set of %d", len(k.Set))
	case k.Hash != nil:
		return fmt.Sprintf("hash of %d", len(k.Hash))
	case k.ZSet != nil:
		return fmt.Sprintf("sorted set of %d", len(k.ZSet))
	}
	return fmt.Sprintf("stream of %d", len(k.Stream))
}

// valueText is all of a key's value.
func valueText(k *state.RedisKey) string {
	switch {
	case k.String != nil:
		return *k.String
	case k.List != nil:
		return "[" + strings.Join(k.List, ", ") + "]"
	case k.Set != nil:
		return "{" + strings.Join(slices.Sorted(slices.Values(k.Set)), ", ") + "}"
	}
	if k.Hash != nil {
		var fields []string
		for _, f := range slices.Sorted(maps.Keys(k.Hash)) {
			fields = append(fields, f+"="+k.Hash[f])
		}
		return "{" + strings.Join(fields, ", ") + "}"
	}
	return fmt.Sprintf("%v %v", k.ZSet, k.Stream) // fmt sorts maps
}
