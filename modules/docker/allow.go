package docker

import (
	"path"
	"strings"

	"github.com/docker/docker/api/types/container"

	"github.com/mepc/mepc-run/internal/failure"
)

// sockets are where engines listen: whoever can write to one is root on its
// machine.
var sockets = []string{
	"/run/docker.sock", "/var/run/docker.sock",
	"/run/containerd/containerd.sock", "/var/run/containerd/containerd.sock",
}

// allowed refuses what would make a recipe root on the engine's machine, unless
// the operator said otherwise. It looks at paths as they are written: a link
// that someone put on that machine is not seen.
func (e *Engine) allowed(a *createArgs) error {
	deny := func(flag, what string) error {
		return failure.New(failure.Denied, "%s is refused: it makes a recipe root on the engine's machine", what).
			WithHint("whoever runs this may allow it with --allow %s", flag)
	}
	if a.Privileged && !e.allow.Privileged {
		return deny("privileged", "a privileged container")
	}
	if container.NetworkMode(a.Network).IsHost() && !e.allow.HostNetwork {
		return deny("host-network", "a container in the machine's own network")
	}
	for _, v := range a.Volumes {
		source, _, bound := strings.Cut(v, ":")
		if !bound || !strings.HasPrefix(source, "/") {
			continue
		}
		source = path.Clean(source)
		if source == "/" {
			if !e.allow.BindRoot {
				return deny("bind-root", "the mount of / ("+v+")")
			}
			continue
		}
		if !e.allow.DockerSocket && e.holdsSocket(source) {
			return deny("docker-socket", "the mount of the engine's socket ("+v+")")
		}
	}
	return nil
}

// holdsSocket reports whether dir is an engine's socket or a directory it is
// in.
func (e *Engine) holdsSocket(dir string) bool {
	known := sockets
	if own, ok := strings.CutPrefix(e.Endpoint(), "unix://"); ok {
		own, _, _ = strings.Cut(own, " ") // a context's name follows
		known = append([]string{path.Clean(own)}, sockets...)
	}
	for _, s := range known {
		if s == dir || strings.HasPrefix(s, dir+"/") {
			return true
		}
	}
	return false
}
