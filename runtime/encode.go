package runtime

import (
	"fmt"
	"maps"
	"math"
	"reflect"
	"slices"
	"sort"
	"strconv"
	"time"

	lua "github.com/yuin/gopher-lua"
)

// toLua converts what a function returns. Durations become seconds, times
// seconds since 1970, structs tables with the names of their lua tags, and
// pointers to a registered Type objects with its methods. A nil pointer, map or
// slice that stands alone is nil; inside a table an empty list is an empty
// table. Integers beyond 2^53, which a Lua number cannot hold exactly, become
// strings.
func (r *Run) toLua(v any) lua.LValue {
	if v == nil {
		return lua.LNil
	}
	if lv, ok := v.(lua.LValue); ok {
		return lv
	}
	return r.reflectToLua(reflect.ValueOf(v))
}

func (r *Run) reflectToLua(v reflect.Value) lua.LValue {
	switch v.Kind() { // what needs no look at the type
	case reflect.Bool:
		return lua.LBool(v.Bool())
	case reflect.String:
		return lua.LString(v.String())
	case reflect.Interface:
		if v.IsNil() {
			return lua.LNil
		}
		return r.toLua(v.Interface())
	}
	switch x := v.Interface().(type) {
	case time.Duration:
		return lua.LNumber(x.Seconds())
	case time.Time:
		if x.IsZero() {
			return lua.LNil
		}
		return lua.LNumber(float64(x.UnixNano()) / 1e9)
	case []byte:
		return lua.LString(x)
	case Secret:
		r.scrub.Add(x.raw)
		return r.object(x, r.host.secretType)
	case *Function:
		return x.fn
	case *Error:
		if x == nil {
			return lua.LNil
		}
		return r.errorObject(x)
	case *Words:
		return r.words(*x).table("")
	case lua.LValue:
		return x
	}
	switch v.Kind() {
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		if n := v.Int(); n > 1<<53 || n < -(1<<53) {
			return lua.LString(strconv.FormatInt(n, 10))
		}
		return lua.LNumber(v.Int())
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		if n := v.Uint(); n > 1<<53 {
			return lua.LString(strconv.FormatUint(n, 10))
		}
		return lua.LNumber(v.Uint())
	case reflect.Float32, reflect.Float64:
		return lua.LNumber(v.Float())
	case reflect.Slice, reflect.Array:
		t := newTable(v.Len(), 0)
		for i := range v.Len() {
			t.RawSetInt(i+1, r.reflectToLua(v.Index(i)))
		}
		return t
	case reflect.Map:
		return r.mapToLua(v)
	case reflect.Struct:
		fields := r.host.fields(v.Type())
		t := newTable(0, len(fields))
		for i := range fields {
			t.RawSetString(fields[i].Name, r.reflectToLua(v.FieldByIndex(fields[i].index)))
		}
		return t
	case reflect.Pointer:
		if v.IsNil() {
			return lua.LNil
		}
		if typ := r.host.typeOf(v.Type()); typ != nil {
			return r.object(v.Interface(), typ)
		}
		return r.reflectToLua(v.Elem())
	}
	panic(fmt.Sprintf("runtime: %s has no Lua form", v.Type()))
}

// mapToLua sets the keys in sorted order, so that pairs() sees them so.
func (r *Run) mapToLua(v reflect.Value) lua.LValue {
	if m, ok := v.Interface().(map[string]string); ok { // labels, environments
		t := newTable(0, len(m))
		for _, k := range slices.Sorted(maps.Keys(m)) {
			t.RawSetString(k, lua.LString(m[k]))
		}
		return t
	}
	keys := v.MapKeys()
	sort.Slice(keys, func(i, j int) bool { return keys[i].String() < keys[j].String() })
	t := newTable(0, len(keys))
	for _, k := range keys {
		t.RawSetString(k.String(), r.reflectToLua(v.MapIndex(k)))
	}
	return t
}

// newTable returns a table with room for list items and named fields: without
// being told, the VM makes room for 32 of each in a table of one.
func newTable(items, fields int) *lua.LTable { return (*lua.LState)(nil).CreateTable(items, fields) }

// object wraps a Go pointer as a Lua value with typ's methods.
func (r *Run) object(v any, typ *boundType) lua.LValue {
	return &lua.LUserData{Value: v, Metatable: typ.metatable(r)}
}

// shorten cuts text that people will see of an argument. It comes after the
// scrubber, which would not know half a secret.
func shorten(s string) string {
	const most = 120
	if len(s) > most {
		s = s[:most] + "..."
	}
	return s
}

// display writes v for people: an effect's arguments in a report.
func (h *Host) display(v reflect.Value) string {
	switch x := v.Interface().(type) {
	case time.Duration:
		return x.String()
	case Size:
		return strconv.FormatInt(int64(x), 10)
	case *Function:
		return "function"
	case fmt.Stringer:
		if v.Kind() != reflect.Pointer || !v.IsNil() {
			return x.String()
		}
		return ""
	case float64:
		if x == math.Trunc(x) && math.Abs(x) < 1e15 {
			return strconv.FormatFloat(x, 'f', -1, 64)
		}
	}
	switch v.Kind() {
	case reflect.Slice:
		s := ""
		for i := range v.Len() {
			if i > 0 {
				s += " "
			}
			s += h.display(v.Index(i))
		}
		return s
	case reflect.Map:
		keys := v.MapKeys()
		sort.Slice(keys, func(i, j int) bool { return keys[i].String() < keys[j].String() })
		s := ""
		for i, k := range keys {
			if i > 0 {
				s += " "
			}
			s += k.String() + "=" + h.display(v.MapIndex(k))
		}
		return s
	case reflect.Struct:
		s := ""
		for _, f := range h.fields(v.Type()) {
			if fv := v.FieldByIndex(f.index); !fv.IsZero() {
				if s != "" {
					s += " "
				}
				s += f.Name + "=" + h.display(fv)
			}
		}
		return "{" + s + "}"
	case reflect.Interface, reflect.Pointer:
		if v.IsNil() {
			return ""
		}
		return h.display(v.Elem())
	}
	return fmt.Sprint(v.Interface())
}
