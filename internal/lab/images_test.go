package lab

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/pkg/stdcopy"
)

func TestTheSampleFolderBuildsAsAUserWouldBuildIt(t *testing.T) {
	l := ForTest(t)
	dir := t.TempDir()
	if err := SampleContext(t.Context(), dir); err != nil {
		t.Fatal(err)
	}
	// What .dockerignore leaves out must not reach the engine.
	if err := os.WriteFile(dir+"/secret", []byte("s"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(dir+"/Dockerfile.probe", []byte("FROM scratch\nCOPY . /\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	docker := func(args ...string) ([]byte, error) {
		cmd := exec.CommandContext(t.Context(), "docker", append([]string{"--host", l.Engine.Host()}, args...)...)
		cmd.Dir = dir
		// A DOCKER_CONTEXT of the user's would win over --host's engine.
		cmd.Env = append(os.Environ(), "DOCKER_BUILDKIT=0", "DOCKER_CONTEXT=", "DOCKER_CONFIG="+t.TempDir())
		return cmd.CombinedOutput()
	}
	ref := "mepc/" + l.Name("byhand")
	if out, err := docker("build", "--build-arg", "VERSION=3.1", "--tag", ref, "."); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	d := dockerOf(t, l.Engine)
	image, err := d.ImageInspect(t.Context(), ref)
	if err != nil {
		t.Fatal(err)
	}
	if got := image.Config.Labels["org.opencontainers.image.version"]; got != "3.1" {
		t.Errorf("version label %q, want 3.1", got)
	}
	app := l.Name("app")
	d.run(app, ref, nil)
	if got := body(t, d.url(app, "bridge", 8080)+"version"); got != "3.1" {
		t.Errorf("answers version %q, want 3.1", got)
	}

	probe := "mepc/" + l.Name("probe")
	if out, err := docker("build", "--file", "Dockerfile.probe", "--tag", probe, "."); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	created, err := d.ContainerCreate(t.Context(), &container.Config{Image: probe, Cmd: []string{"x"}}, nil, nil, nil, l.Name("probe"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.ContainerStatPath(t.Context(), created.ID, "/bin/app"); err != nil {
		t.Errorf("the program is not in the context: %v", err)
	}
	if _, err := d.ContainerStatPath(t.Context(), created.ID, "/secret"); err == nil {
		t.Error("a file that .dockerignore leaves out is in the context")
	}
}

func TestABuildThatFailsIsAnErrorAlthoughTheEngineSays200(t *testing.T) {
	l := ForTest(t)
	err := Build(t.Context(), l.Engine, strings.NewReader(""), "mepc/none:1", nil)
	if err == nil || !strings.HasPrefix(err.Error(), "build mepc/none:1: ") {
		t.Errorf("an empty context: got %v", err)
	}
}

// stopped says how a container of the sample app ended.
type stopped struct {
	code int
	log  string
}

func (d docker) stopped(name string) stopped {
	d.t.Helper()
	done, errs := d.ContainerWait(d.t.Context(), name, container.WaitConditionNotRunning)
	var s stopped
	select {
	case r := <-done:
		s.code = int(r.StatusCode)
	case err := <-errs:
		d.t.Fatal(err)
	}
	logs, err := d.ContainerLogs(d.t.Context(), name, container.LogsOptions{ShowStdout: true, ShowStderr: true})
	if err != nil {
		d.t.Fatal(err)
	}
	defer logs.Close()
	var text strings.Builder
	if _, err := stdcopy.StdCopy(&text, &text, logs); err != nil {
		d.t.Fatal(err)
	}
	s.log = text.String()
	return s
}

func TestTheSampleAppStopsAsItIsTold(t *testing.T) {
	l := ForTest(t)
	samples(t, l.Engine, "1.0")
	for _, tc := range []struct {
		env      string
		patience int // of `docker stop`, in seconds
		answered bool
		code     int
		log      string
	}{
		{env: "NORMAL=1", patience: 20, answered: true, code: 0, log: "app 1.0: stopped"},
		{env: "ABRUPT=true", patience: 20, answered: false, code: 1, log: "exiting abruptly"},
		{env: "IGNORE_SIGTERM=true", patience: 1, answered: false, code: 137, log: "ignoring terminated"},
		{env: "GRACE=50ms", patience: 20, answered: false, code: 1, log: "requests still in flight after 50ms"},
	} {
		t.Run(tc.env, func(t *testing.T) {
			t.Parallel()
			d := dockerOf(t, l.Engine)
			app := l.Name("app")
			d.run(app, AppImage("1.0"), func(c *container.Config, _ *container.HostConfig) { c.Env = []string{tc.env} })
			url := d.url(app, "bridge", 8080)
			body(t, url)

			// One request is in flight when the container is told to stop.
			ms := 1000
			if !tc.answered {
				ms = 20_000
			}
			answer := make(chan error, 1)
			sent := make(chan struct{})
			go func() {
				answer <- slow(t.Context(), url, ms, sent)
			}()
			<-sent
			if err := d.ContainerStop(t.Context(), app, container.StopOptions{Timeout: &tc.patience}); err != nil {
				t.Fatal(err)
			}
			if err := <-answer; (err == nil) != tc.answered {
				t.Errorf("the request in flight: %v; want answered %v", err, tc.answered)
			}
			if got := d.stopped(app); got.code != tc.code || !strings.Contains(got.log, tc.log) {
				t.Errorf("exit code %d, want %d; want %q in its log:\n%s", got.code, tc.code, tc.log, got.log)
			}
		})
	}
}

// slow asks for an answer that takes ms milliseconds. It closes sent once the
// server has the request: its headers have come, which it is told to send early.
func slow(ctx context.Context, url string, ms int, sent chan<- struct{}) error {
	resp, err := get(ctx, fmt.Sprintf("%sslow?early=1&ms=%d", url, ms))
	close(sent)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err == nil && !strings.Contains(string(b), "after") {
		err = fmt.Errorf("%s: %q", resp.Status, b)
	}
	return err
}

func TestTheSampleAppStartsAsItIsTold(t *testing.T) {
	l := ForTest(t)
	samples(t, l.Engine, "1.0")
	run := func(t *testing.T, env string) (docker, string) {
		d, app := dockerOf(t, l.Engine), l.Name("app")
		d.run(app, AppImage("1.0"), func(c *container.Config, _ *container.HostConfig) { c.Env = []string{env} })
		return d, app
	}
	status := func(t *testing.T, url string) int {
		resp, err := get(t.Context(), url)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp.StatusCode
	}
	t.Run("READY_AFTER", func(t *testing.T) {
		t.Parallel()
		d, app := run(t, "READY_AFTER=1500ms")
		url := d.url(app, "bridge", 8080)
		body(t, url)
		if got := status(t, url+"health"); got != http.StatusServiceUnavailable {
			t.Errorf("at first: status %d, want 503", got)
		}
		body(t, url+"health")
	})
	t.Run("LISTEN_AFTER", func(t *testing.T) {
		t.Parallel()
		d, app := run(t, "LISTEN_AFTER=1500ms")
		url := d.url(app, "bridge", 8080)
		if resp, err := get(t.Context(), url); err == nil {
			resp.Body.Close()
			t.Errorf("at first: %s, want the connection refused", resp.Status)
		}
		body(t, url)
	})
	t.Run("UNHEALTHY", func(t *testing.T) {
		t.Parallel()
		d, app := run(t, "UNHEALTHY=true")
		url := d.url(app, "bridge", 8080)
		body(t, url)
		if got := status(t, url+"health"); got != http.StatusServiceUnavailable {
			t.Errorf("status %d, want 503", got)
		}
	})
	t.Run("EXIT", func(t *testing.T) {
		t.Parallel()
		d, app := run(t, "EXIT=no such table")
		if got := d.stopped(app); got.code != 1 || got.log != "app 1.0: no such table\n" {
			t.Errorf("got %+v", got)
		}
	})
	t.Run("PORT", func(t *testing.T) {
		t.Parallel()
		d, app := run(t, "PORT=9000")
		body(t, d.url(app, "bridge", 9000))
	})
	t.Run("-check", func(t *testing.T) {
		t.Parallel()
		d, app := run(t, "READY_AFTER=1s")
		eventually(t, func() error {
			exec, err := d.ContainerExecCreate(t.Context(), app, container.ExecOptions{Cmd: []string{"/app", "-check"}, AttachStdout: true})
			if err != nil {
				return err
			}
			attached, err := d.ContainerExecAttach(t.Context(), exec.ID, container.ExecAttachOptions{})
			if err != nil {
				return err
			}
			_, _ = io.Copy(io.Discard, attached.Reader)
			attached.Close()
			res, err := d.ContainerExecInspect(t.Context(), exec.ID)
			if err == nil && (res.Running || res.ExitCode != 0) {
				err = fmt.Errorf("exit code %d", res.ExitCode)
			}
			return err
		})
	})
}
