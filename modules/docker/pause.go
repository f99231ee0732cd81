package docker

import (
	"context"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/client"

	"github.com/mepc/mepc-run/internal/effect"
	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/runtime"
)

func pauseFuncs() []runtime.Func {
	return []runtime.Func{
		{
			Name: "pause", Class: runtime.Destructive,
			Doc:  "Freezes a container's processes: they keep what they have, and answer nothing. A paused container is left alone.",
			From: "POST /containers/{id}/pause", Returns: "nothing", Raises: writes(failure.Invalid, failure.NotFound, failure.Conflict),
			Example: `docker.pause("app-blue")`,
			Call:    runtime.Effect((*Engine).pause),
		},
		{
			Name: "unpause", Class: runtime.Write,
			Doc:  "Lets a paused container go on. One that runs is left alone.",
			From: "POST /containers/{id}/unpause", Returns: "nothing", Raises: writes(failure.Invalid, failure.NotFound, failure.Conflict),
			Example: `docker.unpause("app-blue")`,
			Call:    runtime.Effect((*Engine).unpause),
		},
		{
			Name: "update", Class: runtime.Write,
			Doc: "Changes a container's limits and its restart policy, also while it runs. What is not given stays. " +
				"A new memory limit that is above the limit of memory and swap needs memory_swap, too.",
			From: "POST /containers/{id}/update", Returns: "what the engine warns of",
			Raises:  writes(failure.Invalid, failure.NotFound, failure.Conflict),
			Example: `docker.update("app-blue", {restart = "unless-stopped", cpus = 0.5})`,
			Call:    runtime.Effect((*Engine).update),
		},
	}
}

func isPaused(s State) bool { return s.Status == "paused" }

func (e *Engine) pause(ctx context.Context, a *containerArgs) (runtime.None, error) {
	return runtime.None{}, e.becomes(ctx, a.Container, isPaused, func(ctx context.Context, c *client.Client, id string) error {
		return c.ContainerPause(ctx, id)
	})
}

func (e *Engine) unpause(ctx context.Context, a *containerArgs) (runtime.None, error) {
	goesOn := func(s State) bool { return s.Running && !isPaused(s) && s.Status != "restarting" }
	return runtime.None{}, e.becomes(ctx, a.Container, goesOn, func(ctx context.Context, c *client.Client, id string) error {
		return c.ContainerUnpause(ctx, id)
	})
}

// becomes calls what makes a container as wanted, unless it is so already, for
// calls that the engine refuses then.
func (e *Engine) becomes(ctx context.Context, ref string, wanted func(State) bool, call func(context.Context, *client.Client, string) error) error {
	now, err := e.get(ctx, ref)
	if err != nil {
		return err
	}
	if wanted(now.State) {
		effect.Unaltered(ctx)
		return nil
	}
	err = e.change(ctx, func(ctx context.Context, c *client.Client) error { return call(ctx, c, now.ID) }, e.state(now.ID, wanted))
	if f := failure.As(err); f != nil && f.Kind == failure.Refused { // the engine answers some of it with 500
		f.Kind = failure.Conflict
	}
	return hint(err, failure.Conflict, "%s is %s", now.Name, now.State.Status)
}

type updateArgs struct {
	Container         string       `lua:"container,pos,required,target" doc:"its name or ID"`
	Restart           string       `lua:"restart" doc:"no, always, unless-stopped, on-failure or on-failure:5"`
	Memory            runtime.Size `lua:"memory" doc:"the most memory it may use; 6MiB at least"`
	MemorySwap        runtime.Size `lua:"memory_swap" doc:"the most memory and swap together"`
	MemoryReservation runtime.Size `lua:"memory_reservation" doc:"what it is held to while memory is short"`
	CPUs              float64      `lua:"cpus" min:"0.01" max:"100000" doc:"how many CPUs it may use, such as 1.5"`
	CPUShares         int          `lua:"cpu_shares" min:"2" max:"262144" doc:"its weight against others when CPUs are short; 1024 when not given"`
	CPUSet            string       `lua:"cpuset" doc:"the CPUs that it may use, such as 0-2 or 0,3"`
	PIDsLimit         int          `lua:"pids_limit" min:"-1" doc:"how many processes it may have; -1: any number"`
}

func (a *updateArgs) Validate() error {
	if err := checkRef("container", a.Container); err != nil {
		return err
	}
	if a.Restart != "" {
		if _, err := restartPolicy(a.Restart); err != nil {
			return err
		}
	}
	if (updateArgs{Container: a.Container}) == *a {
		return failure.New(failure.Invalid, "nothing to change is given")
	}
	return checkCPUSet(a.CPUSet)
}

func (e *Engine) update(ctx context.Context, a *updateArgs) ([]string, error) {
	up := container.UpdateConfig{Resources: container.Resources{
		Memory: int64(a.Memory), MemorySwap: int64(a.MemorySwap), MemoryReservation: int64(a.MemoryReservation),
		NanoCPUs: nanoCPUs(a.CPUs), CPUShares: int64(a.CPUShares), CpusetCpus: a.CPUSet,
	}}
	if a.PIDsLimit != 0 {
		n := int64(a.PIDsLimit)
		up.PidsLimit = &n
	}
	if a.Restart != "" {
		up.RestartPolicy, _ = restartPolicy(a.Restart) // Validate has read it
	}
	var warnings []string
	err := e.changeContainer(ctx, a.Container, func(ctx context.Context, c *client.Client, ref string) error {
		resp, err := c.ContainerUpdate(ctx, ref, up)
		warnings = resp.Warnings
		warned(ctx, warnings)
		return err
	}, nil)
	return warnings, err
}
