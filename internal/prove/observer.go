package prove

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/mepc/mepc-run/internal/sim"
)

// Rule is a property that must hold. Each has a recipe in testdata that breaks it.
type Rule string

// What must hold at all times.
const (
	NeverEmpty Rule = "never-empty" // a routing list that had a backend has one
	Alive      Rule = "alive"       // whatever a list points to runs and is healthy
	Meant      Rule = "meant"       // and is the container that was there when it was listed, of the list's app
	Answered   Rule = "answered"    // requests are answered
	Team       Rule = "invariant"   // an invariant of the team's own
)

// What must hold once a run without faults is over.
const (
	Done       Rule = "done"        // a run that ends well has put its release in charge
	Undone     Rule = "undone"      // a run that fails takes down what it has put up, unless that is in charge
	Converges  Rule = "converges"   // the user's next run ends well
	OneVersion Rule = "one-version" // what the deployment is to run runs, and nothing else of the app
	NoLeftover Rule = "no-leftover" // no container and no key that a run without faults would not leave
	Idempotent Rule = "idempotent"  // one more run has no effects
)

// Violation is a rule that was broken.
type Violation struct {
	Rule  Rule
	Text  string // what was seen
	After Call   // the call after which it was seen
	Where string // the recipe's line of that call
}

// observer looks at a world from outside: at its routing lists, its containers,
// and the answers of a router of its own, by the world's state alone.
//
// What a fault of the world itself breaks is not a mistake of the recipe. Until a
// fault-free run ends, these are tolerated:
//
//   - backends at addresses that an engine restart gave to another container, or
//     took away;
//   - backends at the addresses that a container had when it died;
//   - a list that is exactly as a restart of Redis brought it back;
//   - requests to a host whose list names such a backend, or is such a list.
//
// Nothing else, and nothing at all after that run.
type observer struct {
	scenario *Scenario
	world    *sim.World

	seen    map[string]bool              // hosts whose list was not empty
	meant   map[string]map[string]string // host -> backend -> ID of the container it meant
	names   map[string]string            // of the containers that were meant, by ID
	astray  map[string]bool              // excused addresses
	brought map[string]string            // host -> the list that a restart of Redis brought back
	told    map[string]bool              // what was wrong when it last looked: once said is enough
}

// ownRouter is the address of the observer's router.
const ownRouter = "127.255.255.254:80"

func newObserver(s *Scenario, w *sim.World) *observer {
	return &observer{
		scenario: s, world: w, seen: map[string]bool{}, meant: map[string]map[string]string{}, names: map[string]string{},
		astray: map[string]bool{}, brought: map[string]string{}, told: map[string]bool{},
	}
}

// look returns what is wrong now and was not when it last looked.
func (o *observer) look(boxes []sim.Box) []Violation {
	var found []Violation
	holds := map[string]bool{}
	wrong := func(rule Rule, about, format string, args ...any) {
		if about = string(rule) + " " + about; !o.told[about] {
			found = append(found, Violation{Rule: rule, Text: fmt.Sprintf(format, args...)})
		}
		holds[about] = true
	}
	for _, host := range o.scenario.Hosts {
		o.lookAt(host, boxes, wrong)
	}
	for _, i := range o.scenario.Invariants {
		text, err := i.Check(o.world)
		if err != nil {
			text = "it cannot be checked: " + err.Error()
		}
		if text != "" {
			wrong(Team, i.Name, "%s: %s", i.Name, text)
		}
	}
	o.told = holds
	return found
}

func (o *observer) lookAt(host string, boxes []sim.Box, wrong func(rule Rule, about, format string, args ...any)) {
	list, text := o.list(host)
	if was, ok := o.brought[host]; ok && was != text {
		delete(o.brought, host)
	}
	_, brought := o.brought[host]
	if len(list) == 0 {
		if o.seen[host] && !brought {
			wrong(NeverEmpty, host, "the routing list of %s is empty", host)
		}
		delete(o.meant, host)
		return
	}
	o.seen[host] = true
	excused := brought
	apps := o.appsOf(text)
	meant := map[string]string{}
	for _, url := range list {
		at := placeOf(url)
		if brought || slices.ContainsFunc(at.addresses(), func(a string) bool { return o.astray[a] }) {
			excused = true
			continue
		}
		box := owner(boxes, at)
		before, known := o.meant[host][url]
		switch {
		case box == nil && known:
			wrong(Alive, host+" "+url, "%s points to %s, where %s was and nothing runs", host, url, o.names[before])
		case box == nil:
			wrong(Alive, host+" "+url, "%s points to %s, where nothing runs", host, url)
		case known && box.ID != before:
			wrong(Meant, host+" "+url, "%s points to %s, which was %s and is %s now", host, url, o.names[before], box.Name)
		case len(apps) > 0 && !slices.ContainsFunc(apps, func(app string) bool { return belongs(box, app) }):
			wrong(Meant, host+" "+url, "%s points to %s, which is %s: no container of %s", host, url, box.Name, strings.Join(apps, " or "))
		case box.Health != "" && box.Health != "healthy":
			wrong(Alive, host+" "+url, "%s points to %s, and %s is %s", host, url, box.Name, box.Health)
		}
		switch {
		case known:
			meant[url] = before
		case box != nil:
			meant[url] = box.ID
			o.names[box.ID] = box.Name
		}
	}
	o.meant[host] = meant
	for range list {
		status, body, err := o.world.Get(context.Background(), "http://"+ownRouter+"/", host)
		if (err != nil || status >= 400) && !excused {
			if err != nil {
				body = err.Error()
			}
			wrong(Answered, host, "a request to %s is not answered: %d %s", host, status, strings.Join(strings.Fields(body), " "))
			break
		}
	}
}

// list returns the backends of host, and the whole list as one text.
func (o *observer) list(host string) ([]string, string) {
	k, ok, err := o.world.RedisKey(0, "frontend:"+host)
	if err != nil || !ok || len(k.List) < 2 {
		return nil, ""
	}
	return k.List[1:], strings.Join(k.List, "\n")
}

// listed reports whether any host's list leads to the container.
func (o *observer) listed(b sim.Box) bool {
	s, err := o.world.State()
	if err != nil {
		return false
	}
	for name, k := range s.Redis {
		if !strings.HasPrefix(name, "frontend:") {
			continue
		}
		for _, url := range k.List {
			if slices.ContainsFunc(placeOf(url).addresses(), func(a string) bool { return slices.Contains(addressesOf(b), a) }) {
				return true
			}
		}
	}
	return false
}

func (o *observer) boxes() []sim.Box {
	var all []sim.Box
	for _, e := range o.world.Engines() {
		all = append(all, e.Boxes()...)
	}
	return all
}

// ours reports whether the container belongs to one of the scenario's apps.
func (o *observer) ours(b *sim.Box) bool {
	return len(o.scenario.Apps) == 0 || slices.ContainsFunc(o.scenario.Apps, func(app string) bool { return belongs(b, app) })
}

// belongs reports whether the container is one of app, by its label or its name.
func belongs(b *sim.Box, app string) bool {
	return b.Labels["mepc.app"] == app || b.Name == app || strings.HasPrefix(b.Name, app+"-")
}

// appsOf returns the apps to which a list with this text may lead.
func (o *observer) appsOf(text string) []string {
	first, _, _ := strings.Cut(text, "\n")
	if slices.Contains(o.scenario.Apps, first) {
		return []string{first}
	}
	return o.scenario.Apps
}

// place is what a backend's URL leads to: an address, or a published port.
type place struct{ host, port string }

func placeOf(url string) place {
	_, rest, _ := strings.Cut(url, "://")
	rest, _, _ = strings.Cut(rest, "/")
	host, port, err := net.SplitHostPort(rest)
	if err != nil {
		return place{rest, ""}
	}
	return place{host, ":" + port}
}

// addresses lists the forms in which addressesOf may return the place.
func (p place) addresses() []string {
	if p.port == "" {
		return []string{p.host}
	}
	return []string{p.host, p.host + p.port, p.port}
}

// addressesOf returns the addresses at which a container is reached. A port that is published on this
// machine is reached at any of its addresses.
func addressesOf(b sim.Box) []string {
	all := slices.Clone(b.IPs)
	host := b.Host
	if host == "127.0.0.1" {
		host = ""
	}
	for _, p := range b.Ports {
		all = append(all, host+":"+strconv.Itoa(p))
	}
	return all
}

func running(b sim.Box) bool { return b.Status == "running" || b.Status == "paused" }

// owner returns the running container at a place.
func owner(boxes []sim.Box, at place) *sim.Box {
	for _, address := range at.addresses() {
		for i, b := range boxes {
			if running(b) && slices.Contains(addressesOf(b), address) {
				return &boxes[i]
			}
		}
	}
	return nil
}

// dies excuses what a container that is about to die takes with it.
func (o *observer) dies(e *sim.Engine, container string) {
	for _, b := range e.Boxes() {
		if b.Name == container {
			for _, a := range addressesOf(b) {
				o.astray[a] = true
			}
		}
	}
}

// moved excuses the addresses that belong to another than before.
func (o *observer) moved(before, after []sim.Box) {
	for _, boxes := range [][]sim.Box{before, after} {
		for _, b := range boxes {
			for _, a := range addressesOf(b) {
				was, is := owner(before, place{host: a}), owner(after, place{host: a})
				if was == nil || is == nil || was.ID != is.ID {
					o.astray[a] = true
				}
			}
		}
	}
}

// restored excuses the lists that Redis came back with.
func (o *observer) restored() {
	for _, host := range o.scenario.Hosts {
		_, text := o.list(host)
		o.brought[host] = text
	}
}

// strict takes all excuses back.
func (o *observer) strict() {
	clear(o.astray)
	clear(o.brought)
}
