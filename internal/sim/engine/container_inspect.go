package engine

import (
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	networktypes "github.com/docker/docker/api/types/network"
	"github.com/docker/go-connections/nat"
)

// containerJSON is GET /containers/{}/json, except for HostConfig and Config.
type containerJSON struct {
	ID              string `json:"Id"`
	Created         time.Time
	Path            string
	Args            []string
	State           stateJSON
	Image           string
	ResolvConfPath  string
	HostnamePath    string
	HostsPath       string
	LogPath         string
	Name            string
	RestartCount    int
	Driver          string
	Platform        string
	MountLabel      string
	ProcessLabel    string
	AppArmorProfile string
	ExecIDs         []string
	GraphDriver     graphDriver
	Mounts          []mountJSON
	NetworkSettings networkSettings
}

type stateJSON struct {
	Status     status
	Running    bool
	Paused     bool
	Restarting bool
	OOMKilled  bool
	Dead       bool
	Pid        int
	ExitCode   int
	Error      string
	StartedAt  time.Time
	FinishedAt time.Time
	Health     *healthJSON `json:",omitempty"`
}

type mountJSON struct {
	Type        string
	Name        string `json:",omitempty"`
	Source      string
	Destination string
	Driver      string `json:",omitempty"`
	Mode        string
	RW          bool
	Propagation string
}

type networkSettings struct {
	Bridge                 string
	SandboxID              string
	HairpinMode            bool
	LinkLocalIPv6Address   string
	LinkLocalIPv6PrefixLen int
	Ports                  map[string][]portBinding
	SandboxKey             string
	SecondaryIPAddresses   []string
	SecondaryIPv6Addresses []string
	EndpointID             string
	Gateway                string
	GlobalIPv6Address      string
	GlobalIPv6PrefixLen    int
	IPAddress              string
	IPPrefixLen            int
	IPv6Gateway            string
	MacAddress             string
	Networks               map[string]*endpointJSON
}

type portBinding struct{ HostIp, HostPort string } //nolint:staticcheck // the API's spelling

type endpointJSON struct {
	IPAMConfig          *networktypes.EndpointIPAMConfig
	Links               []string
	Aliases             []string
	NetworkID           string
	EndpointID          string
	Gateway             string
	IPAddress           string
	IPPrefixLen         int
	IPv6Gateway         string
	GlobalIPv6Address   string
	GlobalIPv6PrefixLen int
	MacAddress          string
	DriverOpts          map[string]string
}

func containerInspect(c *call) (reply, error) {
	box, err := c.e.find(c.name)
	if err != nil {
		return reply{}, err
	}
	e := c.e
	argv := box.argv()
	if box.configJSON == nil {
		if box.configJSON, err = json.Marshal(box.config); err != nil {
			return reply{}, err
		}
	}
	host, config := e.hostConfig(box), box.configJSON
	if c.terse {
		host, config = box.lean(host)
	}
	v := containerJSON{
		ID: box.id, Created: box.created.UTC(), Path: argv[0], Args: argv[1:], Image: box.image.id, Name: "/" + box.name,
		RestartCount: box.restarts, Driver: "overlay2", Platform: "linux",
		GraphDriver: graphDriver{Name: "overlay2"}, Mounts: box.mounts(),
		State: stateJSON{
			Status: box.status, Running: box.running() || box.status == restarting, Paused: box.status == paused,
			Restarting: box.status == restarting, Pid: box.pid, ExitCode: box.exitCode, Error: box.errText,
			StartedAt: box.started.UTC(), FinishedAt: box.finished.UTC(), Health: box.healthState(c.now),
		},
		NetworkSettings: e.networkSettings(box),
	}
	if !box.started.IsZero() {
		dir := "/var/lib/docker/containers/" + box.id + "/"
		v.ResolvConfPath, v.HostnamePath, v.HostsPath = dir+"resolv.conf", dir+"hostname", dir+"hosts"
		v.LogPath = dir + box.id + "-json.log"
	}
	r, err := jsonReplyWith(http.StatusOK, v, 2048+len(host)+len(config))
	if err != nil {
		return r, err
	}
	// The two large parts were encoded before: they go in before the last brace.
	b := r.body[:len(r.body)-len("}\n")]
	b = append(append(b, `,"HostConfig":`...), host...)
	b = append(append(b, `,"Config":`...), config...)
	r.body = append(b, "}\n"...)
	return r, nil
}

// lean returns the container's HostConfig, which is host, and its Config without
// what says nothing.
func (c *ctr) lean(host []byte) (leanHost, leanConfig []byte) {
	if c.configLean == nil {
		c.configLean = lean(c.configJSON)
	}
	if len(c.links) > 0 {
		return lean(host), c.configLean
	}
	if c.hostLean == nil {
		c.hostLean = lean(host)
	}
	return c.hostLean, c.configLean
}

func (e *Engine) networkSettings(c *ctr) networkSettings {
	s := networkSettings{Ports: map[string][]portBinding{}, Networks: map[string]*endpointJSON{}}
	for name, ep := range c.endpoints {
		s.Networks[name] = e.endpointJSON(ep)
	}
	if c.running() {
		s.SandboxID = hexSum([]byte("sandbox " + c.id))
		s.SandboxKey = "/var/run/docker/netns/" + s.SandboxID[:12]
		for p := range c.config.ExposedPorts {
			s.Ports[string(p)] = nil
		}
		for _, p := range c.ports {
			s.Ports[string(p.port)] = append(s.Ports[string(p.port)], portBinding{p.hostIP, strconv.Itoa(p.host)})
		}
		if m := c.host.NetworkMode; m.IsHost() || m.IsNone() || m.IsContainer() {
			clear(s.Ports)
		}
	}
	if b := s.Networks["bridge"]; b != nil {
		s.EndpointID, s.Gateway, s.IPAddress, s.IPPrefixLen, s.MacAddress = b.EndpointID, b.Gateway, b.IPAddress, b.IPPrefixLen, b.MacAddress
	}
	return s
}

func (e *Engine) endpointJSON(ep *endpoint) *endpointJSON {
	j := &endpointJSON{Links: ep.links, Aliases: ep.aliases, NetworkID: ep.network, EndpointID: ep.id, IPAddress: ep.ip}
	if ep.wantIP != "" {
		j.IPAMConfig = &networktypes.EndpointIPAMConfig{IPv4Address: ep.wantIP}
	}
	if n := e.networks[ep.network]; n != nil && ep.ip != "" {
		j.Gateway, j.IPPrefixLen, j.MacAddress = n.gateway.String(), n.subnet.Bits(), mac(ep.ip)
	}
	return j
}

// portsJSON returns the ports as docker ps shows them.
func (c *ctr) portsJSON() []portJSON {
	out := []portJSON{}
	if !c.running() || c.host.NetworkMode.IsHost() || c.host.NetworkMode.IsNone() || c.host.NetworkMode.IsContainer() {
		return out
	}
	bound := map[nat.Port]bool{}
	for _, p := range c.ports {
		bound[p.port] = true
		out = append(out, portJSON{p.hostIP, p.port.Int(), p.host, p.port.Proto()})
	}
	for p := range c.config.ExposedPorts {
		if !bound[p] {
			out = append(out, portJSON{PrivatePort: p.Int(), Type: p.Proto()})
		}
	}
	return out
}

type portJSON struct {
	IP          string `json:",omitempty"`
	PrivatePort int
	PublicPort  int `json:",omitempty"`
	Type        string
}
