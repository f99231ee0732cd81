package reference

import (
	"fmt"
	"slices"
	"strings"

	"github.com/mepc/mepc-run/runtime"
)

// Luacheckrc returns a configuration for luacheck, which then knows what recipes can
// call, and specs: recipe and specs are their modules.
func Luacheckrc(recipe, specs []runtime.Module) string {
	var b strings.Builder
	b.WriteString("-- For luacheck: what recipes and specs can call. Written by mepc-run init.\n")
	b.WriteString("std = \"lua51\"\nmax_line_length = false\nallow_defined = false\nexclude_files = {\".mepc\"}\n")
	b.WriteString("unused_args = true\nignore = {\"212/_.*\", \"213/_.*\"} -- a name that begins with _ may be unused\n")
	fmt.Fprintf(&b, "\nread_globals = {\n%s}\n", globals(recipe))
	fmt.Fprintf(&b, "\nfiles[\"spec\"] = {read_globals = {\n%s}}\n", globals(specs))
	return b.String()
}

// globals lists the globals of modules, each with any field.
func globals(modules []runtime.Module) string {
	var names []string
	for _, m := range modules {
		if m.Name != "" {
			names = append(names, m.Name)
			continue
		}
		for _, f := range m.Funcs {
			names = append(names, f.Name)
		}
	}
	slices.Sort(names)
	var b strings.Builder
	for _, name := range slices.Compact(names) {
		fmt.Fprintf(&b, "  %s = {other_fields = true},\n", name)
	}
	return b.String()
}
