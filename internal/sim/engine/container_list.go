package engine

import (
	"fmt"
	"net/http"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/docker/go-units"
)

// containerSummary is an element of GET /containers/json.
type containerSummary struct {
	ID              string `json:"Id"`
	Names           []string
	Image           string
	ImageID         string
	Command         string
	Created         int64
	Ports           []portJSON
	SizeRw          int64 `json:",omitempty"`
	SizeRootFs      int64 `json:",omitempty"`
	Labels          map[string]string
	State           status
	Status          string
	HostConfig      struct{ NetworkMode string }
	NetworkSettings struct{ Networks map[string]*endpointJSON }
	Mounts          []mountJSON
}

func containerList(c *call) (reply, error) {
	f, err := c.filters("ancestor", "before", "exited", "expose", "health", "id", "is-task", "isolation", "label", "name",
		"network", "publish", "since", "status", "volume")
	if err != nil {
		return reply{}, err
	}
	limit, err := c.number("limit", 0)
	if err != nil {
		return reply{}, err
	}
	q, err := c.e.selection(f)
	if err != nil {
		return reply{}, err
	}
	all := c.flag("all") || limit > 0 || q.all
	out := []containerSummary{}
	for _, box := range slices.Backward(c.e.ordered()) {
		if limit > 0 && len(out) == limit {
			break
		}
		if !all && !box.running() && box.status != restarting {
			continue
		}
		if q.match(c.e, box) {
			out = append(out, c.e.summary(box, c.now, c.flag("size")))
		}
	}
	return jsonReply(http.StatusOK, out)
}

func (e *Engine) summary(c *ctr, now time.Time, size bool) containerSummary {
	s := containerSummary{
		ID: c.id, Names: e.allNames(c), Image: c.imageRef, ImageID: c.image.id, Command: commandLine(c.argv()), Created: c.created.Unix(),
		Ports: c.portsJSON(), Labels: c.config.Labels, State: c.status, Status: c.statusText(now), Mounts: c.mounts(),
	}
	// A reference that now names another image, or none, is shown as an ID.
	if i, err := e.findImage(c.imageRef); err != nil || i.id != c.image.id {
		s.Image = c.image.id
	}
	if size {
		s.SizeRootFs = c.image.size()
	}
	s.HostConfig.NetworkMode = string(c.host.NetworkMode)
	s.NetworkSettings.Networks = map[string]*endpointJSON{}
	for name, ep := range c.endpoints {
		j := e.endpointJSON(ep)
		j.Aliases, j.Links = nil, nil // as the engine has it in lists
		s.NetworkSettings.Networks[name] = j
	}
	return s
}

// commandLine quotes arguments with spaces, as the engine does.
func commandLine(argv []string) string {
	out := slices.Clone(argv)
	for i, a := range out[1:] {
		if strings.Contains(a, " ") {
			out[i+1] = "'" + a + "'"
		}
	}
	return strings.Join(out, " ")
}

// statusText is the column STATUS of docker ps.
func (c *ctr) statusText(now time.Time) string {
	since := func(t time.Time) string { return units.HumanDuration(now.Sub(t)) }
	switch c.status {
	case running:
		switch c.health {
		case noHealth:
			return "Up " + since(c.started)
		case starting:
			return "Up " + since(c.started) + " (health: starting)"
		}
		return fmt.Sprintf("Up %s (%s)", since(c.started), c.health)
	case paused:
		return "Up " + since(c.started) + " (Paused)"
	case restarting:
		return fmt.Sprintf("Restarting (%d) %s ago", c.exitCode, since(c.finished))
	case exited:
		return fmt.Sprintf("Exited (%d) %s ago", c.exitCode, since(c.finished))
	}
	return "Created"
}

// selection holds what the filters of a list ask for.
type selection struct {
	f             filters
	all           bool // stopped containers too
	exitCodes     []int
	before, since *ctr
	images        []*image
	networks      []string
}

func (e *Engine) selection(f filters) (*selection, error) {
	q := &selection{f: f, all: len(f["status"]) > 0}
	for _, s := range f["exited"] {
		code, err := strconv.Atoi(s)
		if err != nil {
			return nil, serverError("%v", err)
		}
		q.exitCodes = append(q.exitCodes, code)
	}
	for _, s := range f["status"] {
		if !slices.Contains([]string{"paused", "restarting", "running", "removing", "exited", "created", "dead"}, s) {
			return nil, badRequest("Invalid filter 'status=%s'", s)
		}
	}
	if _, err := f.boolean("is-task"); err != nil {
		return nil, err
	}
	for _, s := range f["health"] {
		if !slices.Contains([]string{"starting", "healthy", "unhealthy", "none"}, s) {
			return nil, badRequest("Unrecognised filter value for health: %s", s)
		}
	}
	for name, dst := range map[string]**ctr{"before": &q.before, "since": &q.since} {
		for _, s := range f[name] {
			box, err := e.find(s)
			if err != nil {
				return nil, serverError("no such container %s", s)
			}
			*dst = box
		}
	}
	for _, s := range f["ancestor"] {
		i, err := e.findImage(s)
		if err == nil {
			q.images = append(q.images, i)
		}
	}
	for _, name := range []string{"publish", "expose"} {
		for _, p := range f[name] {
			proto, number, ok := cutPort(p)
			if _, err := strconv.ParseUint(number, 10, 16); err != nil || !ok {
				return nil, serverError("error while looking up for %s %s: %v", name, p, err)
			}
			_ = proto
		}
	}
	q.networks = f["network"]
	return q, nil
}

// cutPort splits 8080/tcp.
func cutPort(p string) (proto, number string, ok bool) {
	number, proto, found := strings.Cut(p, "/")
	if !found {
		proto = "tcp"
	}
	return proto, number, true
}

func (q *selection) match(e *Engine, c *ctr) bool {
	f := q.f
	if len(f) == 0 {
		return true
	}
	switch {
	case !f.match("id", c.id), !f.labels(c.config.Labels), !q.name(e, c):
		return false
	case !f.exact("status", string(c.status)):
		return false
	case len(q.exitCodes) > 0 && (c.status != exited && c.status != created || c.started.IsZero() || !slices.Contains(q.exitCodes, c.exitCode)):
		return false
	case q.before != nil && compareAge(c, q.before) >= 0, q.since != nil && compareAge(c, q.since) <= 0:
		return false
	case len(f["is-task"]) > 0 && !slices.Contains(f["is-task"], "false") && !slices.Contains(f["is-task"], "0"):
		return false
	}
	health := string(c.health)
	if c.health == noHealth {
		health = "none"
	}
	if !f.exact("health", health) {
		return false
	}
	if len(f["ancestor"]) > 0 && !q.ancestor(e, c) {
		return false
	}
	if len(q.networks) > 0 && !slices.ContainsFunc(q.networks, func(n string) bool {
		for name, ep := range c.endpoints {
			if name == n || ep.network != "" && (ep.network == n || strings.HasPrefix(ep.network, n)) {
				return true
			}
		}
		return false
	}) {
		return false
	}
	if want := f["volume"]; len(want) > 0 && !slices.ContainsFunc(c.mounts(), func(m mountJSON) bool {
		return slices.Contains(want, m.Name) && m.Name != "" || slices.ContainsFunc(want, func(d string) bool { return path.Clean(d) == m.Destination || d == m.Source })
	}) {
		return false
	}
	return q.ports(c)
}

// name matches as the engine does: a regular expression against any name, with
// or without the slash.
func (q *selection) name(e *Engine, c *ctr) bool {
	want := q.f["name"]
	if len(want) == 0 {
		return true
	}
	for _, p := range want {
		re, err := regexp.Compile(p)
		for _, n := range e.allNames(c) {
			bare := strings.TrimPrefix(n, "/")
			if p == n || p == bare || err == nil && (re.MatchString(n) || re.MatchString(bare)) {
				return true
			}
		}
	}
	return false
}

// ancestor says whether the container's image, or one that it was built from, is
// one of those asked for.
func (q *selection) ancestor(e *Engine, c *ctr) bool {
	for _, want := range q.images {
		for i := c.image; i != nil; i = e.images[i.parent] {
			if i.id == want.id {
				return true
			}
		}
	}
	return false
}

func (q *selection) ports(c *ctr) bool {
	want := func(name string) []string {
		var out []string
		for _, p := range q.f[name] {
			proto, number, _ := cutPort(p)
			out = append(out, number+"/"+proto)
		}
		return out
	}
	if w := want("publish"); len(w) > 0 && !slices.ContainsFunc(c.ports, func(p published) bool {
		return slices.Contains(w, fmt.Sprintf("%d/%s", p.host, p.port.Proto()))
	}) {
		return false
	}
	if w := want("expose"); len(w) > 0 {
		if !c.running() {
			return false // the engine only knows the ports of a network that is up
		}
		for p := range c.config.ExposedPorts {
			if slices.Contains(w, string(p)) {
				return true
			}
		}
		return false
	}
	return true
}
