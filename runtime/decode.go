package runtime

import (
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"time"

	lua "github.com/yuin/gopher-lua"
)

// decoder turns the Lua arguments of one call into the Go struct that its
// fields describe. Every error names the argument: "image: string expected, got
// nil".
type decoder struct {
	call  *Call // nil when there is no run: the arguments are only looked at
	tally tally
}

// args decodes positional arguments and, where there are named ones, a last
// table of options, into dst, a struct.
func (d *decoder) args(fields, named []Field, values []lua.LValue, dst reflect.Value) error {
	next := 0
	for i := range fields {
		f := &fields[i]
		if !f.Pos {
			continue
		}
		if f.Rest {
			// A rest argument and options exclude each other.
			if err := d.rest(f, values[min(next, len(values)):], dst); err != nil {
				return err
			}
			next = max(next, len(values))
			continue
		}
		v := lua.LValue(lua.LNil)
		if next < len(values) {
			v = values[next]
		}
		next++
		if err := d.field(f, f.Name, v, dst); err != nil {
			return err
		}
	}
	var options *lua.LTable
	if len(named) > 0 && next < len(values) && values[next] != lua.LNil {
		t, ok := values[next].(*lua.LTable)
		if !ok {
			return fmt.Errorf("a table of options expected as argument %d, got %s", next+1, typeName(values[next]))
		}
		options = t
	}
	if len(named) > 0 {
		next++
	}
	for i := next; i < len(values); i++ {
		if values[i] != lua.LNil {
			return fmt.Errorf("takes %s, got %d", count(next, "argument"), len(values))
		}
	}
	return d.table(named, "", options, dst)
}

// given returns what t, which may be nil, has under name.
func given(t *lua.LTable, name string) lua.LValue {
	if t == nil {
		return lua.LNil
	}
	return t.RawGetString(name)
}

// decl decodes the declaration t of the parameter name into dst.
func (d *decoder) decl(name string, t *lua.LTable, dst *paramDecl) error {
	return d.table(d.call.run.host.fields(reflect.TypeFor[paramDecl]()), name, t, reflect.ValueOf(dst).Elem())
}

func namedFields(fields []Field) []Field {
	var named []Field
	for _, f := range fields {
		if !f.Pos {
			named = append(named, f)
		}
	}
	return named
}

func count(n int, noun string) string {
	switch n {
	case 0:
		return "no " + noun + "s"
	case 1:
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// rest collects all further positions into f, a slice.
func (d *decoder) rest(f *Field, values []lua.LValue, dst reflect.Value) error {
	if err := d.tally.add(len(values), len(values)*int(f.goT.Elem().Size())); err != nil {
		return err
	}
	list := reflect.MakeSlice(f.goT, len(values), len(values))
	for i, v := range values {
		if err := d.item(f, v, list.Index(i), func() string { return fmt.Sprintf("argument %d", i+1) }); err != nil {
			return err
		}
	}
	dst.FieldByIndex(f.index).Set(list)
	return nil
}

// table decodes named fields from t, where nil stands for an empty one, and
// refuses names that are not among them.
func (d *decoder) table(fields []Field, path string, t *lua.LTable, dst reflect.Value) error {
	if t != nil {
		if err := d.unknownKeys(fields, path, t); err != nil {
			return err
		}
	}
	for i := range fields {
		f := &fields[i]
		if err := d.field(f, join(path, f.Name), given(t, f.Name), dst); err != nil {
			return err
		}
	}
	return nil
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

func (d *decoder) unknownKeys(fields []Field, path string, t *lua.LTable) error {
	var unknown []string
	for k, _ := t.Next(lua.LNil); k != lua.LNil; k, _ = t.Next(k) {
		if err := d.tally.add(1, 0); err != nil {
			return err
		}
		name, ok := k.(lua.LString)
		if ok && hasField(fields, string(name)) {
			continue
		}
		if !ok && len(fields) > 0 {
			return fmt.Errorf("%sa table of named options expected, got one with the key %s", prefix(path), brief(k.String()))
		}
		if text := k.String(); len(unknown) == 0 {
			unknown = append(unknown, text)
		} else {
			unknown[0] = min(unknown[0], text)
		}
	}
	if len(unknown) == 0 {
		return nil
	}
	names := make([]string, len(fields))
	for i, f := range fields {
		names[i] = f.Name
	}
	return fmt.Errorf("%sunknown option %q%s", prefix(path), brief(unknown[0]), DidYouMean(unknown[0], names))
}

func hasField(fields []Field, name string) bool {
	for i := range fields {
		if fields[i].Name == name {
			return true
		}
	}
	return false
}

func prefix(path string) string {
	if path == "" {
		return ""
	}
	return path + ": "
}

// field decodes v, or f's default when v is nil, into dst's field.
func (d *decoder) field(f *Field, path string, v lua.LValue, dst reflect.Value) error {
	out := dst.FieldByIndex(f.index)
	if v == lua.LNil {
		if f.Default != "" {
			v = defaultValue(f)
		} else if f.Required {
			return errMissing(path, f)
		} else {
			return nil
		}
	}
	return d.value(f, path, v, out)
}

func errMissing(path string, f *Field) error {
	return fmt.Errorf("%s: %s expected, got nothing", path, f.Type)
}

// defaultValue returns f's default as the Lua value an author would write.
func defaultValue(f *Field) lua.LValue {
	switch f.goT.Kind() {
	case reflect.Bool:
		return lua.LBool(f.Default == "true")
	case reflect.Int, reflect.Float64, reflect.Uint16, reflect.Uint64:
		n, err := strconv.ParseFloat(f.Default, 64)
		if err != nil {
			panic("runtime: default of " + f.Name + ": " + err.Error())
		}
		return lua.LNumber(n)
	}
	return lua.LString(f.Default)
}

func wrong(path, want string, got lua.LValue) error {
	return fmt.Errorf("%s: %s expected, got %s", path, want, typeName(got))
}

// value decodes v into out by out's Go type.
func (d *decoder) value(f *Field, path string, v lua.LValue, out reflect.Value) error {
	switch out.Type() {
	case reflect.TypeFor[time.Duration]():
		t, err := durationOf(v)
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		out.SetInt(int64(t))
		return f.inRange(path, t.Seconds())
	case reflect.TypeFor[Size]():
		n, err := sizeOf(v)
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		out.SetInt(int64(n))
		return f.inRange(path, float64(n))
	case reflect.TypeFor[Secret]():
		return d.secretValue(path, v, out)
	case reflect.TypeFor[*Function]():
		fn := d.call.Callable(v)
		if fn == nil {
			return wrong(path, "function", v)
		}
		out.Set(reflect.ValueOf(fn))
		return nil
	case reflect.TypeFor[lua.LValue]():
		if err := d.raw(f, path, v); err != nil {
			return err
		}
		out.Set(reflect.ValueOf(v))
		return nil
	case reflect.TypeFor[*lua.LTable]():
		t, ok := v.(*lua.LTable)
		if !ok {
			return wrong(path, "table", v)
		}
		if err := d.raw(f, path, v); err != nil {
			return err
		}
		out.Set(reflect.ValueOf(t))
		return nil
	case reflect.TypeFor[Value]():
		convert := toGo
		if f.Secret {
			convert = revealed
		}
		plain, err := convert(&d.tally, v)
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		if plain != nil {
			out.Set(reflect.ValueOf(plain))
		}
		return nil
	}
	switch out.Kind() {
	case reflect.String:
		s, err := f.text(path, v)
		if err != nil {
			return err
		}
		d.tally.text(len(s))
		if err := f.isText(path, s); err != nil {
			return err
		}
		out.SetString(s)
		return f.inEnum(path, s)
	case reflect.Bool:
		b, ok := v.(lua.LBool)
		if !ok {
			return wrong(path, "boolean", v)
		}
		out.SetBool(bool(b))
		return nil
	case reflect.Int, reflect.Int64, reflect.Uint16, reflect.Uint64, reflect.Float64:
		return f.number(path, v, out)
	case reflect.Slice:
		return d.list(f, path, v, out)
	case reflect.Map:
		return d.dict(f, path, v, out)
	case reflect.Struct:
		t, ok := v.(*lua.LTable)
		if !ok {
			return wrong(path, "table", v)
		}
		return d.table(f.Fields, path, t, out)
	case reflect.Pointer:
		return d.pointer(f, path, v, out)
	}
	panic(fmt.Sprintf("runtime: %s: %s has no decoder", path, out.Type()))
}

// item decodes an item of a list or table. Its path is written only for an error,
// which is found again.
func (d *decoder) item(f *Field, v lua.LValue, out reflect.Value, path func() string) error {
	if err := d.value(f, "", v, out); err == nil || errors.Is(err, errConverted) {
		return err
	}
	return d.value(f, path(), v, out)
}

// raw charges a Lua value that the function gets as it is, but for one that it only
// passes on.
func (d *decoder) raw(f *Field, path string, v lua.LValue) error {
	if f.AsIs {
		return nil
	}
	if err := d.tally.raw(v, 0); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

func (d *decoder) list(f *Field, path string, v lua.LValue, out reflect.Value) error {
	if out.Type().Elem().Kind() == reflect.Uint8 { // []byte: a Lua string is bytes
		s, err := f.text(path, v)
		if err != nil {
			return err
		}
		if err := d.tally.add(1, len(s)); err != nil {
			return err
		}
		out.SetBytes([]byte(s))
		return nil
	}
	if _, object := v.(*lua.LUserData); object && out.Type().Elem().Kind() == reflect.Pointer { // one alone
		out.Set(reflect.MakeSlice(out.Type(), 1, 1))
		return d.value(f, path, v, out.Index(0))
	}
	t, ok := v.(*lua.LTable)
	if !ok {
		return wrong(path, typeWords(out.Type()), v)
	}
	n := d.tally.listLen(t)
	if k, _ := t.Next(lua.LNil); n == 0 && k != lua.LNil {
		return fmt.Errorf("%s: %s expected, got a table whose keys are not 1, 2, 3 and so on", path, typeWords(out.Type()))
	}
	if err := d.tally.add(n, n*int(out.Type().Elem().Size())); err != nil {
		return err
	}
	list := reflect.MakeSlice(out.Type(), n, n)
	for i := range n {
		if err := d.item(f, t.RawGetInt(i+1), list.Index(i), func() string { return fmt.Sprintf("%s[%d]", path, i+1) }); err != nil {
			return err
		}
	}
	out.Set(list)
	return nil
}

func (d *decoder) dict(f *Field, path string, v lua.LValue, out reflect.Value) error {
	t, ok := v.(*lua.LTable)
	if !ok {
		return wrong(path, typeWords(out.Type()), v)
	}
	m := reflect.MakeMap(out.Type())
	for k, item := t.Next(lua.LNil); k != lua.LNil; k, item = t.Next(k) {
		if err := d.tally.add(1, entryBytes+int(out.Type().Elem().Size())); err != nil {
			return err
		}
		key, ok := k.(lua.LString)
		if !ok {
			if d.tally.listLen(t) > 0 {
				return fmt.Errorf("%s: %s expected, got a list", path, typeWords(out.Type()))
			}
			if _, number := k.(lua.LNumber); !number {
				return fmt.Errorf("%s: string expected as a key, got %s", path, typeName(k))
			}
			key = lua.LString(k.String())
		}
		d.tally.text(len(key))
		if err := f.isText("a key of "+path, string(key)); err != nil {
			return err
		}
		el := reflect.New(out.Type().Elem()).Elem()
		if err := d.item(f, item, el, func() string { return path + "." + string(key) }); err != nil {
			return err
		}
		m.SetMapIndex(reflect.ValueOf(string(key)), el)
	}
	out.Set(m)
	return nil
}

// pointer decodes an object of a registered type, or an optional value.
func (d *decoder) pointer(f *Field, path string, v lua.LValue, out reflect.Value) error {
	if !isTable(out.Type().Elem()) && out.Type().Elem().Kind() == reflect.Struct {
		if ud, ok := v.(*lua.LUserData); ok && reflect.TypeOf(ud.Value) == out.Type() {
			out.Set(reflect.ValueOf(ud.Value))
			return nil
		}
		name := typeWords(out.Type())
		if d.call != nil {
			name = d.call.run.host.typeName(out.Type())
		}
		return wrong(path, name, v)
	}
	p := reflect.New(out.Type().Elem())
	if err := d.value(f, path, v, p.Elem()); err != nil {
		return err
	}
	out.Set(p)
	return nil
}
