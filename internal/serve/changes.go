package serve

import (
	"context"
	"time"

	"github.com/mepc/mepc-run/internal/failure"
)

// calm is the time changes are gathered before they are sent.
const calm = 200 * time.Millisecond

// changes tells a page that something is different.
func (s *Server) changes(c *call) (any, error) {
	out := newSSE(c.w)
	out.comment()
	for out.flush() == nil { // else the reader has gone
		queue, recipes := s.opts.Queue.Changed(), s.opts.Recipes.Changed()
		waiting, stop := context.WithCancel(c.Context())
		silent := failure.Go(func() error { return s.opts.Clock.Sleep(waiting, beat*tick) })
		changed := true
		select {
		case <-s.ending.Done():
			changed = false
		case <-silent:
			changed = false
			out.comment()
		case <-queue:
		case <-recipes:
		}
		stop()
		<-silent
		if c.Context().Err() != nil || s.ending.Err() != nil {
			break
		}
		if changed && s.opts.Clock.Sleep(c.Context(), calm) == nil {
			out.send("", "changed", struct{}{})
		}
	}
	return nil, nil
}
