package engine

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"
)

// event is something that happened on an engine. It is not modified.
type event struct {
	at         time.Time
	kind       string // container, image, network, volume
	action     string
	id         string
	attributes map[string]string

	// Of a container. The labels are shared with it, and put together with the
	// rest when someone reads the event.
	from   string // the image
	name   string
	labels map[string]string
	more   []string // name by name
}

func (ev event) allAttributes() map[string]string {
	if ev.kind != "container" {
		return ev.attributes
	}
	all := make(map[string]string, len(ev.labels)+2+len(ev.more)/2)
	for k, v := range ev.labels {
		all[k] = v
	}
	all["image"], all["name"] = ev.from, ev.name
	for i := 0; i+1 < len(ev.more); i += 2 {
		all[ev.more[i]] = ev.more[i+1]
	}
	return all
}

// keepEvents is the number of events an engine remembers.
const keepEvents = 256

func (e *Engine) emit(ev event) {
	if len(e.events) >= 2*keepEvents {
		e.lost += len(e.events) - keepEvents
		e.events = slices.Clone(e.events[len(e.events)-keepEvents:])
	}
	e.events = append(e.events, ev)
}

// emitContainer is emit for what happens to a container; more are further
// attributes, name by name.
func (e *Engine) emitContainer(c *ctr, at time.Time, action string, more ...string) {
	e.emit(event{at: at, kind: "container", action: action, id: c.id, from: c.imageRef, name: c.name, labels: c.config.Labels, more: more})
}

type eventJSON struct {
	Status string `json:"status,omitempty"`
	ID     string `json:"id,omitempty"`
	From   string `json:"from,omitempty"`
	Type   string
	Action string
	Actor  struct {
		ID         string
		Attributes map[string]string
	}
	Scope    string `json:"scope"`
	Time     int64  `json:"time"`
	TimeNano int64  `json:"timeNano"`
}

func (ev event) line() []byte {
	j := eventJSON{Type: ev.kind, Action: ev.action, From: ev.from, Scope: "local", Time: ev.at.Unix(), TimeNano: ev.at.UnixNano()}
	if ev.kind == "container" || ev.kind == "image" {
		j.Status, j.ID = ev.action, ev.id
	}
	j.Actor.ID, j.Actor.Attributes = ev.id, ev.allAttributes()
	b, _ := json.Marshal(j) // strings and numbers
	return append(b, '\n')
}

// events sends what happened since, and goes on until the time asked for.
func events(c *call) (reply, error) {
	f, err := c.filters("container", "daemon", "event", "id", "image", "label", "name", "network", "plugin", "scope", "type", "volume")
	if err != nil {
		return reply{}, err
	}
	now := c.timeline.Now()
	since, err := parseTime(c.query.Get("since"), now)
	if err != nil {
		return reply{}, badRequest("%v", err)
	}
	until, err := parseTime(c.query.Get("until"), now)
	if err != nil {
		return reply{}, badRequest("%v", err)
	}
	c.timeline.Lock()
	seen := c.e.lost + len(c.e.events)
	if !since.IsZero() {
		seen = 0
	}
	c.timeline.Unlock()
	next := func(now time.Time) ([]byte, bool) {
		var out []byte
		all := c.e.events
		from := min(max(0, seen-c.e.lost), len(all))
		for _, ev := range all[from:] {
			if !ev.at.Before(since) && (until.IsZero() || !ev.at.After(until)) && f.event(ev) {
				out = append(out, ev.line()...)
			}
		}
		seen = c.e.lost + len(all)
		return out, !until.IsZero() && !now.Before(until)
	}
	return reply{status: http.StatusOK, ctype: jsonType, stream: &followBody{timeline: c.timeline, ctx: c.ctx, next: next}}, nil
}

// event says whether the filters let an event through.
func (f filters) event(ev event) bool {
	if len(f) == 0 {
		return true
	}
	action, _, _ := strings.Cut(ev.action, ":")
	attributes := ev.allAttributes()
	named := func(filter, kind string) bool {
		want := f[filter]
		return len(want) == 0 || ev.kind == kind && slices.ContainsFunc(want, func(w string) bool {
			return w == ev.id || strings.HasPrefix(ev.id, w) || w == attributes["name"]
		})
	}
	image := len(f["image"]) == 0 || slices.ContainsFunc(f["image"], func(w string) bool {
		return w == ev.id || w == ev.from || w == attributes["name"] && ev.kind == "image" || strings.HasPrefix(ev.from, w+":")
	})
	return (f.exact("event", ev.action) || f.exact("event", action)) && f.exact("type", ev.kind) && f.exact("scope", "local") &&
		f.labels(attributes) && named("container", "container") && named("network", "network") && named("volume", "volume") && image
}
