package docker_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"os"
	"path/filepath"
	"strings"
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
		if !packed() && ev.Result != nil && ev.Op.Name == "docker.load" && ev.Result.Outcome == "ok" && !strings.Contains(ev.Result.Summary, "MB of it was there") {
			t.Errorf("all of it was sent: %s", ev.Result.Summary)
		}
	}
}

// In doubt all of an archive is sent: of one that has two images, or is compressed.
func TestAnArchiveThatIsInDoubtIsLoadedAsAWhole(t *testing.T) {
	b := labBench(t)
	b.params["dir"], b.params["tar"] = appendDir(t), filepath.Join(t.TempDir(), "app.tar")
	b.run(`
		docker.append{image = "mepc/doubt:1", base = "mepc/app:1.0", add = P.dir, to = "/srv"}
		docker.save("mepc/app:1.0", P.tar, {also = {"mepc/doubt:1"}})
		docker.remove_image("mepc/doubt:1")`)
	load := `
		local n = #docker.load(P.tar, {skip_present = true}).ids
		local there = docker.image("mepc/doubt:1") ~= nil
		if P.gone then docker.remove_image("mepc/doubt:1") end
		return there and n`
	if got := b.run(load); got != 2.0 {
		t.Errorf("two images: %v", got)
	}
	b.run(`docker.save("mepc/doubt:1", P.tar) docker.remove_image("mepc/doubt:1")`)
	plain, err := os.ReadFile(b.params["tar"].(string))
	if err != nil {
		t.Fatal(err)
	}
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	_, err = z.Write(plain)
	if err := errors.Join(err, z.Close(), os.WriteFile(b.params["tar"].(string), packed.Bytes(), 0o600)); err != nil {
		t.Fatal(err)
	}
	b.params["gone"] = "yes"
	if got := b.run(load); got != 1.0 {
		t.Errorf("a compressed one: %v", got)
	}
}
