package runtime

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"

	lua "github.com/yuin/gopher-lua"
)

// Field is one argument, option or result field, as a struct tag declares it:
//
//	Name  string        `lua:"name,pos,required,target" doc:"the container's name"`
//	Drain time.Duration `lua:"drain" default:"2s" doc:"how long to wait"`
//
// The words after the name: pos (given by position, in the order of the
// fields), rest (takes all further positions), required, target (it names what
// is acted on), secret (it may be a Secret). Other tags: doc, default, enum
// ("a|b"), min and max (numbers), type (in words, where the Go type says too
// little). Of results: with (the option that brings the field) and alias ("a|b").
type Field struct {
	Name     string
	Type     string // in words: "string", "integer", "duration", "list of strings", ...
	Doc      string
	Default  string
	Enum     []string
	Min, Max *float64
	Pos      bool
	Rest     bool
	Required bool
	Target   bool
	Secret   bool
	AsIs     bool     // a Lua value that the function passes on without a look into it
	Fields   []Field  // of a table with named fields, or of a list of such tables
	With     string   // a result's field is there when this option is given: see Partial
	Alias    []string // what a result's field is called elsewhere, for "did you mean"

	index []int
	goT   reflect.Type
	utf8  bool // its strings are UTF-8: see Module.UTF8
}

func markUTF8(fields []Field) {
	for i := range fields {
		fields[i].utf8 = true
		markUTF8(fields[i].Fields)
	}
}

// fieldsOf reads the tags of t, which must be a struct or a pointer to one. It
// panics on a malformed tag: that is a programmer's error, and every table of
// functions is read when its module is registered.
func fieldsOf(t reflect.Type) []Field {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct {
		panic(fmt.Sprintf("runtime: %s is not a struct", t))
	}
	var fields []Field
	for _, sf := range reflect.VisibleFields(t) {
		tag, ok := sf.Tag.Lookup("lua")
		if !ok || !sf.IsExported() {
			continue
		}
		words := strings.Split(tag, ",")
		f := Field{
			Name: words[0], Doc: sf.Tag.Get("doc"), Default: sf.Tag.Get("default"),
			Min: limit(sf, "min"), Max: limit(sf, "max"), With: sf.Tag.Get("with"), index: sf.Index, goT: sf.Type,
		}
		if f.With != "" {
			f.Doc += " (in a list with " + f.With + " = true only)"
		}
		if alias := sf.Tag.Get("alias"); alias != "" {
			f.Alias = strings.Split(alias, "|")
		}
		for _, w := range words[1:] {
			f.set(w, t, sf.Name)
		}
		if enum := sf.Tag.Get("enum"); enum != "" {
			f.Enum = strings.Split(enum, "|")
		}
		if f.Type = sf.Tag.Get("type"); f.Type == "" {
			f.Type = typeWords(sf.Type)
		}
		if el := elem(sf.Type); isTable(el) {
			f.Fields = fieldsOf(el)
		}
		fields = append(fields, f)
	}
	return fields
}

func (f *Field) set(word string, t reflect.Type, name string) {
	switch word {
	case "pos":
		f.Pos = true
	case "rest":
		f.Pos, f.Rest = true, true
	case "required":
		f.Required = true
	case "target":
		f.Target = true
	case "secret":
		f.Secret = true
	case "asis":
		f.AsIs = true
	default:
		panic(fmt.Sprintf("runtime: %s.%s: unknown word %q in its lua tag", t, name, word))
	}
}

func limit(sf reflect.StructField, key string) *float64 {
	text, ok := sf.Tag.Lookup(key)
	if !ok {
		return nil
	}
	n, err := strconv.ParseFloat(text, 64)
	if err != nil {
		panic(fmt.Sprintf("runtime: %s: tag %s: %v", sf.Name, key, err))
	}
	return &n
}

// elem strips pointers, slices and maps off t.
func elem(t reflect.Type) reflect.Type {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice || t.Kind() == reflect.Map {
		t = t.Elem()
	}
	return t
}

// isTable reports whether t is a struct that stands for a Lua table, rather
// than one of the structs that stand for a single value.
func isTable(t reflect.Type) bool {
	if t.Kind() != reflect.Struct || t == reflect.TypeFor[time.Time]() || t == reflect.TypeFor[Secret]() {
		return false
	}
	for i := range t.NumField() {
		if _, ok := t.Field(i).Tag.Lookup("lua"); ok {
			return true
		}
	}
	return false
}

// typeWords names t as a recipe's author would.
func typeWords(t reflect.Type) string {
	switch t {
	case reflect.TypeFor[time.Duration]():
		return "duration"
	case reflect.TypeFor[Size]():
		return "size"
	case reflect.TypeFor[Secret]():
		return "secret"
	case reflect.TypeFor[*Function]():
		return "function"
	case reflect.TypeFor[time.Time]():
		return "time"
	case reflect.TypeFor[[]byte]():
		return "string"
	case reflect.TypeFor[Value](), reflect.TypeFor[lua.LValue]():
		return "any"
	case reflect.TypeFor[*lua.LTable]():
		return "table"
	}
	switch t.Kind() {
	case reflect.String:
		return "string"
	case reflect.Bool:
		return "boolean"
	case reflect.Int, reflect.Int64, reflect.Uint16, reflect.Uint64:
		return "integer"
	case reflect.Float64:
		return "number"
	case reflect.Slice:
		return "list of " + plural(typeWords(t.Elem()))
	case reflect.Map:
		return "table of " + plural(typeWords(t.Elem()))
	case reflect.Pointer:
		if isTable(t.Elem()) || t.Elem().Kind() != reflect.Struct {
			return typeWords(t.Elem())
		}
		return strings.ToLower(t.Elem().Name())
	case reflect.Struct:
		return "table"
	}
	panic(fmt.Sprintf("runtime: %s has no Lua form", t))
}

func plural(s string) string {
	if s == "any" {
		return "any values"
	}
	return s + "s"
}
