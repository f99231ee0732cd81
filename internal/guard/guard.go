// Package guard refuses what would cost requests, whatever a recipe says: the
// stop of a container that a routing list points to, the end of a list that has
// backends, and two versions of an app in one that the run changed, when it is over. Start with New. A guard looks at the world by reads of its own.
package guard

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/mepc/mepc-run/internal/effect"
	"github.com/mepc/mepc-run/internal/engine"
	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/internal/journal"
)

// The guards, by the names that lift them.
const (
	Routed    = "routed-containers" // no stop of a container that a routing list points to
	EmptyList = "empty-lists"       // no end of a routing list that has backends
	Versions  = "two-versions"      // no list that leads to two images of an app when the run is over
)

// Names are all of them.
var Names = []string{Routed, EmptyList, Versions}

// Guard looks at a run's effects in one world.
type Guard struct {
	// Noted is told how the list or the container that an effect is about to change
	// was before; nil: nobody is.
	Noted func(journal.Was)

	world  *engine.World
	lifted func(name string) bool
	warn   func(text string)

	mu      sync.Mutex
	warned  map[string]bool
	apps    map[string]int // whose locks the run took -> how many images of it may have traffic
	changed []changedList
}

// New returns the guards of a run in world, without those that are lifted. warn is
// told, once each, what could not be looked at; such an effect is let pass.
func New(world *engine.World, lifted func(name string) bool, warn func(text string)) *Guard {
	return &Guard{world: world, lifted: lifted, warn: warn, warned: map[string]bool{}, apps: map[string]int{}}
}

// lookTime bounds what a guard asks before one effect.
const lookTime = 5 * time.Second

// Allow implements effect.Guard. It holds for what takes back a failed run's
// doings, too: traffic goes first.
func (g *Guard) Allow(ctx context.Context, op *effect.Op) error {
	if op.Name == "lock" {
		g.locked(op)
	}
	if !op.Class.Mutates() {
		return nil
	}
	run := ctx
	ctx, cancel := context.WithTimeout(run, lookTime)
	defer cancel()
	if strings.HasPrefix(op.Name, "docker.") {
		box := lost(op, g.box(ctx, op))
		if box == nil || !box.State.Running || g.lifted(Routed) {
			return nil
		}
		err := g.routed(ctx, op, box)
		if err != nil && failure.KindOf(err) != failure.Denied {
			if run.Err() == nil { // else the call itself says that the run is over
				g.say("not looked at before " + op.Name + " " + op.Target + ", whether traffic depends on it: " + err.Error())
			}
			return nil
		}
		return err
	}
	return g.lists(ctx, op)
}

func (g *Guard) say(text string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.warned[text] && g.warn != nil {
		g.warned[text] = true
		g.warn(text)
	}
}
