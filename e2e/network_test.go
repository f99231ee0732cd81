package e2e

import (
	"context"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/network"

	"github.com/mepc/mepc-run/internal/lab"
)

func TestPublishedPorts(t *testing.T) {
	s := shared(t)
	args := []string{"advertise=127.0.0.1", "publish=127.0.0.1", "replicas=2"}
	published := func() []string {
		h := s.readHipache(s.app)
		if len(h.backends) != 2 || len(h.dead) != 0 {
			t.Errorf("the keys are %+v", h)
		}
		for _, b := range h.backends {
			if u, err := url.Parse(b); err != nil || u.Hostname() != "127.0.0.1" || u.Port() == "8080" {
				t.Errorf("%s is not a published port", b)
			}
		}
		return h.backends
	}
	s.deploy("1.0", args...)
	first := published()
	l := s.load()
	s.deploy("1.1", args...)
	l.end()
	if now := published(); slices.Contains(now, first[0]) {
		t.Errorf("the list still has %s: %v", first[0], now)
	}
	if n := len(s.running("")); n != 2 {
		t.Errorf("%d containers run: %v", n, s.containers())
	}
	s.unchanged(func() { s.deploy("1.1", args...) })
	s.deploy("1.2", "replicas=2") // and back to the containers' own addresses
	s.serves("1.2", 2)
}

func TestNetworkWithAnAlias(t *testing.T) {
	s := shared(t)
	l := lab.ForTest(t)
	name, db, other := l.Name("net"), l.Name("db"), l.Name("db")
	if _, err := s.engine.NetworkCreate(t.Context(), name, network.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.removeAll()
		_ = s.engine.NetworkRemove(context.Background(), name)
	})
	for name2, alias := range map[string]string{db: "db", other: "nobody"} {
		s.startIn(name, name2, alias)
	}
	s.deploy("1.0", "network="+name)
	s.serves("1.0", 1)
	l1 := s.load() // finds db by its alias
	s.deploy("1.1", "network="+name)
	s.deploy("1.2", "network="+name, "links="+other+":db") // and by a link of the network
	l1.end()
	s.serves("1.2", 1)
}

func (s *stage) startIn(net, name, alias string) {
	s.t.Helper()
	_, err := s.engine.ContainerCreate(s.t.Context(), &container.Config{Image: lab.DBImage}, nil,
		&network.NetworkingConfig{EndpointsConfig: map[string]*network.EndpointSettings{net: {Aliases: []string{alias}}}}, nil, name)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { s.remove(name) })
	if err := s.engine.ContainerStart(s.t.Context(), name, container.StartOptions{}); err != nil {
		s.t.Fatal(err)
	}
}

// A link leads to one container for good: a backend made anew under the old
// name is a reason to deploy again, a restarted one is none.
func TestLinkedBackendThatWasReplaced(t *testing.T) {
	s := shared(t)
	db := lab.ForTest(t).Name("db")
	s.start(db, lab.DBImage, container.Config{})
	s.deploy("1.0", "links="+db+":db")
	if status, body := s.get("/"); status != 200 || !strings.Contains(body, ", ") {
		t.Errorf("the app does not reach its backend: %d %s", status, body)
	}
	if r := s.deploy("1.0", "links="+db+":db"); r.Effects != 0 {
		t.Errorf("a second run had effects: %s", r)
	}
	before := s.running("1.0")
	s.remove(db)
	s.start(db, lab.DBImage, container.Config{})
	s.deploy("1.0", "links="+db+":db")
	if now := s.serves("1.0", 1); slices.Equal(now, before) {
		t.Errorf("%v is still linked to a container that is gone", now)
	}
	if status, body := s.get("/"); status != 200 {
		t.Errorf("the app does not reach its new backend: %d %s", status, body)
	}
}

func TestSecretsAndEnvironment(t *testing.T) {
	s := shared(t)
	file := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(file, []byte("hunter2-and-more\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	args := append([]string{"--secret", "password=file:" + file, "-v"}, s.args("1.0", "env=MODE=prod", "secrets=DB_PASSWORD=password")...)
	r := s.exec(args...)
	if r.Code != 0 {
		t.Fatal(r)
	}
	if strings.Contains(r.String(), "hunter2") {
		t.Errorf("the secret is shown: %s", r)
	}
	c, err := s.engine.ContainerInspect(t.Context(), s.serves("1.0", 1)[0])
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"MODE=prod", "DB_PASSWORD=hunter2-and-more"} {
		if !slices.Contains(c.Config.Env, want) {
			t.Errorf("the container does not have %s", want)
		}
	}
}
