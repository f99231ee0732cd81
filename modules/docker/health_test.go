package docker_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mepc/mepc-run/internal/failure"
)

func TestWaitHealthyByEachProbe(t *testing.T) {
	b := labBench(t)
	b.name("app")
	got := b.run(`
		docker.create{name = P.app, image = "mepc/app:1.0", env = {READY_AFTER = "600ms"}, ports = {"127.0.0.1::8080"},
			healthcheck = {cmd = {"/app", "-check"}, interval = "500ms", timeout = "2s", retries = 20}}
		docker.start(P.app)
		local http = docker.wait_healthy(P.app, {http = {port = 8080, path = "/health", status = 200}, interval = "100ms", successes = 3})
		local tcp = docker.wait_healthy(P.app, {tcp = {port = 8080}})
		local row = docker.wait_healthy(P.app, {tcp = {port = 8080}, interval = "10ms", successes = 4}).probes
		local published = docker.wait_healthy(P.app, {http = {port = 8080, contains = "1.0", published = true}})
		local check = docker.wait_healthy(P.app, {interval = "100ms"})
		local c = docker.inspect(P.app)
		return {
			http = http.address == c.ip .. ":8080", probes = http.probes > 3, last = http.last == "GET http://" .. c.ip .. ":8080/health: 200",
			tcp = tcp.last == "connect to " .. c.ip .. ":8080: ok", published = published.address == "127.0.0.1:" .. c.ports[1].host,
			row = row, check = check.last, health = c.state.health,
			address = docker.address(P.app, 8080) == c.ip .. ":8080", published_address = docker.address(P.app, 8080, {published = true}) == published.address,
		}`)
	want := map[string]any{
		"http": true, "probes": true, "last": true, "tcp": true, "published": true, "row": 4.0, "check": "its HEALTHCHECK says healthy", "health": "healthy",
		"address": true, "published_address": true,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	b.fail(failure.NotFound, `docker.address(P.app, 9999, {published = true})`, "does not publish its port 9999", "publish it at create")
	b.fail(failure.NotFound, `docker.address(P.app, 8080, {network = "front"})`, "is not in the network front")
}

func TestNeverHealthyCarriesTheLastProbeTheStateAndTheLog(t *testing.T) {
	b := labBench(t)
	b.name("app")
	b.fail(failure.Unhealthy, `
		docker.create{name = P.app, image = "mepc/app:1.0", env = {UNHEALTHY = "true"}}
		docker.start(P.app)
		docker.wait_healthy(P.app, {http = {port = 8080, path = "/health"}, interval = "50ms", deadline = "400ms"})`,
		"is not healthy after 400ms", "the last probe: GET http://", ":8080/health: 503", "is running", "the last lines of its log:\n", "listening", "raise the deadline")
	b.fail(failure.Unhealthy, `docker.wait_healthy(P.app, {tcp = {port = 81}, interval = "50ms", deadline = "100ms"})`, ":81: connection refused")
	b.fail(failure.Unhealthy, `docker.wait_healthy(P.app, {http = {port = 8080, contains = "9.9"}, deadline = "100ms"})`, `does not contain "9.9"`)
	b.fail(failure.Unhealthy, `docker.wait_healthy(P.app, {http = {port = 8080, path = "/slow?ms=2000"}, timeout = "100ms", deadline = "100ms"})`, "no answer within 100ms")
	b.fail(failure.Invalid, `docker.wait_healthy(P.app)`, "has no HEALTHCHECK", "http = {port = 8080")
}

func TestAContainerThatExitsIsUnhealthyAtOnce(t *testing.T) {
	b := labBench(t)
	b.name("app")
	start := time.Now()
	b.fail(failure.Unhealthy, `
		docker.create{name = P.app, image = "mepc/app:1.0", env = {EXIT = "cannot find the moon"}}
		docker.start(P.app)
		docker.wait_healthy(P.app, {http = {port = 8080}, deadline = "1m"})`,
		"has exited with code 1", "is exited with exit code 1", "cannot find the moon")
	if took := time.Since(start); took > 20*time.Second {
		t.Errorf("it took %s", took)
	}
	b.run(`docker.remove(P.app)`)
	b.fail(failure.Unhealthy, `
		docker.create{name = P.app, image = "mepc/app:1.0", env = {EXIT = "again"}, restart = "always"}
		docker.start(P.app)
		docker.wait_healthy(P.app, {http = {port = 8080}, deadline = "1m"})`,
		"exits, and is restarted by its policy", "again")
	b.run(`docker.remove(P.app, {force = true})`)
	b.fail(failure.Unhealthy, `
		docker.create{name = P.app, image = "mepc/app:1.0"}
		docker.wait_healthy(P.app, {http = {port = 8080}})`, "is created, but was not started")
	b.run(`docker.remove(P.app)`)
	b.fail(failure.Unhealthy, `
		docker.create{name = P.app, image = "mepc/app:1.0", env = {UNHEALTHY = "true"},
			healthcheck = {cmd = {"/app", "-check"}, interval = "200ms", timeout = "2s", retries = 2}}
		docker.start(P.app)
		docker.wait_healthy(P.app, {deadline = "1m"})`, "is unhealthy by its own HEALTHCHECK", "its last check: exit code 1")
}

func TestLogsAreTheContainersOwnWords(t *testing.T) {
	b := labBench(t)
	b.name("app")
	got := b.run(`
		docker.create{name = P.app, image = "mepc/app:1.0", env = {EXIT = "line one"}}
		docker.start(P.app)
		local code = docker.wait(P.app)
		local all, err = docker.logs(P.app), docker.logs(P.app, {stdout = false, tail = 1})
		docker.remove(P.app)
		docker.create{name = P.app, image = "mepc/app:1.0", env = {EXIT = "in a terminal"}, tty = true}
		docker.start(P.app)
		docker.wait(P.app)
		return {code = code, all = all, tty = docker.logs(P.app), future = docker.logs(P.app, {since = "0s"})}`).(map[string]any)
	if got["code"] != 1.0 {
		t.Errorf("exit code %v", got["code"])
	}
	for key, text := range map[string]string{"all": "line one", "tty": "in a terminal"} {
		if s := got[key].(string); !strings.Contains(s, text) || strings.ContainsRune(s, 0) {
			t.Errorf("%s: %q", key, s)
		}
	}
	if got["future"] != "" {
		t.Errorf("since 0s: %q", got["future"])
	}
}
