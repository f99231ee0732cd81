package engine

import (
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/docker/docker/api/types/swarm"

	"github.com/mepc/mepc-run/internal/state"
)

// swarmRoutes are the calls of a swarm. The files swarm*.go are a room: others know of
// it these, the cluster that an engine has, and how that is made, seen, moved on in time
// and reached.
var swarmRoutes = []route{
	{"GET", "/swarm", swarmInspect, false},
	{"POST", "/swarm/init", swarmInit, false},
	{"POST", "/swarm/leave", swarmLeave, false},
	{"GET", "/nodes", nodeList, false},
	{"GET", "/nodes/{}", nodeInspect, false},
	{"POST", "/nodes/{}/update", nodeUpdate, false},
	{"DELETE", "/nodes/{}", nodeRemove, false},
	{"GET", "/services", serviceList, false},
	{"POST", "/services/create", serviceCreate, false},
	{"GET", "/services/{}", serviceInspect, false},
	{"POST", "/services/{}/update", serviceUpdate, false},
	{"DELETE", "/services/{}", serviceRemove, false},
	{"GET", "/services/{}/logs", serviceLogs, false},
	{"GET", "/tasks", taskList, false},
	{"GET", "/secrets", blobList(aSecret), false},
	{"POST", "/secrets/create", blobCreate(aSecret), false},
	{"DELETE", "/secrets/{}", blobRemove(aSecret), false},
	{"GET", "/configs", blobList(aConfig), false},
	{"POST", "/configs/create", blobCreate(aConfig), false},
	{"DELETE", "/configs/{}", blobRemove(aConfig), false},
}

// cluster is the swarm that an engine manages. An engine without one is in none.
type cluster struct {
	index    uint64 // of the last change
	nodes    []*swarm.Node
	services map[string]*service
	blobs    map[blobKind]map[string]*swarm.Config // by ID
}

func (k *cluster) clone() *cluster {
	if k == nil {
		return nil
	}
	n := &cluster{index: k.index, services: map[string]*service{}, blobs: map[blobKind]map[string]*swarm.Config{}}
	for kind, all := range k.blobs {
		n.blobs[kind] = maps.Clone(all)
	}
	for _, node := range k.nodes {
		cp := *node
		n.nodes = append(n.nodes, &cp)
	}
	for id, s := range k.services {
		n.services[id] = s.clone()
	}
	return n
}

func (e *Engine) swarmID(kind, name string) string { return e.newID("swarm "+kind, name)[:25] }

func (k *cluster) version() swarm.Version {
	k.index++
	return swarm.Version{Index: k.index}
}

// newCluster makes the engine the first manager of a swarm.
func (e *Engine) newCluster(now time.Time, address string) *cluster {
	e.cluster = &cluster{index: 10, services: map[string]*service{}, blobs: map[blobKind]map[string]*swarm.Config{aSecret: {}, aConfig: {}}}
	e.addNode(state.Node{Name: e.name, Role: "manager", Address: address}, now)
	e.cluster.nodes[0].ManagerStatus = &swarm.ManagerStatus{Leader: true, Reachability: swarm.ReachabilityReachable, Addr: address + ":2377"}
	return e.cluster
}

func (e *Engine) addNode(s state.Node, now time.Time) {
	n := &swarm.Node{ID: e.swarmID("node", s.Name), Meta: swarm.Meta{Version: e.cluster.version(), CreatedAt: now, UpdatedAt: now}}
	n.Spec = swarm.NodeSpec{
		Annotations: swarm.Annotations{Labels: s.Labels}, Role: swarm.NodeRole(cmp.Or(s.Role, "worker")),
		Availability: swarm.NodeAvailability(cmp.Or(s.Availability, "active")),
	}
	n.Description.Hostname, n.Status = s.Name, swarm.NodeStatus{State: swarm.NodeState(cmp.Or(s.State, "ready")), Addr: cmp.Or(s.Address, "127.0.0.1")}
	n.Description.Engine.EngineVersion = e.version
	e.cluster.nodes = append(e.cluster.nodes, n)
}

// managed refuses what only a manager does.
func (c *call) managed() (*cluster, error) {
	if c.e.cluster == nil {
		return nil, unavailable("This node is not a swarm manager. Use \"docker swarm init\" or \"docker swarm join\" to connect this node to swarm and try again.")
	}
	return c.e.cluster, nil
}

func unavailable(format string, args ...any) error {
	return &apiError{http.StatusServiceUnavailable, fmt.Sprintf(format, args...)}
}

func swarmInit(c *call) (reply, error) {
	var req swarm.InitRequest
	if err := c.decode(&req); err != nil {
		return reply{}, err
	}
	if c.e.cluster != nil && !req.ForceNewCluster {
		return reply{}, unavailable("This node is already part of a swarm. Use \"docker swarm leave\" to leave this swarm and join another one.")
	}
	if c.e.cluster == nil {
		address, _, _ := strings.Cut(cmp.Or(req.AdvertiseAddr, c.e.host), ":")
		c.e.newCluster(c.now, address)
	}
	return jsonReply(http.StatusOK, c.e.cluster.nodes[0].ID)
}

func swarmLeave(c *call) (reply, error) {
	if c.e.cluster == nil {
		return reply{}, unavailable("This node is not part of a swarm")
	}
	if !c.flag("force") {
		return reply{}, unavailable("You are attempting to leave the swarm on a node that is participating as a manager. Removing the last manager erases all current state of the swarm. Use `--force` to ignore this message. ")
	}
	c.e.cluster = nil
	c.e.reschedule()
	return reply{status: http.StatusOK}, nil
}

func swarmInspect(c *call) (reply, error) {
	k, err := c.managed()
	if err != nil {
		return reply{}, err
	}
	var s swarm.Swarm
	s.ID, s.Spec.Name, s.Version = "simulated", "default", swarm.Version{Index: k.index}
	s.JoinTokens = swarm.JoinTokens{Worker: "SWMTKN-1-simulated-worker", Manager: "SWMTKN-1-simulated-manager"}
	return jsonReply(http.StatusOK, s)
}

// swarmInfo is the part of GET /info.
func (e *Engine) swarmInfo() swarm.Info {
	if e.cluster == nil {
		return swarm.Info{LocalNodeState: swarm.LocalNodeStateInactive}
	}
	i := swarm.Info{
		NodeID: e.cluster.nodes[0].ID, NodeAddr: e.cluster.nodes[0].Status.Addr, LocalNodeState: swarm.LocalNodeStateActive,
		ControlAvailable: true, Nodes: len(e.cluster.nodes),
	}
	for _, n := range e.cluster.nodes {
		if n.Spec.Role == swarm.NodeRoleManager {
			i.Managers++
		}
	}
	return i
}

func nodeList(c *call) (reply, error) {
	k, err := c.managed()
	if err != nil {
		return reply{}, err
	}
	return jsonReply(http.StatusOK, k.nodes)
}

func (c *call) node() (*swarm.Node, error) {
	k, err := c.managed()
	if err != nil {
		return nil, err
	}
	for _, n := range k.nodes {
		if n.ID == c.name || n.Description.Hostname == c.name {
			return n, nil
		}
	}
	return nil, notFound("node %s not found", c.name)
}

func nodeInspect(c *call) (reply, error) {
	n, err := c.node()
	if err != nil {
		return reply{}, err
	}
	return jsonReply(http.StatusOK, n)
}

func nodeUpdate(c *call) (reply, error) {
	n, err := c.node()
	if err != nil {
		return reply{}, err
	}
	var spec swarm.NodeSpec
	if err := c.decode(&spec); err != nil {
		return reply{}, err
	}
	if err := c.inSequence(n.Version); err != nil {
		return reply{}, err
	}
	if spec.Role == swarm.NodeRoleWorker && n == c.e.cluster.nodes[0] {
		return reply{}, badRequest("rpc error: code = FailedPrecondition desc = attempting to demote the last manager of the swarm")
	}
	n.Spec, n.UpdatedAt, n.Version = spec, c.now, c.e.cluster.version()
	for _, s := range c.e.cluster.ordered() {
		c.e.converge(s, c.now)
	}
	c.e.reschedule()
	return reply{status: http.StatusOK}, nil
}

// inSequence refuses a change of another version than the present one.
func (c *call) inSequence(now swarm.Version) error {
	v, err := strconv.ParseUint(c.query.Get("version"), 10, 64)
	if err != nil {
		return badRequest("invalid version '%s': %v", c.query.Get("version"), err)
	}
	if v != now.Index {
		return serverError("rpc error: code = Unknown desc = update out of sequence")
	}
	return nil
}

func nodeRemove(c *call) (reply, error) {
	n, err := c.node()
	if err != nil {
		return reply{}, err
	}
	k := c.e.cluster
	if n == k.nodes[0] || !c.flag("force") && n.Status.State != swarm.NodeStateDown {
		return reply{}, badRequest("rpc error: code = FailedPrecondition desc = node %s is not down and can't be removed", n.ID)
	}
	k.nodes = slices.DeleteFunc(k.nodes, func(other *swarm.Node) bool { return other == n })
	return reply{status: http.StatusOK}, nil
}
