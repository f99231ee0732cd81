package sim_test

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/build"
	"github.com/docker/docker/client"

	"github.com/mepc/mepc-run/internal/lab"
	"github.com/mepc/mepc-run/internal/sim"
	"github.com/mepc/mepc-run/internal/state"
)

// save returns the tar of an image.
func save(t *testing.T, cli *client.Client, names ...string) []byte {
	t.Helper()
	r, err := cli.ImageSave(t.Context(), names)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// load loads a tar and returns what the engine said.
func load(t *testing.T, cli *client.Client, tarball []byte) string {
	t.Helper()
	resp, err := cli.ImageLoad(t.Context(), bytes.NewReader(tarball), client.ImageLoadWithQuiet(true))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(b))
}

func built(t *testing.T, cli *client.Client, ref, dockerfile string) string {
	t.Helper()
	resp, err := cli.ImageBuild(t.Context(), bytes.NewReader(contextTar(t, dockerfile)), build.ImageBuildOptions{Tags: []string{ref}})
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if b, err := io.ReadAll(resp.Body); err != nil || !bytes.Contains(b, []byte("Successfully tagged")) {
		t.Fatalf("%v: %s", err, b)
	}
	i, err := cli.ImageInspect(t.Context(), ref)
	if err != nil {
		t.Fatal(err)
	}
	return i.ID
}

func TestABuildIsKnownByItsContext(t *testing.T) {
	id := func(dockerfile string) string {
		return built(t, dockerClient(t, newWorld(t).Engine("")), "x:1", dockerfile)
	}
	one := id("FROM scratch\nCOPY f /f\nCMD [\"/f\"]")
	if again := id("FROM scratch\nCOPY f /f\nCMD [\"/f\"]"); again != one {
		t.Errorf("the same context gives %s and %s", one, again)
	}
	for _, other := range []string{
		"FROM scratch\nCOPY dir/one /f\nCMD [\"/f\"]", "FROM scratch\nCOPY f /g\nCMD [\"/f\"]", "FROM scratch\nCOPY f /f\nCMD [\"/g\"]", "FROM mepc/app:1.0\nCOPY f /f\nCMD [\"/f\"]",
	} {
		if id(other) == one {
			t.Errorf("%q gives the same image", other)
		}
	}
}

func TestABuiltImageKnowsItsPrograms(t *testing.T) {
	w := newWorld(t)
	cli := dockerClient(t, w.Engine(""))
	built(t, cli, "x:1", "FROM scratch\nCOPY f /bin/f\nCMD [\"/bin/nope\"]")
	call(t, w, "POST", "/containers/create?name=app", `{"Image":"x:1"}`, 201)
	got := call(t, w, "POST", "/containers/app/start", "", 400)
	if !strings.Contains(got, `exec: \"/bin/nope\": stat /bin/nope: no such file or directory`) {
		t.Error(got)
	}
	call(t, w, "POST", "/containers/create?name=app2", `{"Image":"x:1","Cmd":["f"]}`, 201)
	call(t, w, "POST", "/containers/app2/start", "", 204)
}

func TestImagesGoFromEngineToEngine(t *testing.T) {
	w, err := sim.New(sim.Options{State: &state.State{Engines: []state.Engine{
		{Name: "one", Images: []state.Image{
			{Ref: "mepc/app:1.0", Labels: map[string]string{"a": "b"}},
			{Ref: "mepc/app:1.1", ID: "sha256:" + strings.Repeat("ab", 32), Layers: []state.Layer{
				{DiffID: "sha256:" + strings.Repeat("1", 64), Size: 5}, {DiffID: "sha256:" + strings.Repeat("2", 64), Size: 7},
			}},
		}},
		{Name: "two"},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	one, two := dockerClient(t, w.Engine("one")), dockerClient(t, w.Engine("two"))
	tarball := save(t, one, "mepc/app:1.0", "mepc/app:1.1")
	if got, want := load(t, two, tarball), `{"stream":"Loaded image: mepc/app:1.0\n"}`+"\r\n"+`{"stream":"Loaded image: mepc/app:1.1\n"}`; got != want {
		t.Errorf("load: %s", got)
	}
	for _, ref := range []string{"mepc/app:1.0", "mepc/app:1.1"} {
		a, err1 := one.ImageInspect(t.Context(), ref)
		b, err2 := two.ImageInspect(t.Context(), ref)
		if err := errors.Join(err1, err2); err != nil {
			t.Fatal(err)
		}
		if a.ID != b.ID || a.Size != b.Size || strings.Join(a.RootFS.Layers, " ") != strings.Join(b.RootFS.Layers, " ") {
			t.Errorf("%s: %s %d %v, loaded as %s %d %v", ref, a.ID, a.Size, a.RootFS.Layers, b.ID, b.Size, b.RootFS.Layers)
		}
	}
	// A layer that the engine has may be left out; one that it lacks may not.
	delta := without(t, tarball, strings.Repeat("1", 64))
	if got := load(t, two, delta); strings.Contains(got, "error") {
		t.Errorf("a delta: %s", got)
	}
	if got := load(t, dockerClient(t, newWorld(t).Engine("")), delta); !strings.Contains(got, "layer.tar: no such file or directory") {
		t.Errorf("a delta on an engine that lacks the layer: %s", got)
	}
}

// without returns the tar without the layer files that mention text.
func without(t *testing.T, tarball []byte, text string) []byte {
	t.Helper()
	var out bytes.Buffer
	tw := tar.NewWriter(&out)
	left := 0
	for tr := tar.NewReader(bytes.NewReader(tarball)); ; {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(tr)
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(h.Name, "layer.tar") && bytes.Contains(b, []byte(text)) {
			left++
			continue
		}
		if err := tw.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := tw.Write(b); err != nil {
			t.Fatal(err)
		}
	}
	if left == 0 {
		t.Fatal("nothing was left out")
	}
	if err := tw.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestARealEngineLoadsWhatIsSaved(t *testing.T) {
	if os.Getenv("MEPC_TEST_ENGINE_STORE") != "" {
		t.Skip("a simulated engine saves as Debian's does")
	}
	l := lab.ForTest(t)
	real, err := l.Engine.Client()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { real.Close() })
	name := l.Name("fixture")
	w := worldOf(t, state.Image{Ref: name + ":1", Labels: map[string]string{"k": "v"}, Expose: []string{"80"}, Cmd: []string{"/run"}})
	cli := dockerClient(t, w.Engine(""))
	built(t, cli, name+":2", "FROM "+name+":1\nCOPY f /f\nCOPY dir /dir\nLABEL n=2")
	for _, ref := range []string{name + ":1", name + ":2"} {
		if got := load(t, real, save(t, cli, ref)); !strings.Contains(got, "Loaded image: "+ref) {
			t.Fatalf("%s: the real engine says %s", ref, got)
		}
		a, err1 := cli.ImageInspect(t.Context(), ref)
		b, err2 := real.ImageInspect(t.Context(), ref)
		if err := errors.Join(err1, err2); err != nil {
			t.Fatal(err)
		}
		x, _ := json.Marshal([]any{a.Config.Labels, a.Config.Cmd, a.Config.ExposedPorts, a.RootFS.Layers})
		y, _ := json.Marshal([]any{b.Config.Labels, b.Config.Cmd, b.Config.ExposedPorts, b.RootFS.Layers})
		if string(x) != string(y) {
			t.Errorf("%s: saved %s, loaded %s", ref, x, y)
		}
		if ref == name+":1" && a.ID != b.ID {
			t.Errorf("a fixture's ID is %s here and %s there", a.ID, b.ID)
		}
		// And back: the directories of all layers but the top one have real names.
		back := save(t, real, ref)
		if got := load(t, dockerClient(t, newWorld(t).Engine("")), back); !strings.Contains(got, "Loaded image: "+ref) {
			t.Errorf("%s: back from the real engine: %s", ref, got)
		}
		mine, his := manifest(t, save(t, cli, ref)), manifest(t, back)
		for n := range mine[:len(mine)-1] {
			if mine[n] != his[n] {
				t.Errorf("%s: layer %d is in %s, the real engine has it in %s", ref, n, mine[n], his[n])
			}
		}
	}
}

// manifest returns the layers' files.
func manifest(t *testing.T, tarball []byte) []string {
	t.Helper()
	for tr := tar.NewReader(bytes.NewReader(tarball)); ; {
		h, err := tr.Next()
		if err != nil {
			t.Fatal(err)
		}
		if h.Name == "manifest.json" {
			var m []struct{ Layers []string }
			if err := json.NewDecoder(tr).Decode(&m); err != nil {
				t.Fatal(err)
			}
			return m[0].Layers
		}
	}
}
