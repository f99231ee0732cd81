package docker

import (
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/go-units"
)

var cpuSet = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[0-9]+(-[0-9]+)?(,[0-9]+(-[0-9]+)?)*$`) })

func checkCPUSet(s string) error {
	if s != "" && !cpuSet().MatchString(s) {
		return fmt.Errorf("cpuset: %q is not a set of CPUs: write 0-2 or 0,3", s)
	}
	return nil
}

func nanoCPUs(n float64) int64 { return int64(math.Round(n * 1e9)) }

// config builds the engine's form of the limits.
func (r *resources) config() (container.Resources, error) {
	out := container.Resources{
		Memory: int64(r.Memory), MemorySwap: int64(r.MemorySwap), MemoryReservation: int64(r.MemoryReservation),
		NanoCPUs: nanoCPUs(r.CPUs), CPUShares: int64(r.CPUShares), CpusetCpus: r.CPUSet,
	}
	if r.MemorySwap > 0 && (r.Memory == 0 || r.MemorySwap < r.Memory) {
		return out, fmt.Errorf("memory_swap: it is for memory and swap together, and so needs memory= and is no less")
	}
	if r.PIDsLimit != 0 {
		n := int64(r.PIDsLimit)
		out.PidsLimit = &n
	}
	for _, name := range slices.Sorted(maps.Keys(r.Ulimits)) {
		u, err := units.ParseUlimit(name + "=" + r.Ulimits[name])
		if err != nil {
			return out, fmt.Errorf("ulimits.%s: %w", name, err)
		}
		out.Ulimits = append(out.Ulimits, u)
	}
	return out, nil
}

// apply adds the protection to the engine's request.
func (p *protection) apply(host *container.HostConfig) error {
	host.CapAdd, host.CapDrop, host.SecurityOpt, host.Sysctls, host.Privileged = p.CapAdd, p.CapDrop, p.SecurityOpt, p.Sysctls, p.Privileged
	host.PidMode, host.IpcMode = container.PidMode(p.PID), container.IpcMode(p.IPC)
	if !host.PidMode.Valid() || p.PID != "" && p.PID != "host" && !host.PidMode.IsContainer() {
		return fmt.Errorf("pid: %q is neither container:NAME nor host", p.PID)
	}
	if !host.IpcMode.Valid() {
		return fmt.Errorf("ipc: %q is none of private, shareable, none, container:NAME and host", p.IPC)
	}
	for _, d := range p.Devices {
		m, err := device(d)
		if err != nil {
			return err
		}
		host.Devices = append(host.Devices, m)
	}
	return nil
}

// device reads what docker run --device takes.
func device(s string) (container.DeviceMapping, error) {
	m := container.DeviceMapping{CgroupPermissions: "rwm"}
	parts := strings.Split(s, ":")
	m.PathOnHost, m.PathInContainer = parts[0], parts[0]
	rights := ""
	switch {
	case len(parts) == 2 && !strings.HasPrefix(parts[1], "/"):
		rights = parts[1]
	case len(parts) >= 2:
		m.PathInContainer = parts[1]
	}
	if len(parts) == 3 {
		rights = parts[2]
	}
	if rights != "" {
		m.CgroupPermissions = rights
	}
	if len(parts) > 3 || !strings.HasPrefix(m.PathOnHost, "/") || !strings.HasPrefix(m.PathInContainer, "/") || strings.Trim(m.CgroupPermissions, "rwm") != "" {
		return m, fmt.Errorf("devices: %q is not a device: write /dev/fuse, /dev/a:/dev/b or /dev/a:/dev/b:rw", s)
	}
	return m, nil
}
