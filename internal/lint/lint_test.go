package lint_test

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mepc/mepc-run/internal/lint"
	"github.com/mepc/mepc-run/modules/docker"
	"github.com/mepc/mepc-run/modules/http"
	"github.com/mepc/mepc-run/modules/lock"
	"github.com/mepc/mepc-run/modules/on"
	"github.com/mepc/mepc-run/modules/redis"
	"github.com/mepc/mepc-run/modules/std"
	"github.com/mepc/mepc-run/recipes"
	"github.com/mepc/mepc-run/runtime"
)

func host() *runtime.Host {
	return runtime.New(runtime.Options{Library: recipes.FS, Modules: append(std.Modules(std.Options{}),
		docker.New(docker.Allow{}), redis.New(redis.Allow{}), http.New(), lock.New(lock.Options{}), on.New())})
}

func linter() *lint.Linter { return lint.New(host(), runtime.Limits{}) }

// expected matches what testdata says of its own lines:
//
//	local x = 1 --> 7 W201 the variable x
var expected = regexp.MustCompile(`^(\d+) ([EW]\d+) (.*)$`)

// TestFindings compares the findings in testdata with the comments there. Each
// expected message is a part of the real one.
func TestFindings(t *testing.T) {
	files, err := filepath.Glob("testdata/*.lua")
	if err != nil || len(files) == 0 {
		t.Fatal(err)
	}
	l, seen := linter(), map[string]bool{}
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		var want, got []string
		messages := map[int][]string{}
		for i, line := range strings.Split(string(text), "\n") {
			_, comment, _ := strings.Cut(line, "--> ")
			for _, part := range strings.Split(comment, " --> ") {
				if m := expected.FindStringSubmatch(part); m != nil {
					want = append(want, fmt.Sprintf("%d:%s %s", i+1, m[1], m[2]))
					messages[i+1] = append(messages[i+1], m[3])
				}
			}
		}
		for _, f := range l.File(lint.Source{Name: name, Text: text, Trees: []fs.FS{os.DirFS("testdata"), recipes.FS}}) {
			got = append(got, fmt.Sprintf("%d:%d %s", f.Line, f.Col, f.Code))
			seen[f.Code] = true
			full := fmt.Sprintf("%s (%s)", f.Message, f.Hint)
			if !slices.ContainsFunc(messages[f.Line], func(m string) bool { return strings.Contains(full, m) }) {
				t.Errorf("%s:%d:%d: %s %s; expected %q", name, f.Line, f.Col, f.Code, full, messages[f.Line])
			}
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s (-comments +findings):\n%s", name, d)
		}
	}
	for _, c := range lint.Checks() {
		if !seen[c.Code] && c.Code != lint.Load {
			t.Errorf("no file in testdata has %s: %s", c.Code, c.Doc)
		}
	}
}

func TestTheRecipesThatMepcRunBringsAreClean(t *testing.T) {
	l, files := linter(), 0
	err := fs.WalkDir(recipes.FS, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".lua") {
			return err
		}
		text, err := fs.ReadFile(recipes.FS, path)
		files++
		for _, f := range l.File(lint.Source{Name: path, Text: text, Trees: []fs.FS{recipes.FS}}) {
			t.Errorf("recipes/%s:%d:%d: %s %s", path, f.Line, f.Col, f.Code, f.Message)
		}
		return err
	})
	if err != nil || files < 5 {
		t.Fatalf("%d files, %v", files, err)
	}
}

// FuzzFile looks for what makes the linter panic.
func FuzzFile(f *testing.F) {
	files, err := filepath.Glob("testdata/*.lua")
	if err != nil {
		f.Fatal(err)
	}
	for _, name := range append(files, "../../recipes/bluegreen.lua", "../../recipes/lib/node.lua") {
		text, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	l := linter()
	f.Fuzz(func(t *testing.T, text []byte) {
		lines := strings.Count(string(text), "\n") + strings.Count(string(text), "\r") + 1
		for _, found := range l.File(lint.Source{Name: "f.lua", Text: text, Trees: []fs.FS{recipes.FS}}) {
			if found.Line < 1 || found.Line > lines || found.Col < 1 || found.Message == "" {
				t.Errorf("%+v in %q", found, text)
			}
		}
	})
}

// BenchmarkHundredRecipes looks at 100 recipes of 200 lines.
func BenchmarkHundredRecipes(b *testing.B) {
	text, err := os.ReadFile("../../recipes/bluegreen.lua")
	if err != nil {
		b.Fatal(err)
	}
	lines := strings.SplitAfter(string(text), "\n")
	long := strings.Join(lines, "")
	for i := 0; strings.Count(long, "\n") < 200; i++ {
		long = fmt.Sprintf("local x%d = {name = %q, n = %d} print(x%d)\n", i, "a", i, i) + long
	}
	l := linter()
	b.ReportAllocs()
	for b.Loop() {
		for i := range 100 {
			// Each has a text of its own.
			found := l.File(lint.Source{Name: "r.lua", Text: fmt.Appendf(nil, "%s-- %d\n", long, i), Trees: []fs.FS{recipes.FS}})
			if len(found) > 0 {
				b.Fatal(found)
			}
		}
	}
}
