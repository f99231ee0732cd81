package runtime

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	units "github.com/docker/go-units"
	lua "github.com/yuin/gopher-lua"

	"github.com/mepc/mepc-run/internal/sandbox"
	"github.com/mepc/mepc-run/internal/sandbox/show"
)

// Size is a number of bytes: in Lua a number, or a string such as "512MB"
// (powers of 1000) or "512MiB" (powers of 1024).
type Size int64

// Value is any plain Lua value as Go has it: nil, bool, float64, string,
// []Value for a table that is a list, map[string]Value for any other table.
type Value = any

// ParseDuration reads what recipes and the command line write for a time:
// Go's notation ("1m30s", "250ms"), or a bare number of seconds.
func ParseDuration(s string) (time.Duration, error) {
	if len(s) > maxQuoted {
		return 0, fmt.Errorf("%q is not a duration", brief(s))
	}
	if n, err := strconv.ParseFloat(s, 64); err == nil {
		return seconds(n)
	}
	d, err := time.ParseDuration(s)
	if err != nil {
		return 0, fmt.Errorf("%q is not a duration: write 2s, 1m30s, 250ms, or a number of seconds", brief(s))
	}
	if d < 0 {
		return 0, fmt.Errorf("%q is negative", s)
	}
	return d, nil
}

// maxQuoted is how much of a wrong value an error quotes.
const maxQuoted = 100

func brief(s string) string { return show.Text(s, maxQuoted) }

func seconds(n float64) (time.Duration, error) {
	if math.IsNaN(n) || n < 0 || n > math.MaxInt64/1e9 {
		return 0, fmt.Errorf("%v seconds is not a duration", n)
	}
	return time.Duration(n * 1e9), nil
}

// ParseSize reads a number of bytes: "10485760", "10MB" (10,000,000) or
// "10MiB" (10,485,760).
func ParseSize(s string) (Size, error) {
	if len(s) > maxQuoted {
		return 0, fmt.Errorf("%q is not a size", brief(s))
	}
	parse := units.FromHumanSize
	if strings.Contains(strings.ToLower(s), "i") {
		parse = units.RAMInBytes
	}
	n, err := parse(s)
	if err != nil || n < 0 {
		return 0, fmt.Errorf("%q is not a size: write 512MB, 512MiB, or a number of bytes", brief(s))
	}
	return Size(n), nil
}

// toGo converts a plain Lua value. Functions, threads and objects have no plain
// form and are an error. An empty table becomes an empty map.
func toGo(t *tally, v lua.LValue) (Value, error) { return converter{tally: t}.value(v, 0) }

// revealed is toGo for arguments that may hold secrets: their raw values stand
// in the result.
func revealed(t *tally, v lua.LValue) (Value, error) {
	return converter{tally: t, reveal: true}.value(v, 0)
}

type converter struct {
	tally  *tally
	reveal bool
	clean  func(string) string // done to each string; nil: nothing
}

func (c converter) text(s string) string {
	if c.clean == nil {
		return s
	}
	return c.clean(s)
}

const maxDepth = 64 // of nested tables; a table inside itself ends here

func (c converter) value(v lua.LValue, depth int) (Value, error) {
	if err := c.tally.add(1, nodeBytes); err != nil {
		return nil, err
	}
	switch v := v.(type) {
	case *lua.LNilType:
		return nil, nil
	case lua.LBool:
		return bool(v), nil
	case lua.LNumber:
		return float64(v), nil
	case lua.LString:
		c.tally.text(len(v))
		return c.text(string(v)), nil
	case *lua.LTable:
		if depth >= maxDepth {
			return nil, fmt.Errorf("table nested deeper than %d, or inside itself", maxDepth)
		}
		return c.table(v, depth+1)
	case *lua.LUserData:
		if s, ok := v.Value.(Secret); ok && c.reveal {
			return s.Reveal(), nil
		}
	}
	return nil, fmt.Errorf("%s is not a plain value", typeName(v))
}

func (c converter) table(t *lua.LTable, depth int) (Value, error) {
	n := c.tally.listLen(t)
	if err := c.tally.add(n, tableBytes+n*nodeBytes/2); err != nil {
		return nil, err
	}
	fields := map[string]Value{}
	list := make([]Value, n)
	for k, v := t.Next(lua.LNil); k != lua.LNil; k, v = t.Next(k) {
		item, err := c.value(v, depth)
		if err != nil {
			return nil, err
		}
		if i, ok := k.(lua.LNumber); ok && n > 0 {
			list[int(i)-1] = item
			continue
		}
		if err := c.tally.add(1, entryBytes); err != nil {
			return nil, err
		}
		switch k.(type) {
		case lua.LString, lua.LNumber:
			c.tally.text(len(k.String()))
			fields[c.text(k.String())] = item
		default:
			return nil, fmt.Errorf("%s as a table key", typeName(k))
		}
	}
	if n > 0 {
		return list, nil
	}
	return fields, nil
}

// typeName names v's type as a recipe's author would.
func typeName(v lua.LValue) string {
	if ud, ok := v.(*lua.LUserData); ok {
		if _, secret := ud.Value.(Secret); secret {
			return "secret"
		}
		return "object"
	}
	return v.Type().String()
}

// returned is what a recipe returned, as a plain value: several values are a list. What
// is not plain says so, since nobody has promised that it is.
func (r *Run) returned(e sandbox.Entry, values []lua.LValue) Value {
	convert := converter{tally: &tally{entry: &e}, clean: r.scrub.Clean}
	list := make([]any, len(values))
	for i, value := range values {
		v, err := convert.value(value, 0)
		if err != nil {
			v = "(" + err.Error() + ")"
		}
		list[i] = v
	}
	if len(list) == 1 {
		return list[0]
	}
	return list
}
