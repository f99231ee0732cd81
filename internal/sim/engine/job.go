package engine

import (
	"slices"
	"strings"
	"time"

	"github.com/mepc/mepc-run/internal/state"
)

// job returns what the container does when its command is one of the fixture's
// Commands.
func (c *ctr) job() (state.ExecResult, bool) {
	if len(c.behaviour.Commands) == 0 {
		return state.ExecResult{}, false
	}
	r, ok := c.behaviour.Commands[strings.Join(c.argv(), " ")]
	return r, ok
}

// lasts returns when the container exits by itself, if it does, and with which
// code, when it is started now.
func (c *ctr) lasts(now time.Time) (dies time.Time, code int) {
	b := c.behaviour
	switch job, ok := c.job(); {
	case ok:
		return now.Add(job.Delay.Std()), job.ExitCode
	case b.ExitOnStart:
		return now, b.ExitCode
	case b.DiesAfter > 0:
		return now.Add(b.DiesAfter.Std()), b.ExitCode
	}
	return never, 0
}

// EndJob ends a running container that runs a command of its own of which the
// world does not know how it ends, with exit code 0, as if the command were done.
// It reports whether there was such a container.
func (e *Engine) EndJob(name string) bool {
	now := e.timeline.Lock()
	defer e.timeline.Unlock()
	c, err := e.find(name)
	if err != nil || !c.running() || !c.dies.IsZero() || slices.Equal(c.argv(), append(slices.Clone(c.image.config.Entrypoint), c.image.config.Cmd...)) {
		return false
	}
	e.die(c, now, 0)
	return true
}
