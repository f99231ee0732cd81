package reference

import (
	"fmt"
	"strings"

	"github.com/mepc/mepc-run/recipes"
)

const libraryIntro = `# Library

What the recipes that ship with mepc-run are made of: ` + "`local deployment = require(\"lib.deployment\")`" + `. Each part is a page of
Lua in [recipes/lib/](../../recipes/lib), part of the program, and free to be copied: a file of the same name in your
project's own ` + "`lib/`" + ` takes its place. ` + "`mepc-run doc lib.deployment`" + ` prints what stands here, and ` + "`mepc-run check`" + ` knows it.

`

// Library returns docs/reference/library.md.
func Library(all []recipes.Library) string {
	return sections(libraryIntro, all, func(b *strings.Builder, l *recipes.Library) {
		fmt.Fprintf(b, "## %s\n\n%s\n", l.Name, prose(l.Doc))
		if len(l.Fields) > 0 {
			fmt.Fprintf(b, "\nA %s has these fields:\n\n", l.Class)
			t := table{head: []string{"field", "type", "meaning"}}
			for _, f := range l.Fields {
				t.row(code(f.Name), code(f.Type), prose(f.Doc))
			}
			t.write(b)
		}
		b.WriteString("\n")
		t := table{head: []string{"function", "what it does"}}
		for _, f := range l.Funcs {
			t.row(code(libraryCall(l, &f)), prose(strings.ReplaceAll(f.Doc, "\n", " ")))
		}
		t.write(b)
	})
}

// libraryCall writes how f is called: deployment.open(p, from), or d:switch(to, what).
func libraryCall(l *recipes.Library, f *recipes.LibraryFunc) string {
	short := strings.TrimPrefix(l.Name, "lib.")
	if f.Method {
		return short[:1] + ":" + f.Name + "(" + f.Params + ")"
	}
	return short + "." + f.Name + "(" + f.Params + ")"
}

// LibraryText is a library's page for the terminal.
func LibraryText(l recipes.Library, style Style) string {
	t := &terminal{style: style}
	t.heading(l.Name)
	t.text(0, l.Doc)
	if len(l.Fields) > 0 {
		t.heading("fields of a " + l.Class)
		for _, f := range l.Fields {
			t.row(12, f.Name, f.Doc+" ("+f.Type+")")
		}
	}
	t.WriteString("\n")
	t.heading("functions")
	for i := range l.Funcs {
		f := &l.Funcs[i]
		fmt.Fprintf(t, "\n%s\n", style.Bold(libraryCall(&l, f)))
		t.text(2, f.Doc)
	}
	return strings.TrimRight(t.String(), "\n") + "\n"
}

// LibraryStubs returns definition files for the Lua language server, by file name.
func LibraryStubs(all []recipes.Library) map[string]string {
	files := map[string]string{}
	for _, l := range all {
		s := &stubs{}
		fmt.Fprintf(s, "---@meta %s\n\n-- Definitions for the Lua language server. Written by mepc-run doc --stubs.\n\n", l.Name)
		s.comment(l.Doc)
		if l.Class != "" {
			fmt.Fprintf(s, "---@class %s\n", l.Class)
			for _, f := range l.Fields {
				fmt.Fprintf(s, "---@field %s %s %s\n", f.Name, f.Type, f.Doc)
			}
		}
		s.WriteString("local M = {}\n")
		for i := range l.Funcs {
			f, sep := &l.Funcs[i], "."
			if f.Method {
				sep = ":"
			}
			s.WriteString("\n")
			s.comment(f.Doc)
			if f.Returns != "" {
				fmt.Fprintf(s, "---@return %s\n", f.Returns)
			}
			fmt.Fprintf(s, "function M%s%s(%s) end\n", sep, f.Name, f.Params)
		}
		s.WriteString("\nreturn M\n")
		files[l.Name+".lua"] = s.String()
	}
	return files
}
