package prove

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/mepc/mepc-run/internal/state"
)

// key stands for all that a later run can depend on.
type key [sha256.Size]byte

// canon returns the key of a world between two runs. Worlds that differ in
// nothing but times, IDs, the order in which they were given, and how long a key
// of Redis lives, have the same.
func (t *trial) canon() key {
	s := t.state()
	h := sha256.New()
	enc := json.NewEncoder(h)
	names := map[string]string{} // ID -> name
	for _, e := range s.Engines {
		for _, c := range e.Containers {
			names[c.ID] = c.Name
		}
	}
	put := func(v any) {
		if err := enc.Encode(v); err != nil {
			panic(fmt.Sprintf("prove: %s", err)) // plain data
		}
	}
	for _, e := range s.Engines {
		finished := rank(e.Containers)
		for i, c := range e.Containers { // in the order of their creation
			labels := maps.Clone(c.Labels)
			maps.DeleteFunc(labels, func(k, _ string) bool { return strings.HasPrefix(k, "mepc.call") })
			put([]any{
				c.Name, c.Image, c.ImageID, c.Status, c.ExitCode, c.Health, c.Stopped, c.Cmd, c.Env, labels, c.Restart, c.Publish, c.Links,
				c.Binds, c.Mode, c.Networks, c.Ports, finished[i],
			})
		}
		for _, i := range e.Images {
			put([]any{i.Ref, i.Tags, i.ID, i.Absent})
		}
		for _, n := range e.Networks {
			put([]any{n.Name, n.Subnet})
		}
		for _, v := range e.Volumes {
			put(v.Name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(s.Redis)) {
		k := s.Redis[name]
		lives := k.TTL > 0
		k.TTL = 0
		if strings.HasPrefix(name, "mepc:lock:") || strings.HasPrefix(name, "mepc:fence:") {
			k = state.RedisKey{} // who had it, and when, is another each time
		}
		put([]any{name, lives, k})
	}
	for _, host := range slices.Sorted(maps.Keys(t.obs.seen)) {
		put(host)
		for _, url := range slices.Sorted(maps.Keys(t.obs.meant[host])) {
			put([]string{url, names[t.obs.meant[host][url]]})
		}
	}
	for _, address := range slices.Sorted(maps.Keys(t.obs.astray)) {
		put(address)
	}
	put(t.obs.brought)
	return key(h.Sum(nil))
}

// rank returns for each container how many of the others ended before it.
func rank(all []state.Container) []int {
	ranks := make([]int, len(all))
	for i, a := range all {
		for _, b := range all {
			if b.Finished.Before(a.Finished) {
				ranks[i]++
			}
		}
	}
	return ranks
}
