package app

import (
	"context"
	"fmt"
	"io"
	"strings"
	"unicode"

	"github.com/mepc/mepc-run/internal/say"
	"github.com/mepc/mepc-run/runtime"
)

// recipeHelp prints what a recipe does and takes. No server is asked.
func (r *runner) recipeHelp(ctx context.Context, name string) error {
	r.recipe = name
	recipe, declared, err := r.describe(ctx, name)
	if err != nil {
		return err
	}
	var b strings.Builder
	if recipe.Doc != "" {
		fmt.Fprintf(&b, "%s\n\n", recipe.Doc)
	}
	fmt.Fprintf(&b, "Usage:\n  mepc-run %s%s\n", name, usage(declared))
	if len(declared) == 0 {
		b.WriteString("\nIt takes no parameters.\n")
	}
	width := 0
	for _, p := range declared {
		width = max(width, len(parameter(p)))
	}
	for _, part := range []struct {
		title    string
		required bool
	}{{"Required", true}, {"Optional", false}} {
		title := "\n" + part.title + ":\n"
		for _, p := range declared {
			if p.Required != part.required {
				continue
			}
			b.WriteString(title)
			title = ""
			for i, line := range fold(describeParam(p), columns-width-4) {
				left := ""
				if i == 0 {
					left = parameter(p)
				}
				fmt.Fprintf(&b, "  %-*s  %s\n", width, left, line)
			}
		}
	}
	b.WriteString("\nmepc-run --help lists the flags: servers, secrets, output, limits.\n")
	_, err = io.WriteString(r.env.Stdout, printable(b.String()))
	return err
}

// usage returns how the recipe is called: required parameters by name.
func usage(declared []runtime.Param) string {
	var b strings.Builder
	optional := false
	for _, p := range declared {
		if p.Required {
			fmt.Fprintf(&b, " %s=...", p.Name)
		}
		optional = optional || !p.Required
	}
	if optional {
		b.WriteString(" [name=value ...]")
	}
	return b.String()
}

// parameter returns "port=INTEGER".
func parameter(p runtime.Param) string { return p.Name + "=" + strings.ToUpper(p.Type) }

// describeParam returns what p is for, what it may be, and what it is when it is not given.
func describeParam(p runtime.Param) string {
	var notes []string
	switch {
	case len(p.Values) > 0:
		notes = append(notes, strings.Join(p.Values, "|"))
	case p.Min != nil && p.Max != nil:
		notes = append(notes, fmt.Sprintf("%v to %v", *p.Min, *p.Max))
	case p.Min != nil:
		notes = append(notes, fmt.Sprintf("from %v", *p.Min))
	case p.Max != nil:
		notes = append(notes, fmt.Sprintf("up to %v", *p.Max))
	}
	if d := defaultText(p.Default); d != "" {
		notes = append(notes, "default "+d)
	}
	if len(notes) == 0 {
		return p.Doc
	}
	return strings.TrimSpace(p.Doc + " (" + strings.Join(notes, "; ") + ")")
}

// defaultText returns the empty string where there is nothing to be said.
func defaultText(v any) string {
	switch v := v.(type) {
	case nil, map[string]any: // {} in Lua
		return ""
	case float64:
		return fmt.Sprintf("%.15g", v)
	case []any:
		items := make([]string, len(v))
		for i, item := range v {
			items[i] = fmt.Sprint(item)
		}
		return strings.Join(items, ",")
	}
	return fmt.Sprint(v)
}

// fold breaks text into lines of at most width columns, between words.
func fold(text string, width int) []string {
	return say.Fold(text, max(width, 20)) // below that, long lines read better
}

// printable drops from a recipe's own text what would drive a terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\n' && r != '\t' {
			return -1
		}
		return r
	}, s)
}
