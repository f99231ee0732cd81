package runtime

import (
	"fmt"
	"maps"
	"math"
	"reflect"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"

	lua "github.com/yuin/gopher-lua"

	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/internal/sandbox"
	"github.com/mepc/mepc-run/internal/sandbox/show"
	"github.com/mepc/mepc-run/internal/say"
)

// value converts what a function returns. Durations become seconds, times
// seconds since 1970, structs tables with the names of their lua tags, and
// pointers to a registered Type objects with its methods. A nil pointer, map or
// slice that stands alone is nil; inside a table an empty list is an empty
// table. Integers beyond 2^53, which a Lua number cannot hold exactly, become
// strings.
func (e *encoder) value(v any) lua.LValue {
	if v == nil {
		return lua.LNil
	}
	if lv, ok := v.(lua.LValue); ok {
		if s, ok := lv.(lua.LString); ok {
			e.room(len(s))
			e.entry.ChargeBytes(len(s))
		}
		return lv
	}
	return e.reflected(reflect.ValueOf(v))
}

// encoder makes Lua values of Go's. It charges the run for what it makes, before it
// makes it, and ends at a bound.
type encoder struct {
	run   *Run
	entry sandbox.Entry
	op    string // who gives the value
	most  int    // bytes; 0: what the run may hold
	made  int
}

// take counts bytes that are made here.
func (e *encoder) take(n int) {
	e.count(n)
	e.entry.TakeIn(n)
}

func (e *encoder) count(n int) {
	if e.made += n; e.most > 0 && e.made > e.most {
		e.run.raise(e.entry, e.op, failure.New(failure.Limit, "%s", errConverted.Message))
	}
}

// room checks that a string of n bytes may be given.
func (e *encoder) room(n int) {
	if e.most > 0 {
		e.entry.Room(n)
	}
}

func (e *encoder) reflected(v reflect.Value) lua.LValue {
	switch v.Kind() { // what needs no look at the type
	case reflect.Bool:
		return lua.LBool(v.Bool())
	case reflect.String:
		return e.handedOver(v.String())
	case reflect.Interface:
		if v.IsNil() {
			return lua.LNil
		}
		return e.value(v.Interface())
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
		return e.handedOver(string(x))
	case Secret:
		e.entry.ChargeBytes(len(x.raw))
		e.run.scrub.Add(x.raw)
		return e.run.object(x, e.run.host.secretType)
	case *Function:
		return x.fn
	case *Error:
		if x == nil {
			return lua.LNil
		}
		return e.run.errorObject(x)
	case *Words:
		if x == nil {
			return lua.LNil
		}
		return e.run.words(*x).root(e.entry)
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
		e.take(tableBytes + nodeBytes*v.Len())
		t := sandbox.NewTable(v.Len(), 0)
		for i := range v.Len() {
			t.RawSetInt(i+1, e.reflected(v.Index(i)))
		}
		return t
	case reflect.Map:
		return e.mapped(v)
	case reflect.Struct:
		fields := e.run.host.fields(v.Type())
		e.take(tableBytes + entryBytes*len(fields))
		t := sandbox.NewTable(0, len(fields))
		s := shapeOf(v, fields)
		for i := range fields {
			if fields[i].With == "" || s.whole {
				t.RawSetString(fields[i].Name, e.reflected(v.FieldByIndex(fields[i].index)))
			}
		}
		t.Metatable = e.run.strict(s, fields)
		return t
	case reflect.Pointer:
		if v.IsNil() {
			return lua.LNil
		}
		if typ := e.run.host.typeOf(v.Type()); typ != nil {
			return e.run.object(v.Interface(), typ)
		}
		return e.reflected(v.Elem())
	}
	panic(fmt.Sprintf("runtime: %s has no Lua form", v.Type()))
}

// handedOver is a string that Lua gets. The bytes of an answer are counted here, where
// they begin to be the recipe's.
func (e *encoder) handedOver(s string) lua.LValue {
	e.room(len(s))
	e.count(len(s))
	if len(s) >= 64 {
		e.entry.HandOver(len(s))
	}
	return lua.LString(s)
}

// toLua converts what a function returns.
func (c *Call) toLua(v any) lua.LValue {
	return (&encoder{run: c.run, entry: c.entry, op: c.fn.name, most: maxConverted}).value(v)
}

// mapped sets the keys in sorted order, so that pairs() sees them so.
func (e *encoder) mapped(v reflect.Value) lua.LValue {
	if m, ok := v.Interface().(map[string]string); ok { // labels, environments
		e.take(tableBytes + 2*entryBytes*len(m))
		t := sandbox.NewTable(0, len(m))
		for _, k := range slices.Sorted(maps.Keys(m)) {
			e.key(k)
			t.RawSetString(k, e.handedOver(m[k]))
		}
		return t
	}
	keys := v.MapKeys()
	sort.Slice(keys, func(i, j int) bool { return keys[i].String() < keys[j].String() })
	e.take(tableBytes + 2*entryBytes*len(keys))
	t := sandbox.NewTable(0, len(keys))
	for _, k := range keys {
		e.key(k.String())
		t.RawSetString(k.String(), e.reflected(v.MapIndex(k)))
	}
	return t
}

// key counts a key of a table.
func (e *encoder) key(k string) {
	if len(k) >= 64 {
		e.take(len(k))
	}
}

// object wraps a Go pointer as a Lua value with typ's methods.
func (r *Run) object(v any, typ *boundType) lua.LValue {
	return &lua.LUserData{Value: v, Metatable: typ.metatable(r)}
}

// shorten cuts text that people will see of an argument. It comes after the
// scrubber, which would not know half a secret.
func shorten(s string) string { return say.Clip(s, 120) }

// maxDisplay is how much of a value display writes; what is shown of that in the end
// is less.
const maxDisplay = 4 << 10

// display writes v for people: an effect's arguments in a report.
func (h *Host) display(v reflect.Value) string {
	var b strings.Builder
	h.write(&b, v)
	return show.Text(b.String(), maxDisplay)
}

func (h *Host) write(b *strings.Builder, v reflect.Value) {
	if b.Len() > maxDisplay {
		return
	}
	switch x := v.Interface().(type) {
	case time.Duration:
		b.WriteString(x.String())
		return
	case Size:
		b.WriteString(strconv.FormatInt(int64(x), 10))
		return
	case *Function:
		b.WriteString("function")
		return
	case fmt.Stringer:
		if v.Kind() != reflect.Pointer || !v.IsNil() {
			b.WriteString(x.String())
		}
		return
	case float64:
		if x == math.Trunc(x) && math.Abs(x) < 1e15 {
			b.WriteString(strconv.FormatFloat(x, 'f', -1, 64))
			return
		}
	}
	switch v.Kind() {
	case reflect.String:
		b.WriteString(show.Text(v.String(), maxDisplay))
	case reflect.Slice:
		for i := 0; i < v.Len() && b.Len() <= maxDisplay; i++ {
			if i > 0 {
				b.WriteByte(' ')
			}
			h.write(b, v.Index(i))
		}
	case reflect.Map:
		h.writeMap(b, v)
	case reflect.Struct:
		b.WriteByte('{')
		begun := false
		for _, f := range h.fields(v.Type()) {
			if fv := v.FieldByIndex(f.index); !fv.IsZero() {
				if begun {
					b.WriteByte(' ')
				}
				begun = true
				b.WriteString(f.Name + "=")
				h.write(b, fv)
			}
		}
		b.WriteByte('}')
	case reflect.Interface, reflect.Pointer:
		if !v.IsNil() {
			h.write(b, v.Elem())
		}
	default:
		fmt.Fprint(b, v.Interface())
	}
}

func (h *Host) writeMap(b *strings.Builder, v reflect.Value) {
	keys := v.MapKeys()
	sort.Slice(keys, func(i, j int) bool { return keys[i].String() < keys[j].String() })
	for i, k := range keys {
		if b.Len() > maxDisplay {
			return
		}
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(show.Text(k.String(), maxDisplay) + "=")
		h.write(b, v.MapIndex(k))
	}
}
