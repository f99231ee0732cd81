package reload

import (
	"os"
	"path/filepath"
	"testing"
)

// A look during which a link was put in another's place has read files of two moments.
func TestALookIsOfOneMoment(t *testing.T) {
	dir := t.TempDir()
	for _, v := range []string{"v0", "v1"} {
		if err := os.Mkdir(filepath.Join(dir, v), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, v, "a.lua"), []byte("return '"+v+"'"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	point := func(to string) {
		if err := os.Symlink(filepath.Join(dir, to), filepath.Join(dir, "new")); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(filepath.Join(dir, "new"), filepath.Join(dir, "current")); err != nil {
			t.Fatal(err)
		}
	}
	point("v0")
	s, err := look(filepath.Join(dir, "current"), nil)
	if err != nil || !s.steady() || s.files["a.lua"].text != "return 'v0'" {
		t.Fatalf("%+v, %v", s, err)
	}
	point("v1")
	if s.steady() {
		t.Error("nobody notices that the link leads elsewhere")
	}
}
