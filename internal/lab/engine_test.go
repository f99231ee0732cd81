package lab

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/network"
)

func TestWithLiveRestoreContainersOutliveAKilledEngine(t *testing.T) {
	t.Parallel()
	l := New(t, Options{Engine: EngineOptions{LiveRestore: true}})
	samples(t, l.Engine, "1.0")
	d := dockerOf(t, l.Engine)
	d.run("app", AppImage("1.0"), nil)
	url := d.url("app", "bridge", 8080)
	started := d.inspect("app").State.StartedAt
	body(t, url)

	if err := l.Engine.Kill9(); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Ping(t.Context()); err == nil {
		t.Error("the killed engine answers")
	}
	body(t, url)
	if err := l.Engine.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	body(t, url)
	if s := d.inspect("app").State; !s.Running || s.StartedAt != started {
		t.Errorf("running %v since %s, want it untouched since %s", s.Running, s.StartedAt, started)
	}
}

func TestAKilledEngineComesBackWithItsImagesAndWithoutItsContainers(t *testing.T) {
	t.Parallel()
	l := New(t, Options{})
	samples(t, l.Engine, "1.0")
	d := dockerOf(t, l.Engine)
	d.run("app", AppImage("1.0"), nil)
	d.run("always", AppImage("1.0"), func(_ *container.Config, h *container.HostConfig) {
		h.RestartPolicy.Name = container.RestartPolicyAlways
	})
	if err := l.Engine.Kill9(); err != nil {
		t.Fatal(err)
	}
	if err := l.Engine.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	if d.inspect("app").State.Running {
		t.Error("a container without a restart policy is back")
	}
	body(t, d.url("always", "bridge", 8080))
	// And by SIGTERM, of an engine that runs.
	if err := l.Engine.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	body(t, d.url("always", "bridge", 8080))
}

func TestAPausedEngineHangsAndCanBeResumedOrStopped(t *testing.T) {
	t.Parallel()
	l := New(t, Options{})
	d := dockerOf(t, l.Engine)
	for range 10 { // once is often enough for an engine that is slow to stop
		if err := l.Engine.Pause(); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
		if _, err := d.Ping(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("ping a hung engine: got %v, want the deadline", err)
		}
		cancel()
		if err := l.Engine.Resume(); err != nil {
			t.Fatal(err)
		}
		if _, err := d.Ping(t.Context()); err != nil {
			t.Errorf("after Resume: %v", err)
		}
	}
	if err := l.Engine.Pause(); err != nil {
		t.Fatal(err)
	}
	if err := l.Stop(); err != nil {
		t.Errorf("stop a hung engine: %v", err)
	}
}

// messUp leaves on an engine what is hard to take away: containers that will
// not stop or come back by themselves, a network, an exec, a proxy.
func messUp(t *testing.T, e *Engine) {
	t.Helper()
	if err := BuildApp(t.Context(), e, AppImage("1.0"), "1.0"); err != nil {
		t.Fatal(err)
	}
	d := dockerOf(t, e)
	d.run("stubborn", AppImage("1.0"), func(c *container.Config, _ *container.HostConfig) {
		c.Env = []string{"IGNORE_SIGTERM=true"}
	})
	d.run("back-again", AppImage("1.0"), func(_ *container.Config, h *container.HostConfig) {
		h.RestartPolicy.Name = container.RestartPolicyAlways
		h.PublishAllPorts = true
	})
	if _, err := d.NetworkCreate(t.Context(), "messy", network.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	d.run("networked", AppImage("1.0"), func(_ *container.Config, h *container.HostConfig) {
		h.NetworkMode = "messy"
	})
	body(t, d.url("networked", "messy", 8080))
}

// traces finds what is left of a lab on this machine. It shares no code with
// what removes it.
func traces(t *testing.T, dir string, br string) []string {
	t.Helper()
	name := filepath.Base(dir)
	var found []string
	for _, pattern := range []string{"cmdline", "cgroup", "mountinfo", "environ"} {
		files, _ := filepath.Glob("/proc/[0-9]*/" + pattern)
		for _, f := range files {
			if b, err := os.ReadFile(f); err == nil && strings.Contains(string(b), name) {
				found = append(found, f)
			}
		}
	}
	cwds, _ := filepath.Glob("/proc/[0-9]*/cwd")
	for _, f := range cwds {
		if to, err := os.Readlink(f); err == nil && strings.Contains(to, name) {
			found = append(found, f+" -> "+to)
		}
	}
	sockets, _ := os.ReadFile("/proc/net/unix")
	if strings.Contains(string(sockets), name) {
		found = append(found, "a unix socket")
	}
	rules, err := exec.Command("iptables-save").Output()
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(rules), name) {
		found = append(found, "a firewall rule")
	}
	for _, pattern := range []string{dir, "/sys/fs/cgroup/" + name, "/sys/fs/cgroup/*/" + name} {
		files, _ := filepath.Glob(pattern)
		found = append(found, files...)
	}
	// A lab of another program may have the bridge's number by now.
	link := "/sys/class/net/" + br
	if alias, _ := os.ReadFile(link + "/ifalias"); len(strings.TrimSpace(string(alias))) > 0 && strings.TrimSpace(string(alias)) != name {
		return found
	}
	if _, err := os.Lstat(link); err == nil {
		found = append(found, link)
	}
	routes, err := exec.Command("ip", "route").Output()
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(routes)) {
		if strings.Contains(line, "dev "+br+" ") || strings.HasPrefix(line, pooled(br)) {
			found = append(found, strings.TrimSpace(line))
		}
	}
	return found
}

// pooled is the prefix of the routes of a lab's first user-defined network.
func pooled(br string) string {
	var n int
	fmt.Sscanf(br, "mepc%d", &n)
	return fmt.Sprintf("10.214.%d.", 4*n)
}

func TestStopLeavesNothing(t *testing.T) {
	t.Parallel()
	for name, breakIt := range map[string]func(*Engine) error{
		"of a healthy engine": func(*Engine) error { return nil },
		"of a killed engine":  (*Engine).Kill9,
		"of a hung engine":    (*Engine).Pause,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := startOwn(t, EngineOptions{})
			messUp(t, e)
			if err := breakIt(e); err != nil {
				t.Fatal(err)
			}
			before := len(traces(t, e.home.path, e.net.bridge))
			if before < 10 {
				t.Errorf("found only %d traces of a running engine: the test is blind", before)
			}
			sockets := shimSockets(e.home.path)
			if len(sockets) != 3 {
				t.Errorf("found %d shim sockets, want 3", len(sockets))
			}
			for range 2 { // the second time finds nothing to do
				if err := e.Stop(); err != nil {
					t.Errorf("stop: %v", err)
				}
			}
			for _, s := range sockets {
				if _, err := os.Lstat(s); err == nil {
					t.Errorf("left: %s", s)
				}
			}
			eventually(t, func() error { // network namespaces die a little later
				if left := traces(t, e.home.path, e.net.bridge); left != nil {
					return fmt.Errorf("left: %v", left)
				}
				return nil
			})
		})
	}
}

func startOwn(t *testing.T, opts EngineOptions) *Engine {
	t.Helper()
	skipShort(t)
	e, err := StartEngine(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Stop(); err != nil {
			t.Errorf("stop: %v", err)
		}
	})
	return e
}

func TestTheLogCopyAndTheExtraAddressArePassedOn(t *testing.T) {
	t.Parallel()
	port, err := freePort()
	if err != nil {
		t.Fatal(err)
	}
	var log lockedBuffer
	e := startOwn(t, EngineOptions{Log: &log, Hosts: []string{fmt.Sprintf("tcp://127.0.0.1:%d", port)}, Config: map[string]any{"labels": []string{"mood=good"}}})
	resp, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/info", port))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var text strings.Builder
	if err := resp.Write(&text); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(text.String(), "mood=good") {
		t.Error("the engine does not know its label from Config")
	}
	eventually(t, func() error {
		b, err := os.ReadFile(e.LogFile())
		if err != nil {
			return err
		}
		for _, have := range []string{log.String(), string(b)} {
			if !strings.Contains(have, "API listen on") {
				return fmt.Errorf("no sign of the engine in its log:\n%s", have)
			}
		}
		return nil
	})
}
