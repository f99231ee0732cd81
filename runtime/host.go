package runtime

import (
	"fmt"
	"io/fs"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/mepc/mepc-run/internal/sandbox"
)

// Options configures a Host.
type Options struct {
	// Modules are what recipes can call, by name.
	Modules []Module
	// Library holds files that every recipe may require, after those of its own
	// directory tree; nil for none.
	Library fs.FS
	// Limits bound each run; zero fields take their defaults.
	Limits Limits
	// Cache holds compiled files, for several Hosts to share; nil: one of its own.
	Cache *Cache
}

// Cache holds compiled files by their content. The zero value is ready to use.
type Cache struct{ files sandbox.Cache }

// Limits bound what a recipe may use.
type Limits = sandbox.Limits

// Host compiles and runs recipes with a fixed set of modules. It is safe for
// concurrent use; each run has its own Lua state and its own world. Making a Host
// reads the tables of all modules, which costs more than a rehearsal: to run
// many recipes, or one many times, make one Host and give each run its world in
// RunOptions.World. Runs at the same time need Limits.HeapBytes of math.MaxUint64:
// the watch over the heap cannot tell them apart.
type Host struct {
	opts       Options
	cache      *sandbox.Cache
	modules    []*boundModule
	types      map[reflect.Type]*boundType
	secretType *boundType
	tables     sync.Map // the fields of each struct, by reflect.Type
}

// New returns a Host. It panics when a module's table is malformed: that is a
// programmer's error.
func New(opts Options) *Host {
	if opts.Cache == nil {
		opts.Cache = &Cache{}
	}
	h := &Host{opts: opts, cache: &opts.Cache.files, types: map[reflect.Type]*boundType{}}
	h.secretType = &boundType{Type: Type{Name: "secret", Of: Secret{}}}
	h.types[reflect.TypeFor[Secret]()] = h.secretType
	for _, m := range opts.Modules {
		h.register(m)
	}
	return h
}

// maxSource returns the most bytes a file may have.
func (h *Host) maxSource() int { return h.opts.Limits.WithDefaults().SourceBytes }

// Modules returns the modules in the order given, for documentation.
func (h *Host) Modules() []Module { return h.opts.Modules }

type boundModule struct {
	Module
	funcs []*boundFunc
}

type boundType struct {
	Type
	module string
	perRun bool // its objects come of each run's world
	funcs  map[string]*boundFunc
	fields []Field // what can be read of an object

	mu   sync.Mutex
	made map[string]*boundFunc // what Method has made
}

// boundFunc is a Func with its tags read.
type boundFunc struct {
	Func
	name   string // qualified, such as "docker.start" or "redis:get"
	fields []Field
	named  []Field      // those of fields that are not given by position
	typ    *boundType   // of the receiver, for methods
	module *boundModule // for functions
	word   bool         // it is called through the table of its words
}

// perRun reports whether f acts on what its module makes of each run's world.
func (f *boundFunc) perRun() bool {
	if f.typ != nil {
		return f.typ.perRun
	}
	_, ok := f.module.Self.(*Receiver)
	return ok
}

func (h *Host) register(m Module) {
	if slices.ContainsFunc(h.modules, func(b *boundModule) bool { return b.Name == m.Name && m.Name != "" }) {
		panic("runtime: two modules named " + m.Name)
	}
	b := &boundModule{Module: m}
	_, perRun := m.Self.(*Receiver)
	for _, f := range m.Funcs {
		b.funcs = append(b.funcs, h.bind(f.Qualified(m.Name), f, b, nil))
	}
	h.modules = append(h.modules, b)
	for _, t := range m.Types {
		bt := &boundType{Type: t, module: m.Name, perRun: perRun, funcs: map[string]*boundFunc{}, fields: t.Fields()}
		for _, f := range t.Funcs {
			bt.funcs[f.Name] = h.bind(qualified(m.Name, ".", f.Name), f, nil, bt)
		}
		h.types[t.goType()] = bt
		if m.UTF8 {
			for _, f := range bt.funcs {
				f.takeUTF8()
			}
		}
	}
	if m.UTF8 {
		for _, f := range b.funcs {
			f.takeUTF8()
		}
	}
}

// takeUTF8 does what Module.UTF8 says.
func (b *boundFunc) takeUTF8() {
	markUTF8(b.fields)
	b.named = namedFields(b.fields)
}

// Qualified names f as a recipe calls it, where it is a function of module.
func (f *Func) Qualified(module string) string { return qualified(module, f.sep(), f.Name) }

func (f *Func) sep() string {
	if f.Colon {
		return ":"
	}
	return "."
}

func qualified(module, sep, name string) string {
	if module == "" {
		return name
	}
	if name == "" {
		return module
	}
	return module + sep + name
}

const defaultTimeout = time.Minute

func (h *Host) bind(name string, f Func, m *boundModule, typ *boundType) *boundFunc {
	if f.Call == nil {
		panic("runtime: " + name + " has no Call")
	}
	selfType, args, _ := f.Call.signature()
	if m != nil && m.Self != nil && !m.Receiver().AssignableTo(selfType) {
		panic(fmt.Sprintf("runtime: %s: receiver is %s, function wants %s", name, m.Receiver(), selfType))
	}
	if f.Timeout == 0 {
		f.Timeout = defaultTimeout
	}
	fields := h.fields(args)
	return &boundFunc{Func: f, name: name, fields: fields, named: namedFields(fields), typ: typ, module: m}
}

// fields is fieldsOf, remembered.
func (h *Host) fields(t reflect.Type) []Field {
	if known, ok := h.tables.Load(t); ok {
		return known.([]Field)
	}
	fields := fieldsOf(t)
	h.tables.Store(t, fields)
	return fields
}

// typeOf returns the registered type of Go type t, or nil.
func (h *Host) typeOf(t reflect.Type) *boundType { return h.types[t] }

// typeName names a Go type as a recipe's author knows it.
func (h *Host) typeName(t reflect.Type) string {
	if bt := h.types[t]; bt != nil {
		return bt.Name
	}
	return typeWords(t)
}

// Fields returns the arguments of f, for documentation.
func (f *Func) Fields() []Field {
	_, args, _ := f.Call.signature()
	return fieldsOf(args)
}

// Result describes what f returns, for documentation: the type in words, and
// the fields where it is a table.
func (f *Func) Result() (string, []Field) {
	_, _, res := f.Call.signature()
	switch {
	case res == reflect.TypeFor[None]():
		return "", nil
	case res == reflect.TypeFor[Results]():
		return "any", nil
	case isTable(elem(res)):
		return typeWords(res), fieldsOf(elem(res))
	}
	return typeWords(res), nil
}

// Signature writes how a function is called: name(pos, [optional], {named=...}).
func Signature(name string, fields []Field) string {
	var pos, named []string
	for _, f := range fields {
		text := f.Name
		switch {
		case f.Rest:
			text = "..."
		case !f.Required && f.Pos:
			text = "[" + text + "]"
		case !f.Pos && !f.Required:
			text = "[" + text + "=" + f.Type + "]"
		case !f.Pos:
			text = text + "=" + f.Type
		}
		if f.Pos {
			pos = append(pos, text)
		} else {
			named = append(named, text)
		}
	}
	if len(named) == 0 {
		return name + "(" + strings.Join(pos, ", ") + ")"
	}
	table := "{" + strings.Join(named, ", ") + "}"
	if len(pos) == 0 {
		return name + table
	}
	return name + "(" + strings.Join(append(pos, table), ", ") + ")"
}
