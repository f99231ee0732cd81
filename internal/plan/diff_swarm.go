package plan

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/mepc/mepc-run/internal/state"
)

// named is a thing of a swarm that has a name alone.
type named struct{ name, text string }

// diffSwarm returns what is different in the swarm that an engine manages.
func diffSwarm(before, now *state.Swarm, touched func(string) bool) []Change {
	var all []Change
	switch {
	case before == nil && now != nil:
		all = append(all, Change{Mark: Added, Kind: "swarm", Name: "a new one"})
	case before != nil && now == nil:
		all = append(all, Change{Mark: Removed, Kind: "swarm", Name: "all of it"})
	}
	was, is := orNone(before), orNone(now)
	all = append(all, diffThings("service", was.Services, is.Services, thing[state.Service]{
		key:  func(s *state.Service) string { return s.Name },
		name: func(s *state.Service) string { return s.Name },
		text: serviceText,
		diff: serviceDiff,
		app:  func(s *state.Service) string { return s.Labels["mepc.app"] },
	}, touched)...)
	all = append(all, diffThings("node", nodesOf(was), nodesOf(is), thing[named]{
		key:  func(n *named) string { return n.name },
		name: func(n *named) string { return n.name },
		text: func(n *named) string { return n.text },
		diff: func(a, b *named) string {
			if a.text == b.text {
				return ""
			}
			return a.text + " -> " + b.text
		},
	}, func(string) bool { return true })...)
	for _, kind := range []struct {
		name     string
		was, now []string
	}{
		{"secret", was.Secrets, is.Secrets},
		{"config", slices.Sorted(maps.Keys(was.Configs)), slices.Sorted(maps.Keys(is.Configs))},
	} {
		all = append(all, diffThings(kind.name, namesOf(kind.was), namesOf(kind.now), thing[named]{
			key:  func(n *named) string { return n.name },
			name: func(n *named) string { return n.name },
			text: func(*named) string { return "" },
		}, touched)...)
	}
	return all
}

func orNone(s *state.Swarm) *state.Swarm { return cmp.Or(s, &state.Swarm{}) }

func namesOf(names []string) []named {
	list := make([]named, len(names))
	for i, n := range names {
		list[i] = named{name: n}
	}
	return list
}

func nodesOf(s *state.Swarm) []named {
	text := func(availability string, labels map[string]string) string {
		out := cmp.Or(availability, "active")
		for _, k := range slices.Sorted(maps.Keys(labels)) {
			out += " " + k + "=" + labels[k]
		}
		return out
	}
	list := []named{{"this engine's", text(s.Availability, s.Labels)}}
	for _, n := range s.Nodes {
		list = append(list, named{n.Name, text(n.Availability, n.Labels)})
	}
	return list
}

func replicasOf(s *state.Service) string {
	switch {
	case s.Global:
		return "a task on each node"
	case s.Replicas == nil:
		return "1 replica"
	case *s.Replicas == 1:
		return "1 replica"
	}
	return fmt.Sprintf("%d replicas", *s.Replicas)
}

func serviceText(s *state.Service) string { return s.Image + ", " + replicasOf(s) }

func serviceDiff(was, is *state.Service) string {
	var parts []string
	if was.Image != is.Image {
		parts = append(parts, was.Image+" -> "+is.Image)
	}
	if a, b := replicasOf(was), replicasOf(is); a != b {
		parts = append(parts, a+" -> "+b)
	}
	if len(parts) == 0 && !bytes.Equal(was.Spec, is.Spec) {
		parts = append(parts, "its configuration")
	}
	return strings.Join(parts, ", ")
}
