package plan

import (
	"crypto/sha256"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/mepc/mepc-run/internal/state"
)

// look returns the properties of a thing in s. Things of the same name on several
// engines are told apart by a number.
func look(s *state.State, k factKey) map[string]string {
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

func lookKey(s *state.State, name string) map[string]string {
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

func lookOn(e *state.Engine, k factKey) map[string]string {
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
		latest := k.name + ":latest" // without a tag
		for ref, id := range references(e.Images) {
			if ref == k.name || ref == latest || id == k.name {
				out["is"] = "there"
				if id != "" {
					out["id"] = shortID(id)
				}
			}
		}
	case "images":
		wanted, _ := state.SplitTag(k.name)
		for ref, id := range references(e.Images) {
			if repository, _ := state.SplitTag(ref); repository == wanted || matches(k.name, ref) {
				out[ref] = shortID(id)
			}
		}
	case "service":
		for i := range orNone(e.Swarm).Services {
			if s := &e.Swarm.Services[i]; s.Name == k.name {
				out["is"] = serviceText(s)
				if len(s.Spec) > 0 {
					out["spec"] = fmt.Sprintf("%x", sha256.Sum256(s.Spec))[:12]
				}
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
func containerFact(c *state.Container) map[string]string {
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
func labelled(c *state.Container, labels string) bool {
	for _, l := range strings.Fields(labels) {
		name, value, _ := strings.Cut(l, "=")
		if got, ok := c.Labels[name]; !ok || value != "" && got != value {
			return false
		}
	}
	return true
}

func matches(pattern, ref string) bool {
	ok, err := path.Match(pattern, ref)
	return err == nil && ok
}

// Stale returns, in a line each, what of the plan's basis is different in s. What
// the plan's world did not say is not compared.
func Stale(p *Plan, s *state.State) []string {
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
