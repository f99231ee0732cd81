package sandbox

import (
	"strconv"
	"strings"

	lua "github.com/yuin/gopher-lua"
)

// strFormat is string.format, with C's printf for the numbers.
func (vm *VM) strFormat(L *lua.LState) int {
	f := vm.checkString(L, 1)
	b := vm.builder(L)
	arg := 1
	for i := 0; i < len(f); i++ {
		if f[i] != '%' {
			b.WriteByte(f[i])
			continue
		}
		i++
		if i < len(f) && f[i] == '%' {
			b.WriteByte('%')
			continue
		}
		arg++
		if arg > L.GetTop() {
			vm.argError(L, arg, "no value")
		}
		var d directive
		d, i = vm.parseDirective(L, f, i)
		switch d.verb {
		case 'c':
			c := string([]byte{byte(vm.checkInt(L, arg))})
			if c != "\x00" { // C's strlen ends the item there
				b.WriteString(d.pad(c, ""))
			}
		case 'd', 'i', 'o', 'u', 'x', 'X':
			b.WriteString(d.integer(vm.checkNumber(L, arg)))
		case 'e', 'E', 'f', 'g', 'G':
			b.WriteString(d.float(float64(vm.checkNumber(L, arg))))
		case 'q':
			quote(b, vm.checkString(L, arg))
		case 's':
			s := vm.checkString(L, arg)
			if d.precision < 0 && len(s) >= 100 {
				b.WriteString(s)
				break
			}
			s, _, _ = strings.Cut(s, "\x00")
			if d.precision >= 0 && d.precision < len(s) {
				s = s[:d.precision]
			}
			d.zero = false
			b.WriteString(d.pad(s, ""))
		default:
			verb := ""
			if d.verb != 0 {
				verb = string([]byte{d.verb})
			}
			vm.errorf(L, "invalid option '%%%s' to 'format'", verb)
		}
	}
	L.Push(lua.LString(b.String()))
	return 1
}

// directive is one % item.
type directive struct {
	minus, plus, space, sharp, zero bool
	width, precision                int // precision -1: none
	verb                            byte
}

func (vm *VM) parseDirective(L *lua.LState, f string, i int) (directive, int) {
	d := directive{precision: -1}
	at := func() byte {
		if i < len(f) {
			return f[i]
		}
		return 0
	}
	start := i
	for ; ; i++ {
		switch at() {
		case '-':
			d.minus = true
		case '+':
			d.plus = true
		case ' ':
			d.space = true
		case '#':
			d.sharp = true
		case '0':
			d.zero = true
		default:
			goto width
		}
	}
width:
	if i-start >= 6 {
		vm.errorf(L, "invalid format (repeated flags)")
	}
	digits := func() int {
		n := 0
		for k := 0; k < 2 && isDigit(at()); k++ {
			n = n*10 + int(at()-'0')
			i++
		}
		return n
	}
	d.width = digits()
	if at() == '.' {
		i++
		d.precision = digits()
	}
	if isDigit(at()) {
		vm.errorf(L, "invalid format (width or precision too long)")
	}
	d.verb = at()
	return d, i
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

// pad brings sign+text to the width: zeros go between the two.
func (d directive) pad(text, sign string) string {
	n := d.width - len(text) - len(sign)
	switch {
	case n <= 0:
		return sign + text
	case d.minus:
		return sign + text + strings.Repeat(" ", n)
	case d.zero:
		return sign + strings.Repeat("0", n) + text
	}
	return strings.Repeat(" ", n) + sign + text
}

func (d directive) sign(negative bool) string {
	switch {
	case negative:
		return "-"
	case d.plus:
		return "+"
	case d.space:
		return " "
	}
	return ""
}

func (d directive) integer(v lua.LNumber) string {
	n := toInteger(v)
	var text, sign string
	switch d.verb {
	case 'd', 'i':
		text = strconv.FormatInt(n, 10)
		if n < 0 {
			text = text[1:]
		}
		sign = d.sign(n < 0)
	case 'u':
		text = strconv.FormatUint(toUnsigned(v), 10)
	case 'o':
		text = strconv.FormatUint(toUnsigned(v), 8)
		if d.sharp && text[0] != '0' {
			text = "0" + text
		}
	default:
		u := toUnsigned(v)
		text = strconv.FormatUint(u, 16)
		if d.sharp && u != 0 {
			sign = "0x"
		}
		if d.verb == 'X' {
			text, sign = strings.ToUpper(text), strings.ToUpper(sign)
		}
	}
	if d.precision >= 0 {
		d.zero = false
		if d.precision == 0 && v == 0 {
			text = ""
		}
		if n := d.precision - len(text); n > 0 {
			text = strings.Repeat("0", n) + text
		}
	}
	return d.pad(text, sign)
}

// toUnsigned converts as C does on amd64.
func toUnsigned(n lua.LNumber) uint64 {
	f := float64(n)
	if f >= 9223372036854775808 && f < 18446744073709551616 {
		return uint64(f)
	}
	return uint64(toInteger(n))
}

func (d directive) float(f float64) string {
	if s, ok := formatSpecial(f); ok {
		d.zero = false
		if d.verb == 'E' || d.verb == 'G' {
			s = strings.ToUpper(s)
		}
		if negative := s[0] == '-'; negative {
			return d.pad(s[1:], "-")
		}
		return d.pad(s, d.sign(false))
	}
	precision := d.precision
	if precision < 0 {
		precision = 6
	}
	verb := d.verb
	if verb|0x20 == 'g' && precision == 0 {
		precision = 1
	}
	s := strconv.FormatFloat(f, verb, precision, 64)
	if d.sharp {
		s = alternate(s, verb, precision)
	}
	negative := s[0] == '-'
	if negative {
		s = s[1:]
	}
	return d.pad(s, d.sign(negative))
}

// alternate is the # flag: a point always, and for g its trailing zeros.
func alternate(s string, verb byte, precision int) string {
	mantissa, exponent := s, ""
	if i := strings.IndexAny(s, "eE"); i >= 0 {
		mantissa, exponent = s[:i], s[i:]
	}
	if !strings.Contains(mantissa, ".") {
		mantissa += "."
	}
	if verb|0x20 == 'g' {
		digits := 0
		for i := range len(mantissa) {
			if c := mantissa[i]; isDigit(c) && (digits > 0 || c != '0') {
				digits++
			}
		}
		if digits == 0 { // zero has one significant digit
			digits = 1
		}
		for ; digits < precision; digits++ {
			mantissa += "0"
		}
	}
	return mantissa + exponent
}

// quote writes s as %q does: a literal that Lua reads back.
func quote(b *Builder, s string) {
	b.WriteByte('"')
	for i := range len(s) {
		switch c := s[i]; c {
		case '"', '\\', '\n':
			b.WriteByte('\\')
			b.WriteByte(c)
		case '\r':
			b.WriteString(`\r`)
		case 0:
			b.WriteString(`\000`)
		default:
			b.WriteByte(c)
		}
	}
	b.WriteByte('"')
}
