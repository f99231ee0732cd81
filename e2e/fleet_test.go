package e2e

import (
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/image"

	"github.com/mepc/mepc-run/internal/lab"
)

// fleet deploys to engines, which are reached on loopback.
func (s *stage) fleet(engines ...*lab.Engine) func(version string, more ...string) *run {
	var list []string
	for _, e := range engines {
		list = append(list, e.Host()+"=127.0.0.1")
	}
	return func(version string, more ...string) *run {
		s.t.Helper()
		args := s.args(version, append([]string{"publish=127.0.0.1", "engines=" + strings.Join(list, ",")}, more...)...)
		args[slices.Index(args, "../recipes/bluegreen.lua")] = "../recipes/fleet.lua"
		return s.exec(args...)
	}
}

// Two engines get a release, and its traffic, at once; the second lacks the image.
func TestFleetUnderLoad(t *testing.T) {
	s, a := own(t, lab.Options{})
	b := lab.New(t, lab.Options{})
	other, err := b.Engine.Client()
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	fleet := s.fleet(a.Engine, b.Engine)
	there := func(version string) int {
		t.Helper()
		list, err := other.ContainerList(t.Context(), container.ListOptions{Filters: filters.NewArgs(filters.Arg("label", "mepc.version="+version))})
		if err != nil {
			t.Fatal(err)
		}
		return len(list)
	}
	serves := func(version string) {
		t.Helper()
		if h := s.readHipache(s.app); len(h.backends) != 2 || len(h.dead) != 0 {
			t.Errorf("the routing keys are %+v", h)
		}
		for range 4 {
			if status, body := s.get("/version"); status != 200 || body != version {
				t.Errorf("the router answers %d %q, not %s", status, body, version)
			}
		}
	}
	if r := fleet("1.0"); r.Code != 0 {
		t.Fatal(r)
	}
	serves("1.0")
	audience := s.load()
	r := fleet("1.1")
	if r.Code != 0 {
		t.Fatal(r)
	}
	serves("1.1")
	if len(s.running("1.1")) != 1 || there("1.1") != 1 || there("1.0") != 0 {
		t.Errorf("%v run here; of 1.1 %d there, of 1.0 %d", s.containers(), there("1.1"), there("1.0"))
	}
	s.mentions(r.Stdout, `"op":"docker.ship"`, "saved")
	if r := fleet("1.1"); r.Code != 0 || r.Effects != 0 {
		t.Errorf("once more: %s", r)
	}
	// What fails on one engine fails on both, and costs nothing.
	if r := fleet("1.2", "expect=9"); r.Err == nil {
		t.Errorf("a release that does not say what is expected: %s", r)
	}
	audience.end()
	serves("1.1")
	if n := there("1.2"); n != 0 {
		t.Errorf("%d containers of 1.2 are left there", n)
	}
	if list, err := other.ImageList(t.Context(), image.ListOptions{Filters: filters.NewArgs(filters.Arg("reference", "mepc-run/*"))}); err != nil || len(list) > 0 {
		t.Errorf("temporary names are left: %v, %v", list, err)
	}
}

// Three engines of two generations and both image stores know an image by three IDs,
// and have one release. One of them is killed between two deployments, while nobody asks:
// what it publishes goes through processes of its own, which die with it.
func TestAFleetOfTwoGenerationsUnderLoad(t *testing.T) {
	if os.Getenv("MEPC_TEST_ENGINE_BIN") == "" {
		t.Skip("there is one generation of engines: make test-modern")
	}
	store := func(containerd bool) map[string]any {
		return map[string]any{"features": map[string]bool{"containerd-snapshotter": containerd}}
	}
	s, a := own(t, lab.Options{Engine: lab.EngineOptions{Config: store(true), LiveRestore: true}})
	classic := lab.New(t, lab.Options{Engine: lab.EngineOptions{Config: store(false)}})
	debian := lab.New(t, lab.Options{Engine: lab.EngineOptions{BinDir: "/usr/bin", Config: map[string]any{"features": map[string]bool{}}}})
	fleet := s.fleet(a.Engine, classic.Engine, debian.Engine)
	redeploys := 4
	if text := os.Getenv("MEPC_E2E_REDEPLOYS"); text != "" {
		var err error
		if redeploys, err = strconv.Atoi(text); err != nil {
			t.Fatal(err)
		}
	}
	if r := fleet("1.0"); r.Code != 0 {
		t.Fatal(r)
	}
	if r := fleet("1.0"); r.Code != 0 || r.Effects != 0 {
		t.Errorf("once more: %s", r)
	}
	audience := s.load()
	for n := range redeploys {
		version := versions[(n+1)%2]
		if r := fleet(version, "env=N="+strconv.Itoa(n)); r.Code != 0 {
			t.Fatal(r)
		}
		if h := s.readHipache(s.app); len(h.backends) != 3 || len(h.dead) != 0 {
			t.Errorf("the routing keys are %+v", h)
		}
		if n != redeploys/2 {
			continue
		}
		audience.end()
		if err := a.Engine.Kill9(); err != nil {
			t.Fatal(err)
		}
		if r := fleet(versions[n%2], "env=N=killed"); r.Err == nil || r.Code == 0 {
			t.Errorf("with an engine that is gone: %s", r)
		}
		if err := a.Engine.Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
		audience = s.load()
	}
	audience.end()
	t.Logf("%d redeploys", redeploys)
}
