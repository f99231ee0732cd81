package spec

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode"

	lua "github.com/yuin/gopher-lua"
)

// orNil makes Lua's nil of an argument that was not given.
func orNil(v lua.LValue) lua.LValue {
	if v == nil {
		return lua.LNil
	}
	return v
}

// equal is Lua's == without metamethods.
func equal(a, b lua.LValue) bool {
	x, ok := a.(*lua.LUserData)
	y, also := b.(*lua.LUserData)
	if ok && also {
		return x.Value == y.Value
	}
	return a == b
}

// maxNested is how deep tables are compared and shown.
const maxNested = 32

// same compares tables by what is in them.
func same(a, b lua.LValue) bool { return sameTo(a, b, maxNested) }

func sameTo(a, b lua.LValue, depth int) bool {
	x, ok := a.(*lua.LTable)
	y, also := b.(*lua.LTable)
	if !ok || !also || x == y || depth == 0 {
		return equal(a, b)
	}
	n := 0
	for k, v := x.Next(lua.LNil); k != lua.LNil; k, v = x.Next(k) {
		n++
		if !sameTo(v, y.RawGet(k), depth-1) {
			return false
		}
	}
	for k, _ := y.Next(lua.LNil); k != lua.LNil; k, _ = y.Next(k) {
		n--
	}
	return n == 0
}

// wide is how long a table may be to stand in one line.
const wide = 72

// show writes a value as Lua has it, tables over several lines when they are long.
func show(v lua.LValue) string {
	if one := write(v, -1, 0); len(one) <= wide {
		return one
	}
	return write(v, 0, 0)
}

// lines writes a value with each entry of a table on a line of its own.
func lines(v lua.LValue) []string { return strings.Split(write(v, 0, 0), "\n") }

// write writes a value; with indent below zero in one line.
func write(v lua.LValue, indent, depth int) string {
	switch v := v.(type) {
	case lua.LString:
		return quote(string(v))
	case lua.LNumber:
		return number(float64(v))
	case *lua.LTable:
		return writeTable(v, indent, depth)
	case *lua.LUserData:
		if s, ok := v.Value.(fmt.Stringer); ok {
			return "<" + s.String() + ">"
		}
		return "<object>"
	case *lua.LFunction:
		return "<function>"
	}
	return v.String()
}

func number(n float64) string {
	if n == math.Trunc(n) && math.Abs(n) < 1e15 {
		return strconv.FormatFloat(n, 'f', -1, 64)
	}
	return strconv.FormatFloat(n, 'g', 14, 64)
}

// quote writes a string as Lua does, with its line breaks and control characters
// visible.
func quote(s string) string {
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
	return b.String() + `"`
}

func writeTable(t *lua.LTable, indent, depth int) string {
	if depth >= maxNested {
		return "{...}"
	}
	keys := sortedKeys(t)
	if len(keys) == 0 {
		return "{}"
	}
	below := indent
	sep, open, end := ", ", "{", "}"
	if indent >= 0 {
		below = indent + 1
		pad := "\n" + strings.Repeat("  ", below)
		sep, open, end = ","+pad, "{"+pad, ",\n"+strings.Repeat("  ", indent)+"}"
	}
	parts := make([]string, len(keys))
	for i, k := range keys {
		text := write(t.RawGet(k), below, depth+1)
		if n, ok := k.(lua.LNumber); !ok || float64(n) != float64(i+1) {
			text = key(k) + " = " + text
		}
		parts[i] = text
	}
	return open + strings.Join(parts, sep) + end
}

func key(k lua.LValue) string {
	if s, ok := k.(lua.LString); ok {
		word := func(r rune) bool {
			return r == '_' || r < unicode.MaxASCII && (unicode.IsLetter(r) || unicode.IsDigit(r))
		}
		if s != "" && !unicode.IsDigit(rune(s[0])) && strings.IndexFunc(string(s), func(r rune) bool { return !word(r) }) < 0 {
			return string(s)
		}
	}
	return "[" + write(k, -1, 0) + "]"
}

// sortedKeys returns numbers first, in their order, then the others by name.
func sortedKeys(t *lua.LTable) []lua.LValue {
	var keys []lua.LValue
	for k, _ := t.Next(lua.LNil); k != lua.LNil; k, _ = t.Next(k) {
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
		return cmp.Compare(a.String(), b.String())
	})
	return keys
}
