package sim

import (
	"context"
	"fmt"
	"net/http"
	"time"
)

// Epoch is when a world starts whose State does not say.
func Epoch() time.Time { return epoch }

// RedisKey returns one key of one database; ok is false when it is not there.
// It costs nothing for the other keys, as State does.
func (w *World) RedisKey(db int, name string) (k RedisKey, ok bool, err error) {
	w.store.mu.Lock()
	unused := w.store.mini == nil
	w.store.mu.Unlock()
	if unused {
		return k, false, nil
	}
	d := w.store.redis().DB(db)
	if !d.Exists(name) {
		return k, false, nil
	}
	k, err = readKey(d, name)
	if err != nil {
		return k, false, fmt.Errorf("redis key %q: %w", name, err)
	}
	k.TTL = Duration(d.TTL(name))
	return k, true, nil
}

// State returns what is on the engine now, in the order of World.State.
func (e *Engine) State() EngineState {
	e.world.lock()
	defer e.world.unlock()
	return e.state()
}

// AskAdmin answers req as the admin server of a router on this world's Redis
// does, whatever its address, to which clients send rate requests a second for
// each host.
func (w *World) AskAdmin(req *http.Request, rate float64) (*http.Response, error) {
	return w.askAdmin(req, rate).response(req), nil
}

// KnowsCommand reports whether the world's Redis has a command of this name. What
// it does not know must not be put into a transaction: unlike a real one it
// would go on without.
func (w *World) KnowsCommand(name string) bool {
	w.store.mu.Lock()
	srv := w.store.open().Server()
	w.store.mu.Unlock()
	if srv == nil { // it is made with the first connection
		c, err := w.DialRedis(context.Background(), "tcp", "")
		if err != nil {
			return true // it is down, and will say so
		}
		c.Close()
		srv = w.store.redis().Server()
	}
	return srv.IsRegisteredCommand(name)
}

// Box is a container as an onlooker sees it. Its slices and maps are the
// engine's own and must not be changed.
type Box struct {
	ID, Name, ImageID string
	Status            string // as in Container
	Health            string
	Labels            map[string]string
	IPs               []string
	Host              string // the engine's
	Ports             []int  // published ones, of that host
}

// Boxes returns the engine's containers in the order of their creation. It costs
// a fraction of State.
func (e *Engine) Boxes() []Box {
	e.world.lock()
	defer e.world.unlock()
	ordered := e.ordered()
	boxes := make([]Box, len(ordered))
	for i, c := range ordered {
		b := Box{ID: c.id, Name: c.name, ImageID: c.image.id, Status: string(c.status), Health: string(c.health), Labels: c.config.Labels, Host: e.host}
		for _, name := range endpointNames(c) {
			if ip := c.endpoints[name].ip; ip != "" {
				b.IPs = append(b.IPs, ip)
			}
		}
		for _, p := range c.ports {
			b.Ports = append(b.Ports, p.host)
		}
		boxes[i] = b
	}
	return boxes
}
