package docker

import (
	"context"
	"fmt"
	"net/netip"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/client"

	"github.com/mepc/mepc-run/internal/effect"
	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/runtime"
)

func networkFuncs() []runtime.Func {
	return []runtime.Func{
		{
			Name: "network", Class: runtime.Read,
			Doc:  "Looks for a network.",
			From: "GET /networks/{id}", Returns: "the network, or nil when there is none",
			Raises: reads(failure.Invalid), Example: `if not docker.network("front") then docker.network_create("front") end`,
			Call: runtime.Effect((*Engine).network),
		},
		{
			Name: "networks", Class: runtime.Read,
			Doc:  "Lists networks by name. What is given must all hold.",
			From: "GET /networks", Returns: "the networks; who is in them is known only to docker.network",
			Raises: reads(failure.Invalid), Example: `for _, n in ipairs(docker.networks{driver = "bridge"}) do log(n.name) end`,
			Call: runtime.Effect((*Engine).networks),
		},
		{
			Name: "network_create", Class: runtime.Write,
			Doc:  "Creates a network, in which containers find each other by name.",
			From: "POST /networks/create", Returns: "the network",
			Raises: writes(failure.Invalid, failure.Conflict), Example: `docker.network_create("front", {labels = {["mepc.app"] = "app"}})`,
			Call: runtime.Effect((*Engine).networkCreate),
		},
		{
			Name: "network_remove", Class: runtime.Destructive,
			Doc:  "Removes a network. One that a container is in is refused.",
			From: "DELETE /networks/{id}", Returns: "nothing",
			Raises: writes(failure.Invalid, failure.NotFound, failure.Conflict), Example: `docker.network_remove("front", {missing_ok = true})`,
			Call: runtime.Effect((*Engine).networkRemove),
		},
		{
			Name: "network_connect", Class: runtime.Write,
			Doc:  "Puts a container into a network. One that is in it already is left as it is.",
			From: "POST /networks/{id}/connect", Returns: "nothing",
			Raises: writes(failure.Invalid, failure.NotFound, failure.Conflict), Example: `docker.network_connect("front", "app-blue", {aliases = {"app"}})`,
			Call: runtime.Effect((*Engine).networkConnect),
		},
		{
			Name: "network_disconnect", Class: runtime.Destructive,
			Doc:  "Takes a container out of a network. One that is not in it is left unchanged.",
			From: "POST /networks/{id}/disconnect", Returns: "nothing",
			Raises: writes(failure.Invalid, failure.NotFound), Example: `docker.network_disconnect("front", "app-blue")`,
			Call: runtime.Effect((*Engine).networkDisconnect),
		},
		networkPruneFunc(),
	}
}

// Network is a network as recipes see it.
type Network struct {
	ID         string            `lua:"id" doc:"64 hexadecimal digits"`
	Name       string            `lua:"name" doc:"its name"`
	Driver     string            `lua:"driver" doc:"such as bridge"`
	Internal   bool              `lua:"internal" doc:"whether it has no way out"`
	Subnets    []string          `lua:"subnets" doc:"its address ranges, such as 172.18.0.0/16"`
	Labels     map[string]string `lua:"labels" doc:"its labels"`
	Containers map[string]string `lua:"containers" doc:"the addresses of the running containers in it, by name"`
	Created    time.Time         `lua:"created" doc:"when it was created, in seconds since 1970"`
}

type networkArgs struct {
	Network string `lua:"network,pos,required,target" doc:"its name or ID"`
}

func (a *networkArgs) Validate() error { return checkRef("network", a.Network) }

func (e *Engine) network(ctx context.Context, a *networkArgs) (*Network, error) {
	raw, err := e.getNetwork(ctx, a.Network)
	return orNil(raw, err, newNetwork)
}

func (e *Engine) getNetwork(ctx context.Context, ref string) (raw network.Inspect, err error) {
	err = e.read(ctx, func(ctx context.Context, c *client.Client) error {
		raw, err = c.NetworkInspect(ctx, ref, network.InspectOptions{})
		return err
	})
	if err == nil && !meant(ref, raw.Name, raw.ID) {
		err = notMeant("network", ref)
	}
	return raw, err
}

func newNetwork(raw network.Inspect) *Network {
	n := &Network{
		ID: raw.ID, Name: raw.Name, Driver: raw.Driver, Internal: raw.Internal, Created: raw.Created,
		Labels: map[string]string{}, Containers: map[string]string{},
	}
	for _, c := range raw.IPAM.Config {
		n.Subnets = append(n.Subnets, c.Subnet)
	}
	for k, v := range raw.Labels {
		if k != callLabel {
			n.Labels[k] = v
		}
	}
	for _, c := range raw.Containers {
		ip, _, _ := strings.Cut(c.IPv4Address, "/")
		n.Containers[c.Name] = ip
	}
	return n
}

type networksArgs struct {
	Name   string            `lua:"name,target" doc:"their name, where * stands for any text and ? for any character"`
	Driver string            `lua:"driver" doc:"their driver, such as bridge"`
	Labels map[string]string `lua:"labels" doc:"labels they have; an empty value stands for any"`
}

func (a *networksArgs) Validate() error {
	if _, err := path.Match(a.Name, ""); err != nil {
		return fmt.Errorf("name: %q is not a pattern", a.Name)
	}
	return nil
}

func (e *Engine) networks(ctx context.Context, a *networksArgs) (list []*Network, err error) {
	f := labelFilter(a.Labels)
	if a.Driver != "" {
		f.Add("driver", a.Driver)
	}
	err = e.read(ctx, func(ctx context.Context, c *client.Client) error {
		found, err := c.NetworkList(ctx, network.ListOptions{Filters: f})
		for _, raw := range found {
			if a.Name == "" || nameMatches(a.Name, []string{raw.Name}) {
				list = append(list, newNetwork(raw))
			}
		}
		return err
	})
	slices.SortFunc(list, func(a, b *Network) int { return strings.Compare(a.Name, b.Name) })
	return list, err
}

type networkCreateArgs struct {
	Name     string            `lua:"name,pos,required,target" doc:"its name: two or more of a-z, A-Z, 0-9, _, . and -, the first a letter or a digit"`
	Driver   string            `lua:"driver" default:"bridge" doc:"what makes it: bridge, overlay, macvlan ..."`
	Options  map[string]string `lua:"options" doc:"the driver's options"`
	Subnet   string            `lua:"subnet" doc:"its address range, such as 10.5.0.0/24; the engine chooses when not given"`
	Internal bool              `lua:"internal" doc:"no way out of it"`
	Labels   map[string]string `lua:"labels" doc:"labels"`
}

func (a *networkCreateArgs) Validate() error {
	if err := checkNewName("name", a.Name); err != nil {
		return err
	}
	if a.Subnet != "" {
		if p, err := netip.ParsePrefix(a.Subnet); err != nil || p.Masked() != p {
			return fmt.Errorf("subnet: %q is not an address range such as 10.5.0.0/24", a.Subnet)
		}
	}
	return nil
}

func (e *Engine) networkCreate(ctx context.Context, a *networkCreateArgs) (*Network, error) {
	call := e.world.Draw()
	opts := network.CreateOptions{Driver: a.Driver, Options: a.Options, Internal: a.Internal, Labels: map[string]string{callLabel: call}}
	for k, v := range a.Labels {
		opts.Labels[k] = v
	}
	if a.Subnet != "" {
		opts.IPAM = &network.IPAM{Config: []network.IPAMConfig{{Subnet: a.Subnet}}}
	}
	err := e.change(ctx, func(ctx context.Context, c *client.Client) error {
		_, err := c.NetworkCreate(ctx, a.Name, opts)
		return err
	}, func(ctx context.Context) (bool, string, error) {
		raw, err := e.getNetwork(ctx, a.Name)
		if isKind(err, failure.NotFound) {
			return false, "there is no network named " + a.Name + " now", nil
		}
		return err == nil && raw.Labels[callLabel] == call, "the network named " + a.Name + " is not the one that was to be created", err
	})
	if err != nil {
		return nil, hint(err, failure.Conflict, "docker.network(%q) shows the one that is there", a.Name)
	}
	raw, err := e.getNetwork(ctx, a.Name)
	if err != nil {
		return nil, err
	}
	return newNetwork(raw), nil
}

type networkRemoveArgs struct {
	Network   string `lua:"network,pos,required,target" doc:"its name or ID"`
	MissingOK bool   `lua:"missing_ok" doc:"do nothing when there is no such network, instead of raising not_found"`
}

func (a *networkRemoveArgs) Validate() error { return checkRef("network", a.Network) }

func (e *Engine) networkRemove(ctx context.Context, a *networkRemoveArgs) (runtime.None, error) {
	raw, err := e.getNetwork(ctx, a.Network)
	if err == nil {
		err = e.change(ctx, func(ctx context.Context, c *client.Client) error {
			return c.NetworkRemove(ctx, raw.ID)
		}, gone(a.Network, func(ctx context.Context) error {
			_, err := e.getNetwork(ctx, raw.ID)
			return err
		}))
	}
	if a.MissingOK && isKind(err, failure.NotFound) {
		effect.Unaltered(ctx)
		return runtime.None{}, nil
	}
	// Older engines answer 403 when a container is in it, which is no matter of
	// credentials.
	if f := failure.As(err); f != nil && strings.Contains(f.Message, "has active endpoints") {
		f.Kind, f.Hint = failure.Conflict, "take its containers out first: docker.network_disconnect; docker.network shows who is in it"
	}
	return runtime.None{}, err
}

type networkConnectArgs struct {
	Network   string   `lua:"network,pos,required,target" doc:"the network's name or ID"`
	Container string   `lua:"container,pos,required" doc:"the container's name or ID"`
	Aliases   []string `lua:"aliases" doc:"further names by which others in the network find it"`
	Links     []string `lua:"links" doc:"containers it finds by another name: container:alias"`
	IP        string   `lua:"ip" doc:"its address; the engine chooses when not given"`
}

func (a *networkConnectArgs) Validate() error {
	if err := checkRef("network", a.Network); err != nil {
		return err
	}
	if err := checkIP("ip", a.IP); err != nil {
		return err
	}
	return checkRef("container", a.Container)
}

func (e *Engine) networkConnect(ctx context.Context, a *networkConnectArgs) (runtime.None, error) {
	m, err := e.member(ctx, a.Network, a.Container)
	if err != nil {
		return runtime.None{}, err
	}
	if m.in {
		effect.Unaltered(ctx)
		return runtime.None{}, nil
	}
	settings := placeArgs{Aliases: a.Aliases, IP: a.IP}.settings()
	settings.Links = a.Links
	return runtime.None{}, e.change(ctx, func(ctx context.Context, c *client.Client) error {
		return c.NetworkConnect(ctx, m.network, m.container, settings)
	}, e.membership(m, true))
}

// member is a container and a network, by their IDs, and whether the one is in
// the other.
type member struct {
	network, container string
	in                 bool
	text               string // the same in words
}

// member looks at the container: the network knows only those that run.
func (e *Engine) member(ctx context.Context, net, ref string) (member, error) {
	n, err := e.getNetwork(ctx, net)
	if err != nil {
		return member{}, err
	}
	c, err := e.get(ctx, ref)
	if err != nil {
		return member{}, err
	}
	m := member{network: n.ID, container: c.ID, text: c.Name + " is not in " + n.Name}
	if _, m.in = c.Networks[n.Name]; m.in {
		m.text = c.Name + " is in " + n.Name
	}
	return m, nil
}

// membership looks whether m's container is in its network, or not, as wanted.
func (e *Engine) membership(m member, wanted bool) look {
	return func(ctx context.Context) (bool, string, error) {
		now, err := e.member(ctx, m.network, m.container)
		return err == nil && now.in == wanted, now.text, err
	}
}

type networkDisconnectArgs struct {
	Network   string `lua:"network,pos,required,target" doc:"the network's name or ID"`
	Container string `lua:"container,pos,required" doc:"the container's name or ID"`
	Force     bool   `lua:"force" doc:"also when the container does not let go"`
}

func (a *networkDisconnectArgs) Validate() error {
	if err := checkRef("network", a.Network); err != nil {
		return err
	}
	return checkRef("container", a.Container)
}

func (e *Engine) networkDisconnect(ctx context.Context, a *networkDisconnectArgs) (runtime.None, error) {
	m, err := e.member(ctx, a.Network, a.Container)
	if err != nil {
		return runtime.None{}, err
	}
	if !m.in {
		effect.Unaltered(ctx)
		return runtime.None{}, nil
	}
	return runtime.None{}, e.change(ctx, func(ctx context.Context, c *client.Client) error {
		return c.NetworkDisconnect(ctx, m.network, m.container, a.Force)
	}, e.membership(m, false))
}
