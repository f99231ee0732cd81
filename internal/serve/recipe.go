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
	// Loaded returns a channel that is closed when all were loaded once.
	Loaded() <-chan struct{}
	// Trouble returns what is wrong with the directory that they are in.
	Trouble() []string
}

// Rehearser rehearses recipes.
type Rehearser interface {
	// Rehearse returns the plan of a recipe with those parameters, encoded. world is
	// live or empty.
	Rehearse(ctx context.Context, r *reload.Recipe, params map[string]any, world string) ([]byte, error)
}

// errLoading is why a recipe is not there when the server has just begun.
var errLoading = failure.New(failure.Unavailable, "the recipes are still being loaded").WithHint("try again in a while")

func (s *Server) loaded() bool {
	select {
	case <-s.opts.Recipes.Loaded():
		return true
	default:
		return false
	}
}

// take refuses parameters that a run of the recipe would refuse, and those that the
// queue may not keep.
func take(r *reload.Recipe, params map[string]any) error {
	if r.Version == nil {
		return failure.New(failure.Conflict, "the recipe %s cannot be run: %s", r.Name, r.Trouble)
	}
	for _, p := range r.Version.Params {
		if _, given := params[p.Name]; given && p.Type == "secret" {
			return failure.New(failure.Invalid, "the parameter %s is a secret, and waiting requests are kept on disk", p.Name).
				WithHint("declare it when you start the server, with --secret %s=env:VARIABLE, and read it in the recipe with secret(%q)", p.Name, p.Name)
		}
	}
	return runtime.CheckParams(r.Version.Params, params)
}
