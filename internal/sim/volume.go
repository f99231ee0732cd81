package sim

import (
	"net/http"
	"slices"
	"time"
)

// volume is a named volume. It is not modified once it is made.
type volume struct {
	name    string
	driver  string
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
	return volumeJSON{v.created.Format(time.RFC3339), v.driver, v.labels, volumePath(v.name), v.name, nil, "local"}
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
		Name, Driver string
		Labels       map[string]string
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
		v = &volume{req.Name, "local", req.Labels, c.now}
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
