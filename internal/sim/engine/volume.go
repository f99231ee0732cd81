package engine

import (
	"net/http"
	"slices"
	"time"
)

// volume is a named volume. It is not modified once it is made.
type volume struct {
	name    string
	driver  string
	options map[string]string
	labels  map[string]string
	created time.Time
}

type volumeJSON struct {
	CreatedAt  string
	Driver     string
	Labels     map[string]string
	Mountpoint string
	Name       string
	Options    map[string]string
	Scope      string
}

func (v *volume) json() volumeJSON {
	return volumeJSON{v.created.Format(time.RFC3339), v.driver, v.labels, volumePath(v.name), v.name, v.options, "local"}
}

func (e *Engine) orderedVolumes() []*volume {
	all := make([]*volume, 0, len(e.volumes))
	for _, v := range e.volumes {
		all = append(all, v)
	}
	slices.SortFunc(all, func(a, b *volume) int {
		if a.name < b.name {
			return -1
		}
		return 1
	})
	return all
}

func volumeList(c *call) (reply, error) {
	f, err := c.filters("dangling", "driver", "label", "name")
	if err != nil {
		return reply{}, err
	}
	dangling, err := f.boolean("dangling")
	if err != nil {
		return reply{}, err
	}
	out := []volumeJSON{}
	for _, v := range c.e.orderedVolumes() {
		if f.match("name", v.name) && f.exact("driver", v.driver) && f.labels(v.labels) &&
			(dangling == nil || *dangling == (c.e.volumeUser(v.name) == nil)) {
			out = append(out, v.json())
		}
	}
	return jsonReply(http.StatusOK, struct {
		Volumes  []volumeJSON
		Warnings []string
	}{out, nil})
}

func volumeCreate(c *call) (reply, error) {
	var req struct {
		Name, Driver       string
		Labels, DriverOpts map[string]string
	}
	if err := c.decode(&req); err != nil {
		return reply{}, err
	}
	if req.Driver != "" && req.Driver != "local" {
		return reply{}, notFound("create %s: error looking up volume plugin %s: plugin %q not found", req.Name, req.Driver, req.Driver)
	}
	if req.Name == "" {
		req.Name = c.e.newID("volume", "")
	} else if !validName().MatchString(req.Name) {
		return reply{}, badRequest("create %s: %q includes invalid characters for a local volume name, only \"[a-zA-Z0-9][a-zA-Z0-9_.-]\" are allowed. If you intended to pass a host directory, use absolute path", req.Name, req.Name)
	}
	v := c.e.volumes[req.Name]
	if v == nil {
		v = &volume{req.Name, "local", req.DriverOpts, req.Labels, c.now}
		c.e.volumes[v.name] = v
		c.e.emit(event{at: c.now, kind: "volume", action: "create", id: v.name, attributes: map[string]string{"driver": v.driver}})
	}
	return jsonReply(http.StatusCreated, v.json())
}

func volumeInspect(c *call) (reply, error) {
	v := c.e.volumes[c.name]
	if v == nil {
		return reply{}, notFound("get %s: no such volume", c.name)
	}
	return jsonReply(http.StatusOK, v.json())
}

func volumeRemove(c *call) (reply, error) {
	v := c.e.volumes[c.name]
	if v == nil {
		if c.flag("force") {
			return noContent, nil
		}
		return reply{}, notFound("get %s: no such volume", c.name)
	}
	if user := c.e.volumeUser(c.name); user != nil {
		return reply{}, conflict("remove %s: volume is in use - [%s]", c.name, user.id)
	}
	delete(c.e.volumes, c.name)
	c.e.emit(event{at: c.now, kind: "volume", action: "destroy", id: v.name, attributes: map[string]string{"driver": v.driver}})
	return noContent, nil
}

func volumePrune(c *call) (reply, error) {
	f, err := c.filters("label", "all")
	if err != nil {
		return reply{}, err
	}
	out := struct {
		VolumesDeleted []string
		SpaceReclaimed int64
	}{VolumesDeleted: []string{}}
	for _, v := range c.e.orderedVolumes() {
		if len(v.options) == 0 && c.e.volumeUser(v.name) == nil && f.labels(v.labels) {
			delete(c.e.volumes, v.name)
			c.e.emit(event{at: c.now, kind: "volume", action: "destroy", id: v.name, attributes: map[string]string{"driver": v.driver}})
			out.VolumesDeleted = append(out.VolumesDeleted, v.name)
		}
	}
	return jsonReply(http.StatusOK, out)
}

// addVolumes makes the named volumes of a new container that are not there.
func (e *Engine) addVolumes(box *ctr, now time.Time) {
	for _, m := range box.mounts() {
		if m.Type != "volume" || e.volumes[m.Name] != nil || m.Name == "" || len(m.Name) == len(box.id) {
			continue // a name as long as an ID is an anonymous one's
		}
		e.volumes[m.Name] = &volume{name: m.Name, driver: "local", created: now}
		e.emit(event{at: now, kind: "volume", action: "create", id: m.Name, attributes: map[string]string{"driver": "local"}})
	}
}

// volumeUser returns a container that the volume is mounted in.
func (e *Engine) volumeUser(name string) *ctr {
	for _, c := range e.ordered() {
		for _, m := range c.mounts() {
			if m.Name == name {
				return c
			}
		}
	}
	return nil
}
