package serve

import (
	"context"

	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/internal/reload"
	"github.com/mepc/mepc-run/runtime"
)

// Recipes are those that can be run. A recipe is handed out as it is now: what
// happens to its files later does not change it. A reload.Tree is one.
type Recipes interface {
	// Recipes returns all, by name.
	Recipes() []*reload.Recipe
	// Recipe returns one, or nil.
	Recipe(name string) *reload.Recipe
	// Changed returns a channel that is closed when any has changed.
	Changed() <-chan struct{}
}

// Rehearser rehearses recipes.
type Rehearser interface {
	// Rehearse returns the plan of a recipe with those parameters, encoded. world is
	// live or empty.
	Rehearse(ctx context.Context, r *reload.Recipe, params map[string]any, world string) ([]byte, error)
}

// take refuses parameters that a run of the recipe would refuse, and those that the
// queue may not keep.
func take(r *reload.Recipe, params map[string]any) error {
	if r.Version == nil {
		return failure.New(failure.Conflict, "the recipe %s cannot be run: %s", r.Name, r.Trouble)
	}
	for _, p := range r.Version.Params {
		if _, given := params[p.Name]; given && p.Type == "secret" {
			return failure.New(failure.Invalid, "the parameter %s is a secret, and what waits to be run is on disk", p.Name).
				WithHint("declare it when the server is started, with --secret %s=env:VARIABLE, and read it in the recipe by secret(%q)", p.Name, p.Name)
		}
	}
	return runtime.CheckParams(r.Version.Params, params)
}
