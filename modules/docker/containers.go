package docker

import (
	"cmp"
	"context"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/client"

	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/runtime"
)

func containerFuncs() []runtime.Func {
	look := []runtime.Func{
		{
			Name: "inspect", Class: runtime.Read,
			Doc:  "Looks at a container, which must exist.",
			From: "GET /containers/{id}/json", Returns: "the container",
			Raises: reads(failure.Invalid, failure.NotFound), Example: `local ip = docker.inspect("app-blue").ip`,
			Call: runtime.Effect((*Engine).inspect),
		},
		{
			Name: "find", Class: runtime.Read,
			Doc:  "Looks for a container. One that has other labels than those asked for does not count.",
			From: "GET /containers/{id}/json", Returns: "the container, or nil when there is none",
			Raises: reads(failure.Invalid), Example: `if not docker.find("app-blue") then log("not there") end`,
			Call: runtime.Effect((*Engine).find),
		},
		{
			Name: "list", Class: runtime.Read,
			Doc: "Lists containers, the stopped ones too, the oldest first. What is given must all hold. " +
				"One request brings all of them; fields that only an inspection tells take one more for each container, and are there with inspect = true.",
			From: "GET /containers/json; with inspect, then GET /containers/{id}/json of each", Returns: "the containers",
			Raises: reads(failure.Invalid), Example: `for _, c in ipairs(docker.list{labels = {["mepc.app"] = "app"}}) do log(c.name) end`,
			Call: runtime.Effect((*Engine).list),
		},
	}
	return slices.Concat(look, []runtime.Func{createFunc()}, lifecycleFuncs(), pauseFuncs(), []runtime.Func{logsFunc(), execFunc()}, processFuncs(),
		[]runtime.Func{pruneFunc()})
}

// Container is a container as recipes see it.
type Container struct {
	ID            string             `lua:"id" doc:"64 hexadecimal digits"`
	Name          string             `lua:"name" doc:"its name"`
	Image         string             `lua:"image" doc:"the image as it was named at create; in a list without inspect its ID, when the name is another image's by now"`
	ImageID       string             `lua:"image_id" doc:"the image's ID, sha256:..."`
	State         State              `lua:"state" doc:"what it is doing"`
	IP            string             `lua:"ip" doc:"its address in the network it was created in, or in the first that gives it one; empty while it does not run"`
	Networks      map[string]Address `lua:"networks" doc:"its place in each network, by the network's name"`
	Ports         []Port             `lua:"ports" doc:"its published ports"`
	Labels        map[string]string  `lua:"labels" doc:"the image's and its own; mepc.call, which create sets for itself, is left out"`
	Env           map[string]string  `lua:"env" with:"inspect" doc:"the image's and its own environment"`
	Links         []string           `lua:"links" with:"inspect" doc:"its links, as create takes them"`
	RestartPolicy string             `lua:"restart" with:"inspect" doc:"no, always, unless-stopped, on-failure or on-failure:5"`
	Restarts      int                `lua:"restarts" with:"inspect" doc:"how often the policy has restarted it"`
	Created       time.Time          `lua:"created" doc:"when it was created, in seconds since 1970; in full seconds in a list without inspect"`

	listed bool // not inspected
}

// Asked implements runtime.Partial.
func (c Container) Asked(string) bool { return !c.listed }

// Asked implements runtime.Partial.
func (s State) Asked(string) bool { return !s.listed }

// Asked implements runtime.Partial.
func (a Address) Asked(string) bool { return !a.listed }

// State is what a container is doing.
type State struct {
	Status     string    `lua:"status" doc:"created, running, paused, restarting, removing, exited or dead"`
	Running    bool      `lua:"running" doc:"whether its process runs; also while it is paused"`
	ExitCode   int       `lua:"exit_code" with:"inspect" doc:"of its last run; 0 before"`
	Health     string    `lua:"health" doc:"starting, healthy or unhealthy by its HEALTHCHECK; none without one"`
	Error      string    `lua:"error" with:"inspect" doc:"why it could not be started"`
	OOMKilled  bool      `lua:"oom_killed" with:"inspect" doc:"whether it ran out of memory"`
	StartedAt  time.Time `lua:"started_at" with:"inspect" doc:"its last start, in seconds since 1970; nil before"`
	FinishedAt time.Time `lua:"finished_at" with:"inspect" doc:"the end of its last run; nil before"`

	listed bool
}

// Address is a container's place in a network.
type Address struct {
	IP      string   `lua:"ip" doc:"its IPv4 address; empty while it does not run"`
	IP6     string   `lua:"ip6" doc:"its IPv6 address, where the network has such"`
	Network string   `lua:"network" doc:"the network's ID when the container was put into it: another one than the network has now means that it was made anew"`
	Aliases []string `lua:"aliases" with:"inspect" doc:"the names by which others in the network find it"`

	listed bool
}

// Port is a published port.
type Port struct {
	Container int    `lua:"container" doc:"the port in the container"`
	Protocol  string `lua:"protocol" doc:"tcp, udp or sctp"`
	HostIP    string `lua:"host_ip" doc:"the address on the engine's machine; 0.0.0.0 is all of them"`
	Host      int    `lua:"host" doc:"the port there"`
}

type containerArgs struct {
	Container string `lua:"container,pos,required,target" doc:"its name or ID"`
}

func (a *containerArgs) Validate() error { return checkRef("container", a.Container) }

func (e *Engine) inspect(ctx context.Context, a *containerArgs) (*Container, error) {
	return e.get(ctx, a.Container)
}

func (e *Engine) get(ctx context.Context, ref string) (*Container, error) {
	raw, err := e.getRaw(ctx, ref)
	if err != nil {
		return nil, err
	}
	return newContainer(raw), nil
}

func (e *Engine) getRaw(ctx context.Context, ref string) (raw container.InspectResponse, err error) {
	err = e.read(ctx, func(ctx context.Context, c *client.Client) error {
		raw, err = c.ContainerInspect(ctx, ref)
		return err
	})
	if err == nil && (raw.ContainerJSONBase == nil || raw.ID == "") {
		err = failure.New(failure.Unavailable, "the engine's answer makes no sense: it describes no container")
	}
	if err == nil && !meant(ref, raw.Name, raw.ID) {
		err = notMeant("container", ref)
	}
	return raw, err
}

// sure returns what to write for ref in a request that changes something.
func (e *Engine) sure(ctx context.Context, ref string) (string, error) {
	if !shortHex().MatchString(ref) {
		return ref, nil
	}
	raw, err := e.getRaw(ctx, ref)
	if err != nil {
		return "", err
	}
	return raw.ID, nil
}

// changeContainer is change for a call on one container, which call gets by a
// name or an ID that cannot be mistaken.
func (e *Engine) changeContainer(ctx context.Context, ref string, call func(ctx context.Context, c *client.Client, ref string) error, settle look) error {
	ref, err := e.sure(ctx, ref)
	if err != nil {
		return err
	}
	return e.change(ctx, func(ctx context.Context, c *client.Client) error { return call(ctx, c, ref) }, settle)
}

type findArgs struct {
	Container string            `lua:"container,pos,required,target" doc:"its name or ID"`
	Labels    map[string]string `lua:"labels" doc:"labels it must have; an empty value stands for any"`
}

func (a *findArgs) Validate() error { return checkRef("container", a.Container) }

func (e *Engine) find(ctx context.Context, a *findArgs) (*Container, error) {
	c, err := e.get(ctx, a.Container)
	if isKind(err, failure.NotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	for k, want := range a.Labels {
		if got, ok := c.Labels[k]; !ok || (want != "" && got != want) {
			return nil, nil
		}
	}
	return c, nil
}

type listArgs struct {
	Labels map[string]string `lua:"labels" doc:"labels they have; an empty value stands for any"`
	Name   string            `lua:"name,target" doc:"their name, where * stands for any text and ? for any character"`
	Status string            `lua:"status" enum:"created|running|paused|restarting|removing|exited|dead" doc:"what they are doing"`
	Image  string            `lua:"image" doc:"the image they were made of, by name or ID; those made of images on top of it count"`
	All    bool              `lua:"all" default:"true" doc:"false: only those that run"`

	Inspect bool `lua:"inspect" default:"false" doc:"look at each, for the fields that a list does not have"`
}

func (a *listArgs) Validate() error {
	if _, err := path.Match(a.Name, ""); err != nil {
		return failure.New(failure.Invalid, "name: %q is not a pattern", a.Name)
	}
	return nil
}

func labelFilter(labels map[string]string) filters.Args {
	f := filters.NewArgs()
	for k, v := range labels {
		if v != "" {
			k += "=" + v
		}
		f.Add("label", k)
	}
	return f
}

func (e *Engine) list(ctx context.Context, a *listArgs) ([]*Container, error) {
	f := labelFilter(a.Labels)
	if a.Status != "" {
		f.Add("status", a.Status)
	}
	if a.Image != "" {
		f.Add("ancestor", a.Image)
	}
	var found []container.Summary
	err := e.read(ctx, func(ctx context.Context, c *client.Client) (err error) {
		found, err = c.ContainerList(ctx, container.ListOptions{All: a.All || a.Status != "", Filters: f})
		return err
	})
	if err != nil {
		return nil, err
	}
	// The engine matches a part of a name; a pattern says what is meant.
	found = slices.DeleteFunc(found, func(s container.Summary) bool { return a.Name != "" && !nameMatches(a.Name, s.Names) })
	slices.Reverse(found) // the engine's begins with the newest
	var list []*Container
	if a.Inspect {
		if list, err = e.getAll(ctx, found); err != nil {
			return nil, err
		}
	}
	for i := range found {
		if !a.Inspect {
			list = append(list, listedContainer(&found[i]))
		}
	}
	slices.SortStableFunc(list, func(x, y *Container) int {
		if c := x.Created.Compare(y.Created); c != 0 || !a.Inspect {
			return c
		}
		return strings.Compare(x.Name, y.Name)
	})
	return list, nil
}

// nameMatches leaves out the names that links give: /other/alias.
func nameMatches(pattern string, names []string) bool {
	return slices.ContainsFunc(names, func(n string) bool {
		n = strings.TrimPrefix(n, "/")
		ok, err := path.Match(pattern, n)
		return err == nil && ok && !strings.Contains(n, "/")
	})
}

// listedContainer is newContainer of a list's entry.
func listedContainer(s *container.Summary) *Container {
	raw := container.InspectResponse{
		ContainerJSONBase: &container.ContainerJSONBase{
			ID: s.ID, Name: ownName(s.Names), Image: s.ImageID, HostConfig: &container.HostConfig{NetworkMode: container.NetworkMode(s.HostConfig.NetworkMode)},
			State: &container.State{Status: s.State, Running: s.State == "running" || s.State == "paused" || s.State == "restarting"},
		},
		Config:          &container.Config{Image: s.Image, Labels: s.Labels},
		NetworkSettings: &container.NetworkSettings{},
	}
	for _, health := range []string{"starting", "unhealthy", "healthy"} {
		if strings.HasSuffix(s.Status, "("+health+")") || strings.HasSuffix(s.Status, "(health: "+health+")") {
			raw.State.Health = &container.Health{Status: health}
		}
	}
	if s.NetworkSettings != nil {
		raw.NetworkSettings.Networks = s.NetworkSettings.Networks
	}
	c := newContainer(raw)
	c.Created = time.Unix(s.Created, 0)
	c.listed, c.State.listed = true, true
	for name, a := range c.Networks {
		a.listed = true
		c.Networks[name] = a
	}
	for _, p := range s.Ports {
		if p.PublicPort != 0 {
			c.Ports = append(c.Ports, Port{Container: int(p.PrivatePort), Protocol: p.Type, HostIP: p.IP, Host: int(p.PublicPort)})
		}
	}
	sortPorts(c.Ports)
	return c
}

// ownName leaves out the names that links give: /other/alias.
func ownName(names []string) string {
	for _, n := range names {
		if strings.LastIndexByte(n, '/') <= 0 {
			return n
		}
	}
	return ""
}

// getAll inspects each. One that is removed meanwhile is left out.
func (e *Engine) getAll(ctx context.Context, found []container.Summary) ([]*Container, error) {
	all := make([]*Container, len(found))
	look := func(ctx context.Context, i int) (err error) {
		all[i], err = e.get(ctx, found[i].ID)
		if isKind(err, failure.NotFound) {
			return nil
		}
		return err
	}
	if limit := min(e.world.AtOnce(8), len(found)); limit > 1 {
		g, ctx := failure.NewGroup(ctx, limit)
		for i := range found {
			g.Go(func() error { return look(ctx, i) })
		}
		if err := g.Wait(); err != nil {
			return nil, err
		}
	} else {
		for i := range found {
			if err := look(ctx, i); err != nil {
				return nil, err
			}
		}
	}
	return slices.DeleteFunc(all, func(c *Container) bool { return c == nil }), nil
}

// newContainer picks what recipes need out of the engine's answer.
func newContainer(raw container.InspectResponse) *Container {
	c := &Container{
		ID: raw.ID, Name: strings.TrimPrefix(raw.Name, "/"), ImageID: raw.Image, Restarts: raw.RestartCount,
		Created: parseTime(raw.Created), Networks: map[string]Address{}, Labels: map[string]string{}, Env: map[string]string{},
		State: State{Health: "none"},
	}
	if s := raw.State; s != nil {
		c.State = State{
			Status: s.Status, Running: s.Running, ExitCode: s.ExitCode, Health: "none", Error: s.Error, OOMKilled: s.OOMKilled,
			StartedAt: parseTime(s.StartedAt), FinishedAt: parseTime(s.FinishedAt),
		}
		if s.Health != nil && s.Health.Status != "" {
			c.State.Health = s.Health.Status
		}
	}
	if raw.Config != nil {
		c.Image = raw.Config.Image
		for k, v := range raw.Config.Labels {
			if k != callLabel {
				c.Labels[k] = v
			}
		}
		for _, kv := range raw.Config.Env {
			k, v, _ := strings.Cut(kv, "=")
			c.Env[k] = v
		}
	}
	primary := ""
	if h := raw.HostConfig; h != nil {
		primary = string(h.NetworkMode)
		c.RestartPolicy = restartText(h.RestartPolicy)
		c.Links = append(c.Links, linksOf(h.Links)...)
	}
	c.network(raw, primary)
	return c
}

// network fills in addresses and ports; primary is the network it was created
// in, which the engine calls "default" when none was named.
func (c *Container) network(raw container.InspectResponse, primary string) {
	if raw.NetworkSettings == nil {
		return
	}
	if primary == "default" {
		primary = "bridge"
	}
	names := make([]string, 0, len(raw.NetworkSettings.Networks))
	for name, s := range raw.NetworkSettings.Networks {
		if s == nil {
			continue
		}
		names = append(names, name)
		c.Networks[name] = Address{IP: s.IPAddress, IP6: s.GlobalIPv6Address, Network: s.NetworkID, Aliases: s.Aliases}
		c.Links = append(c.Links, s.Links...)
	}
	slices.Sort(names)
	c.IP = cmp.Or(c.Networks[primary].IP, c.Networks[primary].IP6)
	for _, name := range names {
		c.IP = cmp.Or(c.IP, c.Networks[name].IP, c.Networks[name].IP6)
	}
	for port, bindings := range raw.NetworkSettings.Ports {
		for _, b := range bindings {
			c.Ports = append(c.Ports, Port{Container: port.Int(), Protocol: port.Proto(), HostIP: b.HostIP, Host: atoi(b.HostPort)})
		}
	}
	sortPorts(c.Ports)
}

func sortPorts(ports []Port) {
	slices.SortFunc(ports, func(a, b Port) int {
		return cmp.Or(a.Container-b.Container, strings.Compare(a.HostIP, b.HostIP), strings.Compare(a.Protocol, b.Protocol), a.Host-b.Host)
	})
}

// linksOf turns the engine's "/db:/app/alias" into "db:alias".
func linksOf(links []string) []string {
	out := make([]string, len(links))
	for i, l := range links {
		from, to, _ := strings.Cut(l, ":")
		out[i] = strings.TrimPrefix(from, "/") + ":" + path.Base(to)
	}
	return out
}

// parseTime returns the zero time for what is none; the engine writes the year
// 1 for never.
func parseTime(s string) time.Time {
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil || t.Year() <= 1 {
		return time.Time{}
	}
	return t
}
