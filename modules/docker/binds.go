package docker

import (
	"os"
	"path"
	"slices"
	"strings"
)

// sockets are where engines listen: whoever can write to one is root on its
// machine.
var sockets = []string{
	"/run/docker.sock", "/var/run/docker.sock",
	"/run/containerd/containerd.sock", "/var/run/containerd/containerd.sock",
	"/run/podman/podman.sock", "/var/run/podman/podman.sock",
	"/run/crio/crio.sock", "/var/run/crio/crio.sock",
	"/run/buildkit/buildkitd.sock", "/var/run/buildkit/buildkitd.sock",
}

// doors are directories through which all of the machine is reached, whatever is
// named in them: the root and the working directory of each process, its files.
var doors = []string{"/proc", "/dev/fd", "/dev/stdin", "/dev/stdout", "/dev/stderr"}

// allowedBind refuses the mount of what makes whoever has it root on the engine's
// machine: all of it, be it by another name, and an engine's socket. what is the
// mount, for people.
//
// It knows a path as it is written and, where the engine is on this machine, the
// links on its way. It does not know the links of another machine, directories
// that are a mount of another, and what else makes root of who may write to it,
// such as /etc.
func (e *Engine) allowedBind(source, what string) error {
	if e.allow.BindRoot && e.allow.DockerSocket {
		return nil
	}
	names := []string{path.Clean("/" + source)}
	if e.local() {
		// The engine cleans a path first; the kernel follows links first.
		names = append(names, leads(names[0]), leads(source))
	}
	for _, name := range names {
		switch {
		case !e.allow.BindRoot && (name == "/" || e.same(name, "/")):
			return denied("bind-root", "the mount of / ("+what+")")
		case !e.allow.BindRoot && slices.ContainsFunc(doors, func(door string) bool { return within(door, name) }):
			return denied("bind-root", "the mount of a process's files, through which / is reached ("+what+")")
		case !e.allow.DockerSocket && e.holdsSocket(name):
			return denied("docker-socket", "the mount of the engine's socket ("+what+")")
		}
	}
	return nil
}

// within reports whether name is dir or in it.
func within(dir, name string) bool { return name == dir || strings.HasPrefix(name, dir+"/") }

// holdsSocket reports whether name is an engine's socket, a directory it is in, or a
// user's place for one.
func (e *Engine) holdsSocket(name string) bool {
	known := sockets
	if own := e.socket(); own != "" {
		known = append([]string{own, leads(own)}, sockets...)
	}
	for _, s := range known {
		if within(name, s) || e.same(name, s) {
			return true
		}
	}
	// An engine of a user's own listens in /run/user/ID.
	rest, found := strings.CutPrefix(strings.TrimPrefix(name, "/var")+"/", "/run/user/")
	if !found {
		return false
	}
	_, in, _ := strings.Cut(strings.TrimSuffix(rest, "/"), "/")
	return in == "" || slices.ContainsFunc([]string{"docker.sock", "podman/podman.sock", "containerd/containerd.sock"}, func(s string) bool { return within(in, s) })
}

// socket returns the socket that the engine is reached by, cleaned; "" when it is
// none.
func (e *Engine) socket() string {
	own, isSocket := strings.CutPrefix(e.Endpoint(), "unix://")
	if !isSocket {
		return ""
	}
	own, _, _ = strings.Cut(own, " ") // a context's name follows
	return path.Clean(own)
}

// local reports whether the engine is on this machine, as far as its address tells.
func (e *Engine) local() bool { return e.socket() != "" }

// same reports whether two names are of one file of this machine, where the engine
// is: a mount of a mount, a hard link.
func (e *Engine) same(a, b string) bool {
	if !e.local() {
		return false
	}
	one, err := os.Stat(a)
	if err != nil {
		return false
	}
	other, err := os.Stat(b)
	return err == nil && os.SameFile(one, other)
}

// linksMost is how many links the kernel follows at most on its way.
const linksMost = 40

// leads returns where name leads on this machine when all links are followed, as
// far as there is something: what is not there has no links.
func leads(name string) string {
	at := "/"
	left := strings.Split(name, "/")
	for links := 0; len(left) > 0; {
		part := left[0]
		left = left[1:]
		next := path.Join(at, part) // .. is that of where at leads
		to, err := os.Readlink(next)
		if err != nil || links == linksMost {
			at = next
			continue
		}
		links++
		if strings.HasPrefix(to, "/") {
			at = "/"
		}
		left = append(strings.Split(to, "/"), left...)
	}
	return at
}

// plain are the file systems that show nothing of the engine's machine.
var plain = []string{"", "tmpfs", "nfs", "nfs3", "nfs4", "cifs", "smb3", "ceph"}

// allowedVolume refuses a volume that is a directory or a device of the machine
// under another name: what mounts the volume mounts that.
func (e *Engine) allowedVolume(a *volumeCreateArgs) error {
	what := "volume " + a.Name
	if a.Driver != "" && a.Driver != "local" {
		for name, value := range a.Options { // nobody knows what they mean to a plugin
			if strings.HasPrefix(value, "/") {
				if err := e.allowedBind(value, what+" with "+name+" "+value); err != nil {
					return err
				}
			}
		}
		return nil
	}
	device := a.Options["device"]
	for _, o := range strings.Split(a.Options["o"], ",") {
		if o = strings.ToLower(strings.TrimSpace(o)); o == "bind" || o == "rbind" {
			return e.allowedBind("/"+device, what+" of "+device) // the engine's own directory is /
		}
	}
	if fs := strings.ToLower(a.Options["type"]); !slices.Contains(plain, fs) && !e.allow.Devices {
		return denied("devices", "a volume of a file system of the machine ("+fs+" of "+device+")")
	}
	if strings.HasPrefix(device, "/") && !strings.HasPrefix(device, "//") && !e.allow.Devices {
		return denied("devices", "a volume of a device ("+device+")")
	}
	return nil
}
