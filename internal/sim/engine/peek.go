package engine

import "github.com/mepc/mepc-run/internal/state"

// Box is a container as an onlooker sees it. Its slices and maps are the
// engine's own and must not be changed.
type Box struct {
	ID, Name, ImageID string
	Status            string // as in Container
	Health            string
	Labels            map[string]string
	IPs               []string
	Host              string // the engine's
	Ports             []int  // published ones, of that host
}

// Boxes returns the engine's containers in the order of their creation. It costs
// a fraction of State.
func (e *Engine) Boxes() []Box {
	e.timeline.Lock()
	defer e.timeline.Unlock()
	ordered := e.ordered()
	boxes := make([]Box, len(ordered))
	for i, c := range ordered {
		b := Box{ID: c.id, Name: c.name, ImageID: c.image.id, Status: string(c.status), Health: string(c.health), Labels: c.config.Labels, Host: e.host}
		for _, name := range endpointNames(c) {
			if ip := c.endpoints[name].ip; ip != "" {
				b.IPs = append(b.IPs, ip)
			}
		}
		for _, p := range c.ports {
			b.Ports = append(b.Ports, p.host)
		}
		boxes[i] = b
	}
	return boxes
}

// Version is another after each change of an engine, and the same after a call that
// found everything as it wanted it.
type Version struct{ Happened, Silent, Images, Swarm, Made int }

// Version returns the engine's version.
func (e *Engine) Version() Version {
	e.timeline.Lock()
	defer e.timeline.Unlock()
	return e.versionLocked()
}

func (e *Engine) versionLocked() Version {
	v := Version{Happened: e.lost + len(e.events) + e.silent, Silent: e.silent, Images: len(e.images), Made: e.seq}
	if e.cluster != nil {
		v.Swarm = int(e.cluster.index)
	}
	return v
}

// Since returns the containers, by ID, that something has happened to since an earlier
// version; nil for those that are gone. all reports that other things are different as
// well, or may be: look at the whole State then.
func (e *Engine) Since(v Version) (touched map[string]*state.Container, now Version, all bool) {
	e.timeline.Lock()
	defer e.timeline.Unlock()
	now = e.versionLocked()
	from := v.Happened - v.Silent - e.lost
	if from < 0 || from > len(e.events) || v.Images != now.Images || v.Swarm != now.Swarm {
		return nil, now, true
	}
	touched = map[string]*state.Container{}
	for _, ev := range e.events[from:] {
		id := ev.id
		switch {
		case ev.kind == "container":
		case ev.kind == "network" && ev.attributes["container"] != "":
			id = ev.attributes["container"]
		default:
			return nil, now, true
		}
		touched[id] = nil
		if c := e.containers[id]; c != nil {
			is := e.containerState(c)
			touched[id] = &is
		}
	}
	return touched, now, false
}
