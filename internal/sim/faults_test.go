package sim_test

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/client"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/mepc/mepc-run/internal/sim"
)

func TestACallCanBeRefusedOrItsReplyLost(t *testing.T) {
	w := newWorld(t, old())
	e := w.Engine("")
	cli := dockerClient(t, e)
	isStop := func(req *http.Request) bool { return strings.HasSuffix(req.URL.Path, "/stop") }

	e.SetHooks(sim.Hooks{Before: func(req *http.Request) (*http.Response, error) {
		if isStop(req) {
			return e.ErrorResponse(req, http.StatusConflict, "someone else was first"), nil
		}
		return nil, nil
	}})
	err := cli.ContainerStop(t.Context(), "app-old", container.StopOptions{})
	if !errdefs.IsConflict(err) || !strings.Contains(err.Error(), "someone else was first") {
		t.Errorf("refused: %v", err)
	}
	if s := inspect(t, w, "app-old").State.Status; s != "running" {
		t.Errorf("a refused call had an effect: %s", s)
	}
	e.SetHooks(sim.Hooks{After: func(req *http.Request, resp *http.Response) (*http.Response, error) {
		if isStop(req) {
			return nil, io.ErrUnexpectedEOF
		}
		return resp, nil
	}})
	if err := cli.ContainerStop(t.Context(), "app-old", container.StopOptions{}); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("lost reply: %v", err)
	}
	e.SetHooks(sim.Hooks{})
	if s := inspect(t, w, "app-old").State.Status; s != "exited" {
		t.Errorf("a call whose reply was lost had no effect: %s", s)
	}
	e.SetDown(true)
	if _, err := cli.Ping(t.Context()); !client.IsErrConnectionFailed(err) {
		t.Errorf("an engine that is down: %v", err)
	}
}

func TestAnEngineRestartMovesAddressesAndForgetsEvents(t *testing.T) {
	always := &container.HostConfig{RestartPolicy: container.RestartPolicy{Name: "always"}, PublishAllPorts: true}
	w := newWorld(t)
	e := w.Engine("")
	first, second := run(t, w, "aa", "mepc/app:1.0", always), run(t, w, "bb", "mepc/app:1.1", always)
	run(t, w, "cc", "mepc/app:1.1", &container.HostConfig{RestartPolicy: container.RestartPolicy{Name: "unless-stopped"}})
	pass(t, w, time.Second)
	e.Restart(true)
	if a, b := address(inspect(t, w, "aa")), address(inspect(t, w, "bb")); a != second || b != first {
		t.Errorf("a %s -> %s, b %s -> %s: want them swapped", first, a, second, b)
	}
	if s := inspect(t, w, "cc").State; s.Status != "exited" || s.ExitCode != 137 {
		t.Errorf("unless-stopped came back: %s (%d)", s.Status, s.ExitCode)
	}
	req, _ := http.NewRequestWithContext(t.Context(), "GET", "http://e/events?since=1&until=1767225601", nil)
	resp, err := e.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	if b, _ := io.ReadAll(resp.Body); strings.Contains(string(b), `"Action":"create"`) {
		t.Errorf("events from before the restart: %s", b)
	}
}

func TestACloneGoesItsOwnWay(t *testing.T) {
	w := newWorld(t, old())
	rdb := redisClient(t, w)
	rdb.RPush(t.Context(), "frontend:app", "app", "http://x")
	rdb.Set(t.Context(), "k", "v", time.Minute)
	before, err := w.State()
	if err != nil {
		t.Fatal(err)
	}
	c, err := w.Clone(nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	if now, err := c.State(); err != nil {
		t.Fatal(err)
	} else if diff := cmp.Diff(before, now); diff != "" {
		t.Errorf("the clone is not the same: %s", diff)
	}
	// Everything that can be changed is changed in the clone.
	cli := dockerClient(t, c.Engine(""))
	ctx := t.Context()
	if _, err := cli.ImageRemove(ctx, "mepc/app:1.1", removeAll); err != nil {
		t.Fatal(err)
	}
	if err := cli.ImageTag(ctx, "mepc/app:1.0", "mepc/app:latest"); err != nil {
		t.Fatal(err)
	}
	if err := cli.ContainerRename(ctx, "app-old", "other"); err != nil {
		t.Fatal(err)
	}
	if _, err := cli.ContainerUpdate(ctx, "other", container.UpdateConfig{RestartPolicy: container.RestartPolicy{Name: "always"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := cli.NetworkCreate(ctx, "n", networkOptions); err != nil {
		t.Fatal(err)
	}
	if err := cli.NetworkConnect(ctx, "n", "other", nil); err != nil {
		t.Fatal(err)
	}
	run(t, c, "new", "mepc/app:1.0", &container.HostConfig{PublishAllPorts: true})
	if err := cli.ContainerStop(ctx, "other", container.StopOptions{}); err != nil {
		t.Fatal(err)
	}
	crdb := redisClient(t, c)
	crdb.Del(ctx, "k")
	crdb.LPush(ctx, "frontend:app", "y")
	pass(t, c, time.Hour)

	if now, err := w.State(); err != nil {
		t.Fatal(err)
	} else if diff := cmp.Diff(before, now); diff != "" {
		t.Errorf("what was done in the clone shows in the original: %s", diff)
	}
	// And the other way round.
	mid, err := c.State()
	if err != nil {
		t.Fatal(err)
	}
	if err := dockerClient(t, w.Engine("")).ContainerRemove(ctx, "app-old", container.RemoveOptions{Force: true}); err != nil {
		t.Fatal(err)
	}
	rdb.FlushAll(ctx)
	if now, err := c.State(); err != nil {
		t.Fatal(err)
	} else if diff := cmp.Diff(mid, now); diff != "" {
		t.Errorf("what was done in the original shows in the clone: %s", diff)
	}
}

func TestACloneOfACloneIsTheSame(t *testing.T) {
	w := newWorld(t, old())
	redisClient(t, w).RPush(t.Context(), "frontend:app", "app", "http://x")
	before, err := w.State()
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if w, err = w.Clone(nil); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(w.Close)
	}
	after, err := w.State()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, after); diff != "" {
		t.Error(diff)
	}
}

func TestBoxesAreWhatStateSays(t *testing.T) {
	w := newWorld(t, old())
	run(t, w, "new", "mepc/app:1.1", &container.HostConfig{PublishAllPorts: true})
	for i, c := range w.Engine("").State().Containers {
		b := w.Engine("").Boxes()[i]
		want := sim.Box{ID: c.ID, Name: c.Name, ImageID: c.ImageID, Status: c.Status, Health: c.Health, Labels: c.Labels, IPs: []string{c.Networks[0].IP}, Host: "127.0.0.1"}
		for _, p := range c.Ports {
			want.Ports = append(want.Ports, p.Host)
		}
		if diff := cmp.Diff(want, b, cmpopts.EquateEmpty()); diff != "" {
			t.Error(diff)
		}
	}
}
