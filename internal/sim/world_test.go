package sim_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/google/go-cmp/cmp"

	"github.com/mepc/mepc-run/internal/clock"
	"github.com/mepc/mepc-run/internal/sim"
	"github.com/mepc/mepc-run/internal/state"
)

// run makes and starts a container and returns its address.
func run(t *testing.T, w *sim.World, name, image string, host *container.HostConfig) string {
	t.Helper()
	cli := dockerClient(t, w.Engine(""))
	if host == nil {
		host = &container.HostConfig{}
	}
	c, err := cli.ContainerCreate(t.Context(), &container.Config{Image: image}, host, nil, nil, name)
	if err != nil {
		t.Fatal(err)
	}
	if err := cli.ContainerStart(t.Context(), c.ID, container.StartOptions{}); err != nil {
		t.Fatal(err)
	}
	return address(inspect(t, w, name))
}

func inspect(t *testing.T, w *sim.World, name string) container.InspectResponse {
	t.Helper()
	c, err := dockerClient(t, w.Engine("")).ContainerInspect(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func pass(t *testing.T, w *sim.World, d time.Duration) {
	t.Helper()
	if err := w.Clock().Sleep(t.Context(), d); err != nil {
		t.Fatal(err)
	}
}

// worldOf makes a world with one image.
func worldOf(t *testing.T, i state.Image) *sim.World {
	t.Helper()
	w, err := sim.New(sim.Options{State: &state.State{Engines: []state.Engine{{Images: []state.Image{i}}}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Close)
	return w
}

func TestAContainerAnswersAsItsFixtureSays(t *testing.T) {
	w := worldOf(t, state.Image{Ref: "app:7", Expose: []string{"80"}, Behaviour: &state.Behaviour{
		StartDelay: state.Duration(2 * time.Second), SickAfter: state.Duration(time.Minute),
		Paths: map[string]state.Response{
			"/teapot": {Status: 418, Body: "short and stout", Header: map[string]string{"X-Pot": "1"}},
			"/late":   {Body: "ok", After: state.Duration(5 * time.Second)},
			"/slow":   {Body: "done", Delay: state.Duration(3 * time.Second)},
			"/drop":   {Drop: true},
		},
	}})
	url := "http://" + run(t, w, "app-1", "app:7", nil)

	if _, _, err := w.Get(t.Context(), url+"/", ""); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("before its start delay: %v, want connection refused", err)
	}
	pass(t, w, 2*time.Second)
	for _, c := range []struct {
		path   string
		status int
		body   string
	}{{"/", 200, "app-1 7\n"}, {"/teapot", 418, "short and stout"}, {"/late", 503, "not ready\n"}} {
		if status, body, err := w.Get(t.Context(), url+c.path, ""); status != c.status || body != c.body || err != nil {
			t.Errorf("GET %s: %d %q %v, want %d %q", c.path, status, body, err, c.status, c.body)
		}
	}
	before := w.Clock().Now()
	if _, body, err := w.Get(t.Context(), url+"/slow", ""); body != "done" || w.Clock().Now().Sub(before) != 3*time.Second {
		t.Errorf("GET /slow: %q %v after %v, want done after 3s", body, err, w.Clock().Now().Sub(before))
	}
	if status, _, _ := w.Get(t.Context(), url+"/late", ""); status != 200 {
		t.Errorf("GET /late after its time: %d", status)
	}
	if _, _, err := w.Get(t.Context(), url+"/drop", ""); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("GET /drop: %v, want a reset connection", err)
	}
	if _, _, err := w.Get(t.Context(), strings.Replace(url, ":80", "", 1)+":81/", ""); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("a port that is not exposed: %v", err)
	}
	pass(t, w, time.Minute)
	if status, _, _ := w.Get(t.Context(), url+"/", ""); status != 503 {
		t.Errorf("after it turned sick: %d, want 503", status)
	}
}

func TestATimeoutPassesOnTheClockAlone(t *testing.T) {
	w := worldOf(t, state.Image{Ref: "app:1", Behaviour: &state.Behaviour{Paths: map[string]state.Response{"/": {Delay: state.Duration(time.Hour)}}}})
	ip := run(t, w, "app-1", "app:1", nil)
	ctx, cancel := w.Clock().WithTimeout(t.Context(), 30*time.Second, nil)
	defer cancel()
	began, virtual := clock.Wall{}.Now(), w.Clock().Now()
	_, _, err := w.Get(ctx, "http://"+ip+"/", "")
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("an answer that takes an hour, with 30 s to wait: %v", err)
	}
	if real, passed := (clock.Wall{}).Now().Sub(began), w.Clock().Now().Sub(virtual); real > 5*time.Second || passed != 30*time.Second {
		t.Errorf("it took %v, and %v on the clock; want no time, and 30s", real, passed)
	}
}

// The machine may be as slow as it likes: only the clock of the world counts there.
func TestADeadlineOfTheMachineSaysNothingToTheWorld(t *testing.T) {
	w := worldOf(t, state.Image{Ref: "app:1", Behaviour: &state.Behaviour{
		StopDelay: state.Duration(time.Hour),
		Paths:     map[string]state.Response{"/": {Delay: state.Duration(time.Hour)}},
	}})
	ip := run(t, w, "app-1", "app:1", nil)
	cli := dockerClient(t, w.Engine(""))
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	for _, c := range []struct { // in this order: a container that was stopped answers nothing
		name string
		call func() error
	}{
		{"a request", func() error { _, _, err := w.Get(ctx, "http://"+ip+"/", ""); return err }},
		{"a stop", func() error {
			patient := 7200
			return cli.ContainerStop(ctx, "app-1", container.StopOptions{Timeout: &patient})
		}},
	} {
		virtual := w.Clock().Now()
		if err := c.call(); err != nil {
			t.Errorf("%s that takes an hour: %v", c.name, err)
		}
		if passed := w.Clock().Now().Sub(virtual); passed < time.Hour {
			t.Errorf("%s that takes an hour took %v", c.name, passed)
		}
	}
}

func TestNobodySitsThroughWhatNeverComes(t *testing.T) {
	w := newWorld(t, old())
	cli := dockerClient(t, w.Engine(""))
	ip := address(inspect(t, w, "app-old"))
	wait := func(ctx context.Context) error {
		done, errs := cli.ContainerWait(ctx, "app-old", container.WaitConditionNotRunning)
		select {
		case r := <-done:
			return fmt.Errorf("it exited with %d", r.StatusCode)
		case err := <-errs:
			return err
		}
	}
	hung := func(ctx context.Context) error {
		if err := cli.ContainerPause(ctx, "app-old"); err != nil {
			return err
		}
		_, _, err := w.Get(ctx, "http://"+ip+":8080/", "")
		return err
	}
	for name, call := range map[string]func(context.Context) error{"a container that goes on": wait, "a paused container": hung} {
		ctx, cancel := w.Clock().WithTimeout(t.Context(), 20*time.Second, nil)
		began, virtual := clock.Wall{}.Now(), w.Clock().Now()
		err := call(ctx)
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: %v, want an expired deadline", name, err)
		}
		if real, passed := (clock.Wall{}).Now().Sub(began), w.Clock().Now().Sub(virtual); real > 10*time.Second || passed != 20*time.Second {
			t.Errorf("%s: it took %v, and %v on the clock; want no time, and 20s", name, real, passed)
		}
		cancel()
	}
}

func TestWaitSeesAContainerDie(t *testing.T) {
	w := worldOf(t, state.Image{Ref: "app:1", Behaviour: &state.Behaviour{DiesAfter: state.Duration(90 * time.Second), ExitCode: 3}})
	run(t, w, "app-1", "app:1", nil)
	began := w.Clock().Now()
	done, errs := dockerClient(t, w.Engine("")).ContainerWait(t.Context(), "app-1", container.WaitConditionNotRunning)
	select {
	case r := <-done:
		if r.StatusCode != 3 {
			t.Errorf("exit code %d, want 3", r.StatusCode)
		}
	case err := <-errs:
		t.Fatal(err)
	}
	c := inspect(t, w, "app-1")
	finished, err := time.Parse(time.RFC3339Nano, c.State.FinishedAt)
	if err != nil || finished.Sub(began) != 90*time.Second {
		t.Errorf("finished after %v (%v), want 1m30s", finished.Sub(began), err)
	}
}

func TestARestartPolicyBringsAContainerBack(t *testing.T) {
	w := worldOf(t, state.Image{Ref: "app:1", Behaviour: &state.Behaviour{DiesAfter: state.Duration(time.Minute), ExitCode: 1}})
	run(t, w, "always", "app:1", &container.HostConfig{RestartPolicy: container.RestartPolicy{Name: "always"}})
	run(t, w, "never", "app:1", nil)
	pass(t, w, 10*time.Minute)
	if c := inspect(t, w, "always"); !c.State.Running || c.RestartCount != 9 {
		t.Errorf("always: %s after %d restarts, want running after 9", c.State.Status, c.RestartCount)
	}
	if c := inspect(t, w, "never"); c.State.Status != "exited" || c.State.ExitCode != 1 {
		t.Errorf("never: %s (%d), want exited (1)", c.State.Status, c.State.ExitCode)
	}
}

func TestStopTakesTheTimeThatTheContainerTakes(t *testing.T) {
	for _, c := range []struct {
		name  string
		b     state.Behaviour
		grace int
		takes time.Duration
		code  int
	}{
		{"handles SIGTERM", state.Behaviour{}, 10, 0, 0},
		{"takes 3 s", state.Behaviour{StopDelay: state.Duration(3 * time.Second), StopExitCode: 4}, 10, 3 * time.Second, 4},
		{"takes longer than it may", state.Behaviour{StopDelay: state.Duration(30 * time.Second)}, 10, 10 * time.Second, 137},
		{"ignores SIGTERM", state.Behaviour{IgnoresSIGTERM: true}, 7, 7 * time.Second, 137},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := worldOf(t, state.Image{Ref: "app:1", Behaviour: &c.b})
			run(t, w, "app-1", "app:1", nil)
			began := w.Clock().Now()
			if err := dockerClient(t, w.Engine("")).ContainerStop(t.Context(), "app-1", container.StopOptions{Timeout: &c.grace}); err != nil {
				t.Fatal(err)
			}
			if took := w.Clock().Now().Sub(began); took != c.takes {
				t.Errorf("took %v, want %v", took, c.takes)
			}
			if code := inspect(t, w, "app-1").State.ExitCode; code != c.code {
				t.Errorf("exit code %d, want %d", code, c.code)
			}
		})
	}
}

func TestProbesGoThroughConnectionsToo(t *testing.T) {
	w := newWorld(t, old())
	tr := &http.Transport{DialContext: w.DialContext}
	t.Cleanup(tr.CloseIdleConnections)
	ip := address(inspect(t, w, "app-old"))
	for range 3 { // on a connection that is kept
		resp, err := (&http.Client{Transport: tr}).Get("http://" + ip + ":8080/")
		if err != nil {
			t.Fatal(err)
		}
		b, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode != 200 || string(b) != "app-old 1.0\n" {
			t.Errorf("%d %q", resp.StatusCode, b)
		}
	}
	c, err := w.DialContext(t.Context(), "tcp", ip+":8080")
	if err != nil {
		t.Fatal(err)
	}
	if got := c.RemoteAddr().String(); got != ip+":8080" {
		t.Errorf("remote address %s", got)
	}
	c.Close()
	var op *net.OpError
	if _, err := w.DialContext(t.Context(), "tcp", ip+":9"); !errors.As(err, &op) || !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("nothing listens: %v, want a refused connection", err)
	}
	var dns *net.DNSError
	if _, err := w.DialContext(t.Context(), "tcp", "app-old:8080"); !errors.As(err, &dns) {
		t.Errorf("a container's name, from outside: %v, want no such host", err)
	}
	if !w.Engine("").Kill("app-old") {
		t.Error("Kill says that the container did not run")
	}
	if _, err := w.DialContext(t.Context(), "tcp", ip+":8080"); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("the container died: %v", err)
	}
}

func TestNamesResolveWhereContainersAreAsked(t *testing.T) {
	w, err := sim.New(sim.Options{ContainerDNS: true, State: &state.State{Engines: []state.Engine{{
		Images:   []state.Image{{Ref: "app:1"}},
		Networks: []state.Network{{Name: "back"}},
		Containers: []state.Container{
			{Name: "db", Image: "app:1", Networks: []state.Endpoint{{Network: "back", Aliases: []string{"store"}}}},
		},
	}}}})
	if err != nil {
		t.Fatal(err)
	}
	for _, host := range []string{"db", "store"} {
		if status, _, err := w.Get(t.Context(), "http://"+host+":5432/", ""); status != 200 {
			t.Errorf("GET http://%s: %d %v", host, status, err)
		}
	}
}

func TestTheSameCallsGiveTheSameBytes(t *testing.T) {
	record := func() (out []string) {
		w := newWorld(t, old())
		e := w.Engine("")
		for _, call := range [][3]string{
			{"POST", "/containers/create?name=new", `{"Image":"mepc/app:1.1","HostConfig":{"PublishAllPorts":true}}`},
			{"POST", "/containers/new/start", ""},
			{"GET", "/containers/new/json", ""},
			{"POST", "/networks/create", `{"Name":"n"}`},
			{"GET", "/networks", ""},
			{"GET", "/containers/json?all=1", ""},
			{"POST", "/containers/new/stop", ""},
			{"GET", "/images/json", ""},
			{"GET", "/images/mepc/app:1.0/get", ""},
			{"GET", "/system/df", ""},
			{"GET", "/events?since=1&until=1767225700", ""},
		} {
			req, err := http.NewRequestWithContext(t.Context(), call[0], "http://e"+call[1], strings.NewReader(call[2]))
			if err != nil {
				t.Fatal(err)
			}
			resp, err := e.RoundTrip(req)
			if err != nil {
				t.Fatal(err)
			}
			b, err := io.ReadAll(resp.Body)
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, call[1]+"\n"+string(b))
		}
		return out
	}
	if diff := cmp.Diff(record(), record()); diff != "" {
		t.Error(diff)
	}
}

func TestWhatIsNotModelledSaysSo(t *testing.T) {
	w := newWorld(t)
	for _, c := range []struct{ method, path string }{
		{"POST", "/v1.41/swarm/join"}, {"POST", "/containers/x/attach"}, {"GET", "/plugins"}, {"GET", "/containers/x/changes"}, {"POST", "/build?platform=linux/arm64"},
	} {
		req, _ := http.NewRequestWithContext(t.Context(), c.method, "http://e"+c.path, nil)
		resp, err := w.Engine("").RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		b, _ := io.ReadAll(resp.Body)
		if resp.StatusCode != 501 || !strings.Contains(string(b), `{"message":"`+state.NotModelled+c.method) {
			t.Errorf("%s %s: %d %s", c.method, c.path, resp.StatusCode, b)
		}
	}
}
