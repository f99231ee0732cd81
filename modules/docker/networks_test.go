package docker_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mepc/mepc-run/internal/failure"
)

func TestContainersFindEachOtherInANetwork(t *testing.T) {
	b := labBench(t)
	b.name("app")
	b.name("db")
	b.params["net"] = b.lab.Name("net")
	got := b.run(`
		local net = docker.network_create(P.net, {labels = {a = "b"}})
		docker.create{name = P.db, image = "mepc/db:1.0", network = P.net, aliases = {"store"}}
		docker.start(P.db)
		docker.create{name = P.app, image = "mepc/app:1.0", network = P.net, links = {P.db .. ":db"}}
		docker.start(P.app)
		docker.wait_healthy(P.app, {http = {port = 8080}, deadline = "10s"})
		local c, d, n = docker.inspect(P.app), docker.inspect(P.db), docker.network(P.net)
		docker.network_connect("bridge", P.app)
		docker.network_connect("bridge", P.app)
		local both = docker.inspect(P.app)
		docker.network_disconnect("bridge", P.app)
		docker.network_disconnect("bridge", P.app)
		local refused = not pcall(docker.network_remove, P.net)
		docker.remove(P.app, {force = true})
		docker.remove(P.db, {force = true})
		docker.network_remove(P.net)
		docker.network_remove(P.net, {missing_ok = true})
		local aliases = " " .. table.concat(d.networks[P.net].aliases, " ") .. " "
		return {
			ip = c.ip == c.networks[P.net].ip and c.ip ~= "", link = c.links[1] == P.db .. ":db", alias = aliases:find(" store ", 1, true) ~= nil,
			label = n.labels.a, hidden = n.labels["mepc.call"] == nil, there = n.containers[P.app] == c.ip, same = n.id == net.id, subnet = #net.subnets,
			two = both.networks.bridge ~= nil and both.ip == c.ip, refused = refused, gone = docker.network(P.net) == nil,
		}`)
	want := map[string]any{
		"ip": true, "link": true, "alias": true, "label": "b", "hidden": true, "there": true, "same": true, "subnet": 1.0,
		"two": true, "refused": true, "gone": true,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestLinksInTheDefaultNetworkWorkAsInTheTalk(t *testing.T) {
	b := labBench(t)
	b.name("app")
	b.name("db")
	got := b.run(`
		docker.create{name = P.db, image = "mepc/db:1.0"}
		docker.create{name = P.app, image = "mepc/app:1.0", links = {P.db .. ":db"}}
		docker.start(P.db)
		docker.start(P.app)
		docker.wait_healthy(P.app, {http = {port = 8080, status = 200}, deadline = "10s"})
		return docker.inspect(P.app).links[1] == P.db .. ":db"`)
	if got != true {
		t.Error("the link is not shown")
	}
	b.run(`docker.remove(P.app, {force = true}) docker.stop(P.db, {timeout = 1})`)
	b.fail(failure.Refused, `
		docker.create{name = P.app, image = "mepc/app:1.0", links = {P.db .. ":db"}}
		docker.start(P.app)`, "annot link to", "start it first")
}

func TestNetworkErrorsSayWhatToDo(t *testing.T) {
	b := labBench(t)
	b.name("app")
	b.params["net"] = b.lab.Name("net")
	b.fail(failure.Conflict, `docker.network_create(P.net) docker.network_create(P.net)`, "already exists", "shows the one that is there")
	b.fail(failure.Conflict, `
		docker.create{name = P.app, image = "mepc/app:1.0", network = P.net}
		docker.start(P.app)
		docker.network_remove(P.net)`, "has active endpoints", "take its containers out first")
	b.run(`docker.remove(P.app, {force = true}) docker.network_remove(P.net)`)
	b.fail(failure.NotFound, `docker.network_remove(P.net)`, "docker.networks{}")
	b.fail(failure.NotFound, `docker.create{name = P.app, image = "mepc/app:1.0", network = P.net} docker.start(P.app)`, "network "+b.params["net"].(string)+" not found")
	b.fail(failure.Invalid, `docker.network_create("x y")`, "is not a name")
	b.fail(failure.Invalid, `docker.network_create("xy", {subnet = "10.1.2.3/8"})`, "is not an address range")
	b.fail(failure.Invalid, `docker.network_connect(P.net, "a/../b")`, "is neither a name nor an ID")
}

func TestListsTakeLabelsNamesAndStates(t *testing.T) {
	b := labBench(t)
	b.name("one")
	b.name("two")
	got := b.run(`
		docker.create{name = P.one, image = "mepc/app:1.0", labels = {["t.app"] = P.one, ["t.n"] = "1"}}
		docker.create{name = P.two, image = "mepc/app:1.1", labels = {["t.app"] = P.one, ["t.n"] = "2"}}
		docker.start(P.two)
		local function names(list)
			local out = {}
			for _, c in ipairs(list) do out[#out + 1] = c.name == P.one and "one" or c.name == P.two and "two" or "?" end
			return table.concat(out, " ")
		end
		local app = {["t.app"] = P.one}
		return {
			labels = names(docker.list{labels = app}), any = names(docker.list{labels = {["t.app"] = P.one, ["t.n"] = ""}}),
			both = names(docker.list{labels = {["t.app"] = P.one, ["t.n"] = "2"}}), running = names(docker.list{labels = app, all = false}),
			status = names(docker.list{labels = app, status = "created"}), name = names(docker.list{name = P.one}),
			pattern = names(docker.list{name = "two-*", labels = app}), part = names(docker.list{name = "wo", labels = app}),
			image = names(docker.list{image = "mepc/app:1.1", labels = app}),
			ours = docker.find(P.one, {labels = {["t.n"] = "1"}}) ~= nil, theirs = docker.find(P.one, {labels = {["t.n"] = "2"}}) == nil,
			images = #docker.images{reference = "mepc/app:1.*"}, nets = docker.networks{name = "bridg?"}[1].driver,
		}`)
	want := map[string]any{
		"labels": "one two", "any": "one two", "both": "two", "running": "two", "status": "one", "name": "one", "pattern": "two", "part": "",
		"image": "two", "ours": true, "theirs": true, "images": 2.0, "nets": "bridge",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	b.fail(failure.Invalid, `docker.list{status = "up"}`, `"up" is not one of created`)
	b.fail(failure.Invalid, `docker.list{name = "["}`, "is not a pattern")
}
