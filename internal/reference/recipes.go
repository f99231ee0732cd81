package reference

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/mepc/mepc-run/runtime"
)

// Recipe is a recipe that ships with mepc-run, as Host.Describe describes it.
type Recipe struct {
	Name   string // such as bluegreen
	Doc    string
	Params []runtime.Param
}

const recipesIntro = `# Recipes

The recipes that ship with mepc-run. Each is a file in [recipes/](../../recipes) and part of the program: run it by its
name, such as ` + "`mepc-run bluegreen`" + `, or from a file. ` + "`mepc-run RECIPE --help`" + ` prints what stands here.

`

// Recipes returns docs/reference/recipes.md.
func Recipes(list []Recipe) string {
	return sections(recipesIntro, list, func(b *strings.Builder, r *Recipe) {
		fmt.Fprintf(b, "## %s\n\n%s\n\n", r.Name, prose(r.Doc))
		t := table{head: []string{"parameter", "type", "default", "meaning"}}
		for _, p := range r.Params {
			t.row(code(p.Name), paramType(p), paramDefault(p), prose(p.Doc))
		}
		t.write(b)
	})
}

// sections returns a page with a section of each of all.
func sections[T any](intro string, all []T, section func(*strings.Builder, *T)) string {
	var b strings.Builder
	b.WriteString(generated + intro)
	for i := range all {
		if i > 0 {
			b.WriteString("\n")
		}
		section(&b, &all[i])
	}
	return b.String()
}

func paramType(p runtime.Param) string {
	return typeText(runtime.Field{Type: p.Type, Min: p.Min, Max: p.Max, Enum: p.Values})
}

func paramDefault(p runtime.Param) string {
	if p.Required {
		return "required"
	}
	if text := valueText(p.Default); text != "" {
		return code(text)
	}
	return ""
}

// valueText writes a default as it is given on the command line.
func valueText(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return v
	case bool:
		return strconv.FormatBool(v)
	case float64:
		return number(v)
	case []any:
		items := make([]string, len(v))
		for i, item := range v {
			items[i] = valueText(item)
		}
		return strings.Join(items, ",")
	}
	return "" // {}, an empty list
}
