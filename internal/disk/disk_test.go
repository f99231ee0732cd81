package disk

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

func TestAFileIsTheOldOneOrTheNewOne(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	name := filepath.Join(dir, "f")
	holds := func(want string) {
		t.Helper()
		if got, err := os.ReadFile(name); string(got) != want {
			t.Errorf("%q, %v, want %q", got, err, want)
		}
		if all, err := os.ReadDir(dir); len(all) != 1 {
			t.Errorf("left in the directory: %v, %v", all, err)
		}
	}
	for _, text := range []string{"a long text", "short"} {
		if err := errors.Join(Write(name, []byte(text)), SyncDir(dir)); err != nil {
			t.Fatal(err)
		}
		holds(text)
	}
	f, err := New(name)
	if err != nil {
		t.Fatal(err)
	}
	full := errors.New("the disk is full")
	if err := Publish(f, name, full); err != full {
		t.Error(err)
	}
	holds("short")
	if info, err := os.Stat(name); err != nil || info.Mode() != 0o600 {
		t.Error(info.Mode(), err)
	}
	if err := Write(dir, nil); err == nil {
		t.Error("a directory became a file")
	}
	if left, _ := filepath.Glob(dir + "/../.*"); len(left) > 0 {
		t.Error(left)
	}
}
