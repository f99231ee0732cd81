package sandbox

import (
	"fmt"
	"strings"
	"time"

	lua "github.com/yuin/gopher-lua"
)

// openOS defines the four functions of os that tell the time, by the run's
// clock. os.clock is the time since the VM was made, not that of a processor.
func (vm *VM) openOS() {
	start := vm.clock.Now()
	vm.library("os", entries{
		{"clock", func(L *lua.LState) int {
			L.Push(lua.LNumber(vm.clock.Now().Sub(start).Seconds()))
			return 1
		}},
		{"date", vm.osDate},
		{"difftime", func(L *lua.LState) int {
			L.Push(vm.checkNumber(L, 1) - lua.LNumber(toInteger(vm.optNumber(L, 2))))
			return 1
		}},
		{"time", vm.osTime},
	})
}

func (vm *VM) optNumber(L *lua.LState, n int) lua.LNumber {
	if L.Get(n) == lua.LNil {
		return 0
	}
	return vm.checkNumber(L, n)
}

func (vm *VM) osTime(L *lua.LState) int {
	if L.Get(1) == lua.LNil {
		L.Push(lua.LNumber(vm.clock.Now().Unix()))
		return 1
	}
	t := vm.checkTable(L, 1)
	field := func(name string, def int) int {
		v := L.GetField(t, name)
		vm.chargeBytes(threadOf(L), textLen(v))
		n, ok := toNumber(v)
		if !ok {
			if def < 0 {
				vm.errorf(L, "field '%s' missing in date table", name)
			}
			return def
		}
		return int(toInteger(n))
	}
	sec, minute, hour := field("sec", 0), field("min", 0), field("hour", 12)
	day, month, year := field("day", -1), field("month", -1), field("year", -1)
	L.Push(lua.LNumber(time.Date(year, time.Month(month), day, hour, minute, sec, 0, time.Local).Unix()))
	return 1
}

func (vm *VM) osDate(L *lua.LState) int {
	format := vm.optString(L, 1, "%c")
	now := vm.clock.Now()
	if L.Get(2) != lua.LNil {
		now = time.Unix(toInteger(vm.checkNumber(L, 2)), 0)
	}
	if rest, utc := strings.CutPrefix(format, "!"); utc {
		format, now = rest, now.UTC()
	} else {
		now = now.Local()
	}
	if format == "*t" {
		L.Push(dateTable(L, now))
		return 1
	}
	b := vm.builder(L)
	strftime(b, now, format)
	L.Push(lua.LString(b.String()))
	return 1
}

func dateTable(L *lua.LState, t time.Time) *lua.LTable {
	out := L.NewTable()
	for _, f := range []struct {
		name string
		n    int
	}{
		{"sec", t.Second()},
		{"min", t.Minute()},
		{"hour", t.Hour()},
		{"day", t.Day()},
		{"month", int(t.Month())},
		{"year", t.Year()},
		{"wday", int(t.Weekday()) + 1},
		{"yday", t.YearDay()},
	} {
		out.RawSetString(f.name, lua.LNumber(f.n))
	}
	out.RawSetString("isdst", lua.LBool(t.IsDST()))
	return out
}

// strftime is C's, in the C locale.
func strftime(b *Builder, t time.Time, format string) {
	for i := 0; i < len(format); i++ {
		if format[i] != '%' || i+1 == len(format) {
			b.WriteByte(format[i])
			continue
		}
		i++
		switch format[i] {
		case 'a':
			b.WriteString(t.Format("Mon"))
		case 'A':
			b.WriteString(t.Format("Monday"))
		case 'b', 'h':
			b.WriteString(t.Format("Jan"))
		case 'B':
			b.WriteString(t.Format("January"))
		case 'c':
			b.WriteString(t.Format("Mon Jan _2 15:04:05 2006"))
		case 'd':
			b.WriteString(t.Format("02"))
		case 'D', 'x':
			b.WriteString(t.Format("01/02/06"))
		case 'e':
			b.WriteString(t.Format("_2"))
		case 'F':
			b.WriteString(t.Format("2006-01-02"))
		case 'H':
			b.WriteString(t.Format("15"))
		case 'I':
			b.WriteString(t.Format("03"))
		case 'j':
			fmt.Fprintf(b, "%03d", t.YearDay())
		case 'm':
			b.WriteString(t.Format("01"))
		case 'M':
			b.WriteString(t.Format("04"))
		case 'n':
			b.WriteByte('\n')
		case 'p':
			b.WriteString(t.Format("PM"))
		case 'R':
			b.WriteString(t.Format("15:04"))
		case 's':
			fmt.Fprintf(b, "%d", t.Unix())
		case 'S':
			b.WriteString(t.Format("05"))
		case 't':
			b.WriteByte('\t')
		case 'T', 'X':
			b.WriteString(t.Format("15:04:05"))
		case 'U':
			fmt.Fprintf(b, "%02d", (t.YearDay()+6-int(t.Weekday()))/7)
		case 'w':
			fmt.Fprintf(b, "%d", int(t.Weekday()))
		case 'W':
			fmt.Fprintf(b, "%02d", (t.YearDay()+6-(int(t.Weekday())+6)%7)/7)
		case 'y':
			b.WriteString(t.Format("06"))
		case 'Y':
			b.WriteString(t.Format("2006"))
		case 'z':
			b.WriteString(t.Format("-0700"))
		case 'Z':
			b.WriteString(utcAsGMT(t.Format("MST")))
		case '%':
			b.WriteByte('%')
		default:
			b.WriteByte('%')
			b.WriteByte(format[i])
		}
	}
}

// utcAsGMT is C's name for the zone.
func utcAsGMT(zone string) string {
	if zone == "UTC" {
		return "GMT"
	}
	return zone
}
