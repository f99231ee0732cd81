package lab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mepc/mepc-run/internal/clock"
)

// What a lab makes, and how each thing is known to be its own when nothing but
// the name of its directory is left:
//
//	servers, shims, proxies   working directory below the lab's
//	containers' processes     a cgroup below /<name>
//	mounts                    mount point below the directory
//	shim sockets              named in the directory's shim bundles
//	bridges                   alias <name>, or an address in that bridge's pool
//	firewall rules            comment <name>
//
// Nothing else is touched.

// servers are the programs whose working directory marks them; anything else
// below the directory, such as someone's shell, is not the lab's.
var servers = []string{"dockerd", "containerd", "containerd-shim", "docker-proxy", "runc", "redis-server"}

// clearResidue removes everything that carries the mark of the lab in dir. It
// is bounded in time and finds nothing to do the second time.
func clearResidue(dir string) error {
	name := filepath.Base(dir)
	ctx, cancel := context.WithTimeout(context.Background(), 15*time.Second)
	defer cancel()

	errs := []error{killMarked(ctx, dir)}
	sockets := shimSockets(dir)
	for _, s := range sockets {
		if err := os.Remove(s); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	errs = append(errs, releaseNetwork(ctx, systemTools(""), name), removeCgroups(ctx, name))
	errs = append(errs, removeTree(ctx, dir))
	removeEmptyRuntimeDirs()
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("clear lab %s: %w", dir, err)
	}
	return nil
}

// removeTree removes dir and what is mounted below. A process that is just dying may
// mount one thing more, such as the network namespace of a swarm's ingress.
func removeTree(ctx context.Context, dir string) error {
	for {
		err := unmountBelow(dir)
		if err == nil {
			err = os.RemoveAll(dir)
		}
		if !errors.Is(err, unix.EBUSY) {
			return err
		}
		if late := (clock.Wall{}).Sleep(ctx, 20*time.Millisecond); late != nil {
			return errors.Join(err, late)
		}
	}
}

// killMarked kills the lab's processes until none is left: a shim that is
// killed may just have started one more.
func killMarked(ctx context.Context, dir string) error {
	for {
		pids, err := marked(dir)
		if err != nil || len(pids) == 0 {
			return err
		}
		for _, pid := range pids {
			_ = unix.Kill(pid, unix.SIGKILL)
		}
		if err := (clock.Wall{}).Sleep(ctx, 5*time.Millisecond); err != nil {
			return fmt.Errorf("processes %v do not die: %w", pids, err)
		}
	}
}

// marked returns the lab's processes, zombies left out.
func marked(dir string) ([]int, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	var pids []int
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || pid == os.Getpid() {
			continue
		}
		if inCgroup(pid, filepath.Base(dir)) || isServer(pid, dir) {
			pids = append(pids, pid)
		}
	}
	return pids, nil
}

// inCgroup reports whether a process is in a cgroup below /name. A zombie has
// no memory map and so an empty command line; it needs no killing.
func inCgroup(pid int, name string) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
	if err != nil || !bytes.Contains(b, []byte("/"+name+"/")) {
		return false
	}
	cmdline, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	return err == nil && len(cmdline) > 0
}

func isServer(pid int, dir string) bool {
	cwd, err := os.Readlink(fmt.Sprintf("/proc/%d/cwd", pid))
	if err != nil || (cwd != dir && !strings.HasPrefix(cwd, dir+"/")) {
		return false
	}
	comm, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	return err == nil && slices.Contains(servers, strings.TrimSpace(string(comm)))
}

// shimSockets returns the sockets that containerd's shims opened outside the
// lab's directory; a shim that was killed leaves its own behind.
func shimSockets(dir string) []string {
	files, err := filepath.Glob(filepath.Join(dir, "containerd-state", "io.containerd.runtime.v2.task", "*", "*", "address"))
	if err != nil {
		return nil
	}
	var sockets []string
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			continue
		}
		path := strings.TrimPrefix(strings.TrimSpace(string(b)), "unix://")
		if strings.HasPrefix(path, "/run/containerd/s/") && filepath.Clean(path) == path {
			sockets = append(sockets, path)
		}
	}
	return sockets
}

// unmountBelow unmounts everything at or below dir, the last mount first.
func unmountBelow(dir string) error {
	b, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return err
	}
	var errs []error
	lines := strings.Split(string(b), "\n")
	slices.Reverse(lines)
	for _, line := range lines {
		fields := strings.Fields(line)
		if len(fields) < 5 {
			continue
		}
		point := fields[4] // octal escapes only for white space, which no lab has
		if point != dir && !strings.HasPrefix(point, dir+"/") {
			continue
		}
		if err := unix.Unmount(point, unix.MNT_DETACH); err != nil && !errors.Is(err, unix.EINVAL) {
			errs = append(errs, fmt.Errorf("unmount %s: %w", point, err))
		}
	}
	return errors.Join(errs...)
}

// removeCgroups removes the lab's cgroup from every hierarchy. The kernel says
// busy for a moment after the last process in one has died.
func removeCgroups(ctx context.Context, name string) error {
	roots, err := filepath.Glob("/sys/fs/cgroup/*/" + name)
	if err != nil {
		return err
	}
	var errs []error
	for _, root := range append(roots, "/sys/fs/cgroup/"+name) {
		var dirs []string
		_ = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.IsDir() {
				dirs = append(dirs, path)
			}
			return nil
		})
		slices.Reverse(dirs) // children first
		for _, d := range dirs {
			for {
				err := os.Remove(d)
				if err == nil || errors.Is(err, fs.ErrNotExist) {
					break
				}
				if (clock.Wall{}).Sleep(ctx, 5*time.Millisecond) != nil {
					errs = append(errs, err)
					break
				}
			}
		}
	}
	return errors.Join(errs...)
}

// removeEmptyRuntimeDirs removes the directories that dockerd and containerd
// make outside the lab's, when they are empty and no other engine runs here.
func removeEmptyRuntimeDirs() {
	if names, err := filepath.Glob("/proc/[0-9]*/comm"); err != nil || slices.ContainsFunc(names, func(path string) bool {
		comm, err := os.ReadFile(path)
		name := strings.TrimSpace(string(comm))
		return err == nil && (name == "dockerd" || name == "containerd")
	}) {
		return
	}
	for _, dir := range []string{"/run/docker/plugins", "/run/docker", "/run/containerd/s", "/run/containerd"} {
		_ = os.Remove(dir) // fails unless empty
	}
}
