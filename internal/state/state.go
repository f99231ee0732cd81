// Package state is what a simulated world is: plain data, without behaviour.
// Decode reads it from a world file and State.Encode writes one; package snapshot
// reads it from real servers; package sim makes a world of it that acts, and says
// at any time what has become of it. Plans, specs and faults read no more than this.
package state

import (
	"encoding/json"
	"time"
)

// NotModelled begins every message that says what the simulated world does not
// know. What follows says which.
const NotModelled = "not modelled: "

// Epoch is the default start time of a world.
func Epoch() time.Time { return time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC) }

// State is the state of a world: the content of a world file, what Snapshot
// reads from real servers, and what World.State returns. It is plain data, fit
// for cmp.Diff.
type State struct {
	Format  int                 `json:"mepc_world"`       // 1
	Source  string              `json:"source,omitempty"` // where it comes from, in words
	Taken   time.Time           `json:"taken,omitzero"`   // the time it stands for; the clock starts here
	Engines []Engine            `json:"engines,omitempty"`
	Redis   map[string]RedisKey `json:"redis,omitempty"`
	// RedisDBs are the keys of databases other than 0.
	RedisDBs map[int]map[string]RedisKey `json:"redis_dbs,omitempty"`
	Routers  []Router                    `json:"routers,omitempty"`
	// Outside are the answers of servers that are not of the world, by URL, such as
	// https://hooks.example/deploys, or by method and URL. A * at the end stands for
	// any rest; the query is not looked at.
	Outside map[string]Response `json:"outside,omitempty"`
	// Approvals are the answers to a recipe's approve(), by question. A * at the end
	// stands for any rest.
	Approvals map[string]bool `json:"approvals,omitempty"`
}

// Engine is a Docker engine and what is on it.
type Engine struct {
	Name       string      `json:"name,omitempty"`    // default "default"
	Host       string      `json:"host,omitempty"`    // where its published ports are reached; default 127.0.0.1
	Bridge     string      `json:"bridge,omitempty"`  // subnet of the network bridge; default 172.17.0.0/16
	Version    string      `json:"version,omitempty"` // default 20.10.24
	Store      string      `json:"store,omitempty"`   // of its images: containerd; default that of a storage driver, whose IDs all engines agree on
	Images     []Image     `json:"images,omitempty"`
	Networks   []Network   `json:"networks,omitempty"`
	Volumes    []Volume    `json:"volumes,omitempty"`
	Swarm      *Swarm      `json:"swarm,omitempty"` // what it manages; without it is in none
	Containers []Container `json:"containers,omitempty"`
}

// Network is a user-defined network. bridge, host and none are always there.
type Network struct {
	Name     string            `json:"name"`
	ID       string            `json:"id,omitempty"`
	Driver   string            `json:"driver,omitempty"`  // default bridge
	Subnet   string            `json:"subnet,omitempty"`  // default: the next free one
	Gateway  string            `json:"gateway,omitempty"` // default: the first address
	Internal bool              `json:"internal,omitempty"`
	Labels   map[string]string `json:"labels,omitempty"`
	Created  time.Time         `json:"created,omitzero"`
}

// Swarm is a swarm that an engine is the first manager of.
type Swarm struct {
	Labels       map[string]string `json:"labels,omitempty"`       // of the engine's own node
	Availability string            `json:"availability,omitempty"` // of the engine's own node; default active
	Nodes        []Node            `json:"nodes,omitempty"`        // the others
	Services     []Service         `json:"services,omitempty"`
	Secrets      []string          `json:"secrets,omitempty"` // their names
	Configs      map[string]string `json:"configs,omitempty"` // what they hold, by name
}

// AddConfig adds a config, with what it holds.
func (s *Swarm) AddConfig(name, data string) {
	if s.Configs == nil {
		s.Configs = map[string]string{}
	}
	s.Configs[name] = data
}

// Node is another node of a swarm.
type Node struct {
	Name         string            `json:"name"`
	Role         string            `json:"role,omitempty"`         // default worker
	Availability string            `json:"availability,omitempty"` // default active
	State        string            `json:"state,omitempty"`        // default ready
	Address      string            `json:"address,omitempty"`
	Labels       map[string]string `json:"labels,omitempty"`
}

// Service is a service of a swarm, which has converged.
type Service struct {
	Name     string            `json:"name"`
	Image    string            `json:"image"`
	Replicas *int              `json:"replicas,omitempty"` // default 1
	Global   bool              `json:"global,omitempty"`
	Labels   map[string]string `json:"labels,omitempty"`
	Env      []string          `json:"env,omitempty"`
	Created  time.Time         `json:"created,omitzero"`
	// Spec is all of it, as the Engine API has it, in place of all but Name and Created.
	Spec json.RawMessage `json:"spec,omitempty"`
	// Previous is the Spec from before its last update.
	Previous json.RawMessage `json:"previous,omitempty"`
}

// Volume is a named volume.
type Volume struct {
	Name    string            `json:"name"`
	Driver  string            `json:"driver,omitempty"` // default local
	Options map[string]string `json:"options,omitempty"`
	Labels  map[string]string `json:"labels,omitempty"`
	Created time.Time         `json:"created,omitzero"`
}

// Container is a container of an engine. Name and Image are needed.
type Container struct {
	Name    string    `json:"name"`
	ID      string    `json:"id,omitempty"`
	Image   string    `json:"image"` // as it was asked for: a reference or an ID
	ImageID string    `json:"image_id,omitempty"`
	Created time.Time `json:"created,omitzero"`
	// Status is created, running, paused, restarting or exited; default running.
	Status     string    `json:"status,omitempty"`
	Started    time.Time `json:"started,omitzero"`
	Finished   time.Time `json:"finished,omitzero"`
	ExitCode   int       `json:"exit_code,omitempty"`
	Error      string    `json:"error,omitempty"`
	Restarts   int       `json:"restarts,omitempty"`
	Health     string    `json:"health,omitempty"`  // starting, healthy, unhealthy; empty without a health check
	Stopped    bool      `json:"stopped,omitempty"` // by hand: unless-stopped leaves it
	AutoRemove bool      `json:"auto_remove,omitempty"`

	Cmd         []string          `json:"cmd,omitempty"` // default: the image's
	Entrypoint  []string          `json:"entrypoint,omitempty"`
	Env         []string          `json:"env,omitempty"` // all of it, the image's included
	Labels      map[string]string `json:"labels,omitempty"`
	Expose      []string          `json:"expose,omitempty"`
	User        string            `json:"user,omitempty"`
	WorkingDir  string            `json:"working_dir,omitempty"`
	StopSignal  string            `json:"stop_signal,omitempty"`
	StopTimeout *int              `json:"stop_timeout,omitempty"`
	Healthcheck *Healthcheck      `json:"healthcheck,omitempty"`
	Restart     string            `json:"restart,omitempty"`     // always, unless-stopped, on-failure, on-failure:3
	Publish     []Publish         `json:"publish,omitempty"`     // what was asked for
	PublishAll  bool              `json:"publish_all,omitempty"` // every exposed port
	Links       []string          `json:"links,omitempty"`       // name:alias
	Binds       []string          `json:"binds,omitempty"`
	Mode        string            `json:"network_mode,omitempty"` // default: the engine's
	Networks    []Endpoint        `json:"networks,omitempty"`     // default: that of the mode
	Ports       []Publish         `json:"ports,omitempty"`        // as published now

	Behaviour *Behaviour `json:"behaviour,omitempty"` // default: its image's
}

// Publish is a port that the engine's host forwards to a container.
type Publish struct {
	Port   string `json:"port"` // in the container, such as 8080/tcp
	HostIP string `json:"host_ip,omitempty"`
	Host   int    `json:"host,omitempty"` // 0: any free one
}

// Endpoint is a container's place in a network. Only a running container has an
// address.
type Endpoint struct {
	Network string   `json:"network"`
	IP      string   `json:"ip,omitempty"`
	Aliases []string `json:"aliases,omitempty"`
	Links   []string `json:"links,omitempty"` // name:alias, in this network
}

// RedisKey is one key of Redis with the value of its type. Exactly one of the
// six is set.
type RedisKey struct {
	String *string            `json:"string,omitempty"`
	List   []string           `json:"list,omitempty"`
	Set    []string           `json:"set,omitempty"`
	Hash   map[string]string  `json:"hash,omitempty"`
	ZSet   map[string]float64 `json:"zset,omitempty"`
	Stream []RedisEntry       `json:"stream,omitempty"`
	TTL    Duration           `json:"ttl,omitempty"` // 0: it stays
}

// RedisEntry is one entry of a stream.
type RedisEntry struct {
	ID     string   `json:"id"`
	Values []string `json:"values"` // name, value, name, value ...
}

// Router is a reverse proxy that takes its routing from Redis.
type Router struct {
	Address string `json:"address"`         // host:port
	Admin   string `json:"admin,omitempty"` // host:port of its admin server, of which GET /-/inflight is there
	// Dialect says which keys it reads: "hipache", the default, or "traefik", those of
	// Traefik's Redis provider.
	Dialect string `json:"dialect,omitempty"`
	// Rate is the number of requests a second that clients send for each host. They are
	// counted only: the admin server tells of them.
	Rate float64 `json:"rate,omitempty"`
}
