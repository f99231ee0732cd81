package docker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/mepc/mepc-run/internal/effect"
	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/runtime"
)

func healthFuncs() []runtime.Func {
	return []runtime.Func{
		{
			Name: "wait_healthy", Class: runtime.Read,
			Doc: "Waits until a container is healthy: by an HTTP or a TCP probe from here, or by the HEALTHCHECK of its image when neither is given. " +
				"It fails at once when the container exits or is restarted. " +
				"The error has the last probe's result, the container's state and the last 20 lines of its log.",
			From: "GET /containers/{id}/json, and the probe", Returns: "how it went",
			Raises:  reads(failure.Invalid, failure.NotFound, failure.Unhealthy),
			Example: `docker.wait_healthy("app-blue", {http = {port = 8080, path = "/health"}, successes = 3, deadline = "30s"})`,
			Call:    runtime.Effect((*Engine).waitHealthy),
		},
		{
			Name: "address", Class: runtime.Read,
			Doc:  "Finds out where a port of a container is reached: by the container's own address, or by the port it is published as.",
			From: "GET /containers/{id}/json", Returns: "host:port",
			Raises: reads(failure.Invalid, failure.NotFound), Example: `local url = "http://" .. docker.address("app-blue", 8080)`,
			Call: runtime.Effect((*Engine).address),
		},
	}
}

type waitHealthyArgs struct {
	Container string        `lua:"container,pos,required,target" doc:"its name or ID"`
	HTTP      *httpProbe    `lua:"http" doc:"ask by HTTP, on a new connection each time"`
	TCP       *place        `lua:"tcp" doc:"only connect"`
	Interval  time.Duration `lua:"interval" default:"500ms" doc:"the time between probes"`
	Timeout   time.Duration `lua:"timeout" default:"2s" doc:"how long one probe may take"`
	Successes int           `lua:"successes" default:"1" min:"1" doc:"how many in a row are needed"`
	Deadline  time.Duration `lua:"deadline" default:"60s" doc:"how long to wait in all"`
	Grace     time.Duration `lua:"grace" default:"0s" doc:"how long to wait before the first probe"`
}

func (a *waitHealthyArgs) Validate() error {
	switch {
	case a.HTTP != nil && a.TCP != nil:
		return errors.New("http and tcp exclude each other")
	case a.HTTP != nil:
		if err := a.HTTP.check(); err != nil {
			return err
		}
	case a.TCP != nil && a.TCP.Port == 0:
		return errors.New("tcp.port: integer expected, got nothing")
	}
	if a.Interval <= 0 || a.Timeout <= 0 {
		return errors.New("interval and timeout must be more than 0")
	}
	return checkRef("container", a.Container)
}

// Op gives the call its deadline, and time on top to look and to read the log:
// the deadline is on the run's clock.
func (a *waitHealthyArgs) Op(op *effect.Op) {
	op.Timeout = a.Grace + a.Deadline + a.Timeout + 15*time.Second
}

// Healthy is how waiting went.
type Healthy struct {
	Address string        `lua:"address" doc:"host:port that was probed; empty with HEALTHCHECK"`
	Probes  int           `lua:"probes" doc:"how many probes were made"`
	Took    time.Duration `lua:"took" doc:"how long it took, in seconds"`
	Last    string        `lua:"last" doc:"what the last probe saw"`

	Restarts int `lua:"restarts" doc:"how often the container's policy has restarted it"`
}

// watch is the state of one wait.
type watch struct {
	e        *Engine
	a        *waitHealthyArgs
	start    time.Time
	id       string
	first    *Container // what the first look saw
	restarts int
	row      int   // successes in a row
	lost     error // why the last look at the container failed
	out      Healthy
}

func (e *Engine) waitHealthy(ctx context.Context, a *waitHealthyArgs) (*Healthy, error) {
	clk := e.world.Clock()
	w := &watch{e: e, a: a, start: clk.Now()}
	c, err := e.get(ctx, a.Container)
	if err != nil {
		return nil, err
	}
	w.first, w.out.Restarts = c, c.Restarts
	w.id, w.restarts = c.ID, c.Restarts // by ID: the name may go to another meanwhile
	if a.HTTP == nil && a.TCP == nil && c.State.Health == "none" && c.State.Running {
		return nil, failure.New(failure.Invalid, "%s has no HEALTHCHECK", c.Name).
			WithHint(`say how to probe it: http = {port = 8080, path = "/health"} or tcp = {port = 8080}`)
	}
	if err := clk.Sleep(ctx, a.Grace); err != nil {
		return nil, err
	}
	end := clk.Now().Add(a.Deadline)
	for {
		done, err := w.probe(ctx)
		if done || err != nil {
			return &w.out, err
		}
		left := end.Sub(clk.Now())
		if left <= 0 && w.lost != nil {
			return nil, w.lost
		}
		if left <= 0 {
			late := w.unhealthy(ctx, fmt.Sprintf("is not healthy after %s", a.Deadline))
			return nil, late.WithHint("its log says why, or it answers elsewhere than is probed, or it needs longer: raise the deadline")
		}
		if err := clk.Sleep(ctx, min(a.Interval, left)); err != nil {
			return nil, err
		}
	}
}

// probe looks at the container, then probes it once.
func (w *watch) probe(ctx context.Context) (done bool, err error) {
	c, err := w.first, error(nil)
	if w.first = nil; c == nil || w.a.Grace > 0 {
		c, err = w.e.get(ctx, w.id)
	}
	switch {
	case isKind(err, failure.NotFound):
		return false, failure.New(failure.Unhealthy, "%s was removed while it was waited for", w.a.Container)
	case err != nil && failure.As(err) != nil && failure.As(err).Retryable:
		// The engine restarts, or the way to it is bad for a moment: the deadline
		// decides.
		w.row, w.lost = 0, err
		return false, nil
	case err != nil:
		return false, err
	case !c.State.Running && c.State.Status == "created":
		return false, failure.New(failure.Unhealthy, "%s is created, but was not started", c.Name).WithHint("docker.start(%q)", c.Name)
	case c.State.Status == "restarting" || c.Restarts > w.restarts:
		what := "exits, and is restarted by its policy"
		if !c.State.Running { // else the code is that of the run under way: none
			what += fmt.Sprintf(" (exit code %d)", c.State.ExitCode)
		}
		return false, w.unhealthy(ctx, what)
	case !c.State.Running:
		return false, w.unhealthy(ctx, fmt.Sprintf("has exited with code %d", c.State.ExitCode))
	}
	w.lost = nil
	ok, result, err := w.once(ctx, c)
	if err != nil {
		return false, err
	}
	w.out.Probes++
	w.out.Last = result
	w.out.Took = w.e.world.Clock().Now().Sub(w.start)
	effect.Report(ctx, effect.Progress{Text: result})
	if !ok {
		w.row = 0
		return false, nil
	}
	w.row++
	if w.row < w.a.Successes {
		return false, nil
	}
	effect.Note(ctx, result)
	return true, nil
}

// once probes; an error is one that further probes cannot mend.
func (w *watch) once(ctx context.Context, c *Container) (ok bool, result string, err error) {
	var p place
	switch {
	case w.a.HTTP != nil:
		p = w.a.HTTP.place()
	case w.a.TCP != nil:
		p = *w.a.TCP
	case c.State.Health == "unhealthy":
		return false, "", w.unhealthy(ctx, "is unhealthy by its own HEALTHCHECK")
	default:
		return c.State.Health == "healthy", "its HEALTHCHECK says " + c.State.Health, nil
	}
	address, err := w.e.addressOf(c, p)
	if err != nil {
		return false, "", err
	}
	w.out.Address = address
	probeCtx, cancel := w.e.world.Clock().WithTimeout(ctx, w.a.Timeout, nil)
	defer cancel()
	if w.a.HTTP != nil {
		result, err = w.a.HTTP.probe(probeCtx, w.e.world, address)
	} else {
		result, err = tcpProbe(probeCtx, w.e.world, address)
	}
	if ctx.Err() != nil {
		return false, "", context.Cause(ctx)
	}
	if err != nil {
		return false, result + ": " + probeWords(probeCtx, err, w.a.Timeout), nil
	}
	return true, result, nil
}

// unhealthy gathers what the person who reads the error needs: the last probe,
// the state, the log's end.
func (w *watch) unhealthy(ctx context.Context, what string) *failure.Error {
	// What ended the wait must not keep its report from being written.
	ctx, cancel := w.e.world.Clock().WithTimeout(context.WithoutCancel(ctx), settleTime, nil)
	defer cancel()
	raw, err := w.e.getRaw(ctx, w.id)
	f := failure.New(failure.Unhealthy, "%s %s", w.a.Container, what)
	if w.out.Last != "" {
		f.Message += "; the last probe: " + w.out.Last
	}
	if err == nil {
		c := newContainer(raw)
		f.State = stateText(c)
		if h := raw.State.Health; h != nil && len(h.Log) > 0 && w.a.HTTP == nil && w.a.TCP == nil {
			last := h.Log[len(h.Log)-1]
			f.Message += fmt.Sprintf("; its last check: exit code %d, %q", last.ExitCode, line(last.Output))
		}
	}
	f.Details = w.e.lastLines(ctx, w.id, 20)
	return f
}

func stateText(c *Container) string {
	s := c.Name + " is " + c.State.Status
	if !c.State.Running {
		s += fmt.Sprintf(" with exit code %d", c.State.ExitCode)
	}
	if c.State.OOMKilled {
		s += ", out of memory"
	}
	if c.State.Error != "" {
		s += ": " + c.State.Error
	}
	return s
}
