package app

import (
	"slices"

	"github.com/mepc/mepc-run/modules/approve"
	"github.com/mepc/mepc-run/modules/docker"
	"github.com/mepc/mepc-run/modules/http"
	"github.com/mepc/mepc-run/modules/lock"
	"github.com/mepc/mepc-run/modules/on"
	"github.com/mepc/mepc-run/modules/redis"
	"github.com/mepc/mepc-run/modules/std"
	"github.com/mepc/mepc-run/runtime"
)

// modules is the list of everything that a recipe can call, in the *engine.World
// that a run is given. A new module is one folder under modules/ and one line here.
func modules(allow []string, stdOptions std.Options, lockOptions lock.Options, ask approve.Ask) []runtime.Module {
	lifted := func(name string) bool { return slices.Contains(allow, name) }
	return append(std.Modules(stdOptions),
		docker.New(docker.Allow{
			Privileged: lifted("privileged"), HostNetwork: lifted("host-network"), HostPID: lifted("host-pid"), HostIPC: lifted("host-ipc"),
			CapAdd: lifted("cap-add"), Devices: lifted("devices"), SecurityOpt: lifted("security-opt"),
			BindRoot: lifted("bind-root"), DockerSocket: lifted("docker-socket"),
		}),
		redis.New(redis.Allow{Scripts: lifted("redis-scripts"), Admin: lifted("redis-admin")}),
		http.New(),
		lock.New(lockOptions),
		on.New(),
		approve.New(ask),
	)
}
