package e2e

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/container"

	"github.com/mepc/mepc-run/internal/lab"
)

// The talk's own commands: the first deployment, then blue and green in turn,
// and at last bluegreen takes over.
func TestTalk(t *testing.T) {
	s := shared(t)
	l := lab.ForTest(t)
	dir := t.TempDir()
	if err := lab.SampleContext(t.Context(), dir); err != nil {
		t.Fatal(err)
	}
	db := l.Name("db")
	s.start(db, lab.DBImage, container.Config{})
	t.Cleanup(func() { s.remove("app-blue"); s.remove("app-green") })
	talk := func(version, color string, more ...string) *run {
		t.Helper()
		return s.exec(append([]string{
			"--json", "--docker", s.docker, "--redis", s.redis, "../recipes/talk.lua", "context=" + dir, "version=" + version,
			"color=" + color, "frontend=" + s.app, "db=" + db, "tar=" + filepath.Join(dir, "app.tar"),
		}, more...)...)
	}
	answers := func(version, color string) {
		t.Helper()
		h := s.readHipache(s.app)
		if h.identifier != "app" || len(h.dead) != 0 || !slices.Equal(h.backends, s.addresses([]string{"app-" + color})) {
			t.Errorf("the keys are %+v", h)
		}
		if _, body := s.get("/version"); body != version {
			t.Errorf("the router answers %q, not %s", body, version)
		}
		if status, body := s.get("/"); status != 200 || !strings.Contains(body, ", ") {
			t.Errorf("the app does not reach its backend: %d %q", status, body)
		}
	}
	var audience *load
	for i, version := range []string{"2.0", "2.1", "2.2", "2.3"} {
		color := []string{"blue", "green"}[i%2]
		if r := talk(version, color); r.Code != 0 {
			t.Fatal(r)
		}
		answers(version, color)
		if audience == nil {
			audience = s.load()
		}
		if err := s.store.SAdd(t.Context(), "dead:"+s.app, 0).Err(); err != nil {
			t.Fatal(err)
		}
	}
	if r := talk("2.4", "green"); r.Err == nil || r.Err.Kind != "conflict" {
		t.Fatalf("the colour that has the traffic was replaced: %s", r)
	}
	r := s.deploy("1.3", "identifier=app", "links="+db+":db")
	audience.end()
	s.mentions(r.Stderr, "(app-green) has no traffic any more", "left running")
	if got := s.readHipache(s.app); !slices.Equal(got.backends, s.addresses(s.running("1.3"))) || len(got.dead) != 0 {
		t.Errorf("the keys are %+v", got)
	}
	if c, err := s.engine.ContainerInspect(t.Context(), "app-green"); err != nil || !c.State.Running {
		t.Errorf("app-green was touched: %v", err)
	}
}
