package e2e

import (
	"testing"

	"github.com/docker/docker/api/types/swarm"

	"github.com/mepc/mepc-run/internal/lab"
)

// A service of a real swarm: created, updated, found as wanted, and given back what it
// had when its tasks do not become healthy.
func TestSwarm(t *testing.T) {
	s, l := own(t, lab.Options{})
	if err := l.Engine.PrepareSwarm(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := s.engine.SwarmInit(t.Context(), swarm.InitRequest{ListenAddr: "127.0.0.1:0", AdvertiseAddr: "127.0.0.1"}); err != nil {
		t.Fatal(err)
	}
	deploy := func(version, check string) *run {
		return s.exec("--json", "--docker", s.docker, "--redis", s.redis, "../recipes/swarm.lua", "app="+s.app, "image="+s.image(version),
			"check="+check, "interval=300ms", "monitor=1s")
	}
	runs := func(version string) {
		t.Helper()
		list, err := s.engine.ServiceList(t.Context(), swarm.ServiceListOptions{Status: true})
		if err != nil || len(list) != 1 {
			t.Fatalf("%d services, %v", len(list), err)
		}
		got := list[0].Spec.TaskTemplate.ContainerSpec.Image
		if got != s.image(version) || list[0].ServiceStatus.RunningTasks != 2 || len(s.running("")) != 0 {
			t.Errorf("%d tasks of %s run", list[0].ServiceStatus.RunningTasks, got)
		}
	}
	for _, version := range []string{"1.0", "1.1"} {
		if r := deploy(version, "/app,-check"); r.Code != 0 {
			t.Fatal(r)
		}
		runs(version)
	}
	if r := deploy("1.1", "/app,-check"); r.Code != 0 || r.Status != "unchanged" {
		t.Errorf("a second time: %s", r)
	}
	r := deploy("1.2", "/nope")
	if r.Err == nil || r.Err.Kind != "unhealthy" {
		t.Fatalf("want an error of kind unhealthy: %s", r)
	}
	s.mentions(r.Err.Message, "update rolled back", "its health check failed")
	s.mentions(r.Err.State, s.app+" runs "+s.image("1.1")+" again")
	runs("1.1")
	if err := s.engine.SwarmLeave(t.Context(), true); err != nil {
		t.Error(err)
	}
}
