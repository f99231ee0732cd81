package docker_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/internal/rehearsal"
	"github.com/mepc/mepc-run/internal/sim"
	"github.com/mepc/mepc-run/internal/state"
	"github.com/mepc/mepc-run/servers"
)

// appendLife makes an image of another and a directory, runs it, and makes it again.
const appendLife = `
	local made = docker.append{image = "mepc/appended:1", base = "mepc/app:1.0", add = P.dir, to = "/srv/data",
		config = {env = {COLOR = "green"}, labels = {who = "me"}, working_dir = "/srv/data"}}
	local again = docker.append{image = "mepc/appended:1", base = "mepc/app:1.0", add = P.dir, to = "/srv/data",
		config = {env = {COLOR = "green"}, labels = {who = "me"}, working_dir = "/srv/data"}}
	docker.remove("appended", {force = true, missing_ok = true})
	docker.create{name = "appended", image = "mepc/appended:1"}
	local c = docker.inspect("appended")
	docker.remove("appended", {force = true})
	local same = docker.image("mepc/appended:1").id == made.id
	docker.remove_image("mepc/appended:1")
	return {layer = made.layer, sent = made.bytes > 0, again = again.bytes, same = same and again.id == made.id,
		color = c.env.COLOR, who = c.labels.who, left = #docker.images{reference = "mepc-run/shipping"}}`

func appendDir(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "below"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "below", "a"), []byte("content\x00\xff"), 0o644); err != nil {
		t.Fatal(err)
	}
	return dir
}

var appended = map[string]any{
	"layer": "sha256:9ae8903ab384e6be27568e4bce5d73dd53f84ffa01d0a684d9eeeab9af798806", "sent": true, "again": 0.0, "same": true, "color": "green", "who": "me", "left": 0.0,
}

func TestADirectoryIsLaidOnAnImage(t *testing.T) {
	b := labBench(t)
	b.params["dir"] = appendDir(t)
	if diff := cmp.Diff(appended, b.run(appendLife)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	name := b.name("box")
	got := b.run(`
		docker.append{image = P.box .. ":1", base = "mepc/app:1.0", add = P.dir, to = "/srv/data"}
		docker.create{name = P.box, image = P.box .. ":1"}
		docker.start(P.box)
		docker.wait_healthy(P.box, {http = {port = 8080, path = "/health"}})
		local file = docker.copy_from(P.box, "/srv/data/below/a").content
		docker.remove(P.box, {force = true})
		docker.remove_image(P.box .. ":1")
		return file`)
	if got != "content\x00\xff" {
		t.Errorf("%s has %q", name, got)
	}
	b.fail(failure.NotFound, `docker.append{image = "mepc/appended:1", base = "mepc/none:1", add = P.dir, to = "/a"}`, "mepc/none:1")
	b.fail(failure.NotFound, `docker.append{image = "mepc/appended:1", base = "mepc/app:1.0", add = P.dir .. "/none", to = "/a"}`, "none")
	b.fail(failure.Invalid, `docker.append{image = "mepc/appended:1", base = "mepc/app:1.0", add = P.dir, to = "a"}`, "to: ")
}

func TestASimulatedEngineLaysADirectoryOnAnImage(t *testing.T) {
	st, err := sim.New(sim.Options{State: &state.State{Format: state.Format, Engines: []state.Engine{{Images: []state.Image{{Ref: "mepc/app:1.0"}}}}}})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	b := benchAt(t, "")
	b.params["dir"] = appendDir(t)
	b.world = rehearsal.Clients(servers.Options{}, st, rehearsal.Policy{})
	defer b.world.Close()
	if diff := cmp.Diff(appended, b.run(appendLife)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}
