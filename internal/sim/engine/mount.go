package engine

import (
	"cmp"
	"slices"
	"sort"
	"strings"
)

// mounts returns what is mounted in a container, by destination. Anonymous
// volumes are named after the container.
func (c *ctr) mounts() []mountJSON {
	out := []mountJSON{}
	for _, b := range c.host.Binds {
		parts := strings.Split(b, ":")
		m := mountJSON{Type: "bind", RW: true, Propagation: "rprivate"}
		switch len(parts) {
		case 1:
			m.Destination = parts[0]
			out = append(out, c.anonymous(m.Destination))
			continue
		case 3:
			m.Mode = parts[2]
			m.RW = !slices.Contains(strings.Split(m.Mode, ","), "ro")
			fallthrough
		default:
			m.Source, m.Destination = parts[0], parts[1]
		}
		if !strings.HasPrefix(m.Source, "/") {
			m.Type, m.Name, m.Driver, m.Propagation = "volume", m.Source, "local", ""
			m.Source = volumePath(m.Name)
			if m.Mode == "" {
				m.Mode = "z"
			}
		}
		out = append(out, m)
	}
	for _, spec := range c.host.Mounts {
		m := mountJSON{Type: string(spec.Type), Source: spec.Source, Destination: spec.Target, RW: !spec.ReadOnly}
		switch m.Type {
		case "volume":
			m.Name, m.Driver, m.Mode = spec.Source, "local", "z"
			m.Source = volumePath(m.Name)
		case "bind":
			m.Propagation = "rprivate"
		}
		out = append(out, m)
	}
	anonymous := make([]string, 0, len(c.config.Volumes))
	for dst := range c.config.Volumes {
		if !slices.ContainsFunc(out, func(m mountJSON) bool { return m.Destination == dst }) {
			anonymous = append(anonymous, dst)
		}
	}
	sort.Strings(anonymous)
	for _, dst := range anonymous {
		out = append(out, c.anonymous(dst))
	}
	slices.SortStableFunc(out, func(a, b mountJSON) int { return cmp.Compare(a.Destination, b.Destination) })
	return out
}

func (c *ctr) anonymous(dst string) mountJSON {
	name := hexSum([]byte("volume " + c.id + " " + dst))
	return mountJSON{Type: "volume", Name: name, Source: volumePath(name), Destination: dst, Driver: "local", RW: true}
}

func volumePath(name string) string { return "/var/lib/docker/volumes/" + name + "/_data" }
