package reference

import (
	"fmt"
	"strings"

	"github.com/mepc/mepc-run/runtime"
)

// page is one page while it is written.
type page struct {
	strings.Builder
	name    string
	modules []runtime.Module
	// results remembers which function's section shows a table of fields, so
	// that those that return the same point there.
	results map[string]string
}

func (p *page) file() string { return p.name + ".md" }

func (p *page) write() string {
	p.WriteString(generated)
	fmt.Fprintf(p, "# %s\n\n", p.name)
	if len(p.modules) == 1 {
		p.WriteString(prose(p.modules[0].Doc) + "\n\n")
	}
	p.contents()
	level := "##"
	for _, m := range p.modules {
		if len(p.modules) > 1 {
			level = "###"
			fmt.Fprintf(p, "## %s\n\n%s\n\n", title(m), prose(m.Doc))
		}
		for _, f := range m.Funcs {
			p.function(level, f.Qualified(m.Name), f)
		}
		for _, t := range m.Types {
			p.objects(level, m, t)
		}
	}
	return strings.TrimRight(p.String(), "\n") + "\n"
}

// title is a module's heading. It must not be the same as a function's, such as
// log, which would take its link.
func title(m runtime.Module) string {
	if m.Name == "" {
		return "Globals"
	}
	return "Module " + m.Name
}

// contents lists every function in a line.
func (p *page) contents() {
	t := table{head: []string{"function", "class", "what it does"}}
	row := func(name string, f runtime.Func) {
		t.row(fmt.Sprintf("[%s](#%s)", name, Anchor(name)), class(f), prose(firstSentence(f.Doc)))
	}
	for _, m := range p.modules {
		for _, f := range m.Funcs {
			row(f.Qualified(m.Name), f)
		}
		for _, typ := range m.Types {
			if repeats(m, typ) {
				continue
			}
			for _, f := range typ.Funcs {
				row(methodName(typ, f), f)
			}
		}
	}
	t.write(p)
	p.WriteString("\n")
}

func class(f runtime.Func) string {
	if f.Class == runtime.Pure {
		return ""
	}
	return f.Class.String()
}

// repeats reports whether the methods of typ are functions of m.
func repeats(m runtime.Module, typ runtime.Type) bool {
	docs := map[string]string{}
	for _, f := range m.Funcs {
		docs[f.Name] = f.Doc
	}
	for _, f := range typ.Funcs {
		if docs[f.Name] != f.Doc {
			return false
		}
	}
	return len(typ.Funcs) > 0
}

// methodName returns the method's name in prose: by the last word of its type.
func methodName(typ runtime.Type, f runtime.Func) string {
	return typ.Name[strings.LastIndexByte(typ.Name, '.')+1:] + ":" + f.Name
}

// objects writes a type and its methods.
func (p *page) objects(level string, m runtime.Module, typ runtime.Type) {
	fmt.Fprintf(p, "%s %s objects\n\n%s\n\n", level, typ.Name, prose(typ.Doc))
	if fields := typ.Fields(); len(fields) > 0 {
		t := table{head: []string{"field", "type", "meaning"}}
		addFields(&t, "", fields)
		t.write(p)
		p.WriteString("\n")
	}
	if repeats(m, typ) {
		return
	}
	for _, f := range typ.Funcs {
		p.function(level+"#", methodName(typ, f), f)
	}
}
