package docker

import (
	"context"
	"encoding/json"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/client"

	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/runtime"
)

func processFuncs() []runtime.Func {
	return []runtime.Func{
		{
			Name: "top", Class: runtime.Read,
			Doc:  "Lists the processes of a running container, as ps on the engine's machine shows them.",
			From: "GET /containers/{id}/top", Returns: "a list of processes, each a table by column, such as PID, UID and CMD",
			Raises: reads(failure.Invalid, failure.NotFound, failure.Conflict), Example: `log(#docker.top("app-blue") .. " processes")`,
			Call: runtime.Effect((*Engine).top),
		},
		{
			Name: "stats", Class: runtime.Read,
			Doc: "Measures what a container uses. The engine takes two samples a second apart. " +
				"A rehearsal cannot tell: its containers use nothing, and the call ends it as not_modelled.",
			From: "GET /containers/{id}/stats", Returns: "what it uses",
			Raises: reads(failure.Invalid, failure.NotFound), Example: `if docker.stats("app-blue").memory > 2^30 then log.warn("more than 1 GiB") end`,
			Call: runtime.Effect((*Engine).stats),
		},
	}
}

type topArgs struct {
	Container string   `lua:"container,pos,required,target" doc:"its name or ID"`
	Args      []string `lua:"args" doc:"options of ps; -ef when not given"`
}

func (a *topArgs) Validate() error { return checkRef("container", a.Container) }

func (e *Engine) top(ctx context.Context, a *topArgs) ([]map[string]string, error) {
	ref, err := e.sure(ctx, a.Container)
	if err != nil {
		return nil, err
	}
	list := []map[string]string{}
	err = e.read(ctx, func(ctx context.Context, c *client.Client) error {
		got, err := c.ContainerTop(ctx, ref, a.Args)
		for _, p := range got.Processes {
			row := map[string]string{}
			for i, title := range got.Titles {
				if i < len(p) {
					row[title] = p[i]
				}
			}
			list = append(list, row)
		}
		return err
	})
	if f := failure.As(err); f != nil && f.Kind == failure.Refused { // 500, where a version of the engine has no better code
		f.Kind = failure.Conflict
	}
	return list, hint(err, failure.Conflict, "only a running container has processes: docker.start(%q)", a.Container)
}

// Stats is what a container uses.
type Stats struct {
	CPU         float64      `lua:"cpu" doc:"how many CPUs it uses, such as 0.5"`
	Memory      runtime.Size `lua:"memory" doc:"in bytes, without the cache that can be given up"`
	MemoryLimit runtime.Size `lua:"memory_limit" doc:"what it may use, in bytes; the machine's without a limit"`
	PIDs        int          `lua:"pids" doc:"how many processes and threads it has"`
	Received    runtime.Size `lua:"received" doc:"bytes from networks since its start"`
	Sent        runtime.Size `lua:"sent" doc:"bytes to networks since its start"`
	Read        runtime.Size `lua:"read" doc:"bytes from disks since its start"`
	Written     runtime.Size `lua:"written" doc:"bytes to disks since its start"`
}

func (e *Engine) stats(ctx context.Context, a *containerArgs) (*Stats, error) {
	ref, err := e.sure(ctx, a.Container)
	if err != nil {
		return nil, err
	}
	var raw container.StatsResponse
	err = e.read(ctx, func(ctx context.Context, c *client.Client) error {
		resp, err := c.ContainerStats(ctx, ref, false)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		return json.NewDecoder(resp.Body).Decode(&raw)
	})
	if err != nil {
		return nil, err
	}
	return newStats(&raw), nil
}

func newStats(raw *container.StatsResponse) *Stats {
	s := &Stats{
		CPU: cpusUsed(raw), Memory: memoryUsed(raw.MemoryStats), MemoryLimit: runtime.Size(raw.MemoryStats.Limit), PIDs: int(raw.PidsStats.Current),
	}
	for _, n := range raw.Networks {
		s.Received += runtime.Size(n.RxBytes)
		s.Sent += runtime.Size(n.TxBytes)
	}
	for _, b := range raw.BlkioStats.IoServiceBytesRecursive {
		switch b.Op {
		case "Read", "read":
			s.Read += runtime.Size(b.Value)
		case "Write", "write":
			s.Written += runtime.Size(b.Value)
		}
	}
	return s
}

// cpusUsed is CPU time by time between the two samples, as docker stats has it.
func cpusUsed(raw *container.StatsResponse) float64 {
	used := float64(raw.CPUStats.CPUUsage.TotalUsage) - float64(raw.PreCPUStats.CPUUsage.TotalUsage)
	total := float64(raw.CPUStats.SystemUsage) - float64(raw.PreCPUStats.SystemUsage)
	cpus := float64(raw.CPUStats.OnlineCPUs)
	if cpus == 0 {
		cpus = float64(len(raw.CPUStats.CPUUsage.PercpuUsage))
	}
	if used <= 0 || total <= 0 {
		return 0
	}
	return used / total * cpus
}

// memoryUsed leaves out the page cache, as docker stats does: total_inactive_file
// with cgroup v1, inactive_file with v2.
func memoryUsed(m container.MemoryStats) runtime.Size {
	for _, name := range []string{"total_inactive_file", "inactive_file"} {
		if cache, ok := m.Stats[name]; ok && cache < m.Usage {
			return runtime.Size(m.Usage - cache)
		}
	}
	return runtime.Size(m.Usage)
}
