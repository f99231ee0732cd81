package app_test

import (
	"os/exec"
	"path/filepath"
	"testing"
)

// TestLuacheckFindsNothing runs luacheck on a new project, and on what ships with
// mepc-run.
func TestLuacheckFindsNothing(t *testing.T) {
	luacheck, err := exec.LookPath("luacheck")
	if err != nil {
		t.Skip("luacheck is not installed (Debian: lua-check)")
	}
	dir := t.TempDir()
	if code, out, errs := run("init", "--app", "shop", dir); code != 0 {
		t.Fatal(out, errs)
	}
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	for _, project := range []string{dir, root} {
		cmd := exec.Command(luacheck, "--config", filepath.Join(dir, ".luacheckrc"), "--no-color", "-q", "recipes", "spec")
		cmd.Dir = project
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
	}
}
