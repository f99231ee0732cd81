package spec

import (
	"context"
	"runtime"

	"github.com/mepc/mepc-run/internal/failure"
)

// Run runs the files side by side and returns their results, in their order.
// When ctx ends, what was not run is left out.
func Run(ctx context.Context, opts Options) []*File {
	jobs := opts.Jobs
	if jobs == 0 {
		jobs = runtime.GOMAXPROCS(0)
	}
	out := make([]*File, len(opts.Files))
	ready := make([]chan struct{}, len(opts.Files))
	for i := range ready {
		ready[i] = make(chan struct{})
	}
	workers, _ := failure.NewGroup(ctx, -1)
	next := make(chan int)
	for range min(jobs, len(opts.Files)) {
		workers.Go(func() error {
			for i := range next {
				own := opts
				bug := failure.Protect(func() error { out[i] = runFile(ctx, &own, opts.Files[i]); return nil })
				if bug != nil {
					out[i] = &File{Name: opts.Files[i], Err: failure.As(bug)}
				}
				close(ready[i])
			}
			return nil
		})
	}
	workers.Go(func() error {
		defer close(next)
		for i := range opts.Files {
			if ctx.Err() != nil {
				for ; i < len(ready); i++ {
					close(ready[i])
				}
				return nil
			}
			next <- i
		}
		return nil
	})
	var done []*File
	for i := range ready {
		<-ready[i]
		if out[i] == nil {
			continue
		}
		done = append(done, out[i])
		if opts.Done != nil {
			opts.Done(out[i])
		}
	}
	_ = workers.Wait() // each file has its own
	return done
}

// List returns the tests that Run would run, without running them. They have
// neither a status nor a duration.
func List(ctx context.Context, opts Options) []*File {
	var all []*File
	for _, name := range opts.Files {
		own := opts
		all = append(all, listFile(ctx, &own, name))
	}
	return all
}
