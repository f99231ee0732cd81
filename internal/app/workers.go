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
	recipes  serve.Recipes
	settings settings
	bounds   bounds
	stopping context.Context // the server's
}

// start implements queue.Options.Start: the recipe is run as it is now, and a run
// that is resumed has its files in its journal.
func (w *workers) start(r *queue.Request, a queue.Attempt, request *os.File) (queue.Process, error) {
	job := &work{Attempt: a, Recipe: r.Recipe}
	if a.Resumes == "" {
		select {
		case <-w.recipes.Loaded():
		case <-w.stopping.Done():
			return nil, queue.ErrClosed
		}
		recipe := w.recipes.Recipe(r.Recipe)
		switch {
		case recipe == nil:
			return nil, failure.New(failure.NotFound, "the recipe %s no longer exists", r.Recipe)
		case recipe.Version == nil:
			return nil, failure.New(failure.Conflict, "the recipe %s cannot be run: %s", r.Recipe, recipe.Trouble)
		}
		job.File, job.Files = recipe.File, recipe.Version.Files
	}
	return startChild("worker", w.told(job), request, nil)
}

// limitedBuffer accepts another process's output up to a limit.
type limitedBuffer struct {
	bytes.Buffer
	most int
}

// Write implements io.Writer.
func (b *limitedBuffer) Write(p []byte) (int, error) {
	if b.Len()+len(p) > b.most {
		b.Reset()
		return 0, failure.New(failure.Limit, "the plan is larger than %d MiB", b.most>>20)
	}
	return b.Buffer.Write(p)
}

// told adds the server's flags.
func (w *workers) told(job *work) *work {
	job.Settings, job.Bounds = w.settings, w.bounds
	return job
}

// Rehearse implements serve.Rehearser.
func (w *workers) Rehearse(ctx context.Context, r *reload.Recipe, params map[string]any, world string) ([]byte, error) {
	plan := limitedBuffer{most: maxPlan}
	p, err := startChild("worker", w.told(&work{Rehearse: world, Recipe: r.Name, Params: params, File: r.File, Files: r.Version.Files}), nil, &plan)
	if err != nil {
		return nil, err
	}
	defer failure.After(ctx, func() { _ = p.Kill() })()
	said := p.Wait()
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if plan.Len() == 0 {
		return nil, failure.New(failure.Refused, "the rehearsal failed: %s", said)
	}
	return plan.Bytes(), nil
}
