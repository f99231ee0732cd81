package reference

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/mepc/mepc-run/runtime"
)

// typeText writes what a field takes: its type, its range or its choices.
func typeText(f runtime.Field) string {
	text := f.Type
	if len(f.Enum) > 0 {
		choices := make([]string, len(f.Enum))
		for i, e := range f.Enum {
			choices[i] = code(e)
		}
		return strings.Join(choices, ", ")
	}
	if f.Secret {
		text += " or secret"
	}
	unit := ""
	switch {
	case f.Type == "duration":
		unit = " s"
	case f.Type == "size" && (f.Min == nil || *f.Min != 0):
		unit = " bytes"
	}
	switch {
	case f.Min != nil && f.Max != nil:
		return text + ", " + number(*f.Min) + " to " + number(*f.Max) + unit
	case f.Min != nil:
		return text + ", " + number(*f.Min) + unit + " or more"
	case f.Max != nil:
		return text + ", " + number(*f.Max) + unit + " or less"
	}
	return text
}

func number(x float64) string { return strconv.FormatFloat(x, 'f', -1, 64) }

// presence writes what stands in the column of defaults.
func presence(f runtime.Field) string {
	switch {
	case f.Required:
		return "required"
	case f.Default != "":
		return code(f.Default)
	case f.Type == "boolean":
		return code("false")
	}
	return ""
}

// inside joins a field's name and the names of its own fields.
func inside(typ string) string {
	switch {
	case strings.HasPrefix(typ, "list of"):
		return "[i]."
	case strings.HasPrefix(typ, "table of"):
		return "[name]."
	}
	return "."
}

// table is a table in the making. Forges show a column without a heading well.
type table struct {
	head []string
	rows [][]string
}

func (t *table) row(cells ...string) { t.rows = append(t.rows, cells) }

// write leaves out a column that is empty in every row.
func (t *table) write(w io.Writer) {
	var keep []int
	for i := range t.head {
		for _, r := range t.rows {
			if r[i] != "" {
				keep = append(keep, i)
				break
			}
		}
	}
	line := func(cells []string) {
		for _, i := range keep {
			fmt.Fprintf(w, "| %s ", strings.ReplaceAll(cells[i], "|", `\|`))
		}
		fmt.Fprintln(w, "|")
	}
	line(t.head)
	fmt.Fprintln(w, strings.Repeat("|---", len(keep))+"|")
	for _, r := range t.rows {
		line(r)
	}
}
