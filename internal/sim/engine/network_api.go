package engine

import (
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	networktypes "github.com/docker/docker/api/types/network"
)

// networkJSON is GET /networks/{} and an element of GET /networks.
type networkJSON struct {
	Name       string
	ID         string `json:"Id"`
	Created    time.Time
	Scope      string
	Driver     string
	EnableIPv6 bool
	IPAM       ipamJSON
	Internal   bool
	Attachable bool
	Ingress    bool
	ConfigFrom struct{ Network string }
	ConfigOnly bool
	Containers map[string]networkMember
	Options    map[string]string
	Labels     map[string]string
}

type ipamJSON struct {
	Driver  string
	Options map[string]string
	Config  []ipamConfig
}

type ipamConfig struct {
	Subnet  string
	Gateway string `json:",omitempty"`
}

type networkMember struct {
	Name        string
	EndpointID  string
	MacAddress  string
	IPv4Address string
	IPv6Address string
}

func (e *Engine) networkJSON(n *network, members bool) networkJSON {
	j := networkJSON{
		Name: n.name, ID: n.id, Created: n.created, Scope: "local", Driver: n.driver, Internal: n.internal, Attachable: n.attachable,
		IPAM: ipamJSON{Driver: "default", Config: []ipamConfig{}}, Containers: map[string]networkMember{},
		Options: n.options, Labels: n.labels,
	}
	if j.Options == nil {
		j.Options = map[string]string{}
	}
	if j.Labels == nil {
		j.Labels = map[string]string{}
	}
	if n.subnet.IsValid() {
		j.IPAM.Config = append(j.IPAM.Config, ipamConfig{n.subnet.String(), n.gateway.String()})
	}
	if !members {
		return j
	}
	for _, c := range e.containers {
		for _, ep := range c.endpoints {
			if ep.network == n.id && c.running() {
				m := networkMember{Name: c.name, EndpointID: ep.id, MacAddress: mac(ep.ip)}
				if ep.ip != "" {
					m.IPv4Address = ep.ip + "/" + strconv.Itoa(n.subnet.Bits())
				}
				j.Containers[c.id] = m
			}
		}
	}
	return j
}

func networkList(c *call) (reply, error) {
	f, err := c.filters("dangling", "driver", "id", "label", "name", "scope", "type")
	if err != nil {
		return reply{}, err
	}
	for _, t := range f["type"] {
		if t != "custom" && t != "builtin" {
			return reply{}, serverError("invalid filter: 'type'='%s'", t)
		}
	}
	dangling, err := f.boolean("dangling")
	if err != nil {
		return reply{}, err
	}
	out := []networkJSON{}
	for _, n := range c.e.orderedNetworks() {
		kind := "custom"
		if n.predefined {
			kind = "builtin"
		}
		if !f.match("name", n.name) || !f.match("id", n.id) || !f.exact("driver", n.driver) || !f.exact("scope", "local") ||
			!f.exact("type", kind) || !f.labels(n.labels) {
			continue
		}
		if dangling != nil && *dangling != (!n.predefined && !c.e.inUse(n)) {
			continue
		}
		out = append(out, c.e.networkJSON(n, false))
	}
	return jsonReply(http.StatusOK, out)
}

func networkInspect(c *call) (reply, error) {
	n, err := c.e.findNetwork(c.name, false)
	if err != nil {
		return reply{}, err
	}
	return jsonReply(http.StatusOK, c.e.networkJSON(n, true))
}

func networkCreate(c *call) (reply, error) {
	var req struct {
		networktypes.CreateRequest
		CheckDuplicate bool
	}
	if err := c.decode(&req); err != nil {
		return reply{}, err
	}
	n := &network{
		name: req.Name, driver: req.Driver, created: c.now, internal: req.Internal, labels: req.Labels, options: req.Options, attachable: req.Attachable,
	}
	if n.driver == "" {
		n.driver = "bridge"
	}
	warning := ""
	switch same := c.e.named(n.name); {
	case slices.Contains([]string{"bridge", "host", "none", "default"}, n.name):
		return reply{}, forbidden("operation is not permitted on predefined %s network ", n.name)
	case same != nil && req.CheckDuplicate:
		return reply{}, conflict("network with name %s already exists", n.name)
	case same != nil:
		warning = "Network with name " + n.name + " (id : " + same.id + ") already exists"
	}
	switch n.driver {
	case "bridge":
	case "host", "null":
		return reply{}, forbidden("only one instance of %q network is allowed", n.driver)
	case "overlay", "macvlan", "ipvlan":
		return reply{}, notModelled("a network with the driver %s", n.driver)
	default:
		return reply{}, notFound("plugin %q not found", n.driver)
	}
	if strings.TrimSpace(n.name) == "" {
		return reply{}, serverError("invalid name: %s", n.name)
	}
	if err := c.e.addSubnet(n, req.IPAM); err != nil {
		return reply{}, err
	}
	c.e.addNetwork(n)
	c.e.emit(event{at: c.now, kind: "network", action: "create", id: n.id, attributes: map[string]string{"name": n.name, "type": n.driver}})
	return jsonReply(http.StatusCreated, struct {
		ID      string `json:"Id"`
		Warning string
	}{n.id, warning})
}

func (e *Engine) addNetwork(n *network) {
	id := e.newID("network", n.name)
	if n.id == "" {
		n.id = id
	}
	n.seq = e.seq
	e.networks[n.id] = n
}

func (e *Engine) named(name string) *network {
	for _, n := range e.orderedNetworks() {
		if n.name == name {
			return n
		}
	}
	return nil
}

// addSubnet sets the subnet that is asked for, or the next free one.
func (e *Engine) addSubnet(n *network, ipam *networktypes.IPAM) error {
	if ipam == nil || len(ipam.Config) == 0 || ipam.Config[0].Subnet == "" {
		subnet, err := e.nextSubnet()
		n.subnet, n.gateway = subnet, subnet.Addr().Next()
		return err
	}
	if len(ipam.Config) > 1 {
		return notModelled("a network with several subnets")
	}
	want := ipam.Config[0]
	subnet, err := netip.ParsePrefix(want.Subnet)
	if err != nil {
		return serverError("Invalid subnet %s : invalid CIDR address: %s", want.Subnet, want.Subnet)
	}
	if !subnet.Addr().Is4() {
		return notModelled("a network with IPv6")
	}
	subnet = subnet.Masked()
	if e.overlaps(subnet) {
		return forbidden("Pool overlaps with other one on this address space")
	}
	n.subnet, n.gateway, n.userSubnet = subnet, subnet.Addr().Next(), true
	if want.Gateway != "" {
		if n.gateway, err = netip.ParseAddr(want.Gateway); err != nil || !subnet.Contains(n.gateway) {
			return badRequest("failed to allocate gateway (%s): Invalid address %s: It does not belong to any of this network's subnets", want.Gateway, want.Gateway)
		}
	}
	return nil
}

// inUse says whether a running container is in the network.
func (e *Engine) inUse(n *network) bool {
	for _, c := range e.containers {
		for _, ep := range c.endpoints {
			if ep.network == n.id && ep.id != "" {
				return true
			}
		}
	}
	return false
}

func networkRemove(c *call) (reply, error) {
	n, err := c.e.findNetwork(c.name, true)
	if err != nil {
		api := err.(*apiError)
		if api.status == http.StatusBadRequest {
			return reply{}, badRequest("%s", strings.Replace(api.message, "matches found on name", "matches found based on name", 1))
		}
		return reply{}, err
	}
	if n.predefined {
		return reply{}, forbidden("%s is a pre-defined network and cannot be removed", n.name)
	}
	if c.e.inUse(n) {
		return reply{}, forbidden("error while removing network: network %s id %s has active endpoints", n.name, n.id)
	}
	c.e.dropNetwork(n, c.now)
	return noContent, nil
}

func (e *Engine) dropNetwork(n *network, now time.Time) {
	delete(e.networks, n.id)
	e.emit(event{at: now, kind: "network", action: "destroy", id: n.id, attributes: map[string]string{"name": n.name, "type": n.driver}})
}

func networkPrune(c *call) (reply, error) {
	f, err := c.filters("label", "until")
	if err != nil {
		return reply{}, err
	}
	if len(f["until"]) > 0 {
		return reply{}, notModelled("POST /networks/prune with the filter until")
	}
	out := struct{ NetworksDeleted []string }{}
	for _, n := range c.e.orderedNetworks() {
		if !n.predefined && !c.e.inUse(n) && f.labels(n.labels) {
			c.e.dropNetwork(n, c.now)
			out.NetworksDeleted = append(out.NetworksDeleted, n.name)
		}
	}
	return jsonReply(http.StatusOK, out)
}
