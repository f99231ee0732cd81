package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// What mepc-run init --module writes compiles as it stands, and its spec passes.
func TestANewModuleCompilesAndItsSpecPasses(t *testing.T) {
	t.Parallel()
	mepc, err := program()
	if err != nil {
		t.Fatal(err)
	}
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "a team's")
	run := func(name string, args ...string) string {
		t.Helper()
		cmd := exec.Command(name, args...)
		if _, err := os.Stat(dir); err == nil {
			cmd.Dir = dir
		}
		cmd.Env = append(append(os.Environ(), "GOPROXY=off", "HOME="+t.TempDir(), "GOCACHE="+goEnv(t, "GOCACHE"), "GOMODCACHE="+goEnv(t, "GOMODCACHE"), "GORACE=atexit_sleep_ms=0"), embedEnv...)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s %q: %v\n%s", name, args, err, out)
		}
		return string(out)
	}
	run(mepc, "init", "--module", "consul", "--source", root, dir)
	tidied(t, dir)
	run("go", append(append([]string{"build", "-ldflags=-s -w", "-o", "consul"}, embedFlags...), ".")...)
	own := filepath.Join(dir, "consul")
	for command, want := range map[string]string{
		"test":           "5 passed",
		"test --faults":  "1 of 1 effect had every fault",
		"check":          "nothing was found",
		"doc consul.put": "consul.put(url, text)",
		"-n recipes/note.lua --world empty url=http://kv.example/a text=b": "consul.put http://kv.example/a",
	} {
		if out := run(own, strings.Fields(command)...); !strings.Contains(out, want) {
			t.Errorf("%s: no %q in\n%s", command, want, out)
		}
	}
	if out := run("gofmt", "-l", "."); out != "" {
		t.Errorf("gofmt would change %s", out)
	}
}

// tidied does offline what go mod tidy does: a program with all of mepc-run needs the
// modules that the one in embed needs.
func tidied(t *testing.T, dir string) {
	t.Helper()
	mod := read(t, dir, "go.mod")
	_, needs, ok := strings.Cut(read(t, "embed", "go.mod"), "require (\n")
	needs, _, closed := strings.Cut(needs, ")\n")
	if !ok || !closed {
		t.Fatal("embed/go.mod lists no modules")
	}
	for name, text := range map[string]string{"go.mod": mod + "\nrequire (\n" + needs + ")\n", "go.sum": read(t, "embed", "go.sum")} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func goEnv(t *testing.T, name string) string {
	t.Helper()
	out, err := exec.Command("go", "env", name).Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}
