package app

import (
	"slices"

	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/internal/sandbox"
	"github.com/mepc/mepc-run/internal/spec"
	"github.com/mepc/mepc-run/modules/approve"
	"github.com/mepc/mepc-run/modules/docker"
	"github.com/mepc/mepc-run/modules/http"
	"github.com/mepc/mepc-run/modules/lock"
	"github.com/mepc/mepc-run/modules/on"
	"github.com/mepc/mepc-run/modules/redis"
	"github.com/mepc/mepc-run/modules/std"
	"github.com/mepc/mepc-run/runtime"
)

// modules is the list of everything that a recipe can call, in the *servers.Clients
// that a run is given. A new module is one folder under modules/ and one line here.
func (e *Env) modules(allow []string, stdOptions std.Options, lockOptions lock.Options, ask approve.Ask) []runtime.Module {
	lifted := func(name string) bool { return slices.Contains(allow, name) }
	return append(append(std.Modules(stdOptions),
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
	), e.Modules...)
}

// checkModules refuses modules of the program around that recipes could not reach, or
// that would stand in the way of something else.
func (e *Env) checkModules() error {
	if len(e.Modules) == 0 {
		return nil
	}
	taken := map[string]bool{}
	for name := range runtime.New(runtime.Options{}).Standard() {
		taken[name] = true
	}
	for _, m := range (&Env{}).documented() {
		for _, f := range m.Funcs {
			taken[f.Name] = taken[f.Name] || m.Name == ""
		}
		taken[m.Name] = true
	}
	for _, m := range e.Modules {
		switch {
		case !sandbox.IsName(m.Name):
			return failure.New(failure.Invalid, "the module name %q is not valid in Lua", m.Name).WithHint("use letters, digits and underscores, and not a keyword of Lua")
		case taken[m.Name]:
			return failure.New(failure.Conflict, "the module %s cannot be added: the name is taken", m.Name)
		}
		taken[m.Name] = true
	}
	return nil
}

// plain are the modules for those who only read their tables.
func (e *Env) plain() []runtime.Module {
	return e.modules(nil, std.Options{}, lock.Options{}, nil)
}

// documented is everything that recipes and specs can call.
func (e *Env) documented() []runtime.Module { return append(e.plain(), spec.Modules()...) }
