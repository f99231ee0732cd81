package engine

import (
	"fmt"
	"slices"
	"time"

	"github.com/docker/go-connections/nat"

	"github.com/mepc/mepc-run/internal/state"
	"github.com/mepc/mepc-run/internal/state/engineapi"
)

// restoreRun brings a container into the state that it is said to be in, without
// events: it has been so for a while.
func (e *Engine) restoreRun(s *state.Container, now time.Time) error {
	box := e.names[s.Name]
	box.started, box.finished, box.exitCode, box.errText = s.Started, s.Finished, s.ExitCode, s.Error
	box.restarts, box.byHand = s.Restarts, s.Stopped
	switch status(s.Status) {
	case "":
		box.status = running
	case created, running, paused, restarting, exited:
		box.status = status(s.Status)
	default:
		return fmt.Errorf("status %q is none of created, running, paused, restarting, exited", s.Status)
	}
	if box.started.IsZero() && box.status != created {
		box.started = box.created
	}
	switch box.status {
	case exited:
		if box.finished.IsZero() {
			box.finished = now
		}
	case restarting:
		box.restartAt, box.nextRestart = now.Add(100*time.Millisecond), 200*time.Millisecond
	case running, paused:
		return e.restoreRunning(s, box, now)
	}
	if box.health = healthStatus(s.Health); box.health != noHealth && !engineapi.HasCheck(box.config.Healthcheck) {
		return fmt.Errorf("health is %q but there is no health check", s.Health)
	}
	return nil
}

func (e *Engine) restoreRunning(s *state.Container, box *ctr, now time.Time) error {
	e.seq++
	box.pid = 1000 + e.seq
	for _, name := range endpointNames(box) {
		ep := box.endpoints[name]
		n, err := e.findNetwork(name, true)
		if err != nil {
			return err
		}
		want := ep.ip
		ep.ip = "" // not taken by itself
		ip, err := e.allocate(n, want)
		if err != nil {
			return fmt.Errorf("address %s in network %s: %w", want, name, err)
		}
		ep.network, ep.ip, ep.id = n.id, ip, e.newID("endpoint", box.id+n.id)
		if n.custom() && !slices.Contains(ep.aliases, short(box.id)) {
			ep.aliases = append(slices.Clip(ep.aliases), short(box.id))
		}
	}
	if err := e.restorePorts(s, box); err != nil {
		return err
	}
	hc, b := box.config.Healthcheck, box.behaviour
	if _, job := box.job(); job || b.DiesAfter > 0 {
		// It is said to run: what was before now did not kill it.
		if box.dies, box.dieCode = box.lasts(box.started); !box.dies.After(now) {
			box.dies, box.dieCode = box.lasts(now)
		}
	}
	if !engineapi.HasCheck(hc) {
		if s.Health != "" {
			return fmt.Errorf("health is %q but there is no health check", s.Health)
		}
		return nil
	}
	box.health = starting
	box.healthLog = healthChanges(b, hc, box.started)
	// What it is said to be counts until the next check that changes something.
	for len(box.healthLog) > 0 && !box.healthLog[0].at.After(now) {
		box.health, box.failing = box.healthLog[0].to, box.healthLog[0].failing
		box.healthLog = box.healthLog[1:]
	}
	switch healthStatus(s.Health) {
	case noHealth:
	case starting, healthy, unhealthy:
		box.health = healthStatus(s.Health)
	default:
		return fmt.Errorf("health %q is none of starting, healthy, unhealthy", s.Health)
	}
	return nil
}

func (e *Engine) restorePorts(s *state.Container, box *ctr) error {
	if s.Ports == nil {
		return e.publish(box)
	}
	for _, p := range s.Ports {
		proto, number := nat.SplitProtoPort(p.Port)
		port, err := nat.NewPort(proto, number)
		if err != nil {
			return fmt.Errorf("ports: %q is not a port such as 8080/tcp", p.Port)
		}
		k := portKey{p.HostIP, port.Proto(), p.Host}
		if k.ip == "" {
			k.ip = "0.0.0.0"
		}
		if e.ports[k] != "" {
			return fmt.Errorf("host port %d is taken", p.Host)
		}
		e.ports[k] = box.id
		box.ports = append(box.ports, published{port, k.ip, p.Host})
		e.lastPort = max(e.lastPort, p.Host) // picked ones do not meet it
	}
	return nil
}
