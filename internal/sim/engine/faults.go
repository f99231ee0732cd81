package engine

import (
	"net/http"
	"slices"
)

// Hooks are called around every call to an engine, without any lock held.
type Hooks struct {
	// Before is called before the call has any effect. A response or an error
	// from it is the answer: the engine never sees the call.
	Before func(*http.Request) (*http.Response, error)
	// After is called when the call has taken effect, with its response. What it
	// returns is the client's result: an error instead of the response is a
	// reply that was lost.
	After func(*http.Request, *http.Response) (*http.Response, error)
}

// SetHooks replaces the engine's hooks.
func (e *Engine) SetHooks(h Hooks) {
	e.timeline.Hold()
	defer e.timeline.Unlock()
	e.hooks = h
}

// SetDown makes the engine refuse connections, or answer again. Its containers
// go on.
func (e *Engine) SetDown(down bool) {
	e.timeline.Hold()
	defer e.timeline.Unlock()
	e.down = down
}

func (e *Engine) faults() (before func(*http.Request) (*http.Response, error), after func(*http.Request, *http.Response) (*http.Response, error), down bool) {
	e.timeline.Hold()
	defer e.timeline.Unlock()
	return e.hooks.Before, e.hooks.After, e.down
}

// ErrorResponse returns an answer of the engine with status and message, for
// Hooks.Before.
func (e *Engine) ErrorResponse(req *http.Request, status int, message string) *http.Response {
	return e.response(req, errorReply(&apiError{status, message}))
}

// Kill ends a container as a crash of its process would: exit code 137, after
// which its restart policy counts. It reports whether the container ran.
func (e *Engine) Kill(name string) bool {
	now := e.timeline.Lock()
	defer e.timeline.Unlock()
	c, err := e.find(name)
	if err != nil || !c.running() {
		return false
	}
	e.die(c, now, 137)
	return true
}

// Restart kills the engine and starts it again, without live-restore: every
// container's process is gone, those with the restart policy always are started
// again, also the ones that were stopped before, and the events so far are forgotten. With shuffle they come back in the
// opposite order, so that addresses and picked ports move between them.
func (e *Engine) Restart(shuffle bool) {
	now := e.timeline.Lock()
	defer e.timeline.Unlock()
	var back []*ctr
	for _, c := range e.ordered() {
		if c.status != created {
			c.restartAt = never
			if c.status != exited {
				e.stopped(c, now, 137)
			}
			c.health = noHealth
		}
		if c.status == exited && c.host.RestartPolicy.Name == "always" {
			back = append(back, c)
		}
	}
	if shuffle {
		slices.Reverse(back)
	}
	e.lost += len(e.events)
	e.events = nil
	clear(e.execs)
	for _, c := range back {
		_ = e.start(c, now) // its error stays on the container, as on a real engine
	}
	e.reschedule()
}
