package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/client"
	"github.com/redis/go-redis/v9"

	"github.com/mepc/mepc-run/internal/lab"
	"github.com/mepc/mepc-run/internal/router"
)

// stage is one app of its own on an engine and a Redis, with a router before
// it. The app, its host and its images' repository share one name.
type stage struct {
	t      *testing.T
	app    string
	engine *client.Client
	store  redis.UniversalClient

	docker, redis string // where mepc-run finds them
	router, admin string // URLs
	state         string // mepc-run's state directory
}

// newStage sets the stage in l: images name/app:1.0 and so on, and a router.
func newStage(t *testing.T, l *lab.Lab) *stage {
	t.Helper()
	s := &stage{t: t, app: l.Name("app"), docker: l.Engine.Host(), redis: l.Redis.URL(), state: t.TempDir()}
	var err error
	if s.engine, err = l.Engine.Client(); err != nil {
		t.Fatal(err)
	}
	if s.store, err = l.Redis.Client(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.removeAll()
		_ = s.engine.Close()
		_ = s.store.Close()
	})
	for _, v := range versions {
		if err := s.engine.ImageTag(t.Context(), lab.AppImage(v), s.image(v)); err != nil {
			t.Fatal(err)
		}
	}
	store, err := l.Redis.Client() // the router's own
	if err != nil {
		t.Fatal(err)
	}
	s.startRouter(store)
	return s
}

// shared is newStage in the lab that tests share. They run side by side.
func shared(t *testing.T) *stage {
	t.Helper()
	t.Parallel()
	l := lab.ForTest(t)
	samples(t, l)
	return newStage(t, l)
}

// own is newStage in a lab that the test may break.
func own(t *testing.T, opts lab.Options) (*stage, *lab.Lab) {
	t.Helper()
	t.Parallel()
	l := lab.New(t, opts)
	if err := lab.SampleImages(t.Context(), l.Engine, versions...); err != nil {
		t.Fatal(err)
	}
	return newStage(t, l), l
}

func (s *stage) image(version string) string { return s.app + "/app:" + version }

// startRouter puts a router before the app. It closes store at the end.
func (s *stage) startRouter(store redis.UniversalClient) {
	s.t.Helper()
	r, err := router.New(router.Config{Listen: "127.0.0.1:0", Admin: "127.0.0.1:0", Redis: store})
	if err != nil {
		s.t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	s.t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			s.t.Errorf("router: %v", err)
		}
		_ = store.Close()
	})
	select {
	case <-r.Ready():
	case err := <-done:
		done <- err
		s.t.Fatal("the router did not start")
	}
	s.router, s.admin = "http://"+r.Addr().String(), "http://"+r.AdminAddr().String()
}

// run says how a run of mepc-run ended.
type run struct {
	Code           int
	Stdout, Stderr string
	Took           time.Duration
	Status         string     // ok, unchanged, failed, cancelled
	Effects        int        // how many calls changed something
	Err            *runError  // nil without an error
	Calls          []*runCall // the calls that changed something

	FirstEffect, LastEffect time.Time // when they began
}

type runError struct{ Kind, Op, Message, Hint, State, Details string }

type runCall struct{ Op, Target, Outcome string }

// String returns the text a failing test shows.
func (r *run) String() string {
	return fmt.Sprintf("exit code %d after %s\n%s%s", r.Code, r.Took.Round(time.Millisecond), r.Stdout, r.Stderr)
}

// args are those of a deployment of version, as a careful user writes them.
func (s *stage) args(version string, more ...string) []string {
	args := []string{
		"--json", "--docker", s.docker, "--redis", s.redis, "--router", s.router, "../recipes/bluegreen.lua",
		"app=" + s.app, "host=" + s.app, "image=" + s.image(version), "health=/health", "confirm=/version", "expect=" + version,
		"drain=100ms", "admin=" + s.admin, "wait=20s",
	}
	for i, m := range more { // a later one takes the place of an earlier
		if m == "--router" {
			args[slices.Index(args, "--router")+1] = more[i+1]
			continue
		}
		name, _, ok := strings.Cut(m, "=")
		if !ok { // the router's URL
			continue
		}
		args = slices.DeleteFunc(args, func(a string) bool { return strings.HasPrefix(a, name+"=") })
		if !strings.HasSuffix(m, "=") {
			args = append(args, m)
		}
	}
	return args
}

// command prepares mepc-run. It dies with the test.
func (s *stage) command(args ...string) *exec.Cmd {
	s.t.Helper()
	path, err := program()
	if err != nil {
		s.t.Fatal(err)
	}
	cmd := exec.Command(path, args...)
	cmd.Env = append(os.Environ(), "MEPC_STATE="+s.state)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return cmd
}

// exec runs mepc-run to its end.
func (s *stage) exec(args ...string) *run {
	s.t.Helper()
	return s.begin(args...)()
}

// begin starts mepc-run; the function returned waits for its end.
func (s *stage) begin(args ...string) (wait func() *run) {
	s.t.Helper()
	var out, errs bytes.Buffer
	cmd := s.command(args...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	start := time.Now()
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	return func() *run {
		err := cmd.Wait()
		r := &run{Stdout: out.String(), Stderr: errs.String(), Code: cmd.ProcessState.ExitCode(), Took: time.Since(start)}
		if err != nil && !errors.As(err, new(*exec.ExitError)) {
			s.t.Fatal(err)
		}
		r.decode(s.t)
		return r
	}
}

// decode reads the objects of --json.
func (r *run) decode(t *testing.T) {
	t.Helper()
	for line := range strings.Lines(r.Stdout) {
		var object struct {
			Type, Op, Target, Outcome, Status string
			Time                              time.Time
			Effects                           int
			Error                             *runError
		}
		if err := json.Unmarshal([]byte(line), &object); err != nil {
			t.Fatalf("stdout has a line that is no JSON: %v\n%s", err, r)
		}
		switch object.Type {
		case "effect":
			r.Calls = append(r.Calls, &runCall{object.Op, object.Target, object.Outcome})
			if r.FirstEffect.IsZero() {
				r.FirstEffect = object.Time
			}
			r.LastEffect = object.Time
		case "result":
			r.Status, r.Effects, r.Err = object.Status, object.Effects, object.Error
		}
	}
}

// deploy deploys version, which must succeed.
func (s *stage) deploy(version string, more ...string) *run {
	s.t.Helper()
	r := s.exec(s.args(version, more...)...)
	if r.Code != 0 {
		s.t.Fatalf("deploy %s: %s", version, r)
	}
	return r
}

// refuse deploys version, which must fail with an error of kind.
func (s *stage) refuse(kind, version string, more ...string) *run {
	s.t.Helper()
	r := s.exec(s.args(version, more...)...)
	if r.Err == nil || r.Err.Kind != kind {
		s.t.Fatalf("deploy %s: want an error of kind %s: %s", version, kind, r)
	}
	return r
}

// mentions fails the test unless text has every word.
func (s *stage) mentions(text string, words ...string) {
	s.t.Helper()
	for _, w := range words {
		if !strings.Contains(text, w) {
			s.t.Errorf("%q is missing in:\n%s", w, text)
		}
	}
}

// start starts a container that is none of bluegreen's.
func (s *stage) start(name, ref string, cfg container.Config) {
	s.t.Helper()
	cfg.Image = ref
	if _, err := s.engine.ContainerCreate(s.t.Context(), &cfg, nil, nil, nil, name); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { s.remove(name) })
	if err := s.engine.ContainerStart(s.t.Context(), name, container.StartOptions{}); err != nil {
		s.t.Fatal(err)
	}
}

func (s *stage) remove(name string) {
	_ = s.engine.ContainerRemove(context.Background(), name, container.RemoveOptions{Force: true})
}

// removeAll removes what the test has left.
func (s *stage) removeAll() {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	// First: a list that outlives its containers points to whatever gets their
	// addresses next, and bluegreen stops no container that a list points to.
	s.store.Del(ctx, "frontend:"+s.app, "dead:"+s.app, "mepc:lock:{"+s.app+"}", "mepc:fence:{"+s.app+"}")
	list, _ := s.engine.ContainerList(ctx, container.ListOptions{All: true, Filters: filters.NewArgs(filters.Arg("label", "mepc.app="+s.app))})
	for _, c := range list {
		s.remove(c.ID)
	}
	for _, v := range versions {
		_, _ = s.engine.ImageRemove(ctx, s.image(v), image.RemoveOptions{Force: true})
	}
}

// eventually waits until ok.
func (s *stage) eventually(what string, ok func() bool) {
	s.t.Helper()
	for end := time.Now().Add(time.Minute); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			s.t.Fatal("waited in vain for " + what)
		}
	}
}

// get asks the router once.
func (s *stage) get(path string) (status int, body string) {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, s.router+path, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	req.Host = s.app
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer res.Body.Close()
	var b bytes.Buffer
	if _, err := b.ReadFrom(res.Body); err != nil {
		s.t.Fatal(err)
	}
	return res.StatusCode, strings.TrimSpace(b.String())
}
