package reference_test

import (
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mepc/mepc-run/internal/reference"
	"github.com/mepc/mepc-run/internal/spec"
	"github.com/mepc/mepc-run/recipes"
	"github.com/mepc/mepc-run/runtime"
	"github.com/mepc/mepc-run/servers"
)

var update = flag.Bool("update", false, "write docs/reference and docs/errors.md anew")

// docs is the directory of the pages.
const docs = "../../docs"

// pages returns what is generated, by path below docs.
func pages(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{"errors.md": reference.Errors()}
	for name, text := range reference.Markdown(documented()) {
		all[filepath.Join("reference", name)] = text
	}
	all[filepath.Join("reference", "spec.md")] = reference.Markdown(spec.Modules())["spec.md"]
	all[filepath.Join("reference", "recipes.md")] = reference.Recipes(shipped(t))
	all[filepath.Join("reference", "library.md")] = reference.Library(recipes.Libraries())
	return all
}

// shipped returns the descriptions of the recipes that ship with mepc-run.
func shipped(t *testing.T) []reference.Recipe {
	t.Helper()
	host := runtime.New(runtime.Options{Modules: documented(), Library: recipes.FS})
	files, err := fs.Glob(recipes.FS, "*.lua")
	if err != nil {
		t.Fatal(err)
	}
	var all []reference.Recipe
	for _, file := range files {
		recipe, err := host.LoadFS(recipes.FS, file)
		if err != nil {
			t.Fatal(err)
		}
		params, err := host.Describe(t.Context(), recipe, servers.Live(servers.Options{}))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, reference.Recipe{Name: strings.TrimSuffix(file, ".lua"), Doc: recipe.Doc, Params: params})
	}
	return all
}

func TestTheReferenceIsWhatTheTablesSay(t *testing.T) {
	want := pages(t)
	if *update {
		for name, text := range want {
			path := filepath.Join(docs, name)
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	for name, text := range want {
		got, err := os.ReadFile(filepath.Join(docs, name))
		if err != nil {
			t.Errorf("%v; write it with go test ./internal/reference -update", err)
			continue
		}
		if diff := cmp.Diff(string(got), text); diff != "" {
			t.Errorf("docs/%s is out of date; write it with go test ./internal/reference -update (-file +tables):\n%s", name, diff)
		}
	}
	there, err := filepath.Glob(filepath.Join(docs, "reference", "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range there {
		if name := filepath.Join("reference", filepath.Base(path)); want[name] == "" {
			t.Errorf("docs/%s belongs to no module: remove it", name)
		}
	}
}
