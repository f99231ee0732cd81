package reference

import (
	"fmt"
	"slices"
	"strings"

	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/internal/say"
	"github.com/mepc/mepc-run/runtime"
)

// Style dresses words for a terminal.
type Style struct{ Bold, Dim func(string) string }

// width is the width of a page in a terminal.
const width = 80

// Terminal returns what the tables say of name, for a terminal: a module, a
// function such as docker.create, a method such as redis:multi, a type of
// object, or "errors". The empty name is the list of all.
func Terminal(modules []runtime.Module, name string, style Style) (string, error) {
	t := &terminal{style: style, modules: modules}
	switch {
	case name == "":
		t.index()
	case name == "errors" || name == "kinds":
		t.kinds()
	case !t.lookup(name):
		return "", failure.New(failure.NotFound, "nothing is called %s%s", name, runtime.DidYouMean(name, Names(modules))).
			WithHint("mepc-run doc lists what there is")
	}
	return strings.TrimRight(t.String(), "\n") + "\n", nil
}

// Names returns the names that Terminal knows.
func Names(modules []runtime.Module) []string {
	names := []string{"errors"}
	for _, m := range modules {
		names = append(names, moduleName(m))
		for _, f := range m.Funcs {
			names = append(names, f.Qualified(m.Name))
		}
		for _, typ := range m.Types {
			if !repeats(m, typ) {
				for _, f := range typ.Funcs {
					names = append(names, methodName(typ, f))
				}
			}
			if typ.Method != nil && typ.Name == m.Name {
				for _, name := range typ.Names {
					names = append(names, typ.Name+":"+name)
				}
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// moduleName is a module's name; that of the globals is their page's.
func moduleName(m runtime.Module) string {
	if m.Name == "" {
		return packageName(m)
	}
	return m.Name
}

type terminal struct {
	strings.Builder
	style   Style
	modules []runtime.Module
}

// lookup writes what is called name, and reports whether there is something.
func (t *terminal) lookup(name string) bool {
	for _, m := range t.modules {
		if moduleName(m) == name {
			t.module(m)
			return true
		}
	}
	name = strings.TrimSuffix(strings.TrimSuffix(name, "()"), "{}")
	for _, m := range t.modules {
		for _, f := range m.Funcs {
			if f.Qualified(m.Name) == name {
				t.function(name, f)
				return true
			}
		}
		for i := range m.Types {
			if t.object(&m.Types[i], name) {
				return true
			}
		}
	}
	return false
}

// object writes the type called name, or its method. redis:get and
// connection:get are both taken for a method of redis objects.
func (t *terminal) object(typ *runtime.Type, name string) bool {
	if typ.Name == name {
		t.heading(name + " objects")
		t.text(0, typ.Doc)
		t.functions(typ.Funcs, func(f runtime.Func) string { return methodName(*typ, f) })
		return true
	}
	owner, method, ok := strings.Cut(name, ":")
	if !ok || owner != typ.Name && owner != typ.Name[strings.LastIndexByte(typ.Name, '.')+1:] {
		return false
	}
	for _, f := range typ.Funcs {
		if f.Name == method {
			t.function(name, f)
			return true
		}
	}
	if typ.Method != nil {
		if f, err := typ.Method(method); err == nil {
			t.function(name, *f)
			return true
		}
	}
	return false
}

func (t *terminal) heading(text string) { fmt.Fprintf(t, "%s\n\n", t.style.Bold(text)) }

// text writes a paragraph.
func (t *terminal) text(indent int, text string) {
	for _, line := range say.Fold(text, width-indent) {
		fmt.Fprintf(t, "%*s%s\n", indent, "", line)
	}
	t.WriteString("\n")
}

// row writes a name and what is to be said of it beside it, or below when the
// name is too long.
func (t *terminal) row(column int, name, text string) {
	lines := say.Fold(text, width-column-4)
	if len(name) > column {
		fmt.Fprintf(t, "  %s\n", t.style.Bold(name))
		name = ""
	}
	for i, line := range lines {
		if i > 0 {
			name = ""
		}
		fmt.Fprintf(t, "  %s%*s  %s\n", t.style.Bold(name), column-len(name), "", line)
	}
}

func (t *terminal) index() {
	t.text(0, "What a recipe can call. mepc-run doc NAME tells more of a module, a function (docker.create), a method (redis:multi) or a recipe.")
	for _, m := range t.modules {
		t.row(10, moduleName(m), firstSentence(m.Doc))
	}
	t.row(10, "errors", "The kinds of error, and the exit codes that go with them.")
}

func (t *terminal) module(m runtime.Module) {
	t.heading(moduleName(m))
	t.text(0, m.Doc)
	t.functions(m.Funcs, func(f runtime.Func) string { return f.Qualified(m.Name) })
	for _, typ := range m.Types {
		t.heading(typ.Name + " objects")
		t.text(0, typ.Doc)
		if !repeats(m, typ) {
			t.functions(typ.Funcs, func(f runtime.Func) string { return methodName(typ, f) })
		}
	}
}

func (t *terminal) functions(funcs []runtime.Func, name func(runtime.Func) string) {
	column := 0
	for _, f := range funcs {
		column = max(column, min(len(name(f)), 24))
	}
	for _, f := range funcs {
		t.row(column, name(f), firstSentence(f.Doc))
	}
	if len(funcs) > 0 {
		t.WriteString("\n")
	}
}

func (t *terminal) function(name string, f runtime.Func) {
	fields := f.Fields()
	t.heading(signature(name, fields, width))
	t.text(0, f.Doc)
	t.taken("Arguments", fields, true)
	t.taken("Options", fields, false)
	t.returned(f)
	if f.Class != runtime.Pure {
		t.row(8, "class", f.Class.String())
	}
	from, block, _ := strings.Cut(strings.TrimSuffix(f.From, "\n"), "\n")
	if from != "" {
		t.row(8, "calls", from)
		for line := range strings.Lines(block) {
			for _, part := range say.Fold(line, width-14) {
				fmt.Fprintf(t, "            %s\n", part)
			}
		}
	}
	if len(f.Raises) > 0 {
		t.row(8, "raises", strings.ReplaceAll(kinds(f.Raises), "`", ""))
	}
	syntax, isCommand := strings.CutPrefix(f.Example, "-- ")
	switch {
	case isCommand:
		t.row(8, "syntax", syntax)
	case f.Example != "":
		fmt.Fprintf(t, "\n%s\n", t.style.Bold("Example"))
		for line := range strings.Lines(f.Example) {
			fmt.Fprintf(t, "    %s\n", strings.TrimSuffix(line, "\n"))
		}
	}
}

// taken writes the arguments by position, or the options.
func (t *terminal) taken(title string, fields []runtime.Field, pos bool) {
	var list []runtime.Field
	for _, f := range fields {
		if f.Pos == pos {
			list = append(list, f)
		}
	}
	if len(list) == 0 {
		return
	}
	fmt.Fprintf(t, "%s\n", t.style.Bold(title))
	t.fields("", list)
	t.WriteString("\n")
}

func (t *terminal) fields(prefix string, list []runtime.Field) {
	column := 0
	for _, f := range list {
		column = max(column, min(len(prefix+f.Name), 20))
	}
	for _, f := range list {
		name := prefix + f.Name
		if f.Rest {
			name = "..."
		}
		facts := strings.ReplaceAll(typeText(f), "`", "")
		if p := strings.ReplaceAll(presence(f), "`", ""); p == "required" {
			facts += ", required"
		} else if p != "" {
			facts += ", default " + p
		}
		t.row(column, name, f.Doc+" ("+facts+")")
		t.fields(name+inside(f.Type), f.Fields)
	}
}

func (t *terminal) returned(f runtime.Func) {
	typ, fields := f.Result()
	if typ == "" {
		return
	}
	said := strings.TrimSuffix(f.Returns, ".")
	if said == "" {
		said = article(typ)
	}
	fmt.Fprintf(t, "%s\n", t.style.Bold("Returns"))
	for _, line := range say.Fold(said, width-2) {
		fmt.Fprintf(t, "  %s\n", line)
	}
	if len(fields) > 0 {
		t.WriteString("\n")
		t.fields("", fields)
	}
	t.WriteString("\n")
}

func (t *terminal) kinds() {
	t.heading("errors")
	t.text(0, "Every function raises an error when it cannot do what it was asked for. try(f, ...) hands it over as a table. The kind decides the exit code.")
	for _, k := range failure.Kinds() {
		t.row(22, fmt.Sprintf("%3d  %s", k.Exit, k.Kind), k.Doc)
	}
	fmt.Fprintf(t, "\n%s\n", t.style.Bold("Fields of an error"))
	for _, f := range ErrorFields() {
		t.row(10, f.Name, f.Type+": "+f.Doc)
	}
}
