package runtime

import (
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	lua "github.com/yuin/gopher-lua"
)

// text takes a string, or a number as Lua itself would write it, or, where the
// field allows one, a secret.
func (f *Field) text(path string, v lua.LValue) (string, error) {
	switch v := v.(type) {
	case lua.LString:
		return string(v), nil
	case lua.LNumber:
		return v.String(), nil
	case *lua.LUserData:
		if s, ok := v.Value.(Secret); ok {
			if !f.Secret {
				return "", fmt.Errorf("%s: a secret is not taken here: it would be seen", path)
			}
			return s.Reveal(), nil
		}
	}
	return "", wrong(path, "string", v)
}

// isText refuses bytes where only UTF-8 can be sent.
func (f *Field) isText(path, s string) error {
	if f.utf8 && !utf8.ValidString(s) {
		return fmt.Errorf("%s: it is not UTF-8, and can be sent as UTF-8 only", path)
	}
	return nil
}

func (f *Field) inEnum(path, s string) error {
	if len(f.Enum) == 0 || slices.Contains(f.Enum, s) {
		return nil
	}
	return fmt.Errorf("%s: %q is not one of %s%s", path, brief(s), strings.Join(f.Enum, ", "), DidYouMean(s, f.Enum))
}

func (f *Field) number(path string, v lua.LValue, out reflect.Value) error {
	n, ok := v.(lua.LNumber)
	if !ok {
		return wrong(path, typeWords(out.Type()), v)
	}
	x := float64(n)
	if err := f.inRange(path, x); err != nil {
		return err
	}
	if out.Kind() == reflect.Float64 {
		out.SetFloat(x)
		return nil
	}
	if x != math.Trunc(x) || math.Abs(x) > 1<<53 {
		return fmt.Errorf("%s: integer expected, got %s", path, n.String())
	}
	if out.CanUint() {
		if x < 0 || out.OverflowUint(uint64(x)) {
			return fmt.Errorf("%s: %s is out of range", path, n.String())
		}
		out.SetUint(uint64(x))
		return nil
	}
	out.SetInt(int64(x))
	return nil
}

func (f *Field) inRange(path string, x float64) error {
	if math.IsNaN(x) {
		return fmt.Errorf("%s: not a number", path)
	}
	if f.Min != nil && x < *f.Min {
		return fmt.Errorf("%s: %v is below the least allowed, %v", path, x, *f.Min)
	}
	if f.Max != nil && x > *f.Max {
		return fmt.Errorf("%s: %v is above the most allowed, %v", path, x, *f.Max)
	}
	return nil
}

func (d *decoder) secretValue(path string, v lua.LValue, out reflect.Value) error {
	switch v := v.(type) {
	case lua.LString:
		d.tally.text(len(v))
		out.Set(reflect.ValueOf(Secret{string(v)}))
		if d.call != nil {
			d.call.run.scrub.Add(string(v))
		}
		return nil
	case *lua.LUserData:
		if s, ok := v.Value.(Secret); ok {
			out.Set(reflect.ValueOf(s))
			return nil
		}
	}
	return wrong(path, "secret", v)
}

func durationOf(v lua.LValue) (time.Duration, error) {
	switch v := v.(type) {
	case lua.LNumber:
		return seconds(float64(v))
	case lua.LString:
		return ParseDuration(string(v))
	}
	return 0, fmt.Errorf("duration expected, got %s", typeName(v))
}

func sizeOf(v lua.LValue) (Size, error) {
	switch v := v.(type) {
	case lua.LNumber:
		if v < 0 || float64(v) != math.Trunc(float64(v)) || v > 1<<53 {
			return 0, fmt.Errorf("%s is not a number of bytes", v.String())
		}
		return Size(v), nil
	case lua.LString:
		return ParseSize(string(v))
	}
	return 0, fmt.Errorf("size expected, got %s", typeName(v))
}
