package router

import (
	"context"
	"sync"
	"time"

	"github.com/mepc/mepc-run/internal/failure"
)

// workers are the goroutines beside requests: the probe, the writing of marks,
// the listeners. None starts once close has been called, and close waits for all.
type workers struct {
	cfg    *Config
	life   context.Context
	mu     sync.Mutex
	closed bool
	crew   failure.Crew
}

// start runs f in a goroutine and reports whether it did.
func (w *workers) start(f func()) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return false
	}
	w.crew.Go(f, w.bug)
	return true
}

// keep is start for what goes on as long as the router: a panic in it is logged, and it
// begins again.
func (w *workers) keep(f func()) {
	w.start(func() {
		failure.Lasting(f, func(err error) bool {
			w.bug(err)
			return w.cfg.Clock.Sleep(w.life, time.Second) == nil
		})
	})
}

func (w *workers) bug(err error) { failure.BugTo(w.cfg.Log)(err) }

func (w *workers) close() {
	w.mu.Lock()
	w.closed = true
	w.mu.Unlock()
	w.crew.Wait()
}
