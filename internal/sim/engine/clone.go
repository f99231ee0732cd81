package engine

import (
	"maps"

	"github.com/mepc/mepc-run/internal/sim/timeline"
)

// Clone returns an engine on another timeline that starts from what is true now.
// Hooks and the states of exec calls stay behind. Callers hold the lock.
func (e *Engine) Clone(t *timeline.Timeline) *Engine {
	n := &Engine{
		timeline: t, name: e.name, host: e.host, version: e.version, down: e.down, seq: e.seq,
		images: maps.Clone(e.images), tags: maps.Clone(e.tags), fixtures: e.fixtures,
		containers: make(map[string]*ctr, len(e.containers)), names: make(map[string]*ctr, len(e.names)),
		networks: maps.Clone(e.networks), volumes: maps.Clone(e.volumes), execs: map[string]*execution{}, cluster: e.cluster.clone(),
		events: e.events[:len(e.events):len(e.events)], lost: e.lost, silent: e.silent, lastPort: e.lastPort, ports: maps.Clone(e.ports), due: e.due, pools: e.pools,
	}
	for id, c := range e.containers {
		cp := *c
		cp.logs = c.logs[:len(c.logs):len(c.logs)]
		cp.endpoints = make(map[string]*endpoint, len(c.endpoints))
		for name, ep := range c.endpoints {
			epc := *ep
			cp.endpoints[name] = &epc
		}
		n.containers[id], n.names[cp.name] = &cp, &cp
	}
	t.Add(n)
	return n
}
