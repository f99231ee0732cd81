// Package show writes Lua values and texts for people, whatever they are: deep,
// wide, inside themselves, of many megabytes. It calls no metamethod and no Lua,
// looks at no more than a bound, and says where it stopped.
//
// Line writes a value in one line, Lines one entry of a table a line, Text cuts a
// text. All who show something of a recipe use these: error messages, the
// assertions of specs, reports.
package show

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	lua "github.com/yuin/gopher-lua"
)

// Bounds of what is written of one value.
const (
	maxNodes  = 10_000 // values that are looked at
	maxDepth  = 32     // tables inside tables
	maxString = 4 << 10
)

// Line writes v as Lua has it, in one line of at most some max bytes.
func Line(v lua.LValue, max int) string { return write(v, -1, max) }

// Lines writes v with each entry of a table on a line of its own.
func Lines(v lua.LValue, max int) string { return write(v, 0, max) }

// Text returns at most max bytes of s, and says how long it is when that is more.
func Text(s string, max int) string {
	if len(s) <= max {
		return s
	}
	end := max
	for end > 0 && end > max-utf8.UTFMax && !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end] + fmt.Sprintf("... (%d bytes in all)", len(s))
}

// Quote writes s as a Lua literal, with its line breaks and control characters
// visible, and not all of a long one.
func Quote(s string) string {
	more := ""
	if len(s) > maxString {
		more = fmt.Sprintf("... (%d bytes in all)", len(s))
		s = s[:maxString]
	}
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range strings.ToValidUTF8(s, "\uFFFD") {
		switch {
		case r == '"' || r == '\\':
			b.WriteString("\\" + string(r))
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\t':
			b.WriteString(`\t`)
		case unicode.IsControl(r):
			fmt.Fprintf(&b, `\%03d`, r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String() + `"` + more
}

// Number writes n as people do.
func Number(n float64) string {
	if n == math.Trunc(n) && math.Abs(n) < 1e15 {
		return strconv.FormatFloat(n, 'f', -1, 64)
	}
	return strconv.FormatFloat(n, 'g', 14, 64)
}

// writer writes one value.
type writer struct {
	b     strings.Builder
	max   int // bytes
	nodes int // still to be looked at
	open  map[*lua.LTable]bool
}

func write(v lua.LValue, indent, max int) string {
	w := &writer{max: max, nodes: maxNodes, open: map[*lua.LTable]bool{}}
	w.value(v, indent)
	return w.b.String()
}

// full reports whether enough was written.
func (w *writer) full() bool { return w.b.Len() >= w.max || w.nodes <= 0 }

// value writes v; with indent below zero in one line.
func (w *writer) value(v lua.LValue, indent int) {
	w.nodes--
	switch v := v.(type) {
	case nil:
		w.b.WriteString("nil")
	case lua.LString:
		w.b.WriteString(Quote(string(v)))
	case lua.LNumber:
		w.b.WriteString(Number(float64(v)))
	case *lua.LTable:
		w.table(v, indent)
	case *lua.LUserData:
		if s, ok := v.Value.(fmt.Stringer); ok {
			w.b.WriteString("<" + Text(s.String(), maxString) + ">")
			return
		}
		w.b.WriteString("<object>")
	case *lua.LFunction:
		w.b.WriteString("<function>")
	case *lua.LNilType, lua.LBool:
		w.b.WriteString(v.String())
	default:
		w.b.WriteString("<" + v.Type().String() + ">")
	}
}

func (w *writer) table(t *lua.LTable, indent int) {
	switch {
	case w.open[t]:
		w.b.WriteString("{the table itself}")
		return
	case len(w.open) >= maxDepth:
		w.b.WriteString("{...}")
		return
	}
	keys, more := sortedKeys(t, w.nodes)
	if len(keys) == 0 {
		w.b.WriteString("{}")
		return
	}
	w.open[t] = true
	defer delete(w.open, t)
	below, sep, end := indent, ", ", "}"
	w.b.WriteByte('{')
	if indent >= 0 {
		below = indent + 1
		pad := "\n" + strings.Repeat("  ", below)
		sep, end = ","+pad, ",\n"+strings.Repeat("  ", indent)+"}"
		w.b.WriteString(pad)
	}
	for i, k := range keys {
		if i > 0 {
			w.b.WriteString(sep)
		}
		if w.full() {
			more = true
			break
		}
		if n, ok := k.(lua.LNumber); !ok || float64(n) != float64(i+1) {
			w.key(k)
			w.b.WriteString(" = ")
		}
		w.value(t.RawGet(k), below)
	}
	if more {
		w.b.WriteString("...")
	}
	w.b.WriteString(end)
}

func (w *writer) key(k lua.LValue) {
	if s, ok := k.(lua.LString); ok && isName(string(s)) {
		w.b.WriteString(string(s))
		return
	}
	w.b.WriteByte('[')
	w.value(k, -1)
	w.b.WriteByte(']')
}

// isName reports whether s can stand before a = in a table.
func isName(s string) bool {
	if s == "" || len(s) > 100 || s[0] >= '0' && s[0] <= '9' {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if c != '_' && (c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'z') {
			return false
		}
	}
	return true
}

// sortedKeys returns at most max keys, numbers first, in their order, then the
// others by name; and whether there are more.
func sortedKeys(t *lua.LTable, max int) (keys []lua.LValue, more bool) {
	for k, _ := t.Next(lua.LNil); k != lua.LNil; k, _ = t.Next(k) {
		if len(keys) >= max {
			more = true
			break
		}
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b lua.LValue) int {
		x, ok := a.(lua.LNumber)
		y, also := b.(lua.LNumber)
		switch {
		case ok && also:
			return cmp.Compare(x, y)
		case ok:
			return -1
		case also:
			return 1
		}
		return cmp.Compare(name(a), name(b))
	})
	return keys, more
}

// name returns the text that keys are sorted by.
func name(k lua.LValue) string {
	if s, ok := k.(lua.LString); ok {
		return string(s[:min(len(s), 100)])
	}
	return k.Type().String()
}
