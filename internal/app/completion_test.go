package app_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestBashCompletesWithoutAnythingElse sources the script in a bash of its own, and
// completes as readline has it: the words are cut at = and :.
func TestBashCompletesWithoutAnythingElse(t *testing.T) {
	t.Parallel()
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Skip("no bash here")
	}
	dir := t.TempDir()
	recipe := `params{mode = {type = "enum", values = {"soft", "so:hard"}}, image = {}}`
	if err := os.WriteFile(filepath.Join(dir, "own.lua"), []byte(recipe), 0o600); err != nil {
		t.Fatal(err)
	}
	complete := func(line string) string {
		t.Helper()
		script := `source <(mepc-run completion bash); COMP_LINE='` + line + `'; COMP_POINT=${#COMP_LINE}; compopt() { :; }; __start_mepc-run; printf '%s\n' "${COMPREPLY[@]}"`
		cmd := exec.Command(bash, "--noprofile", "--norc", "-c", script)
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v\n%s", line, err, out)
		}
		return strings.Join(strings.Fields(string(out)), " ")
	}
	for line, want := range map[string]string{
		"mepc-run blueg":             "bluegreen",
		"mepc-run own.l":             "own.lua",
		"mepc-run own.lua i":         "image=",
		"mepc-run own.lua m":         "mode=",
		"mepc-run own.lua mode=":     "soft so:hard",
		"mepc-run own.lua mode=so:h": "hard",
		"mepc-run own.lua --time":    "--timeout",
	} {
		if got := complete(line); got != want {
			t.Errorf("%q completes to %q, want %q", line, got, want)
		}
	}
}
