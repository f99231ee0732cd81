package docker

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mepc/mepc-run/servers"
)

func openAt(t *testing.T, endpoint string) *Engine {
	t.Helper()
	w := servers.Live(servers.Options{Docker: servers.DockerEndpoint{Host: endpoint}, InsecureTCP: true, Getenv: func(string) string { return "" }})
	t.Cleanup(func() { w.Close() })
	return Open(w, Allow{})
}

func TestFollowingLinksIsWhatTheKernelDoes(t *testing.T) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	link := func(to, name string) {
		if err := os.Symlink(to, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.MkdirAll(filepath.Join(dir, "a/b/c"), 0o700); err != nil {
		t.Fatal(err)
	}
	link("/", "root")
	link("a/b", "deep")
	link("root", "twice")
	link("loop", "loop")
	link("../../../../../../../../../../../..", "up")
	link("deep/c", "deeper")
	for name, want := range map[string]string{
		dir + "/root": "/", dir + "/twice": "/", dir + "/root/etc": "/etc", dir + "/up": "/", dir + "/up/run": leads("/run"),
		dir + "/deep/..": dir + "/a", dir + "/deeper/..": dir + "/a/b", dir + "/a/./b//c": dir + "/a/b/c",
		dir + "/not/there": dir + "/not/there", dir + "/root/not/there": "/not/there", "/..": "/",
	} {
		if got := leads(name); got != want {
			t.Errorf("%s leads to %s, not to %s", name, got, want)
		}
		if real, err := filepath.EvalSymlinks(name); err == nil && real != want {
			t.Errorf("the test is wrong: %s leads to %s", name, real)
		}
	}
	leads(dir + "/loop/x") // it ends
}

// names are the ways to name a path: what must be refused, is by each.
func names(path string) []string {
	return []string{
		path, "/" + path, path + "/", path + "/.", "/tmp/.." + path, "/./" + path, "//" + path, path + "/x/..",
		strings.ReplaceAll(path, "/", "//"), "/a/b/../.." + path,
	}
}

func TestWhatMakesRootIsRefusedByWhateverName(t *testing.T) {
	dir := t.TempDir()
	for name, to := range map[string]string{"root": "/", "run": "/run", "proc": "/proc/self"} {
		if err := os.Symlink(to, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(filepath.Join(dir, "root"), filepath.Join(dir, "twice")); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", filepath.Join(dir, "engine.sock"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := os.Link(filepath.Join(dir, "engine.sock"), filepath.Join(dir, "hard.sock")); err != nil {
		t.Fatal(err)
	}
	near := openAt(t, "unix://"+filepath.Join(dir, "engine.sock"))
	far := openAt(t, "tcp://127.0.0.1:2375")
	everywhere := []string{
		"/", "/proc", "/proc/1/root", "/proc/self/root", "/proc/self/cwd", "/proc/thread-self/root", "/proc/1/task/1/root", "/proc/1/fd/3",
		"/proc/1/map_files", "/dev/fd/3", "/run", "/var/run", "/var", "/run/docker.sock", "/var/run/docker.sock", "/run/containerd", "/run/podman/podman.sock",
		"/run/user", "/run/user/1000", "/run/user/1000/docker.sock", "/run/user/1000/podman", "/var/run/user/1000/docker.sock",
	}
	here := []string{dir + "/root", dir + "/twice", dir + "/run", dir + "/proc/root", dir + "/hard.sock", dir + "/engine.sock", dir, dir + "/root/run/docker.sock"}
	for _, e := range []*Engine{near, far} {
		paths := everywhere
		if e == near {
			paths = append(here, everywhere...)
		}
		for _, p := range paths {
			for _, name := range names(p) {
				if e.allowedBind(name, name) == nil {
					t.Errorf("%s: %s passes", e.Endpoint(), name)
				}
			}
		}
		for _, fine := range []string{"/srv/data", "/etc/ssl/certs", "/var/lib/app", "/processes", "/runner", "/run/app", "/run/user/1000/app", "/dev/shm/x"} {
			if err := e.allowedBind(fine, fine); err != nil {
				t.Errorf("%s: %s: %v", e.Endpoint(), fine, err)
			}
		}
	}
	link := dir + "/root/"
	if err := near.allowedBind(link+"../.."+dir+"/root", link); err == nil {
		t.Errorf("a link, up, and the link again passes")
	}
}

func TestAVolumeIsWhatItIsMadeOf(t *testing.T) {
	e := openAt(t, "tcp://127.0.0.1:2375")
	for _, options := range []map[string]string{
		{"type": "none", "o": "bind", "device": "/"},
		{"type": "none", "o": "ro, BIND", "device": "/"},
		{"o": "rbind", "device": "proc/1/root"},
		{"o": "bind", "device": "."},
		{"o": "bind", "device": ""},
		{"o": "bind", "device": "../../"},
		{"type": "tmpfs", "o": "size=1m,bind", "device": "/run"},
		{"type": "overlay", "o": "lowerdir=/,upperdir=/tmp/u,workdir=/tmp/w", "device": "overlay"},
		{"type": "proc", "device": "proc"},
		{"type": "sysfs", "device": "sysfs"},
		{"type": "devtmpfs", "device": "x"},
		{"type": "ext4", "device": "dev/sda1"},
		{"type": "ext4", "device": "/dev/sda1"},
		{"device": "/dev/sda1"},
		{"type": "EXT4", "device": "LABEL=root"},
	} {
		if e.allowedVolume(&volumeCreateArgs{Name: "v", Driver: "local", Options: options}) == nil {
			t.Errorf("%v passes", options)
		}
	}
	for _, options := range []map[string]string{
		nil,
		{"type": "tmpfs", "device": "tmpfs", "o": "size=1m"},
		{"type": "nfs", "device": ":/export", "o": "addr=10.0.0.1"},
		{"type": "cifs", "device": "//server/share"},
		{"type": "none", "o": "bind", "device": "/srv/data"},
	} {
		if err := e.allowedVolume(&volumeCreateArgs{Name: "v", Driver: "local", Options: options}); err != nil {
			t.Errorf("%v: %v", options, err)
		}
	}
	if e.allowedVolume(&volumeCreateArgs{Name: "v", Driver: "plugin", Options: map[string]string{"mountpoint": "/proc/1/root"}}) == nil {
		t.Error("a plugin's volume of / passes")
	}
}
