package e2e

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/docker/docker/api/types/container"

	"github.com/mepc/mepc-run/internal/lab"
)

// The directory embed is a module of its own, as another team has it: what compiles
// only inside of this tree fails there. It has a program for each door, and one module
// for recipes. Its modules are those of this tree: nothing is downloaded.
func buildEmbedders(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	args := []string{"build", "-ldflags=-s -w", "-o", dir}
	cmd := exec.Command("go", append(append(args, embedFlags...), "./...")...)
	cmd.Dir, cmd.Env = "embed", append(append(os.Environ(), "GOPROXY=off"), embedEnv...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build the programs in e2e/embed: %v\n%s", err, out)
	}
	return dir
}

func TestOtherProgramsEmbedIt(t *testing.T) {
	t.Parallel()
	l := lab.ForTest(t)
	if err := lab.SampleImages(t.Context(), l.Engine, "1.0"); err != nil {
		t.Fatal(err)
	}
	bin := buildEmbedders(t)
	var posts atomic.Int64
	channel := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		if r.Method == http.MethodPost {
			posts.Add(1)
		}
	}))
	defer channel.Close()
	engine, err := l.Engine.Client()
	if err != nil {
		t.Fatal(err)
	}
	defer engine.Close()
	name, state := l.Name("embed"), t.TempDir()
	there := func() bool {
		_, err := engine.ContainerInspect(t.Context(), name)
		return err == nil
	}
	program := func(name string, args ...string) string {
		t.Helper()
		cmd := exec.Command(filepath.Join(bin, name), args...)
		cmd.Dir = "embed"
		cmd.Env = append(os.Environ(), "DOCKER_HOST="+l.Engine.Host(), "REDIS_URL="+l.Redis.URL(), "MEPC_STATE="+state, "GORACE=atexit_sleep_ms=0")
		var errs bytes.Buffer
		cmd.Stderr = &errs
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("%s %q: %v\n%s%s", name, args, err, out, &errs)
		}
		return string(out)
	}
	says := func(out string, words ...string) {
		t.Helper()
		for _, w := range words {
			if !strings.Contains(out, w) {
				t.Errorf("no %q in\n%s", w, out)
			}
		}
	}
	app := lab.AppImage("1.0")

	says(program("rehearse", name, app, channel.URL), "slack.post", "was not sent", "docker.start")
	says(program("build", "-n", "deploy.lua", "name="+name, "image="+app, "channel="+channel.URL), "slack.post", "was not sent")
	says(program("build", "test"), "2 passed")
	if there() || posts.Load() != 0 {
		t.Fatalf("a rehearsal did something: %d posts", posts.Load())
	}

	says(program("run", name, app, channel.URL), `"op":"docker.start"`, `"op":"slack.post"`, `"status":"ok","effects":4`)
	if !there() || posts.Load() != 1 {
		t.Errorf("the run did not do all of it: %d posts", posts.Load())
	}
	if err := engine.ContainerRemove(t.Context(), name, container.RemoveOptions{Force: true}); err != nil {
		t.Fatal(err)
	}
	program("build", "deploy.lua", "name="+name, "image="+app, "channel="+channel.URL)
	says(program("build", "show"), "slack.post")
	if !there() || posts.Load() != 2 {
		t.Errorf("the team's program did not do all of it: %d posts", posts.Load())
	}
	if err := engine.ContainerRemove(t.Context(), name, container.RemoveOptions{Force: true}); err != nil {
		t.Fatal(err)
	}
}

// The page about embedding shows the programs that are compiled here.
func TestThePageAboutEmbeddingIsTrue(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../docs/embedding.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"slack/slack.go", "deploy.lua", "run/main.go", "rehearse/main.go", "build/main.go", "spec/deploy_spec.lua"} {
		text, err := os.ReadFile(filepath.Join("embed", name))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Contains(page, append([]byte("```"+strings.TrimPrefix(filepath.Ext(name), ".")+"\n"), append(text, "```"...)...)) {
			t.Errorf("docs/embedding.md does not show e2e/embed/%s as it is", name)
		}
	}
	if n := bytes.Count(page, []byte("```go\n")); n != 4 {
		t.Errorf("%d Go programs are shown, and 4 are compiled", n)
	}
}
