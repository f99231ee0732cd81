package e2e

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
)

func TestNeverHealthy(t *testing.T) {
	s := shared(t)
	s.deploy("1.0")
	l := s.load()
	s.unchanged(func() {
		r := s.refuse("unhealthy", "1.1", "env=UNHEALTHY=true", "wait=1s")
		s.mentions(r.Err.Message, "not healthy after 1s", "503")
		s.mentions(r.Err.Details, "listening on")
		s.mentions(r.Err.State, "was removed")
	})
	l.end()
}

// With restart policy always a crashing container seems to run most of the time.
func TestCrashingReleaseIsRefusedAtOnce(t *testing.T) {
	s := shared(t)
	s.deploy("1.0")
	l := s.load()
	s.unchanged(func() {
		r := s.refuse("unhealthy", "1.1", "env=EXIT=no database today", "restart=always", "replicas=2")
		s.mentions(r.Err.Details, "no database today")
		s.mentions(r.Err.State, "-2 was removed")
		if r.Took > 15*time.Second {
			t.Errorf("it took %s of the 20 s that a release may take to become healthy", r.Took)
		}
	})
	l.end()
}

// otherRouter returns the URL of a router that reads another Redis: what it says
// never changes.
func otherRouter(t *testing.T) string {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "as ever") }))
	t.Cleanup(srv.Close)
	return srv.URL
}

// What is expected of the routers is asked of the new release itself before.
func TestWhatIsNotExpectedGetsNoTraffic(t *testing.T) {
	s := shared(t)
	s.deploy("1.0")
	s.unchanged(func() {
		r := s.refuse("unhealthy", "1.1", "expect=another version", "confirm_max=1s")
		s.mentions(r.Err.Message, `"1.1" does not contain "another version"`)
		for _, c := range r.Calls {
			if c.Op == "redis.multi" {
				t.Errorf("the traffic was moved: %s", r)
			}
		}
	})
}

func TestTrafficGoesBackWhenARouterDoesNotConfirm(t *testing.T) {
	s := shared(t)
	s.deploy("1.0")
	l := s.load()
	s.unchanged(func() {
		r := s.refuse("unhealthy", "1.1", "--router", otherRouter(t), "confirm_max=1s")
		s.mentions(r.Err.Message, "does not send "+s.app+" to the new release", "as ever")
		s.mentions(r.Err.State, s.app+" points to http://", "was removed")
	})
	l.end()
	s.serves("1.0", 1)
}

func TestTrafficGoesBackAtOnceWhenTheNewReleaseDies(t *testing.T) {
	s := shared(t)
	s.deploy("1.0")
	before := s.readHipache(s.app).backends
	s.unchanged(func() {
		wait := s.begin(s.args("1.1", "--router", otherRouter(t), "confirm_max=20s")...)
		s.eventually("the switch", func() bool { return !slices.Equal(s.readHipache(s.app).backends, before) })
		start := time.Now()
		for _, name := range s.running("1.1") {
			if err := s.engine.ContainerKill(t.Context(), name, "KILL"); err != nil {
				t.Fatal(err)
			}
		}
		s.eventually("the way back", func() bool { return slices.Equal(s.readHipache(s.app).backends, before) })
		if took := time.Since(start); took > 15*time.Second {
			t.Errorf("the way back took %s", took)
		}
		if r := wait(); r.Err == nil || r.Err.Kind != "unhealthy" {
			t.Errorf("want an error of kind unhealthy: %s", r)
		} else {
			s.mentions(r.Err.Message, "died after the switch")
		}
	})
	s.serves("1.0", 1)
}

// There is nothing to go back to: who has the only release keeps it.
func TestFirstDeployThatIsNotConfirmedStays(t *testing.T) {
	s := shared(t)
	r := s.refuse("unhealthy", "1.0", "--router", otherRouter(t), "confirm_max=500ms")
	s.mentions(r.Err.State, s.app+" points to http://", "is left running")
	s.deploy("1.0")
	s.serves("1.0", 1)
}

func TestContainerThatIsNotOurs(t *testing.T) {
	s := shared(t)
	s.deploy("1.1")
	name := s.running("1.1")[0]
	s.deploy("1.0", "keep=0")
	s.start(name, s.image("1.0"), container.Config{})
	s.unchanged(func() {
		r := s.refuse("conflict", "1.1")
		s.mentions(r.Err.Message, name, "does not belong to this release")
		s.mentions(r.Err.Hint, "docker rename "+name)
	})
	if c, err := s.engine.ContainerInspect(t.Context(), name); err != nil || !c.State.Running {
		t.Errorf("the container that is not ours was touched: %v", err)
	}
	s.serves("1.0", 1)
}

func TestPausedContainerIsNotTouched(t *testing.T) {
	s := shared(t)
	s.deploy("1.0")
	name := s.running("1.0")[0]
	if err := s.engine.ContainerPause(t.Context(), name); err != nil {
		t.Fatal(err)
	}
	s.unchanged(func() { s.mentions(s.refuse("conflict", "1.0").Err.Hint, "docker unpause "+name) })
	if err := s.engine.ContainerUnpause(t.Context(), name); err != nil {
		t.Fatal(err)
	}
	s.deploy("1.0")
	s.serves("1.0", 1)
}

func TestWhatIsMissingIsSaidBeforeAnythingIsDone(t *testing.T) {
	s := shared(t)
	s.deploy("1.0")
	for _, c := range []struct {
		name, kind, version string
		more                []string
		words               []string
	}{
		{"image", "not_found", "9.9", nil, []string{"/app:9.9 is not on the engine"}},
		{"link", "not_found", "1.1", []string{"links=nobody:db"}, []string{"nobody to link to does not exist"}},
		{"router", "unavailable", "1.1", []string{"--router", "http://127.0.0.1:1"}, []string{"the router http://127.0.0.1:1 does not answer"}},
		{"admin server", "unavailable", "1.1", []string{"admin=http://127.0.0.1:1"}, []string{"no router's admin server answers"}},
		{"secret", "denied", "1.1", []string{"secrets=PASSWORD=nobody"}, []string{"no secret \"nobody\" is declared"}},
		{"value", "invalid_argument", "1.1", []string{"env=MODE"}, []string{"env: item 1 is not NAME=value"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s.unchanged(func() { s.mentions(s.refuse(c.kind, c.version, c.more...).Err.Message, c.words...) })
		})
	}
}

func TestListOfSomeoneElse(t *testing.T) {
	s := shared(t)
	key := "frontend:" + s.app
	if err := s.store.RPush(t.Context(), key, "blog", "http://127.0.0.1:9").Err(); err != nil {
		t.Fatal(err)
	}
	s.unchanged(func() {
		r := s.refuse("conflict", "1.0")
		s.mentions(r.Err.Message, `belongs to "blog"`)
		s.mentions(r.Err.Hint, "identifier=blog")
	})
	r := s.deploy("1.0", "identifier=blog")
	s.mentions(r.Stderr, "http://127.0.0.1:9 has no traffic any more")
	if h := s.readHipache(s.app); h.identifier != "blog" || !slices.Equal(h.backends, s.addresses(s.running("1.0"))) {
		t.Errorf("the list is %+v", h)
	}
}

func TestKeyThatIsNoList(t *testing.T) {
	s := shared(t)
	if err := s.store.Set(t.Context(), "frontend:"+s.app, "app", 0).Err(); err != nil {
		t.Fatal(err)
	}
	r := s.exec(s.args("1.0")...)
	if r.Err == nil || len(s.containers()) != 0 {
		t.Fatalf("want an error and no container: %s", r)
	}
	s.mentions(r.Err.Message, "WRONGTYPE")
}

// Routers that could not reach a backend mark its place in the list. The place
// is another's after the switch, and a late mark is forgotten, too.
func TestDeadMarksAreForgotten(t *testing.T) {
	s := shared(t)
	s.deploy("1.0")
	before := s.readHipache(s.app).backends
	mark := func() {
		if err := s.store.SAdd(t.Context(), "dead:"+s.app, 0).Err(); err != nil {
			t.Error(err)
		}
	}
	mark()
	wait := s.begin(s.args("1.1", "drain=500ms")...)
	s.eventually("the switch", func() bool { return !slices.Equal(s.readHipache(s.app).backends, before) })
	if h := s.readHipache(s.app); len(h.dead) != 0 {
		t.Errorf("the mark survived the switch: %+v", h)
	}
	mark()
	if r := wait(); r.Code != 0 {
		t.Fatal(r)
	}
	s.serves("1.1", 1)
}
