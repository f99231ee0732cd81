package docker

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/docker/docker/api/types/swarm"
	"github.com/docker/docker/client"

	"github.com/mepc/mepc-run/internal/effect"
	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/runtime"
)

// swarmFuncs is the door to the files swarm*.go: nothing else of them is used outside.
func swarmFuncs() []runtime.Func {
	return slices.Concat(nodeFuncs(), serviceFuncs(), secretFuncs())
}

func nodeFuncs() []runtime.Func {
	return []runtime.Func{
		{
			Name: "swarm", Class: runtime.Read,
			Doc:  "Says whether the engine is in a swarm, and as what.",
			From: "GET /info", Returns: "the engine's part in a swarm",
			Raises: reads(), Example: `if docker.swarm().state == "active" then log("in a swarm") end`,
			Call: runtime.Effect((*Engine).swarm),
		},
		{
			Name: "swarm_init", Class: runtime.Write,
			Doc:  "Makes the engine the first manager of a new swarm. One that is a manager already is left as it is.",
			From: "POST /swarm/init", Returns: "the engine's part in the swarm",
			Raises:  writes(failure.Invalid, failure.Conflict),
			Example: `docker.swarm_init{advertise = "127.0.0.1", listen = "127.0.0.1:2377"}`,
			Call:    runtime.Effect((*Engine).swarmInit),
		},
		{
			Name: "swarm_tokens", Class: runtime.Read,
			Doc:  "Reads what an engine needs to join the swarm. The engine must be a manager.",
			From: "GET /swarm", Returns: "the tokens",
			Raises: reads(failure.Unavailable), Example: `local token = docker.swarm_tokens().worker`,
			Call: runtime.Effect((*Engine).swarmTokens),
		},
		{
			Name: "swarm_join", Class: runtime.Write,
			Doc:  "Makes the engine a node of a swarm. One that is in a swarm already is left as it is.",
			From: "POST /swarm/join", Returns: "the engine's part in the swarm",
			Raises:  writes(failure.Invalid, failure.Conflict),
			Example: `local function add(host) docker.connect("ssh://" .. host):swarm_join({"10.0.0.1:2377"}, docker.swarm_tokens().worker) end`,
			Call:    runtime.Effect((*Engine).swarmJoin),
		},
		{
			Name: "swarm_leave", Class: runtime.Destructive,
			Doc:  "Takes the engine out of its swarm. An engine that is in none is left as it is. The last manager takes the swarm with it, and all of its services, which needs force.",
			From: "POST /swarm/leave", Returns: "nothing",
			Raises: writes(), Example: `docker.swarm_leave{force = true}`,
			Call: runtime.Effect((*Engine).swarmLeave),
		},
		{
			Name: "nodes", Class: runtime.Read,
			Doc:  "Lists the swarm's nodes by host name. What is given must all hold.",
			From: "GET /nodes", Returns: "the nodes",
			Raises: reads(failure.Invalid), Example: `for _, n in ipairs(docker.nodes{role = "worker"}) do log(n.hostname .. " is " .. n.state) end`,
			Call: runtime.Effect((*Engine).nodes),
		},
		{
			Name: "node_update", Class: runtime.Write,
			Doc:  "Changes a node of the swarm; what is not given stays. With availability drain its tasks go to other nodes.",
			From: "POST /nodes/{id}/update", Returns: "the node",
			Raises:  writes(failure.Invalid, failure.NotFound, failure.Conflict),
			Example: `docker.node_update(docker.nodes()[1].id, {availability = "active", labels = {zone = "a"}})`,
			Call:    runtime.Effect((*Engine).nodeUpdate),
		},
		{
			Name: "node_remove", Class: runtime.Destructive,
			Doc:  "Removes a node from the swarm: one that is down, or any with force.",
			From: "DELETE /nodes/{id}", Returns: "nothing",
			Raises:  writes(failure.Invalid, failure.NotFound, failure.Conflict),
			Example: `for _, n in ipairs(docker.nodes()) do if n.state == "down" then docker.node_remove(n.id) end end`,
			Call:    runtime.Effect((*Engine).nodeRemove),
		},
	}
}

// Swarm is an engine's part in a swarm.
type Swarm struct {
	State    string `lua:"state" doc:"inactive, pending, active, error or locked"`
	Node     string `lua:"node" doc:"its ID as a node; empty outside of a swarm"`
	Manager  bool   `lua:"manager" doc:"whether services can be managed here"`
	Managers int    `lua:"managers" doc:"how many managers there are, where it is one"`
	Nodes    int    `lua:"nodes" doc:"how many nodes there are, where it is a manager"`
	Error    string `lua:"error" doc:"what is wrong"`
}

func (e *Engine) swarm(ctx context.Context, _ *runtime.None) (*Swarm, error) {
	var got *Swarm
	err := e.read(ctx, func(ctx context.Context, c *client.Client) error {
		info, err := c.Info(ctx)
		s := info.Swarm
		got = &Swarm{cmp.Or(string(s.LocalNodeState), "inactive"), s.NodeID, s.ControlAvailable, s.Managers, s.Nodes, s.Error}
		return err
	})
	return got, err
}

type swarmInitArgs struct {
	Advertise string `lua:"advertise" doc:"the address at which other nodes reach it; the engine chooses when not given"`
	Listen    string `lua:"listen" default:"0.0.0.0:2377" doc:"the address that managers are heard at"`
	Force     bool   `lua:"force_new_cluster" doc:"make a swarm of this node's state, when the other managers are lost"`
}

func (e *Engine) swarmInit(ctx context.Context, a *swarmInitArgs) (*Swarm, error) {
	now, err := e.swarm(ctx, nil)
	if err != nil {
		return nil, err
	}
	if now.Manager && !a.Force {
		effect.Unaltered(ctx)
		return now, nil
	}
	return e.enter(ctx, func(ctx context.Context, c *client.Client) error {
		_, err := c.SwarmInit(ctx, swarm.InitRequest{ListenAddr: a.Listen, AdvertiseAddr: a.Advertise, ForceNewCluster: a.Force})
		return err
	})
}

// enter is change for a call by which the engine becomes a node.
func (e *Engine) enter(ctx context.Context, call func(context.Context, *client.Client) error) (*Swarm, error) {
	err := e.change(ctx, call, func(ctx context.Context) (bool, string, error) {
		s, err := e.swarm(ctx, nil)
		if err != nil {
			return false, "", err
		}
		return s.State == "active", "the engine is in no swarm", nil
	})
	if err != nil {
		return nil, err
	}
	return e.swarm(ctx, nil)
}

// SwarmTokens are what an engine joins with.
type SwarmTokens struct {
	Worker  runtime.Secret `lua:"worker" doc:"makes it a worker"`
	Manager runtime.Secret `lua:"manager" doc:"makes it a manager"`
}

func (e *Engine) swarmTokens(ctx context.Context, _ *runtime.None) (t *SwarmTokens, err error) {
	err = e.read(ctx, func(ctx context.Context, c *client.Client) error {
		s, err := c.SwarmInspect(ctx)
		t = &SwarmTokens{runtime.NewSecret(s.JoinTokens.Worker), runtime.NewSecret(s.JoinTokens.Manager)}
		return err
	})
	return t, err
}

type swarmJoinArgs struct {
	Remote    []string       `lua:"remote,pos,required,target" doc:"the addresses of managers, such as 10.0.0.1:2377"`
	Token     runtime.Secret `lua:"token,pos,required" doc:"one of swarm_tokens"`
	Advertise string         `lua:"advertise" doc:"the address at which other nodes reach it; the engine chooses when not given"`
	Listen    string         `lua:"listen" default:"0.0.0.0:2377" doc:"the address that it is heard at, as a manager"`
}

func (a *swarmJoinArgs) Validate() error {
	if len(a.Remote) == 0 {
		return errors.New("remote: the address of a manager is missing")
	}
	return nil
}

func (e *Engine) swarmJoin(ctx context.Context, a *swarmJoinArgs) (*Swarm, error) {
	now, err := e.swarm(ctx, nil)
	if err != nil {
		return nil, err
	}
	if now.State == "active" {
		effect.Unaltered(ctx)
		return now, nil
	}
	return e.enter(ctx, func(ctx context.Context, c *client.Client) error {
		return c.SwarmJoin(ctx, swarm.JoinRequest{ListenAddr: a.Listen, AdvertiseAddr: a.Advertise, RemoteAddrs: a.Remote, JoinToken: a.Token.Reveal()})
	})
}

type swarmLeaveArgs struct {
	Force bool `lua:"force" doc:"leave though it is a manager, and the last one takes the swarm with it"`
}

func (e *Engine) swarmLeave(ctx context.Context, a *swarmLeaveArgs) (runtime.None, error) {
	now, err := e.swarm(ctx, nil)
	if err != nil {
		return runtime.None{}, err
	}
	if now.State == "inactive" {
		effect.Unaltered(ctx)
		return runtime.None{}, nil
	}
	return runtime.None{}, e.change(ctx, func(ctx context.Context, c *client.Client) error {
		return c.SwarmLeave(ctx, a.Force)
	}, func(ctx context.Context) (bool, string, error) {
		s, err := e.swarm(ctx, nil)
		if err != nil {
			return false, "", err
		}
		return s.State == "inactive", "the engine is in a swarm still", nil
	})
}

// Node is a node of the swarm as recipes see it.
type Node struct {
	ID           string            `lua:"id" doc:"its ID"`
	Hostname     string            `lua:"hostname" doc:"its machine's name"`
	Role         string            `lua:"role" doc:"worker or manager"`
	Leader       bool              `lua:"leader" doc:"whether it leads the managers"`
	Availability string            `lua:"availability" doc:"active, pause (no new tasks) or drain (no tasks)"`
	State        string            `lua:"state" doc:"ready, down, disconnected or unknown"`
	Address      string            `lua:"address" doc:"where it is reached"`
	Labels       map[string]string `lua:"labels" doc:"its labels, as constraints on services name them"`
}

func newNode(n *swarm.Node) *Node {
	return &Node{
		n.ID, n.Description.Hostname, string(n.Spec.Role), n.ManagerStatus != nil && n.ManagerStatus.Leader,
		string(n.Spec.Availability), string(n.Status.State), n.Status.Addr, n.Spec.Labels,
	}
}

type nodesArgs struct {
	Role   string            `lua:"role" enum:"worker|manager" doc:"what they are"`
	Labels map[string]string `lua:"labels" doc:"labels they have; an empty value stands for any"`
}

func (e *Engine) nodes(ctx context.Context, a *nodesArgs) (list []*Node, err error) {
	err = e.read(ctx, func(ctx context.Context, c *client.Client) error {
		found, err := c.NodeList(ctx, swarm.NodeListOptions{})
		for i := range found {
			n := newNode(&found[i])
			if (a.Role == "" || n.Role == a.Role) && hasLabels(n.Labels, a.Labels) {
				list = append(list, n)
			}
		}
		return err
	})
	slices.SortFunc(list, func(a, b *Node) int {
		return cmp.Or(strings.Compare(a.Hostname, b.Hostname), strings.Compare(a.ID, b.ID))
	})
	return list, err
}

// hasLabels reports whether labels has those wanted; an empty value stands for any.
func hasLabels(labels, wanted map[string]string) bool {
	for k, want := range wanted {
		if got, ok := labels[k]; !ok || want != "" && got != want {
			return false
		}
	}
	return true
}

type nodeUpdateArgs struct {
	Node         string            `lua:"node,pos,required,target" doc:"its ID or its host name"`
	Availability string            `lua:"availability" enum:"active|pause|drain" doc:"whether it gets tasks: active, pause (no new ones) or drain (none)"`
	Role         string            `lua:"role" enum:"worker|manager" doc:"what it is to be"`
	Labels       map[string]string `lua:"labels" doc:"labels to set; an empty value takes one away"`
	Timeout      time.Duration     `lua:"timeout" default:"30s" min:"0.001" doc:"how long it may take"`
}

func (a *nodeUpdateArgs) Validate() error { return checkRef("node", a.Node) }

// Op bounds the call by its own option.
func (a *nodeUpdateArgs) Op(op *effect.Op) { op.Timeout = a.Timeout }

func (e *Engine) getNode(ctx context.Context, ref string) (n swarm.Node, err error) {
	err = e.read(ctx, func(ctx context.Context, c *client.Client) error {
		n, _, err = c.NodeInspectWithRaw(ctx, ref)
		return err
	})
	return n, err
}

// apply returns the spec as it is to be.
func (a *nodeUpdateArgs) apply(spec swarm.NodeSpec) swarm.NodeSpec {
	if a.Availability != "" {
		spec.Availability = swarm.NodeAvailability(a.Availability)
	}
	if a.Role != "" {
		spec.Role = swarm.NodeRole(a.Role)
	}
	labels := maps.Clone(spec.Labels)
	if labels == nil {
		labels = map[string]string{}
	}
	for k, v := range a.Labels {
		if labels[k] = v; v == "" {
			delete(labels, k)
		}
	}
	spec.Labels = labels
	return spec
}

func sameNode(a, b swarm.NodeSpec) bool {
	return a.Availability == b.Availability && a.Role == b.Role && maps.Equal(a.Labels, b.Labels)
}

func (e *Engine) nodeUpdate(ctx context.Context, a *nodeUpdateArgs) (*Node, error) {
	n, err := e.getNode(ctx, a.Node)
	if err != nil {
		return nil, err
	}
	spec := a.apply(n.Spec)
	if sameNode(spec, n.Spec) {
		effect.Unaltered(ctx)
		return newNode(&n), nil
	}
	err = e.change(ctx, func(ctx context.Context, c *client.Client) error {
		return c.NodeUpdate(ctx, n.ID, n.Version, spec)
	}, func(ctx context.Context) (bool, string, error) {
		now, err := e.getNode(ctx, n.ID)
		return err == nil && sameNode(now.Spec, spec), a.Node + " is as it was", err
	})
	if err != nil {
		return nil, err
	}
	n, err = e.getNode(ctx, n.ID)
	return newNode(&n), err
}

type nodeRemoveArgs struct {
	Node  string `lua:"node,pos,required,target" doc:"its ID or its host name"`
	Force bool   `lua:"force" doc:"remove it though it is not down"`
}

func (a *nodeRemoveArgs) Validate() error { return checkRef("node", a.Node) }

func (e *Engine) nodeRemove(ctx context.Context, a *nodeRemoveArgs) (runtime.None, error) {
	return runtime.None{}, e.change(ctx, func(ctx context.Context, c *client.Client) error {
		return c.NodeRemove(ctx, a.Node, swarm.NodeRemoveOptions{Force: a.Force})
	}, gone(a.Node, func(ctx context.Context) error {
		_, err := e.getNode(ctx, a.Node)
		return err
	}))
}
