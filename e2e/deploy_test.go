package e2e

import (
	"fmt"
	"slices"
	"testing"

	"github.com/mepc/mepc-run/internal/lab"
)

func TestFirstDeployRegistersTheHost(t *testing.T) {
	s := shared(t)
	r := s.deploy("1.0")
	s.serves("1.0", 1)
	s.mentions(r.Stderr, s.app+" points to http://")
}

func TestFirstDeployTakesAListWithAnIdentifierOnly(t *testing.T) {
	s := shared(t)
	if err := s.store.RPush(t.Context(), "frontend:"+s.app, s.app).Err(); err != nil {
		t.Fatal(err)
	}
	s.deploy("1.0")
	s.serves("1.0", 1)
}

func TestRedeployUnderLoad(t *testing.T) {
	s := shared(t)
	s.deploy("1.0")
	l := s.load()
	s.deploy("1.1")
	l.end()
	s.serves("1.1", 1)
	if n := s.stopped(); n != 1 {
		t.Errorf("%d stopped containers are kept, not 1: %v", n, s.containers())
	}
}

// TestRedeploysUnderLoad is the figure that the recipes are judged by: 50
// redeploys under load without a failed request.
func TestRedeploysUnderLoad(t *testing.T) {
	s := shared(t)
	n := sized("E2E_REDEPLOYS", 10)
	s.deploy("1.0")
	l := s.load()
	for i := range n {
		s.deploy(versions[(i+1)%len(versions)])
	}
	l.end()
	s.serves(versions[n%len(versions)], 1)
}

func TestNothingToDo(t *testing.T) {
	s := shared(t)
	s.deploy("1.0", "replicas=2")
	s.deploy("1.1", "replicas=2")
	s.unchanged(func() {
		r := s.deploy("1.1", "replicas=2")
		if r.Status != "unchanged" || r.Effects != 0 || len(r.Calls) != 0 {
			t.Errorf("a second run had effects: %s", r)
		}
		plain := s.args("1.1", "replicas=2")[1:] // without --json
		s.mentions(s.plain(plain...), "nothing to do")
	})
}

// plain runs mepc-run as people see it.
func (s *stage) plain(args ...string) string {
	s.t.Helper()
	out, err := s.command(args...).CombinedOutput()
	if err != nil {
		s.t.Fatalf("%v\n%s", err, out)
	}
	return string(out)
}

func TestOperatorsWeightsAreLeftAlone(t *testing.T) {
	s := shared(t)
	s.deploy("1.0", "replicas=2")
	list := s.readHipache(s.app).backends
	if err := s.store.RPush(t.Context(), "frontend:"+s.app, list[0]).Err(); err != nil {
		t.Fatal(err)
	}
	s.unchanged(func() { s.deploy("1.0", "replicas=2") })
	s.deploy("1.1", "replicas=2") // and do not hinder the next release
	s.serves("1.1", 2)
}

func TestScaleUpAndDown(t *testing.T) {
	s := shared(t)
	s.deploy("1.0")
	l := s.load()
	s.deploy("1.0", "replicas=4")
	s.serves("1.0", 4)
	r := s.deploy("1.0", "replicas=2")
	l.end()
	s.serves("1.0", 2)
	if n := s.stopped(); n != 0 {
		t.Errorf("scaling down left %v\n%s", s.containers(), r)
	}
}

func TestRollbackStartsTheKeptRelease(t *testing.T) {
	s := shared(t)
	s.deploy("1.0")
	old := s.running("1.0")
	s.deploy("1.1")
	l := s.load()
	r := s.deploy("1.0")
	l.end()
	s.serves("1.0", 1)
	if now := s.running("1.0"); !slices.Equal(now, old) {
		t.Errorf("the kept container %v was not started again: %v", old, now)
	}
	for _, c := range r.Calls {
		if c.Op == "docker.create" {
			t.Errorf("a container was created: %s", r)
		}
	}
}

func TestPruneKeepsWhatIsAskedFor(t *testing.T) {
	s := shared(t)
	l := lab.ForTest(t)
	// Images of its own: one that a container of another test is made of stays.
	for _, v := range versions {
		if err := lab.BuildApp(t.Context(), l.Engine, s.image(v), v+" of "+s.app); err != nil {
			t.Fatal(err)
		}
	}
	for _, v := range versions {
		s.deploy(v, "keep=1", "retain=3")
	}
	if now := s.running(""); len(now) != 1 || !slices.Equal(now, s.running("1.3")) || s.stopped() != 1 {
		t.Errorf("keep=1 left %v", s.containers())
	}
	if got := s.images(); fmt.Sprint(got) != "[1.1 1.2 1.3]" {
		t.Errorf("retain=3 left %v", got)
	}
	s.deploy("1.3", "keep=0", "retain=1")
	if got := s.images(); s.stopped() != 0 || fmt.Sprint(got) != "[1.3]" {
		t.Errorf("keep=0 retain=1 left %v and %v", got, s.containers())
	}
}

// An image that is newer than the one deployed waits for its turn.
func TestPruneLeavesNewerImagesAlone(t *testing.T) {
	s := shared(t)
	s.deploy("1.1", "retain=1", "keep=0")
	if got := s.images(); !slices.Contains(got, "1.2") || !slices.Contains(got, "1.3") {
		t.Errorf("newer images were removed: %v are left", got)
	}
}

func TestMovedTagIsANewRelease(t *testing.T) {
	s := shared(t)
	tag := func(version string) {
		t.Helper()
		if err := s.engine.ImageTag(t.Context(), s.image(version), s.image("current")); err != nil {
			t.Fatal(err)
		}
	}
	tag("1.0")
	s.deploy("current", "expect=1.0")
	first := s.running("current")
	tag("1.1")
	s.deploy("current", "expect=1.1")
	if now := s.running("current"); len(now) != 1 || slices.Equal(now, first) {
		t.Errorf("the moved tag was not deployed: %v then %v", first, now)
	}
	if _, body := s.get("/version"); body != "1.1" {
		t.Errorf("the router answers %q", body)
	}
}
