package app

import (
	"context"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"strings"
	"sync"

	"github.com/mepc/mepc-run/internal/clock"
	"github.com/mepc/mepc-run/internal/engine"
	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/internal/lint"
	"github.com/mepc/mepc-run/internal/reload"
	"github.com/mepc/mepc-run/internal/spec"
	"github.com/mepc/mepc-run/recipes"
)

// garden is the directory of recipes that a server keeps loaded.
type garden struct {
	*reload.Tree
	world *engine.World
	root  *os.Root
}

// openGarden loads the recipes in dir. log is told of changes.
func (c *command) openGarden(ctx context.Context, dir string, log *slog.Logger) (*garden, error) {
	limits := c.flags.limits
	limits.Steps = checkSteps
	host, err := c.hostFor(c.routers(), limits)
	if err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, failure.Wrap(failure.NotFound, innermost(err), "read the recipes in %s", dir)
	}
	g := &garden{world: engine.Live(engine.Options{Getenv: c.env.Getenv}), root: root}
	kit := c.kit(&project{root: root, tree: root.FS(), dir: dir})
	var mu sync.Mutex // one host for all specs
	g.Tree, err = reload.Open(ctx, reload.Options{
		Dir: dir, Host: host, Linter: lint.New(host, limits), Library: recipes.FS, Always: []string{"reconcile.lua"}, World: g.world, Clock: clock.Wall{},
		Specs: func(ctx context.Context, files fs.FS, name string) ([]string, error) {
			mu.Lock()
			defer mu.Unlock()
			done := spec.Run(ctx, spec.Options{Kit: kit, Root: files, Project: dir, Files: []string{name}, Limits: c.specLimits()})
			return specsPassed(done)
		},
		Told: func(r *reload.Recipe, err error) {
			switch {
			case r == nil:
				log.Error("the directory of recipes cannot be watched; it is looked at every two seconds", "error", err)
			case r.Trouble != "":
				log.Error("a recipe is not taken, and its last good version stays", "recipe", r.Name, "error", r.Trouble)
			default:
				log.Info("a recipe is active", "recipe", r.Name, "version", r.Version.Hash[:12])
			}
		},
	})
	if err != nil {
		g.close()
		return nil, failure.Wrap(failure.NotFound, innermost(err), "read the recipes in %s", dir)
	}
	return g, nil
}

func (g *garden) close() {
	g.world.Close()
	_ = g.root.Close() // it was only read
}

// specsPassed returns which files specs looked for, and the first failure.
func specsPassed(done []*spec.File) (uses []string, err error) {
	for _, f := range done {
		uses = append(uses, f.Uses...)
		if f.Err != nil {
			return uses, f.Err
		}
		for _, r := range f.Results {
			if r.Status == spec.Failed || r.Status == spec.Broken {
				return uses, fmt.Errorf("%s: %q fails: %w", r.Where, strings.Join(r.Names, " "), r.Err)
			}
		}
	}
	return uses, nil
}
