package app

import (
	"bytes"
	"context"
	"os"

	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/internal/queue"
	"github.com/mepc/mepc-run/internal/reload"
	"github.com/mepc/mepc-run/internal/serve"
)

// workers starts the processes of a server.
type workers struct {
	*command
	recipes serve.Recipes
	flags   *serveFlags
}

// start implements queue.Options.Start: the recipe is run as it is now, and a run
// that is resumed has its files in its journal.
func (w *workers) start(r *queue.Request, a queue.Attempt, request *os.File) (queue.Process, error) {
	job := &work{Attempt: a, Recipe: r.Recipe}
	if a.Resumes == "" {
		recipe := w.recipes.Recipe(r.Recipe)
		switch {
		case recipe == nil:
			return nil, failure.New(failure.NotFound, "there is no recipe %s any more", r.Recipe)
		case recipe.Version == nil:
			return nil, failure.New(failure.Conflict, "the recipe %s cannot be run: %s", r.Recipe, recipe.Trouble)
		}
		job.File, job.Files = recipe.File, recipe.Version.Files
	}
	return startWorker(w.told(job), request, nil)
}

// told adds the server's flags.
func (w *workers) told(job *work) *work {
	job.Settings = w.command.flags.settings()
	job.Settings.Memory, job.Settings.CPU = w.flags.memory, w.flags.cpu
	return job
}

// Rehearse implements serve.Rehearser.
func (w *workers) Rehearse(ctx context.Context, r *reload.Recipe, params map[string]any, world string) ([]byte, error) {
	var plan bytes.Buffer
	p, err := startWorker(w.told(&work{Rehearse: world, Recipe: r.Name, Params: params, File: r.File, Files: r.Version.Files}), nil, &plan)
	if err != nil {
		return nil, err
	}
	defer context.AfterFunc(ctx, func() { _ = p.Kill() })()
	said := p.Wait()
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if plan.Len() == 0 {
		return nil, failure.New(failure.Refused, "the rehearsal failed: %s", said)
	}
	return plan.Bytes(), nil
}
