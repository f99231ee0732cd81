package e2e

import (
	"slices"
	"testing"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/image"

	"github.com/mepc/mepc-run/internal/lab"
)

// Two engines get a release, and its traffic, at once; the second lacks the image.
func TestFleetUnderLoad(t *testing.T) {
	s, a := own(t, lab.Options{})
	b := lab.New(t, lab.Options{})
	other, err := b.Engine.Client()
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	fleet := func(version string, more ...string) *run {
		t.Helper()
		args := s.args(version, append([]string{"publish=127.0.0.1", "engines=" + a.Engine.Host() + "=127.0.0.1," + b.Engine.Host() + "=127.0.0.1"}, more...)...)
		args[slices.Index(args, "../recipes/bluegreen.lua")] = "../recipes/fleet.lua"
		return s.exec(args...)
	}
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
