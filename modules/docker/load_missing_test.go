package docker_test

import (
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// An archive is loaded without what the engine has; it is left alone where it has all.
func TestAnArchiveIsLoadedWithoutWhatIsThere(t *testing.T) {
	b := labBench(t)
	b.params["dir"], b.params["tar"] = appendDir(t), filepath.Join(t.TempDir(), "app.tar")
	got := b.run(`
		docker.append{image = "mepc/partial:1", base = "mepc/app:1.0", add = P.dir, to = "/srv"}
		docker.save("mepc/partial:1", P.tar)
		local id = docker.image("mepc/partial:1").id
		local same = docker.load(P.tar, {skip_present = true}).ids[1] == id
		docker.remove_image("mepc/partial:1")
		local again = docker.load(P.tar, {skip_present = true})
		local out = {same = same, again = again.ids[1] == id, name = again.images[1], left = #docker.images{reference = "mepc-run/shipping"}}
		docker.remove_image("mepc/partial:1")
		return out`)
	if diff := cmp.Diff(map[string]any{"same": true, "again": true, "name": "mepc/partial:1", "left": 0.0}, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if got := b.events.outcomes(); got != "append ok, save ok, image ok, load unchanged, remove_image ok, load ok, images ok, remove_image ok" {
		t.Error(got)
	}
	for _, ev := range b.events.all {
		if ev.Result != nil && ev.Op.Name == "docker.load" && ev.Result.Outcome == "ok" {
			t.Log(ev.Result.Summary)
		}
	}
}
