package sim_test

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/mepc/mepc-run/internal/lab"
	"github.com/mepc/mepc-run/internal/sim"
	"github.com/mepc/mepc-run/internal/state"
)

var update = flag.Bool("update", false, "write docs/conformance.md and, with a real engine, testdata/conformance.json")

func TestMain(m *testing.M) { os.Exit(lab.Main(m)) }

// conformanceImages are on both engines. The real ones are built from the
// sample app, the simulated ones have fixtures that behave alike.
var conformanceImages = []struct {
	ref        string
	dockerfile string // "" is built by the lab
	fixture    state.Image
}{
	{"mepc/app:1.0", "", state.Image{}},
	{"mepc/app:1.1", "", state.Image{}},
	{"mepc/checked:1.0", `FROM mepc/app:1.0\nHEALTHCHECK --interval=200ms --timeout=2s --retries=2 CMD ["/app","-check"]`, state.Image{
		Healthcheck: &state.Healthcheck{Test: []string{"CMD", "/app", "-check"}, Interval: state.Duration(200 * time.Millisecond), Timeout: state.Duration(2 * time.Second), Retries: 2},
	}},
	{"mepc/sick:1.0", `FROM mepc/checked:1.0\nENV UNHEALTHY=true`, state.Image{
		Healthcheck: &state.Healthcheck{Test: []string{"CMD", "/app", "-check"}, Interval: state.Duration(200 * time.Millisecond), Timeout: state.Duration(2 * time.Second), Retries: 2},
		Behaviour:   &state.Behaviour{Unhealthy: true, Paths: map[string]state.Response{"/": {Body: "app 1.0\n"}}},
	}},
	{"mepc/exits:1.0", `FROM mepc/app:1.0\nENV EXIT=boom`, state.Image{
		Behaviour: &state.Behaviour{ExitOnStart: true, ExitCode: 1, Logs: []string{"stderr: app 1.0: boom"}},
	}},
	{"mepc/stubborn:1.0", `FROM mepc/app:1.0\nENV IGNORE_SIGTERM=true`, state.Image{Behaviour: &state.Behaviour{IgnoresSIGTERM: true}}},
	{"mepc/slow:1.0", `FROM mepc/app:1.0\nENV LISTEN_AFTER=1s`, state.Image{Behaviour: &state.Behaviour{StartDelay: state.Duration(time.Second)}}},
}

// simulated is the world of the corpus.
func simulated(t *testing.T) *subject {
	var images []state.Image
	for _, i := range conformanceImages {
		f := i.fixture
		_, tag, _ := strings.Cut(i.ref, ":")
		if base, ok := strings.CutPrefix(i.dockerfile, "FROM "); ok {
			f.Parent, _, _ = strings.Cut(base, `\n`)
		}
		f.Ref, f.Cmd, f.Expose = i.ref, []string{"/app"}, []string{"8080/tcp"}
		f.Env = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "APP_VERSION=" + tag}
		f.Labels = map[string]string{"org.opencontainers.image.title": "mepc/app", "org.opencontainers.image.version": tag}
		if f.Behaviour == nil {
			f.Behaviour = &state.Behaviour{}
		}
		f.Behaviour.Exec = map[string]state.ExecResult{"/app -check": {Stdout: "ok\n"}}
		f.Behaviour.Missing = []string{"/nope", "nope"}
		images = append(images, f)
	}
	w, err := sim.New(sim.Options{State: &state.State{Engines: []state.Engine{{Images: images}}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Close)
	return &subject{
		prefix: "cf-sim-", engine: w.Engine("").RoundTrip, redis: redisClient(t, w),
		get:   func(url, host string) (int, string, error) { return w.Get(t.Context(), url, host) },
		sleep: func(d time.Duration) { _ = w.Clock().Sleep(t.Context(), d) },
		now:   w.Clock().Now,
	}
}

// real is a lab with the same images.
func real(t *testing.T) *subject {
	l := lab.ForTest(t)
	if err := lab.SampleImages(t.Context(), l.Engine, "1.0", "1.1"); err != nil {
		t.Fatal(err)
	}
	socket := strings.TrimPrefix(l.Engine.Host(), "unix://")
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", socket)
	}}
	t.Cleanup(transport.CloseIdleConnections)
	rdb, err := l.Redis.Client()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { rdb.Close() })
	s := &subject{
		prefix: l.Name("cf") + "-", engine: transport.RoundTrip, redis: rdb, sleep: time.Sleep, now: time.Now,
		get: func(url, host string) (int, string, error) {
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
			defer cancel()
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
			if err != nil {
				return 0, "", err
			}
			req.Host = host
			tr := &http.Transport{DisableKeepAlives: true}
			resp, err := tr.RoundTrip(req)
			if err != nil {
				return 0, "", err
			}
			defer resp.Body.Close()
			b, err := io.ReadAll(resp.Body)
			return resp.StatusCode, string(b), err
		},
	}
	for _, i := range conformanceImages {
		if i.dockerfile != "" {
			if got := s.step(t, "BUILD t="+i.ref+" :: "+i.dockerfile); !strings.Contains(got, "Successfully tagged") {
				t.Fatalf("build %s: %s", i.ref, got)
			}
		}
	}
	return s
}

func (c conformanceCase) lines() []string {
	var out []string
	for _, line := range strings.Split(c.steps, "\n") {
		if line = strings.TrimSpace(line); line != "" {
			out = append(out, line)
		}
	}
	return out
}

// TestTheSimulatedWorldAnswersAsTheRealOne runs the corpus in both and compares
// every answer.
func TestTheSimulatedWorldAnswersAsTheRealOne(t *testing.T) {
	if store := os.Getenv("MEPC_TEST_ENGINE_STORE"); store != "" {
		t.Skip("for Debian's engine; TestAModernEngineAnswersWithTheSameStatus is for this one")
	}
	ours, theirs := simulated(t), real(t)
	said := map[string][]string{}
	for n, c := range corpus {
		t.Run(c.name, func(t *testing.T) {
			mine, his := *ours, *theirs
			mine.prefix += fmt.Sprintf("%d-", n)
			his.prefix += fmt.Sprintf("%d-", n)
			steps := c.lines()
			got, want := mine.run(t, steps), his.run(t, steps)
			said[c.name] = want
			for i, step := range steps {
				if got[i] == want[i] {
					if d := c.differs[step]; d != "" {
						t.Errorf("%s\n  is said to differ (%s) and does not", step, d)
					}
					continue
				}
				if c.differs[step] == "" {
					t.Errorf("%s\n  simulated: %s\n  real:      %s", step, got[i], want[i])
				}
			}
		})
	}
	if !*update || t.Failed() {
		return
	}
	b, err := json.MarshalIndent(said, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(recorded, append(b, '\n'), 0o644); err != nil {
		t.Fatal(err)
	}
}

// recorded holds what the real servers said.
const recorded = "testdata/conformance.json"

// TestTheSimulatedWorldAnswersAsTheRealOneDid compares every answer with what
// the real servers said when the corpus last ran there with -update, for machines
// that have none.
func TestTheSimulatedWorldAnswersAsTheRealOneDid(t *testing.T) {
	ours := simulated(t)
	calls := 0
	b, err := os.ReadFile(recorded)
	if err != nil {
		t.Fatal(err)
	}
	var said map[string][]string
	if err := json.Unmarshal(b, &said); err != nil {
		t.Fatal(err)
	}
	for n, c := range corpus {
		t.Run(c.name, func(t *testing.T) {
			mine := *ours
			mine.prefix += fmt.Sprintf("%d-", n)
			steps := c.lines()
			calls += len(steps)
			want := said[c.name]
			if len(want) != len(steps) {
				t.Fatalf("%s has answers to %d of %d calls: run the corpus with -update on a machine with a real engine", recorded, len(want), len(steps))
			}
			for i, got := range mine.run(t, steps) {
				if strings.Contains(got, state.NotModelled) || strings.HasPrefix(got, "never ") ||
					got != want[i] && c.differs[steps[i]] == "" {
					t.Errorf("%s\n  simulated: %s\n  real:      %s", steps[i], got, want[i])
				}
			}
		})
	}
	if calls < 150 {
		t.Errorf("the corpus has %d calls, 150 are promised", calls)
	}
}
