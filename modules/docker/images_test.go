package docker_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/image"
	"github.com/google/go-cmp/cmp"

	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/internal/lab"
)

// write makes a file of the test's own and returns its path.
func write(t *testing.T, name string, body []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, body, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestAnImageIsSavedAndLoaded(t *testing.T) {
	b := labBench(t)
	dir := t.TempDir()
	b.params["tar"] = filepath.Join(dir, "app.tar")
	got := b.run(`
		docker.tag("mepc/app:1.0", "mepc/saved:1")
		docker.tag("mepc/app:1.0", "mepc/saved:1")
		local size = docker.save("mepc/saved:1", P.tar, {also = {"mepc/app:1.1"}})
		local out = docker.remove_image("mepc/saved:1")
		local away = docker.image("mepc/saved:1") == nil
		local got = docker.load(P.tar)
		local id = docker.image("mepc/app:1.0").id
		local ids = {[got.ids[1]] = true, [got.ids[2]] = true}
		table.sort(got.images) -- the engine says them in no order
		local names = table.concat(got.images, " ")
		docker.remove_image("mepc/saved:1")
		return {size = size, away = away, untagged = out.untagged[1], deleted = #out.deleted, names = names, id = ids[id]}`)
	info, err := os.Stat(b.params["tar"].(string))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"size": float64(info.Size()), "away": true, "untagged": "mepc/saved:1", "deleted": 0.0,
		"names": "mepc/app:1.1 mepc/saved:1", "id": true,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if got := b.events.outcomes(); !strings.HasPrefix(got, "tag ok, tag unchanged, save ok, remove_image ok, image ok, load ok") {
		t.Error(got)
	}
	if left, _ := os.ReadDir(dir); len(left) != 1 {
		t.Errorf("left beside the file: %v", left)
	}
}

func TestACompressedTarIsLoaded(t *testing.T) {
	b := labBench(t)
	b.params["tar"] = filepath.Join(t.TempDir(), "app.tar")
	b.run(`docker.save("mepc/app:1.0", P.tar)`)
	plain, err := os.ReadFile(b.params["tar"].(string))
	if err != nil {
		t.Fatal(err)
	}
	var z bytes.Buffer
	w, _ := gzip.NewWriterLevel(&z, gzip.BestSpeed)
	if _, err := w.Write(plain); err != nil {
		t.Fatal(err)
	}
	w.Close()
	b.params["tar"] = write(t, "app.tar.gz", z.Bytes())
	if got := b.run(`return docker.load(P.tar).images[1]`); got != "mepc/app:1.0" {
		t.Error(got)
	}
}

func TestLoadSaysWhatIsWrongWithATar(t *testing.T) {
	b := labBench(t)
	b.params["tar"] = filepath.Join(t.TempDir(), "app.tar")
	b.run(`docker.save("mepc/app:1.0", P.tar)`)
	whole, err := os.ReadFile(b.params["tar"].(string))
	if err != nil {
		t.Fatal(err)
	}
	garbage := make([]byte, 300_000)
	rnd := rand.NewChaCha8([32]byte{1})
	_, _ = rnd.Read(garbage)
	var other bytes.Buffer
	w := tar.NewWriter(&other)
	if err := w.WriteHeader(&tar.Header{Name: "readme", Size: 2, Mode: 0o600}); err != nil {
		t.Fatal(err)
	}
	_, _ = w.Write([]byte("hi"))
	w.Close()
	for name, tt := range map[string]struct {
		body []byte
		want []string
	}{
		"empty file":      {nil, []string{"docker.load", "app.tar: the file is empty"}},
		"empty tar":       {make([]byte, 10240), []string{"cannot load", "it has no manifest.json"}},
		"garbage":         {garbage, []string{"cannot load", "no image that docker save made: it is no tar"}},
		"text":            {[]byte("<html>not found</html>"), []string{"cannot load", "it is no tar"}},
		"half of it":      {whole[:len(whole)/2], []string{"cannot load", "the file is cut off"}},
		"all but its end": {whole[:len(whole)-len(whole)/50], []string{"cannot load"}},
		"another tar":     {other.Bytes(), []string{"cannot load", "it has no manifest.json"}},
	} {
		t.Run(name, func(t *testing.T) {
			b.t = t
			b.params["tar"] = write(t, "app.tar", tt.body)
			err := b.fail(failure.Invalid, `docker.load(P.tar)`, tt.want...)
			t.Log(err, "\n", err.Hint)
		})
	}
	b.t = t
	b.fail(failure.NotFound, `docker.load("nowhere/app.tar")`, "nowhere/app.tar: no such file", "relative to the directory in which mepc-run was started")
	b.fail(failure.Invalid, `docker.load("/")`, "is a directory")
}

func TestSaveLeavesNothingHalfDone(t *testing.T) {
	b := labBench(t)
	b.params["tar"] = write(t, "app.tar", []byte("the old one"))
	b.fail(failure.NotFound, `docker.save("mepc/none:1", P.tar)`, "No such image: mepc/none:1")
	if got, _ := os.ReadFile(b.params["tar"].(string)); string(got) != "the old one" {
		t.Errorf("the old file is %q", got)
	}
	b.fail(failure.NotFound, `docker.save("mepc/app:1.0", "/nonexistent/app.tar")`, "no such file or directory")
}

func TestABuildSendsWhatDockerignoreLeaves(t *testing.T) {
	for _, builder := range []string{"classic", "buildkit"} {
		t.Run(builder, func(t *testing.T) { sendsWhatDockerignoreLeaves(t, builder) })
	}
}

func sendsWhatDockerignoreLeaves(t *testing.T, builder string) {
	b := labBench(t)
	b.params["builder"] = builder
	dir := t.TempDir()
	if err := lab.SampleContext(t.Context(), dir); err != nil {
		t.Fatal(err)
	}
	for name, body := range map[string]string{
		"Dockerfile":     "FROM scratch\nCOPY . /\nARG VERSION\nLABEL v=$VERSION\n",
		".dockerignore":  "*\n!bin\nbin/backend\n!Dockerfile\n",
		"secret.txt":     "not to be sent",
		"deep/er/secret": "not to be sent",
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(body), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	b.params["dir"], b.params["tar"] = dir, filepath.Join(t.TempDir(), "built.tar")
	got := b.run(`
		local built = docker.build{context = P.dir, builder = P.builder, tag = "mepc/built:1", tags = {"mepc/built:2"}, args = {VERSION = "7"}, labels = {l = "m"}}
		local image = docker.image("mepc/built:2")
		docker.save("mepc/built:1", P.tar)
		docker.remove_image("mepc/built:1")
		docker.remove_image("mepc/built:2")
		return {same = built.id == image.id, tags = table.concat(built.tags, " "), v = image.labels.v, l = image.labels.l}`)
	want := map[string]any{"same": true, "tags": "mepc/built:1 mepc/built:2", "v": "7", "l": "m"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	saved, err := os.ReadFile(b.params["tar"].(string))
	if err != nil {
		t.Fatal(err)
	}
	for text, sent := range map[string]bool{"bin/app": true, "bin/backend": false, "deep/er": false, "secret.txt": false, "not to be sent": false, "Dockerfile.backend": false} {
		if !packed() && bytes.Contains(saved, []byte(text)) != sent {
			t.Errorf("%q in the image: %v", text, !sent)
		}
	}
	var steps, bytesSent bool
	for _, ev := range b.events.all {
		if ev.Progress != nil {
			steps = steps || strings.HasPrefix(ev.Progress.Text, "Step 2/5 : COPY") || ev.Progress.Text == "[1/1] COPY . /"
			bytesSent = bytesSent || ev.Progress.Current > 1<<20
		}
	}
	if !steps || !bytesSent {
		t.Errorf("progress: steps %v, bytes %v", steps, bytesSent)
	}
}

func TestABuildThatFailsShowsItsLastLines(t *testing.T) {
	b := labBench(t)
	for name, tt := range map[string]struct {
		dockerfile string
		kind       failure.Kind
		want       []string
	}{
		"missing file":        {"FROM scratch\nCOPY nothere /\n", failure.Refused, []string{"nothere", "COPY nothere /"}},
		"unknown instruction": {"FROM scratch\nCOPPY a b\n", failure.Invalid, []string{"unknown instruction", "correct the Dockerfile"}},
		"a step that fails":   {"FROM mepc/app:1.0\nRUN [\"/app\", \"-exit\", \"boom went the app\"]\n", failure.Refused, []string{"exit code 1", "boom went the app"}},
		"empty":               {"", failure.Invalid, []string{"empty"}},
	} {
		for _, builder := range []string{"classic", "buildkit"} {
			t.Run(name+" "+builder, func(t *testing.T) {
				b.t = t
				b.params["builder"] = builder
				writeDockerfile(t, b, tt.dockerfile)
				b.fail(tt.kind, `docker.build{context = P.dir, tag = "mepc/bad:1", builder = P.builder}`, tt.want...)
			})
		}
	}
	b.t = t
	b.params["dir"] = t.TempDir()
	b.fail(failure.NotFound, `docker.build{context = P.dir}`, "Dockerfile", "no such file")
	b.fail(failure.NotFound, `docker.build{context = "/nonexistent/dir"}`, "build context", "no such file")
	b.fail(failure.Invalid, `docker.build{context = P.dir, dockerfile = "../Dockerfile"}`, "is not within the build context")
	b.fail(failure.Invalid, `docker.build{context = P.dir, tag = "UPPER:1"}`, "UPPER:1", "lowercase")
}

func TestRemovingAnImageInUseIsAConflict(t *testing.T) {
	b := labBench(t)
	b.name("app")
	writeDockerfile(t, b, "FROM scratch\nLABEL a="+b.lab.Name("x")+"\n")
	b.fail(failure.Conflict, `
		docker.build{context = P.dir, tag = "mepc/used:1"}
		docker.create{name = P.app, image = "mepc/used:1", cmd = {"x"}}
		docker.remove_image("mepc/used:1")`, "remove the containers made of it first")
	b.run(`docker.remove(P.app) docker.remove_image("mepc/used:1") docker.remove_image("mepc/used:1", {missing_ok = true})`)
	if got := b.events.outcomes(); got != "remove ok, remove_image ok, remove_image unchanged" {
		t.Error(got)
	}
}

// writeDockerfile puts a Dockerfile into a directory of its own, P.dir.
func writeDockerfile(t *testing.T, b *bench, text string) {
	t.Helper()
	b.params["dir"] = filepath.Dir(write(t, "Dockerfile", []byte(text)))
}

// A prune takes the steps that led to what it removes, which do not have the labels,
// and leaves what another image was built on.
func TestAPruneOfImagesLeavesNoStepOfABuild(t *testing.T) {
	b := labBench(t)
	b.params["dir"] = t.TempDir()
	dir := b.params["dir"].(string)
	writeIn(t, dir, "a", "a file")
	engine, err := b.lab.Engine.Client()
	if err != nil {
		t.Fatal(err)
	}
	defer engine.Close()
	all := func() int {
		list, err := engine.ImageList(t.Context(), image.ListOptions{All: true})
		if err != nil {
			t.Fatal(err)
		}
		return len(list)
	}
	before := all()
	for _, label := range []string{"one", "other"} {
		writeIn(t, dir, "Dockerfile", "FROM scratch\nCOPY a /\nENV OF=both\nENV OF="+label+"\nLABEL mepc.pruned="+label+"\nCMD [\"/a\"]\n")
		b.params["label"] = label
		b.run(`docker.build{context = P.dir, tag = "mepc/pruned:" .. P.label, builder = "classic"}`)
	}
	got := b.run(`
		local removed = docker.prune_images{labels = {["mepc.pruned"] = "one"}, names = true}.removed
		return {named = removed[1], other = docker.image("mepc/pruned:other").labels["mepc.pruned"]}`)
	if diff := cmp.Diff(map[string]any{"named": "mepc/pruned:one", "other": "other"}, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if n := all(); n < before+3 {
		t.Errorf("%d images are left of %d and the other build's", n, before)
	}
	b.run(`docker.prune_images{labels = {["mepc.pruned"] = "other"}, names = true}`)
	if n := all(); n != before {
		t.Errorf("%d images are left, %d were there before", n, before)
	}
}
