package reference_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestAModuleIsAddedAsItsPageSays does what modules/README.md says, laid over the
// source, and runs its recipe, live and rehearsed.
func TestAModuleIsAddedAsItsPageSays(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the program")
	}
	const page = "../../modules/README.md"
	dir, root := t.TempDir(), repository(t)
	overlay := map[string]string{}
	lay := func(path, content string) {
		t.Helper()
		file := filepath.Join(dir, strings.ReplaceAll(path, "/", "_"))
		if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		overlay[filepath.Join(root, path)] = file
	}
	goBlocks, lines, lua := blocks(t, page, "go"), blocks(t, page, "text"), blocks(t, page, "lua")
	if len(goBlocks) != 1 || len(lines) != 1 || len(lua) != 1 {
		t.Fatalf("%s has other blocks than one each of Go, line and Lua", page)
	}
	lay("modules/tcp/tcp.go", goBlocks[0])
	list, err := os.ReadFile(filepath.Join(root, "internal/app/modules.go"))
	if err != nil {
		t.Fatal(err)
	}
	const beside, imported = "\t\thttp.New(),\n", "\t\"github.com/mepc/mepc-run/modules/std\"\n"
	if !strings.Contains(string(list), beside) || !strings.Contains(string(list), imported) {
		t.Fatal("internal/app/modules.go has no line to put another beside")
	}
	with := strings.Replace(string(list), beside, beside+lines[0], 1)
	lay("internal/app/modules.go", strings.Replace(with, imported, imported+strings.Replace(imported, "std", "tcp", 1), 1))
	b, err := json.Marshal(map[string]any{"Replace": overlay})
	if err != nil {
		t.Fatal(err)
	}
	recipe := filepath.Join(dir, "port.lua")
	for file, content := range map[string][]byte{filepath.Join(dir, "overlay.json"): b, recipe: []byte(lua[0])} {
		if err := os.WriteFile(file, content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	program := filepath.Join(dir, "bin", "mepc-run")
	build := exec.Command("go", "build", "-trimpath", "-overlay", filepath.Join(dir, "overlay.json"), "-o", program, "./cmd/mepc-run")
	build.Dir, build.Env = root, append(os.Environ(), "CGO_ENABLED=0") // as make build does: nothing is compiled again
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, args := range [][]string{{recipe}, {"-n", recipe, "--world", "empty"}} {
		cmd := exec.Command(program, args...)
		cmd.Env = append(os.Environ(), "HOME="+dir, "MEPC_STATE="+filepath.Join(dir, "state"))
		out, err := cmd.CombinedOutput()
		if err != nil || !strings.Contains(string(out), "false") {
			t.Errorf("%v: %v\n%s", args, err, out)
		}
	}
	misspelled := filepath.Join(dir, "wrong.lua")
	if err := os.WriteFile(misspelled, []byte(`tcp.listens("127.0.0.1:1", {timeou = 1})`), 0o644); err != nil {
		t.Fatal(err)
	}
	wrong := exec.Command(program, misspelled)
	wrong.Env = append(os.Environ(), "MEPC_STATE="+filepath.Join(dir, "state"))
	out, err := wrong.CombinedOutput()
	if err == nil || !strings.Contains(string(out), `did you mean "timeout"`) {
		t.Errorf("a wrong option: %v\n%s", err, out)
	}
}

// repository is the path of the module's source.
func repository(t *testing.T) string {
	t.Helper()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	return root
}
