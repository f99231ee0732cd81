package plan

import (
	"fmt"
	"regexp"
	"strings"
	"sync"

	"github.com/mepc/mepc-run/internal/state"
)

// Symbol stands for a value that a run brings about, and that the real world
// chooses: an address, an ID, a port that the engine picks. In text it is
// written
//
//	<ip of app-1.1-c0ffee42>                 its address in the engine's default network
//	<ip of app-1.1-c0ffee42 in shop>         its address in the network shop
//	<id of app-1.1-c0ffee42>                 the container's ID, in full or its first 12 digits
//	<port 8080/tcp of app-1.1-c0ffee42>      the port that 8080/tcp is published as
//	<id of image mepc/app:1.1>               the image's ID
//
// and, where the world has several engines, " on ENGINE" before the ">".
type Symbol struct {
	What    string // ip, id, port, image
	Name    string // of the container or image
	Port    string // of a port: 8080/tcp
	Network string // of an address; "": the default one
	Engine  string // "": the only one
}

// String returns the symbol as it stands in text.
func (s Symbol) String() string {
	var b strings.Builder
	switch s.What {
	case "port":
		b.WriteString("<port " + s.Port + " of " + s.Name)
	case "image":
		b.WriteString("<id of image " + s.Name)
	default:
		b.WriteString("<" + s.What + " of " + s.Name)
	}
	if s.Network != "" {
		b.WriteString(" in " + s.Network)
	}
	if s.Engine != "" {
		b.WriteString(" on " + s.Engine)
	}
	return b.String() + ">"
}

var symbolForm = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`<(ip|id|port ([0-9]+/[a-z]+)) of (image )?([^\s<>]+)(?: in ([^\s<>]+))?(?: on ([^<>]+))?>`)
})

// parseSymbol takes a match of symbolForm apart.
func parseSymbol(m []string) Symbol {
	s := Symbol{What: m[1], Port: m[2], Name: m[4], Network: m[5], Engine: m[6]}
	switch {
	case m[2] != "":
		s.What = "port"
	case m[3] != "":
		s.What = "image"
	}
	return s
}

// expand replaces the symbols in text by what value says they are.
func expand(text string, value func(Symbol) (string, error)) (string, error) {
	var b strings.Builder
	last := 0
	for _, at := range symbolForm().FindAllStringSubmatchIndex(text, -1) {
		m := make([]string, len(at)/2)
		for i := range m {
			if at[2*i] >= 0 {
				m[i] = text[at[2*i]:at[2*i+1]]
			}
		}
		v, err := value(parseSymbol(m))
		if err != nil {
			return "", fmt.Errorf("%s: %w", m[0], err)
		}
		b.WriteString(text[last:at[0]] + v)
		last = at[1]
	}
	return b.String() + text[last:], nil
}

// symbols finds the values of a simulated world that symbols stand for.
type symbols struct {
	ips, ports map[string]string // value -> symbol
	ids        map[string]string // 64 digits -> symbol
}

func newSymbols() *symbols {
	return &symbols{ips: map[string]string{}, ports: map[string]string{}, ids: map[string]string{}}
}

// add compares what is on an engine now with what was before the run: what the
// run made has an ID of the simulation's, and what it started has addresses and
// ports of it. What has gone since is still known, for errors tell of it.
func (s *symbols) add(before, now *state.Engine, engine string) {
	was := make(map[string]*state.Container, len(before.Containers))
	for i := range before.Containers {
		was[before.Containers[i].ID] = &before.Containers[i]
	}
	for i := range now.Containers {
		c := &now.Containers[i]
		old := was[c.ID]
		if old == nil {
			s.ids[c.ID] = Symbol{What: "id", Name: c.Name, Engine: engine}.String()
		}
		if old != nil && old.Started.Equal(c.Started) {
			continue
		}
		for _, ep := range c.Networks {
			sym := Symbol{What: "ip", Name: c.Name, Network: ep.Network, Engine: engine}
			if ep.Network == "bridge" {
				sym.Network = ""
			}
			if ep.IP != "" {
				s.ips[ep.IP] = sym.String()
			}
		}
		for _, p := range c.Ports {
			if !wanted(c, p) {
				s.ports[fmt.Sprint(p.Host)] = Symbol{What: "port", Port: p.Port, Name: c.Name, Engine: engine}.String()
			}
		}
	}
	known := make(map[string]bool, len(before.Images))
	for i := range before.Images {
		known[before.Images[i].ID] = true
	}
	for i := range now.Images {
		if img := &now.Images[i]; !img.Absent && !known[img.ID] && img.Ref != "" {
			s.ids[strings.TrimPrefix(img.ID, "sha256:")] = Symbol{What: "image", Name: img.Ref, Engine: engine}.String()
		}
	}
}

// wanted reports whether the container asked for just this port of the host.
func wanted(c *state.Container, p state.Publish) bool {
	for _, a := range c.Publish {
		if a.Port == p.Port && a.Host == p.Host {
			return true
		}
	}
	return false
}

var valueForm = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`[0-9]+(?:\.[0-9]+){3}|(?:sha256:)?[0-9a-f]{12,64}|:[0-9]{2,5}`)
})

// apply writes symbols in place of the values they stand for.
func (s *symbols) apply(text string) string {
	if len(s.ips)+len(s.ids)+len(s.ports) == 0 || len(text) < 6 {
		return text
	}
	var b strings.Builder
	last := 0
	for _, at := range valueForm().FindAllStringIndex(text, -1) {
		sym := s.lookup(text[at[0]:at[1]], strings.HasPrefix(text[at[1]:], "..."))
		if sym == "" || at[0] > 0 && text[at[0]] != ':' && wordy(text[at[0]-1]) || at[1] < len(text) && wordy(text[at[1]]) {
			continue
		}
		b.WriteString(text[last:at[0]] + sym)
		last = at[1]
	}
	if last == 0 {
		return text
	}
	return b.String() + text[last:]
}

// lookup returns the symbol for value, which may have been cut off, or "".
func (s *symbols) lookup(value string, cut bool) string {
	if port, ok := strings.CutPrefix(value, ":"); ok {
		if sym := s.ports[port]; sym != "" {
			return ":" + sym
		}
		return ""
	}
	if sym := s.ips[value]; sym != "" {
		return sym
	}
	id := strings.TrimPrefix(value, "sha256:")
	if sym := s.ids[id]; sym != "" {
		return sym
	}
	if len(id) == 12 || cut && len(id) > 12 {
		for full, sym := range s.ids {
			if strings.HasPrefix(full, id) {
				return sym
			}
		}
	}
	return ""
}

// wordy reports whether c goes on with a word or a number.
func wordy(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_'
}
