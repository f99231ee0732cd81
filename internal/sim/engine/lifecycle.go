package engine

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/mepc/mepc-run/internal/state/engineapi"
)

// Settle brings about what is due at now: exits, restarts and changes of health,
// each at its own time and in order. Callers hold the lock.
func (e *Engine) Settle(now time.Time) {
	for !e.due.IsZero() && !e.due.After(now) {
		at := e.due
		for _, c := range e.ordered() {
			e.advance(c, at)
		}
		e.orchestrate(at)
		e.reschedule()
		if !e.due.After(at) && !e.due.IsZero() {
			panic("sim: something is due that does not happen") // would never end
		}
	}
}

// Due returns when the next thing happens by itself; zero: nothing will.
func (e *Engine) Due() time.Time { return e.due }

// advance does what is due on c at the time at.
func (e *Engine) advance(c *ctr, at time.Time) {
	if c.status == restarting && isDue(c.restartAt, at) {
		c.restarts++
		if e.start(c, at) != nil {
			c.restartAt = never
		}
		return
	}
	if c.status != running {
		return
	}
	for len(c.healthLog) > 0 && isDue(c.healthLog[0].at, at) {
		change := c.healthLog[0]
		c.healthLog = c.healthLog[1:]
		c.failing = change.failing
		if c.health != change.to {
			c.health = change.to
			e.emitContainer(c, change.at, "health_status: "+string(change.to))
		}
	}
	if isDue(c.dies, at) {
		e.die(c, at, c.dieCode)
	}
}

func isDue(t, at time.Time) bool { return !t.IsZero() && !t.After(at) }

// reschedule finds out when the next thing is due.
func (e *Engine) reschedule() {
	e.due = never
	sooner := func(t time.Time) {
		if !t.IsZero() && (e.due.IsZero() || t.Before(e.due)) {
			e.due = t
		}
	}
	for _, c := range e.containers {
		switch c.status {
		case restarting:
			sooner(c.restartAt)
		case running:
			sooner(c.dies)
			if len(c.healthLog) > 0 {
				sooner(c.healthLog[0].at)
			}
		}
	}
	e.cluster.dueTimes(sooner)
}

// start starts a container that does not run. On an error the container keeps it
// in its state, as on a real engine.
func (e *Engine) start(c *ctr, now time.Time) error {
	if err := e.connectAll(c, now); err != nil {
		return e.startFailed(c, err, 128)
	}
	if err := e.checkLinks(c); err != nil {
		return e.startFailed(c, err, 128)
	}
	if err := e.publish(c); err != nil {
		return e.startFailed(c, err, 128)
	}
	if code, err := c.program(); err != nil {
		return e.startFailed(c, err, code)
	}
	e.seq++
	c.pid = 1000 + e.seq
	c.status, c.started, c.exitCode, c.errText = running, now, 0, ""
	c.byHand, c.restartAt = false, never
	b := c.behaviour
	c.dies, c.dieCode = c.lasts(now)
	said := b.Logs
	if job, ok := c.job(); ok {
		said = job.Lines()
	}
	for _, text := range said {
		text, stderr := strings.CutPrefix(text, "stderr: ")
		c.print(logLine{at: now, stderr: stderr, text: text})
	}
	c.health, c.failing, c.healthLog = noHealth, 0, nil
	if hc := c.config.Healthcheck; engineapi.HasCheck(hc) {
		c.health = starting
		c.healthLog = healthChanges(b, hc, now)
	}
	e.emitContainer(c, now, "start")
	if isDue(c.dies, now) {
		e.die(c, now, c.dieCode)
	}
	e.reschedule()
	return nil
}

func (e *Engine) startFailed(c *ctr, err error, code int) error {
	e.release(c)
	if c.status != exited {
		c.status = created
	}
	c.exitCode, c.errText = code, err.Error()
	c.restartAt = never
	e.reschedule()
	return err
}

// print appends to the log; the slice's other holders do not see it.
func (c *ctr) print(l logLine) { c.logs = append(slices.Clip(c.logs), l) }

// die ends the container's process by itself; the restart policy counts.
func (e *Engine) die(c *ctr, now time.Time, code int) {
	ran := now.Sub(c.started)
	e.exit(c, now, code)
	if wait, again := c.restartPolicy(ran, code); again {
		c.status, c.restartAt = restarting, now.Add(wait)
		e.reschedule()
		return
	}
	e.autoRemove(c, now)
	e.reschedule()
}

// stopped ends the container's process by hand.
func (e *Engine) stopped(c *ctr, now time.Time, code int) {
	if c.running() {
		e.exit(c, now, code)
	}
	c.status, c.restartAt = exited, never
	e.reschedule()
}

// exit does what every end has in common.
func (e *Engine) exit(c *ctr, now time.Time, code int) {
	c.status, c.pid, c.exitCode, c.finished, c.dies = exited, 0, code, now, never
	if c.health != noHealth {
		c.health = unhealthy
	}
	c.healthLog = nil
	e.release(c)
	e.emitContainer(c, now, "die", "exitCode", strconv.Itoa(code))
}

func (e *Engine) autoRemove(c *ctr, now time.Time) {
	if c.host.AutoRemove {
		e.forget(c, now)
	}
}

// restartPolicy says whether, and after how long, the engine starts the
// container again: 100 ms first, twice as long each time up to a minute, and
// from the beginning after a run of ten seconds.
func (c *ctr) restartPolicy(ran time.Duration, code int) (time.Duration, bool) {
	p := c.host.RestartPolicy
	switch {
	case p.Name == "always", p.Name == "unless-stopped" && !c.byHand:
	case p.Name == "on-failure" && code != 0 && (p.MaximumRetryCount == 0 || c.restarts < p.MaximumRetryCount):
	default:
		return 0, false
	}
	if ran >= 10*time.Second || c.nextRestart == 0 {
		c.nextRestart = 100 * time.Millisecond
	}
	wait := c.nextRestart
	c.nextRestart = min(2*wait, time.Minute)
	return wait, true
}
