// Package engine is a simulated Docker engine, with the swarm that it may manage.
// Start with New and Engine.Restore. route.go lists the calls that it answers;
// Engine.At says what takes connections at one of its addresses.
package engine

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/netip"
	"time"

	"github.com/mepc/mepc-run/internal/sim/timeline"
	"github.com/mepc/mepc-run/internal/state"
)

// Engine is a simulated Docker engine. As an http.RoundTripper it is the
// transport of a docker client:
//
//	client.NewClientWithOpts(client.WithHost("tcp://sim"), client.WithHTTPClient(&http.Client{Transport: engine}))
//
// as an http.Handler it can be served to any other client.
type Engine struct {
	timeline *timeline.Timeline
	name     string
	host     string // where published ports are reached
	version  string
	packs    bool  // it keeps images in containerd
	hooks    Hooks // guarded by the timeline
	down     bool

	// All that follows is guarded by the timeline.
	seq        int // of whatever is made, for IDs and order
	images     map[string]*image
	tags       map[string]string       // reference -> image ID
	fixtures   map[string]*state.Image // reference -> how it behaves, for images that are not there yet
	containers map[string]*ctr
	names      map[string]*ctr
	networks   map[string]*network // by ID
	volumes    map[string]*volume
	execs      map[string]*execution
	cluster    *cluster // nil: it is in no swarm
	events     []event
	lost       int                // events before a restart, which took them
	silent     int                // changes without an event, less the events without a change
	lastPort   int                // the last port that was picked for a container
	ports      map[portKey]string // taken host ports -> container ID
	due        time.Time          // when Settle has something to do; zero: never
	pools      []netip.Prefix     // where the next network's subnet is looked for
}

const defaultVersion = "20.10.24"

// New makes an engine with nothing on it.
func New(t *timeline.Timeline, name string) *Engine {
	e := &Engine{
		timeline: t, name: name, host: "127.0.0.1", version: defaultVersion,
		images: map[string]*image{}, tags: map[string]string{}, fixtures: map[string]*state.Image{},
		containers: map[string]*ctr{}, names: map[string]*ctr{}, networks: map[string]*network{},
		volumes: map[string]*volume{}, execs: map[string]*execution{}, ports: map[portKey]string{},
		lastPort: firstPort - 1,
	}
	t.Add(e)
	return e
}

// Name returns the engine's name in the world.
func (e *Engine) Name() string { return e.name }

// Host returns the address at which the engine's published ports are reached.
func (e *Engine) Host() string { return e.host }

// newID derives an ID from the kind of a thing, its name, and how many things
// the engine has made before. What was restored from a State may have it already.
func (e *Engine) newID(kind, name string) string {
	var buf [96]byte
	for {
		e.seq++
		h := sha256.Sum256(fmt.Appendf(buf[:0], "%s %s %d %s", kind, e.name, e.seq, name))
		id := hex.EncodeToString(h[:])
		if e.containers[id] == nil && e.networks[id] == nil && e.execs[id] == nil {
			return id
		}
	}
}

// short is an ID as people see it.
func short(id string) string {
	if len(id) > 7 && id[:7] == "sha256:" {
		id = id[7:]
	}
	return id[:min(12, len(id))]
}
