package docker

import (
	"strings"

	"github.com/docker/docker/api/types/container"

	"github.com/mepc/mepc-run/internal/failure"
)

// Allow is what the operator lets recipes do that makes them root on the
// engine's machine. The zero value allows nothing of it.
type Allow struct {
	Privileged   bool // privileged containers, and programs in containers
	HostNetwork  bool // containers in the machine's own network
	HostPID      bool // containers that see the machine's processes
	HostIPC      bool // containers that share the machine's memory segments
	CapAdd       bool // containers with capabilities beyond the engine's own choice
	Devices      bool // the machine's devices in containers and volumes
	SecurityOpt  bool // containers without the engine's seccomp or AppArmor profile
	BindRoot     bool // the machine's / mounted into a container, by whatever name, and its /proc
	DockerSocket bool // the engine's socket, or a directory it is in, mounted into a container
}

// AllowAll allows everything: for a simulated world, where nobody is harmed.
func AllowAll() Allow {
	return Allow{
		Privileged: true, HostNetwork: true, HostPID: true, HostIPC: true, CapAdd: true, Devices: true, SecurityOpt: true,
		BindRoot: true, DockerSocket: true,
	}
}

func denied(flag, what string) error {
	return failure.New(failure.Denied, "%s is refused: it makes a recipe root on the engine's machine", what).
		WithHint("the operator may allow it with --allow %s", flag)
}

// allowed refuses what would make a recipe root on the engine's machine, unless
// the operator said otherwise.
func (e *Engine) allowed(a *createArgs) error {
	for _, d := range []struct {
		asked, allowed bool
		flag, what     string
	}{
		{a.Privileged, e.allow.Privileged, "privileged", "a privileged container"},
		{container.NetworkMode(a.Network).IsHost() || a.joinsHost(), e.allow.HostNetwork, "host-network", "a container in the machine's own network"},
		{a.PID == "host", e.allow.HostPID, "host-pid", "a container that sees the machine's processes"},
		{a.IPC == "host", e.allow.HostIPC, "host-ipc", "a container that shares the machine's memory segments"},
		{len(a.CapAdd) > 0, e.allow.CapAdd, "cap-add", "a container with more capabilities (" + strings.Join(a.CapAdd, ", ") + ")"},
		{len(a.Devices) > 0, e.allow.Devices, "devices", "a container with a device (" + strings.Join(a.Devices, ", ") + ")"},
		{loosened(a.SecurityOpt), e.allow.SecurityOpt, "security-opt", "a container with other protection (" + strings.Join(a.SecurityOpt, ", ") + ")"},
	} {
		if d.asked && !d.allowed {
			return denied(d.flag, d.what)
		}
	}
	for _, v := range a.Volumes {
		source, _, bound := strings.Cut(v, ":")
		if bound && strings.HasPrefix(source, "/") {
			if err := e.allowedBind(source, v); err != nil {
				return err
			}
		}
	}
	return e.allowedMounts(a.Mounts)
}

func (e *Engine) allowedMounts(mounts []mountArgs) error {
	for _, m := range mounts {
		if m.Type == "bind" {
			if err := e.allowedBind(m.Source, m.Source+" on "+m.Target); err != nil {
				return err
			}
		}
	}
	return nil
}

func (a *createArgs) joinsHost() bool {
	_, ok := a.Networks["host"]
	return ok
}

// loosened reports whether options take protection away. no-new-privileges adds
// some, and so is everyone's to set.
func loosened(options []string) bool {
	for _, o := range options {
		if o != "no-new-privileges" && o != "no-new-privileges=true" && o != "no-new-privileges:true" {
			return true
		}
	}
	return false
}
