package sandbox

import (
	"math"
	"strconv"
	"strings"

	lua "github.com/yuin/gopher-lua"
)

// The VM's own conversions between numbers and strings differ from Lua's (010
// is eight, 1_000 is a number, 1e15 prints in full), so every conversion that
// a script can see goes through these two. The arithmetic operators reach them
// by the metatable of strings, see strmeta.go.

// FormatNumber returns n as Lua prints it, which is C's %.14g.
func FormatNumber(n lua.LNumber) string {
	f := float64(n)
	if i := int64(f); float64(i) == f && i > -1e14 && i < 1e14 && (i != 0 || !math.Signbit(f)) {
		return strconv.FormatInt(i, 10)
	}
	if s, ok := formatSpecial(f); ok {
		return s
	}
	return strconv.FormatFloat(f, 'g', 14, 64)
}

// formatSpecial is C's text for what is not finite. The sign of a NaN is
// printed as C does: 0/0 is "-nan" on amd64.
func formatSpecial(f float64) (string, bool) {
	switch {
	case math.IsInf(f, 1):
		return "inf", true
	case math.IsInf(f, -1):
		return "-inf", true
	case math.IsNaN(f) && math.Signbit(f):
		return "-nan", true
	case math.IsNaN(f):
		return "nan", true
	}
	return "", false
}

const spaces = " \t\n\v\f\r"

// ParseNumber converts s as Lua converts a string to a number: decimal or
// hexadecimal, spaces around it, nothing else. What C's strtod takes, such as
// "inf", "nan" and hexadecimal fractions, is taken too.
func ParseNumber(s string) (lua.LNumber, bool) {
	s = strings.Trim(s, spaces)
	if s == "" {
		return 0, false
	}
	digits := s
	if digits[0] == '+' || digits[0] == '-' {
		digits = digits[1:]
	}
	if digits == "" {
		return 0, false
	}
	var f float64
	switch c := digits[0]; {
	case len(digits) > 1 && c == '0' && digits[1]|0x20 == 'x':
		var ok bool
		if f, ok = parseHex(digits[2:]); !ok {
			return 0, false
		}
	case c == '.' || c >= '0' && c <= '9':
		if strings.IndexByte(digits, '_') >= 0 {
			return 0, false
		}
		var err error
		if f, err = strconv.ParseFloat(digits, 64); err != nil && err.(*strconv.NumError).Err != strconv.ErrRange {
			return 0, false
		}
	case len(digits) > len("infinity"):
		return 0, false
	default:
		switch strings.ToLower(digits) {
		case "inf", "infinity":
			f = math.Inf(1)
		case "nan":
			f = math.NaN()
		default:
			return 0, false
		}
	}
	if s[0] == '-' {
		f = -f
	}
	return lua.LNumber(f), true
}

// parseHex parses what follows 0x: digits with an optional fraction and an
// optional binary exponent.
func parseHex(s string) (float64, bool) {
	var f float64
	exp, digits, point := 0, 0, false
	i := 0
	for ; i < len(s); i++ {
		c := s[i]
		if c == '.' && !point {
			point = true
			continue
		}
		d, ok := digitValue(c)
		if !ok || d >= 16 {
			break
		}
		digits++
		f = f*16 + float64(d)
		if point {
			exp -= 4
		}
	}
	if digits == 0 {
		return 0, false
	}
	if i < len(s) {
		if s[i]|0x20 != 'p' {
			return 0, false
		}
		e, err := strconv.Atoi(s[i+1:])
		if err != nil || strings.IndexByte(s[i+1:], '_') >= 0 {
			return 0, false
		}
		exp += e
	}
	return math.Ldexp(f, exp), true
}

// parseBase is tonumber(s, base) for a base other than ten: C's strtoul, which
// takes a sign and wraps.
func parseBase(s string, base int) (lua.LNumber, bool) {
	s = strings.Trim(s, spaces)
	negative := false
	if s != "" && (s[0] == '+' || s[0] == '-') {
		negative = s[0] == '-'
		s = s[1:]
	}
	if base == 16 && len(s) > 2 && s[0] == '0' && s[1]|0x20 == 'x' {
		s = s[2:]
	}
	if s == "" {
		return 0, false
	}
	var n uint64
	overflow := false
	for i := 0; i < len(s); i++ {
		d, ok := digitValue(s[i])
		if !ok || d >= base {
			return 0, false
		}
		if n > (math.MaxUint64-uint64(d))/uint64(base) {
			overflow = true
		}
		n = n*uint64(base) + uint64(d)
	}
	if overflow {
		n = math.MaxUint64
	} else if negative {
		n = -n
	}
	return lua.LNumber(n), true
}

func digitValue(c byte) (int, bool) {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0'), true
	case c|0x20 >= 'a' && c|0x20 <= 'z':
		return int(c|0x20-'a') + 10, true
	}
	return 0, false
}

// toInteger converts as lua_tointeger does on amd64: it truncates, and what
// does not fit an int64 becomes its minimum.
func toInteger(n lua.LNumber) int64 {
	f := float64(n)
	if f >= -9223372036854775808 && f < 9223372036854775808 {
		return int64(f)
	}
	return math.MinInt64
}
