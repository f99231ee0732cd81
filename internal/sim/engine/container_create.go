package engine

import (
	"encoding/json"
	"net/http"
	"regexp"
	"slices"
	"sort"
	"strings"
	"sync"
	"time"

	"github.com/docker/docker/api/types/container"
	networktypes "github.com/docker/docker/api/types/network"
)

// createRequest is the body of POST /containers/create.
type createRequest struct {
	*container.Config
	HostConfig       *container.HostConfig
	NetworkingConfig *networktypes.NetworkingConfig
}

var validName = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_.-]+$`) })

func containerCreate(c *call) (reply, error) {
	var req createRequest
	if err := c.decode(&req); err != nil {
		return reply{}, err
	}
	if req.Config == nil {
		return reply{}, badRequest("Config cannot be empty in order to create a container")
	}
	if req.HostConfig == nil {
		req.HostConfig = &container.HostConfig{}
	}
	if err := checkCreate(&req); err != nil {
		return reply{}, err
	}
	var img *image
	if req.Image != "" {
		var err error
		if img, err = c.e.findImage(req.Image); err != nil {
			return reply{}, err
		}
		if p := c.query.Get("platform"); p != "" && p != "linux/amd64" && p != "linux" {
			return reply{}, notFound("image with reference %s was found but does not match the specified platform: wanted %s, actual: linux/amd64", req.Image, p)
		}
	}
	box, err := c.e.newContainer(strings.TrimPrefix(c.query.Get("name"), "/"), img, &req, c.now)
	if err != nil {
		return reply{}, err
	}
	c.e.emitContainer(box, c.now, "create")
	return jsonReply(http.StatusCreated, struct {
		ID       string `json:"Id"`
		Warnings []string
	}{box.id, []string{}})
}

// newContainer makes a container from a checked request.
func (e *Engine) newContainer(name string, img *image, req *createRequest, now time.Time) (*ctr, error) {
	if img != nil {
		mergeImage(req.Config, img.config)
	}
	if len(req.Entrypoint) == 0 && len(req.Cmd) == 0 {
		return nil, badRequest("No command specified")
	}
	if img == nil {
		return nil, notModelled("a container without an image")
	}
	if name != "" && !validName().MatchString(name) {
		return nil, badRequest("Invalid container name (%s), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed", name)
	}
	if err := e.nameFree(name); err != nil {
		return nil, err
	}
	box := &ctr{
		name: name, created: now, image: img, imageRef: req.Image, config: req.Config, host: req.HostConfig,
		status: created, endpoints: map[string]*endpoint{},
	}
	box.id = e.newID("container", name)
	box.seq = e.seq
	if name == "" {
		box.name = e.pickName(box.id)
	}
	box.behaviour = e.behaviourOf(img, req.Image)
	if box.version = box.behaviour.Version; box.version == "" {
		box.version = img.version(req.Image)
	}
	if err := e.addLinks(box); err != nil {
		return nil, err
	}
	if err := box.addEndpoints(req.NetworkingConfig); err != nil {
		return nil, err
	}
	completeHost(box.host)
	if box.config.Hostname == "" && !box.host.NetworkMode.IsHost() {
		box.config.Hostname = short(box.id)
	}
	e.addVolumes(box, now)
	e.containers[box.id], e.names[box.name] = box, box
	return box, nil
}

func (e *Engine) nameFree(name string) error {
	if other := e.names[name]; other != nil && name != "" {
		return conflict("Conflict. The container name \"/%s\" is already in use by container %q. You have to remove (or rename) that container to be able to reuse that name.", name, other.id)
	}
	return nil
}

// pickName makes up a name, as the engine does, but always the same one.
func (e *Engine) pickName(id string) string {
	left := []string{"bold", "calm", "eager", "fond", "great", "jolly", "keen", "nice"}
	right := []string{"bell", "curie", "euler", "gauss", "hopper", "lovelace", "noether", "turing"}
	name := left[id[0]%8] + "_" + right[id[1]%8]
	for e.names[name] != nil {
		name += id[2:3]
		id = id[1:]
	}
	return name
}

// addLinks resolves HostConfig.Links. In a user-defined network they are the
// network's own and may lead to what does not exist yet.
func (e *Engine) addLinks(box *ctr) error {
	for _, l := range box.host.Links {
		name, alias, ok := strings.Cut(l, ":")
		if !ok {
			alias = name[strings.LastIndexByte(name, '/')+1:]
		}
		other, err := e.find(name)
		if err != nil {
			return badRequest("could not get container for %s: %s", name, err)
		}
		if m := other.host.NetworkMode; m.IsHost() {
			return badRequest("conflicting options: host type networking can't be used with links. This would result in undefined behavior")
		}
		if slices.ContainsFunc(box.links, func(o link) bool { return o.alias == alias }) {
			return badRequest("Conflict. The container name \"/%s/%s\" is already in use by container %q. You have to remove (or rename) that container to be able to reuse that name.", box.name, alias, other.id)
		}
		if modeName(box.host.NetworkMode) == "bridge" {
			box.links = append(box.links, link{id: other.id, alias: alias})
		}
	}
	box.host.Links = nil // inspect makes them from box.links, so that they follow a rename
	return nil
}

// addEndpoints says which networks the container will be in.
func (box *ctr) addEndpoints(nc *networktypes.NetworkingConfig) error {
	mode := box.host.NetworkMode
	if mode.IsContainer() {
		return nil
	}
	name := modeName(mode)
	box.endpoints[name] = &endpoint{name: name}
	if nc == nil || len(nc.EndpointsConfig) == 0 {
		return nil
	}
	names := make([]string, 0, len(nc.EndpointsConfig))
	for n := range nc.EndpointsConfig {
		names = append(names, n)
	}
	sort.Strings(names)
	if len(names) > 1 {
		return badRequest("Container cannot be connected to network endpoints: %s", strings.Join(names, ", "))
	}
	cfg := nc.EndpointsConfig[names[0]]
	if cfg == nil {
		return badRequest("no EndpointSettings for %s", names[0])
	}
	if names[0] != name {
		if name == "bridge" && (mode == "" || mode.IsDefault()) {
			delete(box.endpoints, name)
		}
		box.endpoints[names[0]] = &endpoint{name: names[0]}
	}
	box.endpoints[names[0]].configure(cfg)
	return nil
}

func (ep *endpoint) configure(cfg *networktypes.EndpointSettings) {
	ep.aliases, ep.links = cfg.Aliases, cfg.Links
	if cfg.IPAMConfig != nil {
		ep.wantIP = cfg.IPAMConfig.IPv4Address
	}
}

// host returns the HostConfig as inspect shows it.
func (e *Engine) hostConfig(c *ctr) json.RawMessage {
	h := c.host
	if len(c.links) > 0 {
		cp := *h
		for _, l := range c.links {
			name, _ := e.linked(l)
			cp.Links = append(cp.Links, "/"+name+":/"+c.name+"/"+l.alias)
		}
		b, _ := json.Marshal(&cp)
		return b
	}
	if c.hostJSON == nil {
		c.hostJSON, _ = json.Marshal(h)
		c.hostLean = nil
	}
	return c.hostJSON
}
