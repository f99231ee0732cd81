package reference

import (
	"fmt"
	"regexp"
	"strings"
	"sync"

	"github.com/mepc/mepc-run/internal/say"
	"github.com/mepc/mepc-run/runtime"
)

// Stubs returns definition files for the Lua language server (LuaLS), by file
// name, so that an editor completes and checks what recipes call.
func Stubs(modules []runtime.Module) map[string]string {
	files := map[string]string{}
	for _, p := range group(modules) {
		s := &stubs{}
		s.WriteString("---@meta\n\n-- Definitions for the Lua language server. Written by mepc-run doc --stubs.\n")
		for i := range p.modules {
			s.module(&p.modules[i])
		}
		files[p.name+".lua"] = s.String()
	}
	return files
}

type stubs struct{ strings.Builder }

// builtin are functions that the language server has definitions of.
var builtin = map[string]bool{"require": true}

func (s *stubs) module(m *runtime.Module) {
	if m.Name != "" {
		s.WriteString("\n")
		s.comment(m.Doc)
		for _, f := range m.Funcs {
			if f.Name == "" {
				fmt.Fprintf(s, "---@overload fun(%s): %s\n", s.inline(f), s.result(m, "", &f))
			}
		}
		fmt.Fprintf(s, "%s = {}\n", m.Name)
	}
	for i := range m.Funcs {
		f := &m.Funcs[i]
		if f.Name == "" || m.Name == "" && builtin[f.Name] {
			continue
		}
		s.function(m, f.Qualified(m.Name), qualified(m.Name, ".", f.Name), f)
	}
	for i := range m.Types {
		s.object(m, &m.Types[i])
	}
}

var notWord = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`[^A-Za-z0-9_]`) })

// object writes a type's class. Its methods hang on a local table that nobody
// sees.
func (s *stubs) object(m *runtime.Module, t *runtime.Type) {
	local := notWord().ReplaceAllString(t.Name, "_") + "_object"
	s.WriteString("\n")
	s.comment(t.Doc)
	fmt.Fprintf(s, "---@class %s\n", t.Name)
	for _, f := range t.Fields() {
		fmt.Fprintf(s, "---@field %s %s %s\n", f.Name, luaType(f, "any"), line(f.Doc))
	}
	fmt.Fprintf(s, "local %s = {}\n", local)
	for i := range t.Funcs {
		if f := &t.Funcs[i]; f.Name != "" {
			s.function(m, local+":"+f.Name, t.Name+"."+f.Name, f)
		}
	}
	for _, name := range t.Names {
		if f, err := t.Method(name); err == nil && !notWord().MatchString(name) && name != "function" { // a name in Lua
			s.function(m, local+":"+name, t.Name+"."+name, f)
		}
	}
}

// function writes one function: class is what the classes of its tables are
// called after.
func (s *stubs) function(m *runtime.Module, name, class string, f *runtime.Func) {
	fields := f.Fields()
	var options []runtime.Field
	var names []string
	required := false
	for _, field := range fields {
		if !field.Pos {
			options = append(options, field)
			required = required || field.Required
		}
	}
	if len(options) > 0 {
		s.class(class+".options", options, false)
	}
	result := s.result(m, class, f)
	s.WriteString("\n")
	s.comment(f.Doc)
	if syntax, ok := strings.CutPrefix(f.Example, "-- "); ok {
		s.comment(syntax)
	}
	for _, field := range fields {
		switch {
		case field.Rest:
			names = append(names, "...")
			fmt.Fprintf(s, "---@param ... %s %s\n", strings.TrimSuffix(luaType(field, class+"."+field.Name), "[]"), line(field.Doc))
		case field.Pos:
			names = append(names, field.Name)
			fmt.Fprintf(s, "---@param %s %s %s\n", field.Name+optional(field), luaType(field, class+"."+field.Name), line(describe(field)))
		}
	}
	if len(options) > 0 {
		names = append(names, "options")
		mark := "?"
		if required {
			mark = ""
		}
		fmt.Fprintf(s, "---@param options%s %s.options\n", mark, class)
	}
	if result != "nil" {
		fmt.Fprintf(s, "---@return %s %s\n", result, line(f.Returns))
	}
	fmt.Fprintf(s, "function %s(%s) end\n", name, strings.Join(names, ", "))
}

// class writes the class of a table, after those of the tables in it. What is
// returned has each field, and numbers for times and sizes.
func (s *stubs) class(name string, fields []runtime.Field, returned bool) {
	for _, f := range fields {
		if len(f.Fields) > 0 {
			s.class(name+"."+f.Name, f.Fields, returned)
		}
	}
	fmt.Fprintf(s, "\n---@class %s\n", name)
	for _, f := range fields {
		mark, typ := optional(f), luaType(f, name+"."+f.Name)
		if returned {
			mark, typ = "", strings.ReplaceAll(typ, "number|string", "number")
		}
		fmt.Fprintf(s, "---@field %s %s %s\n", f.Name+mark, typ, line(describe(f)))
	}
}

// result returns the type of what f returns, and writes its class.
func (s *stubs) result(m *runtime.Module, class string, f *runtime.Func) string {
	for i := range m.Types {
		if f.Gives(&m.Types[i]) {
			return m.Types[i].Name
		}
	}
	typ, fields := f.Result()
	if typ == "" {
		return "nil"
	}
	if len(fields) > 0 && class != "" {
		s.class(class+".result", fields, true)
		return luaType(runtime.Field{Type: typ, Fields: fields}, class+".result")
	}
	return luaType(runtime.Field{Type: typ}, "table")
}

// inline writes the parameters of a function type.
func (s *stubs) inline(f runtime.Func) string {
	var params []string
	options := false
	for _, field := range f.Fields() {
		switch {
		case field.Rest:
			params = append(params, "...: any")
		case field.Pos:
			params = append(params, field.Name+optional(field)+": "+luaType(field, "table"))
		default:
			options = true
		}
	}
	if options {
		params = append(params, "options?: table")
	}
	return strings.Join(params, ", ")
}

func optional(f runtime.Field) string {
	if f.Required {
		return ""
	}
	return "?"
}

// describe is a field's doc with its range and default.
func describe(f runtime.Field) string {
	text := f.Doc
	if facts := strings.ReplaceAll(typeText(f), "`", ""); facts != f.Type && len(f.Enum) == 0 {
		text += " (" + facts + ")"
	}
	if f.Default != "" {
		text += "; default " + f.Default
	}
	return text
}

// luaType returns f's type in LuaLS' words; class is that of its table.
func luaType(f runtime.Field, class string) string {
	if len(f.Enum) > 0 {
		return `"` + strings.Join(f.Enum, `"|"`) + `"`
	}
	typ := wordType(f.Type, class)
	if f.Secret && typ != "any" {
		typ += "|secret"
	}
	return typ
}

func wordType(words, class string) string {
	if item, ok := strings.CutPrefix(words, "list of "); ok {
		if inner := wordType(singular(item), class); strings.Contains(inner, "|") {
			return "(" + inner + ")[]"
		} else {
			return inner + "[]"
		}
	}
	if item, ok := strings.CutPrefix(words, "table of "); ok {
		return "table<string, " + wordType(singular(item), class) + ">"
	}
	switch words {
	case "string", "integer", "number", "boolean", "function", "secret":
		return words
	case "duration", "size":
		return "number|string"
	case "time":
		return "number"
	case "table":
		return class
	}
	return "any" // any, and objects
}

func singular(words string) string {
	if words == "any values" {
		return "any"
	}
	return strings.TrimSuffix(words, "s")
}

// line keeps a doc on one line.
func line(s string) string { return strings.Join(strings.Fields(s), " ") }

func (s *stubs) comment(text string) {
	for _, l := range say.Fold(text, 100) {
		fmt.Fprintf(s, "---%s\n", l)
	}
}
