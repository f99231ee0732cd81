package docker_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/modules/docker"
)

// up begins a recipe with a container that runs.
const up = `docker.create{name = P.app, image = "mepc/app:1.0", labels = {set = P.app}} docker.start(P.app) `

func TestAContainerIsPausedUpdatedAndLookedInto(t *testing.T) {
	b := labBench(t)
	b.name("app")
	got := b.run(up + `
		docker.logs(P.app, {follow = "20s", contains = "listening"})
		docker.pause(P.app)
		docker.pause(P.app)
		local paused = docker.inspect(P.app).state.status
		docker.unpause(P.app)
		docker.unpause(P.app)
		docker.update(P.app, {restart = "on-failure:3", memory = "64MiB", memory_swap = "64MiB", cpus = 0.5, pids_limit = 50})
		local ps, use = docker.top(P.app), docker.stats(P.app)
		return {
			paused = paused, status = docker.inspect(P.app).state.status, restart = docker.inspect(P.app).restart,
			cmd = ps[1].CMD, memory = use.memory > 0 and use.memory < 64 * 2^20, limit = use.memory_limit, pids = use.pids > 0, cpu = use.cpu >= 0,
		}`)
	want := map[string]any{
		"paused": "paused", "status": "running", "restart": "on-failure:3", "cmd": "/app", "memory": true, "limit": float64(64 << 20), "pids": true, "cpu": true,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if outcomes := b.events.outcomes(); !strings.Contains(outcomes, "pause ok, pause unchanged, inspect ok, unpause ok, unpause unchanged, update ok") {
		t.Error(outcomes)
	}
}

func TestExecReturnsWhatTheProgramWroteOrRaisesIt(t *testing.T) {
	b := labBench(t)
	b.name("app")
	got := b.run(up + `
		docker.logs(P.app, {follow = "20s", contains = "listening"})
		local ok = docker.exec(P.app, {"/app", "-check"})
		local tty = docker.exec(P.app, {"/app", "-check"}, {tty = true, env = {A = "b"}, user = "0", working_dir = "/"})
		local bad = docker.exec(P.app, {"/app", "-nope"}, {check = false})
		return {code = ok.exit_code, out = ok.stdout, tty = tty.exit_code, bad = bad.exit_code, err = bad.stderr:match("flag provided but not defined") ~= nil}`)
	want := map[string]any{"code": 0.0, "out": "ok\n", "tty": 0.0, "bad": 2.0, "err": true}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	b.fail(failure.Refused, `docker.exec(P.app, {"/app", "-nope"})`, "/app ended with exit code 2", "-version string", "check = false")
	b.fail(failure.Invalid, `docker.exec(P.app, {"/nope"})`, "/nope", "is the program in the image")
	b.fail(failure.Denied, `docker.exec(P.app, {"/app"}, {privileged = true})`, "--allow privileged")
	b.fail(failure.Conflict, `docker.stop(P.app) docker.exec(P.app, {"/app", "-check"})`, "is not running", "docker.start")
	b.fail(failure.Conflict, `docker.top(P.app)`, "not running", "docker.start")
	b.fail(failure.Conflict, `docker.pause(P.app)`, "not running", "is exited")
	b.fail(failure.NotFound, `docker.exec("nobody-there", {"/app"})`, "nobody-there")
}

func TestFilesSurviveTheWayInAndOutByteForByte(t *testing.T) {
	b := labBench(t)
	b.name("app")
	b.params["dir"] = t.TempDir()
	local := filepath.Join(b.params["dir"].(string), "local")
	if err := os.WriteFile(local, []byte("from here\x00\xff"), 0o600); err != nil {
		t.Fatal(err)
	}
	got := b.run(`
		docker.create{name = P.app, image = "mepc/app:1.0"}
		local bytes = {}
		for i = 0, 255 do bytes[#bytes + 1] = string.char(i) end
		local all = table.concat(bytes)
		docker.copy_to(P.app, "/all", {content = all, mode = "600", uid = 7, gid = 8})
		docker.copy_to(P.app, "/local", {file = P.dir .. "/local"})
		docker.copy_to(P.app, "/empty", {content = ""})
		local back = docker.copy_from(P.app, "/all")
		docker.copy_from(P.app, "/all", {to = P.dir .. "/out"})
		local dir = docker.copy_from(P.app, "/etc", {to = P.dir .. "/etc.tar"})
		docker.copy_to(P.app, "/", {tar = P.dir .. "/etc.tar"})
		return {same = back.content == all, mode = back.mode, size = back.size, name = back.name, dir = dir.directory,
			loc = docker.copy_from(P.app, "/local").content == "from here\0\255", empty = docker.copy_from(P.app, "/empty").content,
			exported = docker.export(P.app, P.dir .. "/all.tar") > 1000}`)
	want := map[string]any{"same": true, "mode": "600", "size": 256.0, "name": "all", "dir": true, "loc": true, "empty": "", "exported": true}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if out, err := os.ReadFile(filepath.Join(b.params["dir"].(string), "out")); err != nil || len(out) != 256 {
		t.Errorf("the file written has %d bytes: %v", len(out), err)
	}
	b.fail(failure.NotFound, `docker.copy_from(P.app, "/no/such")`, "has no /no/such")
	b.fail(failure.NotFound, `docker.copy_to(P.app, "/no/such/file", {content = "x"})`, "has no /no/such")
	b.fail(failure.Invalid, `docker.copy_from(P.app, "/etc")`, "/etc is a directory", "FILE.tar")
	b.fail(failure.Limit, `docker.copy_from(P.app, "/all", {max = 100})`, "more than 100B", "max allows more")
	b.fail(failure.NotFound, `docker.copy_to(P.app, "/x", {file = P.dir .. "/none"})`, "no such file")
	b.fail(failure.NotFound, `docker.copy_from("nobody-there", "/x")`, "nobody-there")
}

func TestCommitMakesAnImageOfAContainer(t *testing.T) {
	b := labBench(t)
	b.name("app")
	b.name("other")
	b.params["image"] = "mepc/" + b.params["app"].(string)
	got := b.run(up + `
		docker.copy_to(P.app, "/added", {content = "x"})
		local made = docker.commit(P.app, P.image .. ":1", {changes = {'CMD ["/app", "-check"]', "LABEL a=b"}, message = "why", author = "me"})
		docker.create{name = P.other, image = P.image .. ":1"}
		local steps = docker.history(P.image .. ":1")
		local out = {tag = made.tags[1] == P.image .. ":1", cmd = made.cmd[2], label = made.labels.a, added = docker.copy_from(P.other, "/added").content,
			why = steps[1].comment, steps = #steps > 1}
		docker.remove(P.other) docker.remove_image(P.image .. ":1")
		return out`)
	want := map[string]any{"tag": true, "cmd": "-check", "label": "b", "added": "x", "why": "why", "steps": true}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	b.fail(failure.Invalid, `docker.commit(P.app, P.image .. ":1", {changes = {"RUN x y"}})`, "is not a valid change command")
}

func TestLogsAreFollowedUntilATextComesOrTheTimeIsUp(t *testing.T) {
	b := labBench(t)
	b.name("app")
	got := b.run(up + `
		local text = docker.logs(P.app, {follow = "20s", contains = "listening"})
		local all = docker.logs(P.app, {follow = "200ms"})
		return text:match("listening") ~= nil and all:match("listening") ~= nil`)
	if got != true {
		t.Error(got)
	}
	b.fail(failure.Timeout, `docker.logs(P.app, {follow = "200ms", contains = "never written"})`, `did not write "never written" within 200ms`, "the last lines of its log")
	b.fail(failure.Unhealthy, `docker.stop(P.app) docker.logs(P.app, {follow = "20s", contains = "never written"})`, `ended and did not write "never written"`)
}

func TestEventsAreReadAndWaitedFor(t *testing.T) {
	b := labBench(t)
	b.name("app")
	got := b.run(up + `
		docker.kill(P.app)
		docker.wait(P.app)
		local died = docker.events{since = "1m", wait = "10s", max = 1, type = "container", event = "die", container = P.app}
		local all = docker.events{since = "1m", labels = {set = P.app}}
		return {name = died[1].name == P.app, code = died[1].attributes.exitCode, n = #all >= 4, first = all[1].action}`)
	want := map[string]any{"name": true, "code": "137", "n": true, "first": "create"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestVolumesAreMadeUsedAndPrunedByLabel(t *testing.T) {
	b := labBench(t)
	b.name("app")
	b.params["vol"] = b.lab.Name("vol")
	got := b.run(`
		local made = docker.volume_create(P.vol, {labels = {set = P.vol}})
		docker.volume_create(P.vol)
		docker.create{name = P.app, image = "mepc/app:1.0", labels = {set = P.vol},
			mounts = {{source = P.vol, target = "/data"}, {type = "tmpfs", target = "/tmp", size = "1MiB"}, {type = "bind", source = "/usr", target = "/host", read_only = true}}}
		local kept = docker.volume_prune{labels = {set = P.vol}}
		local unused = docker.volumes{name = P.vol, unused = true}
		local ok, err = pcall(docker.volume_remove, P.vol)
		local gone = docker.prune{labels = {set = P.vol}}
		local df = docker.df()
		local freed = docker.volume_prune{labels = {set = P.vol}}
		docker.volume_remove(P.vol, {missing_ok = true})
		return {driver = made.driver, label = made.labels.set == P.vol, kept = #kept.removed, unused = #unused, err = err.kind,
			gone = #gone.removed, freed = freed.removed[1] == P.vol, nothing = docker.volume(P.vol) == nil, df = df.images.bytes > 0 and df.volumes.count > 0}`)
	want := map[string]any{
		"driver": "local", "label": true, "kept": 0.0, "unused": 0.0, "err": "conflict", "gone": 1.0, "freed": true, "nothing": true, "df": true,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestEveryCreateOptionReachesTheEngine(t *testing.T) {
	b := labBench(t)
	b.allow = docker.Allow{CapAdd: true, SecurityOpt: true, HostPID: true, HostIPC: true, Devices: true}
	b.name("app")
	b.params["net"], b.params["other"] = b.lab.Name("net"), b.lab.Name("other")
	b.run(`
		docker.network_create(P.net, {subnet = "10.83.1.0/24"}) docker.network_create(P.other, {labels = {set = P.other}})
		docker.create{name = P.app, image = "mepc/app:1.0", network = P.net, ip = "10.83.1.9", aliases = {"web"}, networks = {[P.other] = {aliases = {"x"}}},
			publish_all = true, dns = {"10.0.0.1"}, dns_search = {"example.com"}, dns_options = {"ndots:1"}, tmpfs = {["/run"] = "size=1m"}, groups = {"7"},
			domainname = "example.com", open_stdin = true, memory = "64MiB", memory_swap = "128MiB", memory_reservation = "32MiB", shm_size = "1MiB",
			cpu_shares = 512, cpuset = "0", pids_limit = 100, ulimits = {nofile = "1024:2048"}, cap_drop = {"ALL"}, cap_add = {"NET_RAW"},
			security_opt = {"no-new-privileges"}, devices = {"/dev/null:/dev/nothing:r"}, sysctls = {["net.ipv4.ip_unprivileged_port_start"] = "0"},
			pid = "host", ipc = "shareable", log = {driver = "json-file", options = {["max-size"] = "1m"}}, extra_hosts = {"db:10.0.0.2"}}
		docker.start(P.app)
		local c = docker.inspect(P.app)
		assert(c.ip == "10.83.1.9" and c.networks[P.other], "addresses")
		docker.remove(P.app, {force = true}) docker.network_remove(P.net)
		assert(docker.network_prune{labels = {set = P.other}}.removed[1] == P.other)`)
	// A further network that is not there leaves nothing behind.
	b.fail(failure.NotFound, `docker.create{name = P.app, image = "mepc/app:1.0", networks = {["no-such-net"] = {}}}`, "put it into the network no-such-net", "was removed again")
	if got := b.run(`return docker.find(P.app) == nil`); got != true {
		t.Error("the container is still there")
	}
}

func TestWhatMakesARecipeRootNeedsTheOperator(t *testing.T) {
	b := benchAt(t, "unix:///nonexistent.sock")
	for option, flag := range map[string]string{
		`privileged = true`: "privileged", `network = "host"`: "host-network", `networks = {host = {}}`: "host-network", `pid = "host"`: "host-pid",
		`ipc = "host"`: "host-ipc", `cap_add = {"SYS_ADMIN"}`: "cap-add", `devices = {"/dev/sda"}`: "devices",
		`security_opt = {"seccomp=unconfined"}`: "security-opt", `volumes = {"/:/host"}`: "bind-root", `volumes = {"/var/run:/x"}`: "docker-socket",
		`mounts = {{type = "bind", source = "/", target = "/x"}}`:                "bind-root",
		`mounts = {{type = "bind", source = "/run/docker.sock", target = "/x"}}`: "docker-socket",
	} {
		b.fail(failure.Denied, `docker.create{name = "app", image = "x", `+option+`}`, "makes a recipe root on the engine's machine", "--allow "+flag)
	}
	b.fail(failure.Denied, `docker.volume_create("vol", {options = {type = "none", o = "bind", device = "/"}})`, "--allow bind-root")
	b.fail(failure.Denied, `docker.volume_create("vol", {options = {type = "ext4", device = "/dev/sda1"}})`, "--allow devices")
	// What protects more is anyone's to ask for: it fails for the engine that is not there.
	b.fail(failure.Unavailable, `docker.create{name = "app", image = "x", security_opt = {"no-new-privileges"}, cap_drop = {"ALL"}}`)
}
