package app

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/mepc/mepc-run/internal/clock"
	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/internal/spec"
	"github.com/mepc/mepc-run/internal/watch"
)

// watchSpecs runs the specs, and again those that a change of files concerns,
// until ctx ends.
func (c *testCmd) watchSpecs(ctx context.Context, p *project, args []string, opts spec.Options) error {
	w, err := watch.New(".", clock.Wall{})
	if err != nil {
		return failure.Wrap(failure.Unavailable, failure.Innermost(err), "watch the project's files")
	}
	defer w.Close()
	uses := map[string][]string{} // what each spec file has read
	for {
		done, err := c.runSpecs(ctx, opts)
		if ctx.Err() != nil {
			return nil // Ctrl-C is how a watch ends
		}
		switch {
		case failure.KindOf(err) == failure.Output:
			return err
		case err != nil && !errors.Is(err, errSpecs):
			fmt.Fprintf(c.env.Stderr, "error: %s\n", printable(err.Error())) // the next change may fix it
		}
		for _, f := range done {
			uses[f.Name] = f.Uses
		}
		for opts.Files = nil; len(opts.Files) == 0; {
			changed, err := w.Next(ctx)
			if ctx.Err() != nil {
				return nil
			}
			if err != nil {
				return failure.Wrap(failure.Unavailable, failure.Innermost(err), "watch the project's files")
			}
			files, err := p.specs(args)
			if err != nil {
				fmt.Fprintf(c.env.Stderr, "error: %s\n", printable(err.Error()))
				continue
			}
			opts.Files = concerned(files, uses, changed)
			if len(opts.Files) > 0 {
				fmt.Fprintf(c.env.Stdout, "\n%s changed\n", printable(strings.Join(changed, ", ")))
			}
		}
	}
}

// concerned returns the spec files that changes concern: those that have read a
// file that changed, those that are new, and all of them after a change of a
// Dockerfile. Other files count for nothing: the output of this very command may go
// to one.
func concerned(files []string, uses map[string][]string, changed []string) []string {
	var out []string
	for _, f := range files {
		read, known := uses[f]
		hit := !known || slices.ContainsFunc(changed, func(name string) bool {
			return slices.Contains(read, name) || strings.HasPrefix(path.Base(name), "Dockerfile")
		})
		if hit {
			out = append(out, f)
		}
	}
	return out
}
