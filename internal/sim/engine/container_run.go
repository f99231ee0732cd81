package engine

import (
	"net/http"
	"strconv"
	"time"

	"github.com/mepc/mepc-run/internal/sim/timeline"
)

func containerStart(c *call) (reply, error) {
	box, err := c.e.find(c.name)
	if err != nil {
		return reply{}, err
	}
	if c.req.ContentLength > 7 { // "{}", "null" and the like are let through
		return reply{}, badRequest("starting container with non-empty request body was deprecated since API v1.22 and removed in v1.24")
	}
	switch box.status {
	case paused:
		return reply{}, conflict("cannot start a paused container, try unpause instead")
	case running, restarting:
		return reply{status: http.StatusNotModified}, nil
	}
	box.restarts, box.nextRestart = 0, 0
	if err := c.e.start(box, c.now); err != nil {
		return reply{}, err
	}
	return noContent, nil
}

func containerStop(c *call) (reply, error) {
	grace, given, err := c.grace()
	if err != nil {
		return reply{}, err
	}
	now := c.timeline.Lock()
	box, err := c.e.find(c.name)
	if err == nil && !box.running() && box.status != restarting {
		c.timeline.Unlock()
		return reply{status: http.StatusNotModified}, nil
	}
	if err != nil {
		c.timeline.Unlock()
		return reply{}, err
	}
	if box.status == restarting {
		c.e.stopped(box, now, box.exitCode)
		c.timeline.Unlock()
		return noContent, nil
	}
	if !given {
		grace = box.stopTimeout()
	}
	box.byHand = true
	c.timeline.Unlock()
	if err := c.end(box, grace); err != nil {
		return reply{}, err
	}
	now = c.timeline.Lock()
	defer c.timeline.Unlock()
	c.e.emitContainer(box, now, "stop")
	c.e.autoRemove(box, now)
	return noContent, nil
}

// grace reads the parameter t, in seconds; negative is for ever.
func (c *call) grace() (d time.Duration, given bool, err error) {
	s := c.query.Get("t")
	if s == "" {
		return 0, false, nil
	}
	n, err := strconv.Atoi(s)
	if err != nil {
		return 0, false, serverError("%v", err)
	}
	return time.Duration(n) * time.Second, true, nil
}

func (c *ctr) stopTimeout() time.Duration {
	if t := c.config.StopTimeout; t != nil {
		return time.Duration(*t) * time.Second
	}
	return 10 * time.Second
}

// end asks the container's process to stop and kills it after grace. Time passes
// meanwhile, and so may other things: the container may be gone when it is over.
func (c *call) end(box *ctr, grace time.Duration) error {
	b := box.behaviour
	now := c.timeline.Lock()
	stopSignal := "SIGTERM"
	if s := box.config.StopSignal; s != "" {
		stopSignal = s
	}
	c.e.emitContainer(box, now, "kill", "signal", strconv.Itoa(parseSignal(stopSignal)))
	if box.status == paused {
		box.status = running
	}
	run := box.started
	c.timeline.Unlock()

	wait, code := b.StopDelay.Std(), b.StopExitCode
	if parseSignal(stopSignal) == 9 {
		wait, code = 0, 137
	}
	kill := grace >= 0 && (b.IgnoresSIGTERM || wait > grace)
	if kill {
		wait, code = grace, 137
	}
	if b.IgnoresSIGTERM && grace < 0 {
		wait = timeline.Patience
	}
	if wait > 0 {
		if err := c.timeline.Sleep(c.ctx, wait); err != nil {
			return err
		}
	}
	now = c.timeline.Lock()
	defer c.timeline.Unlock()
	if box.running() && box.started.Equal(run) {
		if kill {
			c.e.emitContainer(box, now, "kill", "signal", "9")
		}
		c.e.stopped(box, now, code)
	}
	return nil
}

func containerRestart(c *call) (reply, error) {
	grace, given, err := c.grace()
	if err != nil {
		return reply{}, err
	}
	now := c.timeline.Lock()
	box, err := c.e.find(c.name)
	if err != nil {
		c.timeline.Unlock()
		return reply{}, err
	}
	if !given {
		grace = box.stopTimeout()
	}
	runs := box.running()
	if box.status == restarting {
		c.e.stopped(box, now, box.exitCode)
	}
	c.timeline.Unlock()
	if runs {
		if err := c.end(box, grace); err != nil {
			return reply{}, err
		}
	}
	now = c.timeline.Lock()
	defer c.timeline.Unlock()
	if c.e.containers[box.id] == nil {
		return reply{}, notFound("Cannot restart container %s: No such container: %s", c.name, box.id)
	}
	if runs {
		c.e.emitContainer(box, now, "stop")
	}
	box.restarts, box.nextRestart = 0, 0
	if err := c.e.start(box, now); err != nil {
		api := err.(*apiError)
		return reply{}, fail(api.status, "Cannot restart container %s: %s", c.name, api.message)
	}
	c.e.emitContainer(box, now, "restart")
	return noContent, nil
}
