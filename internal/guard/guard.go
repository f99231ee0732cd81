// Package guard refuses what would cost requests, whatever a recipe says: the
// stop of a container that a routing list points to, the end of a list that has
// backends, and two versions of an app in one that the run changed, when it is over. A
// guard looks at the world by reads of its own, and refuses what it could not look at.
// Start with New.
package guard

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/mepc/mepc-run/internal/effect"
	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/internal/journal"
	"github.com/mepc/mepc-run/servers"
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
	// Noted gets the state of a list or a container just before an effect changes it; it
	// may be nil.
	Noted func(journal.Was)

	world   *servers.Clients
	lifted  func(name string) bool
	explain func(err error, endpoint string) error

	mu      sync.Mutex
	apps    map[string]int // whose locks the run took -> how many images of it may have traffic
	changed []changedList
}

// New returns the guards of a run in world, without those that are lifted. explain says
// what an error of a Redis means, or returns nil. What cannot be looked at is refused.
func New(world *servers.Clients, lifted func(name string) bool, explain func(err error, endpoint string) error) *Guard {
	return &Guard{world: world, lifted: lifted, explain: explain, apps: map[string]int{}}
}

// answerTime limits the time a server may take for one answer. A look has as many as it
// needs: a slow server makes it slow, and a hung one ends it.
const answerTime = 5 * time.Second

// Allow implements effect.Guard. It holds for the undo steps of a failed run, too: traffic
// goes first.
func (g *Guard) Allow(ctx context.Context, op *effect.Op) error {
	if op.Name == "lock" {
		g.locked(op)
	}
	if !op.Class.Mutates() {
		return nil
	}
	if !strings.HasPrefix(op.Name, "docker.") {
		return g.lists(ctx, op)
	}
	c, err := g.container(ctx, op)
	if g.lifted(Routed) || !ends(op) && op.Name != "docker.rename" && op.Name != disconnect {
		return nil
	}
	if err != nil {
		return unseen(ctx, Routed, err, "%s was not checked before %s", op.Target, op.Name)
	}
	if c == nil || !c.State.Running {
		return nil
	}
	return g.routed(ctx, op, lost(op, placeOf(c)))
}

// trip bounds one way to a Redis and back.
func (g *Guard) trip(ctx context.Context, do func(context.Context) error) error {
	ctx, cancel := g.world.Clock().WithTimeout(ctx, answerTime, nil)
	defer cancel()
	return do(ctx)
}

// unread is unseen for a Redis.
func (g *Guard) unread(ctx context.Context, guard string, err error, endpoint, format string, args ...any) error {
	if known := failure.As(g.explain(err, endpoint)); known != nil {
		err = known
	}
	return unseen(ctx, guard, err, format, args...)
}

// unseen is the refusal for a look that failed.
func unseen(ctx context.Context, guard string, err error, format string, args ...any) error {
	if ctx.Err() != nil {
		return context.Cause(ctx) // the run is over
	}
	e := failure.Wrap(failure.Unavailable, err, format, args...)
	e.Retryable = true
	hint := "run again when the server answers"
	if known := failure.As(err); known != nil && known.Hint != "" {
		hint = known.Hint
	}
	return e.WithHint("nothing was done: %s; or lift this guard with --allow %s", hint, guard)
}
