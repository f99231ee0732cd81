package docker

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/client"

	"github.com/mepc/mepc-run/internal/effect"
	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/runtime"
)

func lifecycleFuncs() []runtime.Func {
	return []runtime.Func{
		{
			Name: "start", Class: runtime.Write,
			Doc:  "Starts a created or stopped container. One that runs already is left alone.",
			From: "POST /containers/{id}/start", Returns: "nothing", Raises: writes(failure.Invalid, failure.NotFound, failure.Conflict),
			Example: `docker.start("app-blue")`,
			Call:    runtime.Effect((*Engine).start),
		},
		{
			Name: "stop", Class: runtime.Destructive,
			Doc:  "Stops a container: its stop signal first, SIGKILL when the time is up. One that does not run is left alone.",
			From: "POST /containers/{id}/stop", Returns: "nothing", Raises: writes(failure.Invalid, failure.NotFound),
			Example: `docker.stop("app-blue", {timeout = "30s"})`,
			Call:    runtime.Effect((*Engine).stop),
		},
		{
			Name: "kill", Class: runtime.Destructive,
			Doc:  "Sends a running container a signal, SIGKILL unless another is named.",
			From: "POST /containers/{id}/kill", Returns: "nothing", Raises: writes(failure.Invalid, failure.NotFound, failure.Conflict),
			Example: `docker.kill("app-blue", {signal = "HUP"})`,
			Call:    runtime.Effect((*Engine).kill),
		},
		{
			Name: "restart", Class: runtime.Destructive,
			Doc:  "Stops a container as stop does, and starts it again.",
			From: "POST /containers/{id}/restart", Returns: "nothing", Raises: writes(failure.Invalid, failure.NotFound),
			Example: `docker.restart("app-blue")`,
			Call:    runtime.Effect((*Engine).restart),
		},
		{
			Name: "remove", Class: runtime.Destructive,
			Doc:  "Removes a container. One that runs is refused without force.",
			From: "DELETE /containers/{id}", Returns: "nothing", Raises: writes(failure.Invalid, failure.NotFound, failure.Conflict),
			Example: `docker.remove("app-blue", {missing_ok = true})`,
			Call:    runtime.Effect((*Engine).remove),
		},
		{
			Name: "rename", Class: runtime.Write,
			Doc:  "Gives a container another name. Links and names within networks follow it.",
			From: "POST /containers/{id}/rename", Returns: "nothing", Raises: writes(failure.Invalid, failure.NotFound, failure.Conflict),
			Example: `docker.rename("app-new", "app-blue")`,
			Call:    runtime.Effect((*Engine).rename),
		},
		{
			Name: "wait", Class: runtime.Read,
			Doc:  "Waits until a container is not running; one that was only created counts as not running.",
			From: "POST /containers/{id}/wait", Returns: "its exit code",
			Raises: reads(failure.Invalid, failure.NotFound), Example: `local code = docker.wait("migration", {timeout = "10m"})`,
			Call: runtime.Effect((*Engine).wait),
		},
	}
}

// state looks at a container and asks done whether it is as it should be.
func (e *Engine) state(ref string, done func(State) bool) look {
	return func(ctx context.Context) (bool, string, error) {
		c, err := e.get(ctx, ref)
		if err != nil {
			return false, "", err
		}
		return done(c.State), c.Name + " is " + c.State.Status, nil
	}
}

func running(s State) bool    { return s.Running }
func notRunning(s State) bool { return !s.Running && s.Status != "restarting" }

func (e *Engine) start(ctx context.Context, a *containerArgs) (runtime.None, error) {
	err := e.changeContainer(ctx, a.Container, func(ctx context.Context, c *client.Client, ref string) error {
		return c.ContainerStart(ctx, ref, container.StartOptions{})
	}, e.state(a.Container, running))
	return runtime.None{}, startFailed(err, a.Container)
}

type stopArgs struct {
	Container string         `lua:"container,pos,required,target" doc:"its name or ID"`
	Timeout   *time.Duration `lua:"timeout" doc:"how long it has to stop by itself; the container's own stop_timeout when not given; where that is more than 50s, give it here, too"`
}

func (a *stopArgs) Validate() error { return checkRef("container", a.Container) }

// Op gives the call the container's time and the engine's own on top.
func (a *stopArgs) Op(op *effect.Op) { op.Timeout = op.Timeout + seconds(a.Timeout) }

// seconds is d in full seconds, the engine's unit, rounded up: 0 would kill at
// once.
func seconds(d *time.Duration) time.Duration {
	if d == nil {
		return 0
	}
	return time.Duration(math.Ceil(d.Seconds())) * time.Second
}

func (a *stopArgs) options() container.StopOptions {
	if a.Timeout == nil {
		return container.StopOptions{}
	}
	n := int(seconds(a.Timeout) / time.Second)
	return container.StopOptions{Timeout: &n}
}

func (e *Engine) stop(ctx context.Context, a *stopArgs) (runtime.None, error) {
	return runtime.None{}, e.changeContainer(ctx, a.Container, func(ctx context.Context, c *client.Client, ref string) error {
		return c.ContainerStop(ctx, ref, a.options())
	}, e.state(a.Container, notRunning))
}

type killArgs struct {
	Container string `lua:"container,pos,required,target" doc:"its name or ID"`
	Signal    string `lua:"signal" default:"SIGKILL" doc:"the signal, such as SIGHUP, HUP or 1"`
}

func (a *killArgs) Validate() error { return checkRef("container", a.Container) }

func (e *Engine) kill(ctx context.Context, a *killArgs) (runtime.None, error) {
	settle := e.state(a.Container, notRunning)
	if a.Signal != "SIGKILL" {
		settle = nil // a container that still runs may have got its signal
	}
	return runtime.None{}, e.changeContainer(ctx, a.Container, func(ctx context.Context, c *client.Client, ref string) error {
		return c.ContainerKill(ctx, ref, a.Signal)
	}, settle)
}

func (e *Engine) restart(ctx context.Context, a *stopArgs) (runtime.None, error) {
	before, err := e.get(ctx, a.Container)
	if err != nil {
		return runtime.None{}, err
	}
	err = e.change(ctx, func(ctx context.Context, c *client.Client) error {
		return c.ContainerRestart(ctx, before.ID, a.options())
	}, e.state(before.ID, func(s State) bool { return s.Running && s.StartedAt.After(before.State.StartedAt) }))
	return runtime.None{}, startFailed(err, a.Container)
}

type removeArgs struct {
	Container string `lua:"container,pos,required,target" doc:"its name or ID"`
	Force     bool   `lua:"force" doc:"kill it first if it runs"`
	Volumes   bool   `lua:"volumes" doc:"remove its anonymous volumes with it"`
	MissingOK bool   `lua:"missing_ok" doc:"do nothing when there is no such container, instead of raising not_found"`
}

func (a *removeArgs) Validate() error { return checkRef("container", a.Container) }

func (e *Engine) remove(ctx context.Context, a *removeArgs) (runtime.None, error) {
	err := e.changeContainer(ctx, a.Container, func(ctx context.Context, c *client.Client, ref string) error {
		return c.ContainerRemove(ctx, ref, container.RemoveOptions{Force: a.Force, RemoveVolumes: a.Volumes})
	}, gone(a.Container, func(ctx context.Context) error {
		_, err := e.get(ctx, a.Container)
		return err
	}))
	if a.MissingOK && isKind(err, failure.NotFound) {
		effect.Unaltered(ctx)
		return runtime.None{}, nil
	}
	return runtime.None{}, hint(err, failure.Conflict, "stop it first, or remove it with force = true")
}

// gone looks whether get finds nothing.
func gone(name string, get func(context.Context) error) look {
	return func(ctx context.Context) (bool, string, error) {
		err := get(ctx)
		if isKind(err, failure.NotFound) {
			return true, "", nil
		}
		return false, name + " is still there", err
	}
}

type renameArgs struct {
	Container string `lua:"container,pos,required,target" doc:"its name or ID"`
	Name      string `lua:"name,pos,required" doc:"its new name: two or more of a-z, A-Z, 0-9, _, . and -, the first a letter or a digit"`
}

func (a *renameArgs) Validate() error {
	if err := checkRef("container", a.Container); err != nil {
		return err
	}
	return checkNewName("name", a.Name)
}

func (e *Engine) rename(ctx context.Context, a *renameArgs) (runtime.None, error) {
	before, err := e.get(ctx, a.Container)
	if err != nil {
		return runtime.None{}, err
	}
	if before.Name == a.Name {
		effect.Unaltered(ctx)
		return runtime.None{}, nil
	}
	err = e.change(ctx, func(ctx context.Context, c *client.Client) error {
		return c.ContainerRename(ctx, before.ID, a.Name)
	}, func(ctx context.Context) (bool, string, error) {
		now, err := e.get(ctx, before.ID)
		if err != nil {
			return false, "", err
		}
		return now.Name == a.Name, "its name is " + now.Name, nil
	})
	return runtime.None{}, hint(err, failure.Conflict, "another container has the name %s", a.Name)
}

type waitArgs struct {
	Container string        `lua:"container,pos,required,target" doc:"its name or ID"`
	Timeout   time.Duration `lua:"timeout" default:"10m" doc:"how long to wait"`
}

func (a *waitArgs) Validate() error { return checkRef("container", a.Container) }

// Op bounds the call by its own option.
func (a *waitArgs) Op(op *effect.Op) { op.Timeout = a.Timeout }

func (e *Engine) wait(ctx context.Context, a *waitArgs) (code int, err error) {
	ref, err := e.sure(ctx, a.Container)
	if err != nil {
		return 0, err
	}
	err = e.read(ctx, func(ctx context.Context, c *client.Client) error {
		// The client's goroutine blocks on its channels until one is read or ctx
		// ends, and it is given one that does.
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		done, failed := c.ContainerWait(ctx, ref, container.WaitConditionNotRunning)
		select {
		case w := <-done:
			if w.Error != nil {
				return failure.New(failure.Refused, "%s", w.Error.Message)
			}
			code = int(w.StatusCode)
			return nil
		case err := <-failed:
			return err
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	})
	if isKind(err, failure.Timeout) {
		return 0, failure.New(failure.Timeout, "%s still runs after %s", a.Container, a.Timeout)
	}
	if err != nil {
		return 0, err
	}
	effect.Note(ctx, fmt.Sprintf("exit code %d", code))
	return code, nil
}
