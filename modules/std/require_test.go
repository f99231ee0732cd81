package std_test

import (
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/modules/std"
	"github.com/mepc/mepc-run/runtime"
)

// A library that is a global is what require returns for its name, unless the recipe
// brings a file of that name; a directory is required by its init.lua.
func TestLibrariesAndDirectoriesAreRequired(t *testing.T) {
	host := runtime.New(runtime.Options{Modules: std.Modules(std.Options{})})
	tree := fstest.MapFS{
		"recipe.lua":   {Data: []byte(`return {require("string") == string, require("json") == json, require("table").own, require("pkg"), require "pkg.part"}`)},
		"table.lua":    {Data: []byte(`return {own = true}`)},
		"pkg/init.lua": {Data: []byte(`return "the directory's"`)},
		"pkg/part.lua": {Data: []byte(`return "a part"`)},
		"none.lua":     {Data: []byte(`return require "print"`)},
	}
	run := func(name string) (any, error) {
		recipe, err := host.LoadFS(tree, name)
		if err != nil {
			t.Fatal(err)
		}
		res, err := host.Run(t.Context(), recipe, runtime.RunOptions{})
		return res.Value, err
	}
	got, err := run("recipe.lua")
	if diff := cmp.Diff([]any{true, true, true, "the directory's", "a part"}, got); diff != "" || err != nil {
		t.Errorf("%v (-want +got)\n%s", err, diff)
	}
	if _, err := run("none.lua"); failure.KindOf(err) != failure.NotFound {
		t.Error(err)
	}
}
