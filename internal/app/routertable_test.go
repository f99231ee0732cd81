package app

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/mepc/mepc-run/internal/router"
)

func TestATableFileIsReplacedWhole(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c := &routerCmd{table: savedByDefault, Config: router.Config{Listen: ":80"}, invocation: &invocation{env: Env{Getenv: func(name string) string {
		if name == "STATE_DIRECTORY" {
			return filepath.Join(dir, "router")
		}
		return ""
	}}}}
	a := c.tableFile("redis://a")
	if b := c.tableFile("redis://b"); a == b {
		t.Error("two Redis servers share a file")
	}
	if b, err := a.Load(); b != nil || err != nil {
		t.Errorf("before the first: %q, %v", b, err)
	}
	for _, want := range []string{"a long table", "short"} {
		if err := a.Save([]byte(want)); err != nil {
			t.Fatal(err)
		}
		if b, err := a.Load(); string(b) != want || err != nil {
			t.Errorf("%q, %v, want %q", b, err, want)
		}
	}
	if all, err := os.ReadDir(filepath.Join(dir, "router")); len(all) != 1 || err != nil {
		t.Errorf("left in the directory: %v, %v", all, err)
	}
}
