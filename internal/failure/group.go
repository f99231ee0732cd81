package failure

import (
	"context"
	"sync"

	"golang.org/x/sync/errgroup"
)

// Go runs f in a goroutine. The channel yields its error, or its panic as an error, and
// is closed.
func Go(f func() error) <-chan error {
	done := make(chan error, 1)
	go func() {
		defer close(done)
		done <- Protect(f)
	}()
	return done
}

// Group is an errgroup in which a panic is an error of the function. Elsewhere a
// panic in a goroutine ends the process, with nothing undone.
type Group struct{ group *errgroup.Group }

// NewGroup returns a group, at most limit of whose functions run at once (-1: all),
// and a context that ends with its first error.
func NewGroup(ctx context.Context, limit int) (*Group, context.Context) {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(limit)
	return &Group{group}, ctx
}

// Go runs f in a goroutine, as soon as the limit allows.
func (g *Group) Go(f func() error) { g.group.Go(func() error { return Protect(f) }) }

// Wait waits for all functions and returns the first error.
func (g *Group) Wait() error { return g.group.Wait() }

// After calls f in a goroutine when ctx has ended, unless stop was called before. A
// panic in f does not get further.
func After(ctx context.Context, f func()) (stop func() bool) {
	return context.AfterFunc(ctx, func() { _ = call(f) })
}

// Crew waits for goroutines that end one by one. The zero value is ready.
type Crew struct{ members sync.WaitGroup }

// Go runs f in a goroutine. A panic in it is handed to bug.
func (c *Crew) Go(f func(), bug func(error)) {
	c.members.Go(func() {
		if err := call(f); err != nil {
			bug(err)
		}
	})
}

// Hold makes Wait wait for the caller, too, until it releases it.
func (c *Crew) Hold() (release func()) {
	c.members.Add(1)
	return c.members.Done
}

// Wait waits for all.
func (c *Crew) Wait() { c.members.Wait() }

// Lasting calls f until it returns without a panic. Each panic is handed to bug, which
// waits for a while and reports whether f is to be called again.
func Lasting(f func(), bug func(error) (again bool)) {
	for {
		if err := call(f); err == nil || !bug(err) {
			return
		}
	}
}

func call(f func()) error { return Protect(func() error { f(); return nil }) }
