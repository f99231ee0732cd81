package servers

import (
	"archive/tar"
	"bytes"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mepc/mepc-run/internal/failure"
)

// tree makes a directory with files, each with its own name in it; a name that
// ends with -> makes a link to what follows.
func tree(t *testing.T, ignore string, names ...string) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range append(names, "Dockerfile") {
		name, link, isLink := strings.Cut(name, "->")
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		var err error
		if isLink {
			err = os.Symlink(link, path)
		} else {
			err = os.WriteFile(path, []byte(name), 0o640)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if ignore != "" {
		if err := os.WriteFile(filepath.Join(dir, ".dockerignore"), []byte(ignore), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// files returns the names in the context of dir, without directories.
func files(t *testing.T, dir, dockerfile string) []string {
	t.Helper()
	return filesFor(t, dir, dockerfile, false)
}

func filesFor(t *testing.T, dir, dockerfile string, buildkit bool) []string {
	t.Helper()
	c, err := Live(Options{}).BuildContext(dir, dockerfile, buildkit)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := c.Tar(&b); err != nil {
		t.Fatal(err)
	}
	var names []string
	for r := tar.NewReader(&b); ; {
		h, err := r.Next()
		if err == io.EOF {
			slices.Sort(names)
			return names
		}
		if err != nil {
			t.Fatal(err)
		}
		if h.Uid != 0 || h.Gid != 0 || h.Uname != "" {
			t.Errorf("%s belongs to %d:%d", h.Name, h.Uid, h.Gid)
		}
		switch h.Typeflag {
		case tar.TypeSymlink:
			names = append(names, h.Name+"->"+h.Linkname)
		case tar.TypeReg:
			body, err := io.ReadAll(r)
			if err != nil || (h.Name != ".dockerignore" && string(body) != h.Name) {
				t.Errorf("%s has %q, %v", h.Name, body, err)
			}
			names = append(names, h.Name)
		}
	}
}

func TestDockerignoreIsHonoured(t *testing.T) {
	all := []string{"a.go", "b/c.go", "b/d/e.txt", "b/d/f.md", "link->a.go", "node_modules/x/y.js"}
	for name, tt := range map[string]struct {
		ignore string
		want   []string
	}{
		"none":                  {"", []string{"Dockerfile", "a.go", "b/c.go", "b/d/e.txt", "b/d/f.md", "link->a.go", "node_modules/x/y.js"}},
		"a directory":           {"node_modules\nb/d", []string{".dockerignore", "Dockerfile", "a.go", "b/c.go", "link->a.go"}},
		"patterns":              {"**/*.go\n*/x\n# a comment\n", []string{".dockerignore", "Dockerfile", "b/d/e.txt", "b/d/f.md", "link->a.go"}},
		"all but some":          {"*\n!b/d/*.md\n!a.go", []string{".dockerignore", "Dockerfile", "a.go", "b/d/f.md"}},
		"the last match wins":   {"b\n!b/d\nb/d/e.txt", []string{".dockerignore", "Dockerfile", "a.go", "b/d/f.md", "link->a.go", "node_modules/x/y.js"}},
		"even what builds need": {"*\nDockerfile\n.dockerignore", []string{".dockerignore", "Dockerfile"}},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, files(t, tree(t, tt.ignore, all...), "Dockerfile")); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
	if got := files(t, tree(t, "*", "sub/My.dockerfile"), "sub/My.dockerfile"); !slices.Contains(got, "sub/My.dockerfile") {
		t.Errorf("another Dockerfile is left out: %v", got)
	}
}

// BuildKit reads no .dockerignore of what it is sent, and a Dockerfile may have one of its own.
func TestAContextForBuildKitLeavesDockerignoreOut(t *testing.T) {
	dir := tree(t, "*\n!a", "a", "b", "other")
	if err := os.WriteFile(filepath.Join(dir, "other.dockerignore"), []byte("a\n*.dockerignore\n.dockerignore\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for dockerfile, want := range map[string]string{"Dockerfile": "Dockerfile a", "other": "Dockerfile b other"} {
		if got := strings.Join(filesFor(t, dir, dockerfile, true), " "); got != want {
			t.Errorf("with %s the context has %s, want %s", dockerfile, got, want)
		}
	}
}

func TestAContextThatCannotBeReadIsAnErrorBeforeItIsSent(t *testing.T) {
	w := Live(Options{})
	_, err := w.BuildContext("/nonexistent", "Dockerfile", false)
	wantFailure(t, err, failure.NotFound, "build context", "/nonexistent", "relative to the directory")
	_, err = w.BuildContext(t.TempDir(), "Dockerfile", false)
	wantFailure(t, err, failure.NotFound, "Dockerfile")
	_, err = w.BuildContext(t.TempDir(), "/etc/passwd", false)
	wantFailure(t, err, failure.Invalid, "is not within the build context")
	_, err = w.BuildContext(tree(t, "[", "a"), "Dockerfile", false)
	wantFailure(t, err, failure.Invalid, ".dockerignore")

	dir := tree(t, "", "a")
	c, err := w.BuildContext(dir, "Dockerfile", false)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(filepath.Join(dir, "a"), 0); err != nil {
		t.Fatal(err)
	}
	if err := c.Tar(io.Discard); err == nil || !strings.Contains(err.Error(), "became shorter while it was read") {
		t.Errorf("a file that shrinks: %v", err)
	}
}

func TestAFileIsThereWholeOrNotAtAll(t *testing.T) {
	w := Live(Options{})
	dir := t.TempDir()
	path := filepath.Join(dir, "x")
	for _, commit := range []bool{false, true} {
		f, err := w.Create(path)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write([]byte("hello")); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(path); err == nil {
			t.Error("it is there before it is whole")
		}
		if !commit {
			f.Abort()
			continue
		}
		if err := f.Commit(); err != nil {
			t.Fatal(err)
		}
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 1 {
		t.Errorf("%v, %v", left, err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 || info.Size() != 5 {
		t.Errorf("%v, %v", info, err)
	}
}
