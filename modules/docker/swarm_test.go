package docker_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/internal/lab"
	"github.com/mepc/mepc-run/internal/rehearsal"
	"github.com/mepc/mepc-run/internal/sim"
	"github.com/mepc/mepc-run/internal/state"
	"github.com/mepc/mepc-run/servers"
)

// ownSwarm returns a bench on an engine of the test's own, which may become a
// swarm's.
func ownSwarm(t *testing.T) *bench {
	t.Helper()
	t.Parallel()
	l := lab.New(t, lab.Options{})
	if err := lab.SampleImages(t.Context(), l.Engine, "1.0", "1.1"); err != nil {
		t.Fatal(err)
	}
	if err := l.Engine.PrepareSwarm(t.Context()); err != nil {
		t.Fatal(err)
	}
	b := benchAt(t, l.Engine.Host())
	b.lab = l
	return b
}

// A service's life, with an update that succeeds and one that is rolled back.
const serviceLife = `
	local out = {}
	out.first = docker.swarm().state
	docker.swarm_init{advertise = "127.0.0.1", listen = "127.0.0.1:0"}
	docker.swarm_init()
	out.node = #docker.nodes{role = "manager"}
	docker.node_update(docker.nodes()[1].id, {labels = {zone = "a"}})
	out.zone = docker.nodes{labels = {zone = "a"}}[1].availability
	docker.secret_create("password-1", "correct horse")
	docker.config_create("conf-1", "threads = 4\0")
	docker.config_create("conf-1", "threads = 4\0")
	out.config = docker.configs()[1].data
	local check = {cmd = {"/app", "-check"}, interval = "200ms", retries = 2}
	local s = docker.service_create{name = "app", image = "mepc/app:1.0", replicas = 2, env = {COLOR = "blue"}, labels = {["mepc.app"] = "app"},
		secrets = {"password-1"}, configs = {"conf-1:/etc/app.conf"}, healthcheck = check, constraints = {"node.labels.zone == a"},
		update = {order = "start-first", monitor = "1s", failure_action = "rollback"}, rollback = {monitor = "1s"}, restart = {delay = "100ms"}, stop_timeout = "1s"}
	out.created = s.image .. " " .. s.desired .. " " .. s.env.COLOR
	s = docker.service_wait("app")
	out.up = s.running .. " " .. s.update.state
	s = docker.service_update("app", {image = "mepc/app:1.1", env = {COLOR = "green"}})
	out.previous = s.previous
	s = docker.service_wait("app")
	out.updated = s.image .. " " .. s.running .. " " .. s.update.state .. " " .. s.env.COLOR
	docker.service_update("app", {image = "mepc/app:1.1"})
	docker.service_scale("app", 3)
	out.scaled = docker.service_wait("app").running
	docker.service_update("app", {healthcheck = {cmd = {"/nope"}, interval = "200ms", retries = 2}})
	local ok, err = pcall(docker.service_wait, "app", {deadline = "60s"})
	out.failed = err.kind .. ": " .. err.message:gsub("of task %w+", "of task T")
	s = docker.service_wait("app", {rollback = true})
	out.back = s.env.COLOR .. " " .. s.running .. " " .. s.update.state
	out.never = not pcall(docker.service_rollback, "app")
	docker.service_update("app", {image = "mepc/app:1.0"})
	docker.service_wait("app")
	docker.service_rollback("app")
	s = docker.service_wait("app", {rollback = true, deadline = "20s"})
	out.images = {}
	for _, t in ipairs(docker.tasks("app", {running = true})) do table.insert(out.images, t.image .. " " .. t.state) end
	out.used = pcall(docker.secret_remove, "password-1")
	docker.service_remove("app")
	docker.service_remove("app", {missing_ok = true})
	out.gone = docker.service("app") == nil
	docker.config_remove("conf-1")
	docker.secret_remove("password-1")
	docker.swarm_leave{force = true}
	docker.swarm_leave()
	out.last = docker.swarm().state
	return out`

// lifeOfAService is what it returns.
var lifeOfAService = map[string]any{
	"first": "inactive", "node": 1.0, "zone": "active", "config": "threads = 4\x00", "created": "mepc/app:1.0 2 blue", "up": "2 ",
	"previous": "mepc/app:1.0", "updated": "mepc/app:1.1 2 completed green", "scaled": 3.0,
	"failed": "unhealthy: app was not updated: update rolled back due to failure or early termination of task T; " +
		"a task of mepc/app:1.1: ended with exit code 0: by itself, or because its health check failed",
	"back": "green 3 rollback_completed", "never": true,
	"images": []any{"mepc/app:1.1 running", "mepc/app:1.1 running", "mepc/app:1.1 running"},
	"used":   false, "gone": true, "last": "inactive",
}

func TestAServiceFromItsCreationToItsEnd(t *testing.T) {
	b := ownSwarm(t)
	b.fail(failure.Unavailable, `docker.service_create{name = "app", image = "mepc/app:1.0"}`, "not a swarm manager")
	if diff := cmp.Diff(lifeOfAService, b.run(serviceLife)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// The simulated engine says the same, in no time.
func TestASimulatedServiceIsLikeARealOne(t *testing.T) {
	fixture := &state.Behaviour{Missing: []string{"/nope"}}
	st, err := sim.New(sim.Options{State: &state.State{Format: state.Format, Engines: []state.Engine{{
		Images: []state.Image{{Ref: "mepc/app:1.0", Behaviour: fixture}, {Ref: "mepc/app:1.1", Behaviour: fixture}},
	}}}})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	b := benchAt(t, "")
	b.world = rehearsal.Clients(servers.Options{}, st, rehearsal.Policy{})
	defer b.world.Close()
	b.fail(failure.Unavailable, `docker.service_create{name = "app", image = "mepc/app:1.0"}`, "not a swarm manager")
	if diff := cmp.Diff(lifeOfAService, b.run(serviceLife)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// A reply that is lost is settled by a look, at a real swarm, whose specs come back
// with more in them than was sent; before the call had any effect, nothing is claimed.
func TestALostReplyOfASwarmIsSettledByALook(t *testing.T) {
	direct := ownSwarm(t)
	c := newCutter(t, direct.lab.Engine.Host())
	b := benchAt(t, c.url())
	const service = `{name = "app", image = "mepc/app:1.0", replicas = 1, env = {A = "b"}, secrets = {"pw"}, configs = {"conf:/etc/conf"}, memory = "64MiB", cpus = 0.5, constraints = {"node.role == manager"},
		ports = {"8080"}, publish_mode = "host", healthcheck = {cmd = {"/app", "-check"}, interval = "200ms"}, update = {order = "start-first", monitor = "100ms"}, rollback = {monitor = "100ms"},
		restart = {delay = "100ms"}, stop_timeout = "1s"}`
	const steady = ` docker.service_wait("app", {stable = "300ms", rollback = true}) `
	for _, step := range []struct{ cut, call, outcome string }{
		{"POST /swarm/init", `return docker.swarm_init{advertise = "127.0.0.1", listen = "127.0.0.1:0"}.manager`, "swarm_init ok"},
		{"POST /nodes/", `return docker.node_update(docker.nodes()[1].id, {labels = {zone = "a"}}).labels.zone == "a"`, "nodes ok, node_update ok"},
		{"POST /secrets/create", `return docker.secret_create("pw", "correct horse").name == "pw"`, "secret_create ok"},
		{"none", `return not pcall(docker.secret_create, "pw", "another")`, "secret_create refused"},
		{"POST /configs/create", `return docker.config_create("conf", "x").data == "x"`, "config_create ok"},
		{"POST /services/create", `docker.service_create` + service + steady + `return true`, "service_create ok, service_wait ok"},
		{"POST /services/create", `return not pcall(docker.service_create, ` + service + `)`, "service_create unknown"},
		{"none", `docker.service_update("app", {image = "mepc/app:1.0", env = {A = "b"}, secrets = {"pw"}, configs = {"conf:/etc/conf"}, memory = "64MiB", cpus = 0.5, constraints = {"node.role == manager"},
			ports = {"8080"}, publish_mode = "host", healthcheck = {cmd = {"/app", "-check"}, interval = "200ms"}, restart = {delay = "100ms"},
			update = {order = "start-first", monitor = "100ms"}, rollback = {monitor = "100ms"}, stop_timeout = "1s"}) return true`, "service_update unchanged"},
		{"POST /services/", `local s = docker.service_update("app", {image = "mepc/app:1.1", env = {A = "c"}})` + steady + `return s.env.A == "c"`, "service_update ok, service_wait ok"},
		{"POST /services/", `docker.service_update("app", {force = true})` + steady + `return true`, "service_update ok, service_wait ok"},
		{"POST /services/", `local s = docker.service_scale("app", 2)` + steady + `return s.desired == 2`, "service_scale ok, service_wait ok"},
		{"POST /services/", `return docker.service_rollback("app").desired == 1`, "service_rollback ok"},
		{"DELETE /services/", `docker.service_remove("app") return docker.service("app") == nil`, "service_remove ok, service ok"},
		{"DELETE /secrets/", `docker.secret_remove("pw") return #docker.secrets() == 0`, "secret_remove ok, secrets ok"},
		{"DELETE /configs/", `docker.config_remove("conf") return #docker.configs() == 0`, "config_remove ok, configs ok"},
		{"POST /swarm/leave", `docker.swarm_leave{force = true} return docker.swarm().state == "inactive"`, "swarm_leave ok, swarm ok"},
	} {
		t.Run(step.cut, func(t *testing.T) {
			b.t = t
			c.set(step.cut, false)
			if got := b.run(step.call); got != true {
				t.Errorf("%s returned %v", step.call, got)
			}
			if c.count() == 0 && step.cut != "none" {
				t.Error("nothing was cut")
			}
			if got := b.events.outcomes(); got != step.outcome {
				t.Errorf("outcomes: %s", got)
			}
		})
	}
}
