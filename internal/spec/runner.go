package spec

import (
	"context"
	"runtime"
	"sync"
)

// Run runs the files side by side and returns what came of them, in their order.
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
	var wg sync.WaitGroup
	next := make(chan int)
	for range min(jobs, len(opts.Files)) {
		wg.Go(func() {
			for i := range next {
				own := opts
				out[i] = runFile(ctx, &own, opts.Files[i])
				close(ready[i])
			}
		})
	}
	wg.Go(func() {
		defer close(next)
		for i := range opts.Files {
			if ctx.Err() != nil {
				for ; i < len(ready); i++ {
					close(ready[i])
				}
				return
			}
			next <- i
		}
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
	wg.Wait()
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
