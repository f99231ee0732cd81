package sim

import (
	"maps"

	"github.com/mepc/mepc-run/internal/clock"
)

// Clone returns a world of its own that starts from what is true in w now. Its
// clock is c; nil: a clock.Virtual that stands where w's does. Hooks,
// connections and the states of exec calls stay behind. It costs a few
// microseconds and as much again for each container and Redis key. The error
// names a Redis key whose type a State cannot hold.
func (w *World) Clone(c clock.Clock) (*World, error) {
	now := w.lock()
	n := &World{clock: c, dns: w.dns, outside: w.outside, yes: w.yes}
	n.store.world = n
	n.counts.at, n.counts.sent = w.counts.clone()
	if n.clock == nil {
		n.clock = clock.NewVirtual(now)
	}
	for _, e := range w.engines {
		n.engines = append(n.engines, e.clone(n))
	}
	for _, r := range w.routers {
		n.routers = append(n.routers, &router{r.address, r.admin, r.dialect, r.rate, maps.Clone(r.next)})
	}
	w.unlock()
	for _, db := range w.store.databases() {
		keys, err := w.store.dump(db)
		if err != nil {
			return nil, err
		}
		if len(keys) == 0 {
			continue
		}
		n.store.use(db)
		if err := n.store.loadDB(db, keys); err != nil {
			return nil, err
		}
	}
	return n, nil
}

func (e *Engine) clone(w *World) *Engine {
	n := &Engine{
		world: w, name: e.name, host: e.host, version: e.version, down: e.down, seq: e.seq,
		images: maps.Clone(e.images), tags: maps.Clone(e.tags), fixtures: e.fixtures,
		containers: make(map[string]*ctr, len(e.containers)), names: make(map[string]*ctr, len(e.names)),
		networks: maps.Clone(e.networks), volumes: maps.Clone(e.volumes), execs: map[string]*execution{}, cluster: e.cluster.clone(),
		events: e.events[:len(e.events):len(e.events)], lost: e.lost, lastPort: e.lastPort, ports: maps.Clone(e.ports), due: e.due, pools: e.pools,
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
	return n
}
