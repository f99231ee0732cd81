package e2e

import (
	"bytes"
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/client"
	"github.com/docker/docker/pkg/stdcopy"

	"github.com/mepc/mepc-run/internal/lab"
)

// releaseVersion is older than any release, so that a real package is never replaced.
const releaseVersion = "0.0.0~test"

// What make dist makes is made of the commit alone, installs, runs, and goes again
// without a trace.
func TestRelease(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("builds the program anew")
	}
	dirs := [2]string{t.TempDir(), t.TempDir()}
	for _, dir := range dirs {
		must(t, "env", "GOFLAGS=-trimpath", "CGO_ENABLED=0", "go", "-C", "../tools", "run", "./dist", "-platforms", "linux/"+runtime.GOARCH, "-version", releaseVersion, "-out", dir)
	}
	first, second := read(t, dirs[0], "SHA256SUMS"), read(t, dirs[1], "SHA256SUMS")
	if first != second {
		t.Errorf("two builds differ:\n%s\n%s", first, second)
	}
	if n := strings.Count(first, "\n"); n != 4 {
		t.Errorf("%d files, want an archive, a package, an image and a bill of materials:\n%s", n, first)
	}
	name := filepath.Join(dirs[0], "mepc-run_"+releaseVersion+"_linux_"+runtime.GOARCH)
	t.Run("archive", func(t *testing.T) { unpacked(t, name+".tar.gz") })
	t.Run("package", func(t *testing.T) { installed(t, name+".deb") })
	t.Run("image", func(t *testing.T) { contained(t, name+".image.tar") })
}

func unpacked(t *testing.T, archive string) {
	dir := t.TempDir()
	must(t, "tar", "-xzf", archive, "-C", dir)
	for _, f := range []string{"README.md", "man/mepc-run.1", "man/mepc-run-serve.1", "completions/mepc-run.bash", "completions/_mepc-run", "completions/mepc-run.fish", "systemd/mepc-run-serve.service"} {
		if info, err := os.Stat(filepath.Join(dir, f)); err != nil || info.Size() == 0 {
			t.Errorf("%s: %v", f, err)
		}
	}
	if out := must(t, filepath.Join(dir, "mepc-run"), "version"); !strings.HasPrefix(out, "mepc-run "+releaseVersion+" (commit ") {
		t.Error(out)
	}
}

// installed installs the package on this machine, and purges it.
func installed(t *testing.T, pkg string) {
	if _, err := exec.LookPath("dpkg"); err != nil || os.Getuid() != 0 {
		t.Skip("a package is installed by root on Debian")
	}
	if exec.Command("dpkg", "-s", "mepc-run").Run() == nil {
		t.Skip("mepc-run is installed on this machine, and stays as it is")
	}
	purge := func() { must(t, "dpkg", "--purge", "mepc-run") }
	t.Cleanup(purge)
	must(t, "dpkg", "--install", pkg)
	if out := must(t, "/usr/bin/mepc-run", "version"); !strings.HasPrefix(out, "mepc-run "+releaseVersion) {
		t.Error(out)
	}
	units, err := filepath.Glob("/lib/systemd/system/mepc-run-*")
	if err != nil || len(units) == 0 {
		t.Errorf("units: %q, %v", units, err)
	}
	if _, err := exec.LookPath("systemd-analyze"); err == nil {
		must(t, "systemd-analyze", append([]string{"verify", "--man=no"}, units...)...)
	}
	must(t, "getent", "passwd", "mepc-run")
	if out := must(t, "/bin/bash", "-c", ". /usr/share/bash-completion/completions/mepc-run && complete -p mepc-run"); !strings.Contains(out, "mepc-run") {
		t.Error(out)
	}
	purge()
	for _, path := range []string{"/usr/bin/mepc-run", "/etc/mepc-run", "/var/lib/mepc-run", "/lib/systemd/system/mepc-run-serve.service"} {
		if _, err := os.Lstat(path); err == nil {
			t.Errorf("%s is left", path)
		}
	}
	if exec.Command("getent", "passwd", "mepc-run").Run() == nil {
		t.Error("its user is left")
	}
}

// contained loads the image into an engine, whose socket a recipe in a container of it
// is given.
func contained(t *testing.T, image string) {
	l := lab.New(t, lab.Options{})
	engine, err := l.Engine.Client()
	if err != nil {
		t.Fatal(err)
	}
	defer engine.Close()
	f, err := os.Open(image)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	loaded, err := engine.ImageLoad(t.Context(), f)
	if err != nil {
		t.Fatal(err)
	}
	defer loaded.Body.Close()
	if text, err := io.ReadAll(loaded.Body); err != nil || !strings.Contains(string(text), "mepc/mepc-run:0.0.0-test") {
		t.Fatalf("%s, %v", text, err)
	}
	recipes := t.TempDir()
	if err := os.WriteFile(filepath.Join(recipes, "who.lua"), []byte(`return docker.list()[1].name`), 0o644); err != nil {
		t.Fatal(err)
	}
	out, code := play(t, engine, &container.Config{Image: "mepc/mepc-run:0.0.0-test", Cmd: []string{"who.lua"}}, &container.HostConfig{
		NetworkMode: "none", Binds: []string{strings.TrimPrefix(l.Engine.Host(), "unix://") + ":/var/run/docker.sock", recipes + ":/recipes:ro"},
	})
	if code != 0 || !strings.Contains(out, "itself") {
		t.Errorf("exit code %d\n%s", code, out)
	}
}

// play runs a container called itself to its end.
func play(t *testing.T, engine *client.Client, config *container.Config, host *container.HostConfig) (string, int64) {
	t.Helper()
	c, err := engine.ContainerCreate(t.Context(), config, host, nil, nil, "itself")
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = engine.ContainerRemove(context.WithoutCancel(t.Context()), c.ID, container.RemoveOptions{Force: true, RemoveVolumes: true})
	}()
	ended, failed := engine.ContainerWait(t.Context(), c.ID, container.WaitConditionNextExit)
	if err := engine.ContainerStart(t.Context(), c.ID, container.StartOptions{}); err != nil {
		t.Fatal(err)
	}
	var code int64
	select {
	case end := <-ended:
		code = end.StatusCode
	case err := <-failed:
		t.Fatal(err)
	}
	logs, err := engine.ContainerLogs(t.Context(), c.ID, container.LogsOptions{ShowStdout: true, ShowStderr: true})
	if err != nil {
		t.Fatal(err)
	}
	defer logs.Close()
	var out bytes.Buffer
	if _, err := stdcopy.StdCopy(&out, &out, logs); err != nil {
		t.Fatal(err)
	}
	return out.String(), code
}

// must runs a command, which has to succeed, and returns what it wrote.
func must(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

func read(t *testing.T, dir, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
