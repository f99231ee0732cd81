package prove

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/internal/sim"
	"github.com/mepc/mepc-run/internal/state"
)

// expected holds the state that a run without faults leaves.
type expected struct {
	images map[string][]string // host -> the images that its list leads to
	runs   map[string]string   // the app's running containers -> image
	names  map[string]bool     // every container that someone's deployment may leave stopped
	keys   map[string]bool     // the keys of Redis
	before map[string]bool     // the IDs of the containers, and the keys, that were there at the start
}

// expect notes what is there at the end of a run without faults.
func (t *trial) expect() *expected {
	e := &expected{images: t.images(t.obs.boxes()), runs: map[string]string{}, names: map[string]bool{}, keys: map[string]bool{}}
	for _, b := range t.obs.boxes() {
		e.names[b.Name] = true
		if running(b) && t.obs.ours(&b) {
			e.runs[b.Name] = b.ImageID
		}
	}
	for k := range t.state().Redis {
		e.keys[k] = true
	}
	return e
}

// images returns the images that each host's list leads to.
func (t *trial) images(boxes []sim.Box) map[string][]string {
	images := map[string][]string{}
	for _, host := range t.scenario.Hosts {
		list, _ := t.obs.list(host)
		for _, url := range list {
			image := "nothing"
			if b := owner(boxes, placeOf(url)); b != nil {
				image = b.ImageID
			}
			if !slices.Contains(images[host], image) {
				images[host] = append(images[host], image)
			}
		}
		slices.Sort(images[host])
	}
	return images
}

// recover makes the user's last run, which has no fault, and checks what must
// hold after it.
func (t *trial) recover(want *expected) {
	r := t.play(nil)
	at := Call{Place: end(len(t.runs) - 1)}
	if r.err != nil {
		t.violate(at, Violation{Rule: Converges, Text: "the run without a fault does not end well: " + oneLine(r.err)})
		return
	}
	t.obs.strict()
	t.look(at)
	if want == nil {
		return
	}
	t.order(at, want)
	if t.scenario.Repeats {
		return
	}
	t.wait()
	t.again = true
	before := t.state().Redis
	again := t.play(nil)
	if reflect.DeepEqual(lasting(before), lasting(t.state().Redis)) { // a lock that was taken and given back
		again.effects = effects(again.calls, true)
	}
	at = Call{Place: end(len(t.runs) - 1)}
	switch {
	case again.err != nil:
		t.violate(at, Violation{Rule: Idempotent, Text: "one more run fails: " + oneLine(again.err)})
	case len(again.effects) > 0:
		t.violate(at, Violation{Rule: Idempotent, Text: "one more run has effects: " + strings.Join(again.effects, ", ")})
	}
}

// lasting leaves out how long keys have still to live.
func lasting(keys map[string]state.RedisKey) map[string]state.RedisKey {
	out := make(map[string]state.RedisKey, len(keys))
	for name, k := range keys {
		k.TTL = 0
		out[name] = k
	}
	return out
}

// order checks that the world is as a run without faults leaves it.
func (t *trial) order(at Call, want *expected) {
	wrong := func(rule Rule, format string, args ...any) {
		t.violate(at, Violation{Rule: rule, Text: fmt.Sprintf(format, args...)})
	}
	for host, images := range t.images(t.obs.boxes()) {
		if !slices.Equal(images, want.images[host]) {
			wrong(OneVersion, "%s leads to %s, where a run without faults leads it to %s", host, shortImages(images), shortImages(want.images[host]))
		}
	}
	there := map[string]bool{}
	for _, b := range t.obs.boxes() {
		image, expected := want.runs[b.Name]
		switch ours := t.obs.ours(&b); {
		case expected && running(b) && b.ImageID == image:
			there[b.Name] = true
		case running(b) && ours && t.obs.listed(b):
			// another host's list points to it: after an engine restart the other is
			// the one whose list is wrong
		case running(b) && ours:
			wrong(OneVersion, "%s still runs", b.Name)
		case b.Status != "exited" && !running(b):
			wrong(NoLeftover, "%s is left behind, %s", b.Name, b.Status)
		case !want.names[b.Name]:
			wrong(NoLeftover, "%s is left behind, %s", b.Name, b.Status)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(want.runs)) {
		if !there[name] {
			wrong(OneVersion, "%s does not run", name)
		}
	}
	keys := t.state().Redis
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		if !want.keys[key] && !strings.HasPrefix(key, "dead:") && !inForce(keys, key) {
			wrong(NoLeftover, "the key %s is left behind", key)
		}
	}
}

// claims checks a run that struck a fault and says that it ended well.
func (t *trial) claims(want *expected) {
	r := t.runs[len(t.runs)-1]
	t.undone(r, want)
	if r.err != nil || r.crashed || len(t.obs.astray) > 0 || len(t.obs.brought) > 0 {
		return
	}
	if t.rivals && t.inCharge {
		return // someone else came after it
	}
	for host, images := range t.images(t.obs.boxes()) {
		if !slices.Equal(images, want.images[host]) {
			t.violate(Call{Place: end(len(t.runs) - 1)}, Violation{Rule: Done, Text: fmt.Sprintf(
				"the run says that it ended well, and %s leads to %s instead of %s", host, shortImages(images), shortImages(want.images[host]))})
		}
	}
}

// undone checks that the first run, when it failed by itself and its release is not in
// charge, left nothing of its own: nobody may ever run it again.
func (t *trial) undone(r *ran, want *expected) {
	if r.err == nil || r.crashed || r.excused || len(t.runs) > 1 {
		return
	}
	boxes := t.obs.boxes()
	if len(want.images) > 0 && maps.EqualFunc(t.images(boxes), want.images, slices.Equal) {
		return
	}
	at := Call{Place: end(0)}
	for _, b := range boxes {
		kept := b.Status == "exited" && want.names[b.Name] // to be looked at, as after a run that ends well
		if t.obs.ours(&b) && !want.before[b.ID] && !kept && !t.obs.listed(b) {
			t.violate(at, Violation{Rule: Undone, Text: fmt.Sprintf("the run fails and leaves %s behind, %s", b.Name, b.Status)})
		}
	}
	keys := t.state().Redis
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		if !want.keys[key] && !want.before[key] && !strings.HasPrefix(key, "dead:") && !inForce(keys, key) {
			t.violate(at, Violation{Rule: Undone, Text: "the run fails and leaves the key " + key + " behind"})
		}
	}
}

// shortImages names images for people.
func shortImages(ids []string) string {
	if len(ids) == 0 {
		return "nothing"
	}
	var out []string
	for _, id := range ids {
		out = append(out, strings.TrimPrefix(id, "sha256:")[:min(12, len(strings.TrimPrefix(id, "sha256:")))])
	}
	return strings.Join(out, " and ")
}

// oneLine is an error in a line, with the recipe's line that it came from.
func oneLine(err error) string {
	f := failure.As(err)
	if f == nil {
		return strings.Join(strings.Fields(err.Error()), " ")
	}
	text := strings.Join(strings.Fields(string(f.Kind)+": "+f.Message), " ")
	if f.Where != "" && !strings.Contains(text, f.Where) {
		text += ", at " + f.Where
	}
	return text
}

// inForce reports whether a key is of a service to which a router of Traefik's leads:
// what such a service is called is its recipe's choice.
func inForce(keys map[string]state.RedisKey, key string) bool {
	rest, ok := strings.CutPrefix(key, "traefik/http/services/")
	if !ok {
		return false
	}
	for name, k := range keys {
		if strings.HasPrefix(name, "traefik/http/routers/") && strings.HasSuffix(name, "/service") && k.String != nil {
			if own, ok := strings.CutPrefix(rest, *k.String); ok && strings.ContainsAny(own[:1], "/-") {
				return true
			}
		}
	}
	return false
}
