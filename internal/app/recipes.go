package app

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/recipes"
	"github.com/mepc/mepc-run/runtime"
)

// source loads the recipe that a name means.
type source func(host *runtime.Host, name string) (*runtime.Recipe, error)

// load loads a recipe; a nil source is the disk.
func (s source) load(host *runtime.Host, name string) (*runtime.Recipe, error) {
	if s == nil {
		s = onDisk
	}
	return s(host, name)
}

// onDisk is the source of the command line: a path names a file. One without a directory
// is also looked for in recipes, where init puts it.
func onDisk(host *runtime.Host, name string) (*runtime.Recipe, error) {
	var load func() (*runtime.Recipe, error)
	for _, file := range []string{name, filepath.Join("recipes", name)} {
		if _, err := os.Stat(file); !errors.Is(err, fs.ErrNotExist) {
			load = func() (*runtime.Recipe, error) { return host.LoadFile(file) }
			break
		}
		if filepath.Base(name) != name {
			break
		}
	}
	return meant(host, name, name, load, "a .lua file")
}

// recipe is the source of specs: a path names a file of the project, which tree is.
func (p *project) recipe(host *runtime.Host, tree fs.FS, name string) (*runtime.Recipe, error) {
	file, err := p.inside(name)
	if err != nil {
		return nil, err
	}
	var load func() (*runtime.Recipe, error)
	if _, err := fs.Stat(tree, file); err == nil {
		load = func() (*runtime.Recipe, error) { return host.LoadFS(tree, file) }
	}
	return meant(host, name, file, load, "a .lua file of the project")
}

// only is the source where there is one recipe: that of a worker, or of a run that is
// resumed.
func only(files fs.FS, file string) source {
	return func(host *runtime.Host, _ string) (*runtime.Recipe, error) {
		return host.LoadFS(files, file)
	}
}

// meant decides which recipe a name means. A bare word is one that ships with
// mepc-run: what lies around in a directory does not change what it means. A path is
// a file, which load loads; without such a file (nil), recipes/NAME.lua is the shipped
// one, as our docs write it.
func meant(host *runtime.Host, name, path string, load func() (*runtime.Recipe, error), kind string) (*runtime.Recipe, error) {
	short := strings.TrimSuffix(strings.TrimPrefix(path, "recipes/"), ".lua")
	switch {
	case slices.Contains(shippedNames(), name):
		return host.LoadFS(recipes.FS, name+".lua")
	case load != nil:
		return load()
	case slices.Contains(shippedNames(), short):
		return host.LoadFS(recipes.FS, short+".lua")
	}
	return nil, failure.New(failure.NotFound, "no recipe %s%s", name, runtime.DidYouMean(name, similar(name))).
		WithHint("name %s, or a recipe that ships with mepc-run: %s", kind, nameList())
}

// isRecipe reports whether an argument names a recipe, not a spec.
func isRecipe(arg string) bool {
	return slices.Contains(shippedNames(), arg) || strings.HasSuffix(arg, ".lua") && !strings.HasSuffix(arg, specSuffix)
}

// similar returns the names that could be meant by name: recipes that mepc-run
// brings, its commands, and the recipes in name's directory.
func similar(name string) []string {
	names := []string{"help"}
	for _, c := range commandLine(&invocation{}).Commands() {
		if c.Runnable() && !c.Hidden {
			names = append(names, c.Name())
		}
	}
	slices.Sort(names)
	names = append(shippedNames(), names...)
	files, _ := filepath.Glob(filepath.Join(filepath.Dir(name), "*.lua"))
	return append(names, files...)
}

// nameList returns the recipes that ship with mepc-run, for a sentence.
func nameList() string { return strings.Join(shippedNames(), ", ") }

// twoLines is such a list where lines are short.
func twoLines(names []string) string {
	half := (len(names) + 1) / 2
	return strings.Join(names[:half], ", ") + ",\n" + strings.Join(names[half:], ", ")
}

// shippedNames returns the names of the recipes that ship with mepc-run.
func shippedNames() []string {
	files, err := fs.Glob(recipes.FS, "*.lua")
	if err != nil {
		panic(err) // the pattern is malformed
	}
	for i, f := range files {
		files[i] = strings.TrimSuffix(f, ".lua")
	}
	return files
}
