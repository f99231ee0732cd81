package docker_test

import (
	"strings"
	"testing"

	"github.com/docker/docker/api/types/container"
	"github.com/google/go-cmp/cmp"

	"github.com/mepc/mepc-run/internal/failure"
)

var forceRemove = container.RemoveOptions{Force: true, RemoveVolumes: true}

func TestAContainerLivesFromCreateToRemove(t *testing.T) {
	b := labBench(t)
	b.name("app")
	got := b.run(`
		local made = docker.create{
			name = P.app, image = "mepc/app:1.0", env = {APP_VERSION = "9"}, labels = {["mepc.app"] = "a"},
			ports = {"127.0.0.1::8080"}, expose = {8080}, restart = "on-failure:2", memory = "64MiB", cpus = 0.5, stop_timeout = "3s",
		}
		local created = docker.inspect(P.app)
		docker.start(P.app)
		local up = docker.inspect(made.id)
		docker.start(P.app)
		docker.stop(P.app, {timeout = "5s"})
		docker.stop(P.app)
		local down = docker.find(P.app)
		docker.remove(P.app)
		return {
			same = made.id == up.id and up.name == P.app,
			created = created.state.status, created_ip = created.ip, started = created.state.started_at == nil,
			status = up.state.status, running = up.state.running, health = up.state.health, ip = up.ip ~= "",
			bridge = up.networks.bridge.ip == up.ip, image = up.image, labels = up.labels["mepc.app"], hidden = up.labels["mepc.call"] == nil,
			env = up.env.APP_VERSION, port = up.ports[1].container, host_ip = up.ports[1].host_ip, host = up.ports[1].host > 0, restart = up.restart,
			down = down.state.status, code = down.state.exit_code, gone = docker.find(P.app) == nil,
		}`)
	want := map[string]any{
		"same": true, "created": "created", "created_ip": "", "started": true,
		"status": "running", "running": true, "health": "none", "ip": true, "bridge": true, "image": "mepc/app:1.0",
		"labels": "a", "hidden": true, "env": "9", "port": 8080.0, "host_ip": "127.0.0.1", "host": true, "restart": "on-failure:2",
		"down": "exited", "code": 0.0, "gone": true,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	outcomes := "create ok, inspect ok, start ok, inspect ok, start unchanged, stop ok, stop unchanged, find ok, remove ok, find ok"
	if diff := cmp.Diff(outcomes, b.events.outcomes()); diff != "" {
		t.Errorf("outcomes (-want +got)\n%s", diff)
	}
}

// A list's entry says the same as an inspection, as far as it goes.
func TestAListIsOneRequest(t *testing.T) {
	b := labBench(t)
	b.name("app")
	got := b.run(`
		docker.create{name = P.app, image = "mepc/app:1.0", labels = {["mepc.app"] = "listed"}, ports = {"127.0.0.1::8080"}}
		docker.start(P.app)
		local listed, full = docker.list{labels = {["mepc.app"] = "listed"}}[1], docker.list{labels = {["mepc.app"] = "listed"}, inspect = true}[1]
		docker.stop(P.app, {timeout = "5s"})
		local down = docker.list{labels = {["mepc.app"] = "listed"}}[1].state.status
		docker.remove(P.app)
		local differ = {}
		local function compare(a, b, path)
			for k, v in pairs(a) do
				local same = type(v) == "table" and type(b[k]) == "table" and compare(v, b[k], path .. k .. ".")
				if type(v) ~= "table" and v ~= b[k] and k ~= "created" then differ[#differ + 1] = path .. k .. "=" .. tostring(v) end
			end
		end
		compare(listed, full, "")
		return {differ = table.concat(differ, " "), down = down, old = math.floor(full.created) == listed.created, env = rawget(listed, "env") == nil and full.env ~= nil}`)
	if diff := cmp.Diff(map[string]any{"differ": "", "down": "exited", "old": true, "env": true}, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if out := b.events.outcomes(); strings.Count(out, "list ok") != 3 {
		t.Error(out)
	}
}

func TestCreateRefusesBadNamesBeforeAnythingIsSent(t *testing.T) {
	b := benchAt(t, "unix:///nonexistent.sock")
	for name, lua := range map[string]string{
		"one character":      `"a"`,
		"a slash":            `"a/b"`,
		"a control char":     `"app\27[2Jx"`,
		"a space":            `"my app"`,
		"a dash at the head": `"-app"`,
		"nothing":            `""`,
		"a new line":         `"app\n"`,
	} {
		t.Run(name, func(t *testing.T) {
			b.t = t
			err := b.fail(failure.Invalid, `docker.create{name = `+lua+`, image = "x"}`, "name:", "is not a name: two or more of", "usage: docker.create")
			for _, c := range err.Error() {
				if c < ' ' {
					t.Errorf("the message has the control character %q", c)
				}
			}
			if len(b.events.all) != 0 {
				t.Error("it reached the gate")
			}
		})
	}
}

func TestCreateOfAnImageThatIsNotThereSaysHowToBringIt(t *testing.T) {
	b := labBench(t)
	b.name("app")
	b.fail(failure.NotFound, `docker.create{name = P.app, image = "mepc/none:1"}`, "No such image: mepc/none:1", "docker.load, docker.copy_image or docker.pull")
}

func TestCreateConflictSaysWhoHasTheName(t *testing.T) {
	b := labBench(t)
	b.name("app")
	b.fail(failure.Conflict, `
		docker.create{name = P.app, image = "mepc/app:1.0"}
		docker.create{name = P.app, image = "mepc/app:1.1", labels = {a = "b"}}`,
		"is already in use by container", "is created: container", "of mepc/app:1.0")
}

func TestStartOfAnEntryPointThatIsNotInTheImage(t *testing.T) {
	b := labBench(t)
	b.name("app")
	b.fail(failure.Invalid, `
		docker.create{name = P.app, image = "mepc/app:1.0", cmd = {"/nope"}}
		docker.start(P.app)`,
		"/nope", "the image has no such program", "is created, but does not run")
}

func TestWhatIsNotThereIsNilForFindAndNotFoundForTheRest(t *testing.T) {
	b := labBench(t)
	if got := b.run(`return docker.find("nobody-there") == nil`); got != true {
		t.Error("find did not return nil")
	}
	for _, call := range []string{"inspect(%s)", "start(%s)", "stop(%s)", "kill(%s)", "restart(%s)", "remove(%s)", "wait(%s)", "logs(%s)", `rename(%s, "xx")`} {
		source := "docker." + call[:len(call)-len("(%s)")] + `("nobody-there")`
		if call[0:3] == "ren" {
			source = `docker.rename("nobody-there", "xx")`
		}
		b.fail(failure.NotFound, source, "No such container: nobody-there")
	}
	b.run(`docker.remove("nobody-there", {missing_ok = true})`)
	if got := b.events.outcomes(); got != "remove unchanged" {
		t.Error(got)
	}
}

func TestPrivilegesNeedTheOperator(t *testing.T) {
	b := benchAt(t, "unix:///tmp/elsewhere/docker.sock")
	for name, tt := range map[string]struct{ option, flag string }{
		"privileged":                {`privileged = true`, "--allow privileged"},
		"the host's network":        {`network = "host"`, "--allow host-network"},
		"a bind of /":               {`volumes = {"/:/host"}`, "--allow bind-root"},
		"a bind of / in disguise":   {`volumes = {"//tmp/..:/host:ro"}`, "--allow bind-root"},
		"the socket":                {`volumes = {"/var/run/docker.sock:/s"}`, "--allow docker-socket"},
		"a directory of the socket": {`volumes = {"/run:/run:ro"}`, "--allow docker-socket"},
		"the engine's own socket":   {`volumes = {"/tmp/elsewhere:/x"}`, "--allow docker-socket"},
		"containerd's socket":       {`volumes = {"/run/containerd/:/x"}`, "--allow docker-socket"},
	} {
		t.Run(name, func(t *testing.T) {
			b.t = t
			b.fail(failure.Denied, `docker.create{name = "app", image = "x", `+tt.option+`}`, "makes a recipe root on the engine's machine", tt.flag)
		})
	}
}

func TestAShortNameIsNeverTakenForTheBeginningOfAnID(t *testing.T) {
	b := labBench(t)
	b.name("app")
	b.fail(failure.NotFound, `
		local id = docker.create{name = P.app, image = "mepc/app:1.0"}.id
		for n = 1, 11 do
			local beginning = id:sub(1, n)
			if docker.find(beginning) then error('taken for the beginning of an ID') end
			if pcall(docker.remove, beginning) then error('taken for the beginning of an ID') end
			if pcall(docker.stop, beginning) then error('taken for the beginning of an ID') end
			if pcall(docker.start, beginning) then error('taken for the beginning of an ID') end
		end
		assert(docker.find(id:sub(1, 12)).name == P.app)
		docker.wait(id:sub(1, 3), {timeout = "1s"})`, "o such container", "to name one by its ID, write 12 digits or more")
	b.fail(failure.NotFound, `
		local id = docker.image("mepc/app:1.0").id:sub(8)
		assert(docker.image(id:sub(1, 6)) == nil and docker.image(id:sub(1, 12)))
		docker.network_remove(docker.network("bridge").id:sub(1, 5))`, "o such network")
}

func TestWaitSaysWhatStillRuns(t *testing.T) {
	b := labBench(t)
	b.name("app")
	b.fail(failure.Timeout, `
		docker.create{name = P.app, image = "mepc/app:1.0"}
		docker.start(P.app)
		docker.wait(P.app, {timeout = "200ms"})`, "still runs after 200ms")
}
