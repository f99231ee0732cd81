package engine

import (
	"time"

	"github.com/docker/docker/api/types/container"

	"github.com/mepc/mepc-run/internal/state"
)

// healthChange is a health check whose result changes something.
type healthChange struct {
	at      time.Time
	to      healthStatus
	failing int // the streak of failures then
}

// healthChanges works out when the health of a container that starts at start
// changes. The engine checks first after one interval; one success makes it
// healthy, as many failures in a row as retries says make it unhealthy, and
// failures within the start period do not count.
func healthChanges(b *state.Behaviour, h *container.HealthConfig, start time.Time) []healthChange {
	interval, retries := h.Interval, h.Retries
	if interval == 0 {
		interval = 30 * time.Second
	}
	if retries == 0 {
		retries = 3
	}
	check := func(k int64) time.Time { return start.Add(time.Duration(k) * interval) }
	ceil := func(d time.Duration) int64 { return int64((d + interval - 1) / interval) }

	var out []healthChange
	// The checks that fail before the container is ready: 1 to ready-1.
	ready := max(1, ceil(b.StartDelay.Std()))
	sick := int64(-1)
	if b.SickAfter > 0 {
		sick = max(1, ceil(b.SickAfter.Std()))
	}
	fails := func(from, to int64, counted bool) { // checks from to to-1 fail; to < 0: for ever
		first := from
		if counted {
			first = max(from, ceil(h.StartPeriod))
		}
		if last := first + int64(retries) - 1; to < 0 || last < to {
			out = append(out, healthChange{check(last), unhealthy, retries})
		}
	}
	switch {
	case b.Unhealthy:
		fails(1, -1, true)
	case sick >= 0 && sick <= ready:
		fails(1, -1, true)
	default:
		fails(1, ready, true)
		out = append(out, healthChange{check(ready), healthy, 0})
		if sick >= 0 {
			fails(sick, -1, false)
		}
	}
	return out
}

// healthJSON is State.Health of a container.
type healthJSON struct {
	Status        healthStatus
	FailingStreak int
	Log           []healthProbe
}

type healthProbe struct {
	Start    time.Time
	End      time.Time
	ExitCode int
	Output   string
}

// healthState returns what inspect shows: the last check, as far as it is known.
func (c *ctr) healthState(now time.Time) *healthJSON {
	if c.health == noHealth {
		return nil
	}
	h := &healthJSON{Status: c.health, FailingStreak: c.failing, Log: []healthProbe{}}
	interval := c.config.Healthcheck.Interval
	if interval == 0 {
		interval = 30 * time.Second
	}
	end := now
	if !c.running() {
		end = c.finished
	}
	if k := end.Sub(c.started) / interval; k > 0 {
		at := c.started.Add(k * interval)
		probe := healthProbe{Start: at, End: at, Output: "ok\n"}
		if !c.behaviour.Passes(at.Sub(c.started)) {
			probe.ExitCode, probe.Output = 1, "check: not ready\n"
			if h.Status == starting {
				h.FailingStreak = int(k)
			}
		}
		h.Log = append(h.Log, probe)
	}
	return h
}
