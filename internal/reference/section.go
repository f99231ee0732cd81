package reference

import (
	"fmt"
	"strings"

	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/runtime"
)

// function writes one section.
func (p *page) function(level, name string, f runtime.Func) {
	fields := f.Fields()
	fmt.Fprintf(p, "%s %s\n\n", level, name)
	fmt.Fprintf(p, "```\n%s\n```\n\n", signature(name, fields, longest))
	fmt.Fprintf(p, "%s\n\n", prose(f.Doc))
	p.arguments(fields)
	p.returns(name, f)
	p.facts(f)
	if f.Example != "" {
		fmt.Fprintf(p, "Example:\n\n```lua\n%s\n```\n\n", f.Example)
	}
}

// longest is the maximum width of a signature.
const longest = 100

// signature shortens what does not fit a line: the required options, then dots.
func signature(name string, fields []runtime.Field, longest int) string {
	full := runtime.Signature(name, fields)
	if len(full) <= longest {
		return full
	}
	var kept []runtime.Field
	for _, f := range fields {
		if f.Pos || f.Required {
			kept = append(kept, f)
		}
	}
	short := runtime.Signature(name, kept)
	switch {
	case strings.HasSuffix(short, "})"), strings.HasSuffix(short, "}"):
		i := strings.LastIndexByte(short, '}')
		return short[:i] + ", ..." + short[i:]
	case strings.HasSuffix(short, "()"):
		return strings.TrimSuffix(short, "()") + "{...}"
	}
	return strings.TrimSuffix(short, ")") + ", {...})"
}

// arguments writes the two tables: what is given by position, and the options.
func (p *page) arguments(fields []runtime.Field) {
	var pos, named []runtime.Field
	for _, f := range fields {
		if f.Pos {
			pos = append(pos, f)
		} else {
			named = append(named, f)
		}
	}
	p.takes("argument", pos)
	p.takes("option", named)
}

func (p *page) takes(what string, fields []runtime.Field) {
	if len(fields) == 0 {
		return
	}
	t := table{head: []string{what, "type", "default", "meaning"}}
	addTaken(&t, "", fields)
	t.write(p)
	p.WriteString("\n")
}

func addTaken(t *table, prefix string, fields []runtime.Field) {
	for _, f := range fields {
		name := prefix + f.Name
		if f.Rest {
			name = "..."
		}
		t.row(code(name), typeText(f), presence(f), prose(f.Doc))
		addTaken(t, name+inside(f.Type), f.Fields)
	}
}

// returns writes what comes back, and the fields where that is a table.
func (p *page) returns(name string, f runtime.Func) {
	typ, fields := f.Result()
	switch {
	case typ == "":
		p.WriteString("Returns nothing.\n\n")
		return
	case f.Returns == "":
		fmt.Fprintf(p, "Returns %s.\n\n", article(typ))
	default:
		fmt.Fprintf(p, "Returns %s.", strings.TrimSuffix(prose(f.Returns), "."))
	}
	if len(fields) == 0 {
		p.WriteString("\n\n")
		return
	}
	t := table{head: []string{"field", "type", "meaning"}}
	addFields(&t, "", fields)
	var b strings.Builder
	t.write(&b)
	if seen := p.results[b.String()]; seen != "" {
		fmt.Fprintf(p, " The fields are those of [%s](#%s).\n\n", seen, Anchor(seen))
		return
	}
	p.results[b.String()] = name
	if strings.HasPrefix(typ, "list of") {
		p.WriteString(" Each has the fields:")
	}
	fmt.Fprintf(p, "\n\n%s\n", b.String())
}

func article(typ string) string {
	if strings.ContainsRune("aeiou", rune(typ[0])) {
		return "an " + typ
	}
	return "a " + typ
}

func addFields(t *table, prefix string, fields []runtime.Field) {
	for _, f := range fields {
		t.row(code(prefix+f.Name), typeText(f), prose(f.Doc))
		addFields(t, prefix+f.Name+inside(f.Type), f.Fields)
	}
}

// facts writes what is to be known of a call to a server, and what it raises.
func (p *page) facts(f runtime.Func) {
	head, block, many := strings.Cut(strings.TrimSuffix(f.From, "\n"), "\n")
	if many {
		fmt.Fprintf(p, "%s\n\n```\n%s\n```\n\n", prose(head), block)
	}
	var lines []string
	if f.Class != runtime.Pure {
		lines = append(lines, "Class: "+f.Class.String())
	}
	if head != "" && !many {
		lines = append(lines, "Calls: "+origin(head))
	}
	if len(f.Raises) > 0 {
		lines = append(lines, "[Raises](../errors.md): "+kinds(f.Raises))
	}
	for _, l := range lines {
		fmt.Fprintf(p, "- %s\n", l)
	}
	if len(lines) > 0 {
		p.WriteString("\n")
	}
}

// kinds lists kinds in the order of the page that explains them.
func kinds(raised []runtime.Kind) string {
	var out []string
	for _, k := range failure.Kinds() {
		for _, r := range raised {
			if r == k.Kind {
				out = append(out, code(string(k.Kind)))
				break
			}
		}
	}
	return strings.Join(out, ", ")
}
