package docker

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/mepc/mepc-run/internal/effect"
	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/runtime"
)

func serviceWaitFunc() runtime.Func {
	return runtime.Func{
		Name: "service_wait", Class: runtime.Read,
		Doc: "Waits until a service has converged: its update is over, as many tasks as are wanted run with its present configuration and nothing else, and have for the time that `stable` says. " +
			"It fails at once when the swarm pauses the update or rolls it back; the error has what went wrong with the tasks.",
		From: "GET /services, GET /tasks", Returns: "the service",
		Raises:  reads(failure.Invalid, failure.NotFound, failure.Unhealthy),
		Example: `docker.service_wait("app", {deadline = "2m"})`,
		Call:    runtime.Effect((*Engine).serviceWait),
	}
}

type serviceWaitArgs struct {
	Service  string        `lua:"service,pos,required,target" doc:"its name or ID"`
	Deadline time.Duration `lua:"deadline" default:"5m" min:"0.001" doc:"how long to wait in all"`
	Stable   time.Duration `lua:"stable" default:"1s" min:"0" doc:"how long it must stay converged"`
	Interval time.Duration `lua:"interval" default:"500ms" min:"0.001" doc:"how often to look"`
	Rollback bool          `lua:"rollback" doc:"wait for the end of a rollback: that is no failure"`
}

func (a *serviceWaitArgs) Validate() error { return checkRef("service", a.Service) }

// Op gives the call its deadline, and time on top to look: the deadline is on the
// run's clock.
func (a *serviceWaitArgs) Op(op *effect.Op) { op.Timeout = a.Deadline + 15*time.Second }

func (e *Engine) serviceWait(ctx context.Context, a *serviceWaitArgs) (*Service, error) {
	clk := e.world.Clock()
	end := clk.Now().Add(a.Deadline)
	var since time.Time // it is converged
	for {
		s, running, err := e.progress(ctx, a)
		if err != nil {
			return nil, err
		}
		now := clk.Now()
		over := s.Update.State == "" || s.Update.State == "completed" || s.Update.State == "rollback_completed"
		if over && running == s.Desired && s.Running == s.Desired {
			if since.IsZero() {
				since = now
			}
			if now.Sub(since) >= a.Stable {
				effect.Note(ctx, fmt.Sprintf("%d of %d tasks run", running, s.Desired))
				return s, nil
			}
		} else {
			since = time.Time{}
		}
		if !now.Before(end) {
			return nil, e.notConverged(ctx, a, fmt.Sprintf("has not converged after %s: %d of %d tasks run with its present configuration", a.Deadline, running, s.Desired))
		}
		effect.Report(ctx, effect.Progress{Text: strings.TrimSpace(fmt.Sprintf("%d of %d tasks run %s", running, s.Desired, s.Update.State)), Current: int64(running), Total: int64(s.Desired)})
		if err := clk.Sleep(ctx, min(a.Interval, end.Sub(now))); err != nil {
			return nil, err
		}
	}
}

// progress returns the service, and how many tasks run with its present
// configuration. The error is that of an update that did not succeed.
func (e *Engine) progress(ctx context.Context, a *serviceWaitArgs) (*Service, int, error) {
	raw, err := e.getService(ctx, a.Service)
	if err != nil {
		return nil, 0, err
	}
	s := newService(raw)
	switch state := s.Update.State; {
	case state == "paused", state == "rollback_paused",
		!a.Rollback && (state == "rollback_started" || state == "rollback_completed"):
		return nil, 0, e.notConverged(ctx, a, "was not updated: "+s.Update.Message)
	}
	tasks, err := e.tasks(ctx, &tasksArgs{Service: raw.ID, Running: true, Current: true})
	if err != nil {
		return nil, 0, err
	}
	running := 0
	for _, t := range tasks {
		if t.State == "running" {
			running++
		}
	}
	return s, running, nil
}

// notConverged gathers what the person who reads the error needs: what the tasks
// say, and the end of what they wrote.
func (e *Engine) notConverged(ctx context.Context, a *serviceWaitArgs, what string) error {
	ctx, cancel := e.world.Clock().WithTimeout(context.WithoutCancel(ctx), settleTime, nil)
	defer cancel()
	f := failure.New(failure.Unhealthy, "%s %s", a.Service, what).
		WithHint("docker service ps %s shows its tasks; docker.service_rollback goes back", a.Service)
	tasks, err := e.tasks(ctx, &tasksArgs{Service: a.Service})
	if err != nil {
		return f
	}
	said := map[string]bool{}
	for _, t := range tasks {
		why := t.Error
		if why == "" && t.State == "complete" {
			why = "ended with exit code 0: by itself, or because its health check failed"
		}
		if why != "" && !said[why] && len(said) < 3 {
			said[why] = true
			f.Message += fmt.Sprintf("; a task of %s: %s", t.Image, why)
		}
	}
	if text, err := e.serviceLogs(ctx, &serviceLogsArgs{Service: a.Service, Tail: 20, Max: 16 << 10}); err == nil && strings.TrimSpace(text) != "" {
		f.Details = "the last lines of its log:\n" + lastOf(text, 20)
	}
	return f
}
