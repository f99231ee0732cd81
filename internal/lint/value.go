package lint

import (
	"slices"

	lua "github.com/yuin/gopher-lua"
	"github.com/yuin/gopher-lua/ast"

	"github.com/mepc/mepc-run/internal/sandbox"
	"github.com/mepc/mepc-run/recipes"
	"github.com/mepc/mepc-run/runtime"
)

// value holds what is known about an expression without running it; nil: nothing.
type value any

type (
	moduleValue struct{ *runtime.Module }
	objectValue struct {
		module *runtime.Module
		*runtime.Type
	}
	// wordsValue is the beginning of a name of several words: assert.is_not.
	wordsValue struct {
		module *runtime.Module
		path   string
	}
	libraryValue struct {
		name    string
		members []string
	}
	// functionValue is a function of a table: name is what people call it.
	functionValue struct {
		name   string
		fn     *runtime.Func
		module *runtime.Module
		method bool // it wants its object before its arguments
	}
	paramsValue struct{ *params }
	fileValue   struct{ *exports }
	// classValue is an object of a library's class.
	classValue struct{ *recipes.Library }
)

// evaluate returns what is known of e.
func (f *file) evaluate(e ast.Expr) value {
	if e == nil {
		return nil
	}
	if v, done := f.values[e]; done {
		return v
	}
	f.values[e] = nil // what leads back to itself is not known
	v := f.evaluated(e)
	f.values[e] = v
	return v
}

func (f *file) evaluated(e ast.Expr) value {
	switch e := e.(type) {
	case *ast.IdentExpr:
		if v := f.uses[e]; v != nil {
			if v.constant() {
				return f.evaluate(v.init)
			}
			return nil
		}
		return f.global(e.Value)
	case *ast.AttrGetExpr:
		if key, ok := e.Key.(*ast.StringExpr); ok {
			return f.member(f.evaluate(e.Object), key.Value)
		}
	case *ast.FuncCallExpr:
		return f.result(e)
	}
	return nil
}

// global returns what a global name stands for.
func (f *file) global(name string) value {
	for i := range f.Linter.modules {
		m := &f.Linter.modules[i]
		if m.Name == name && name != "" {
			return moduleValue{m}
		}
		if m.Name != "" {
			continue
		}
		for j := range m.Funcs {
			if m.Funcs[j].Name == name {
				return functionValue{name: name, fn: &m.Funcs[j], module: m}
			}
		}
	}
	if members := f.lua[name]; len(members) > 0 {
		return libraryValue{name, members}
	}
	return nil
}

// member returns what stands behind a dot.
func (f *file) member(of value, name string) value {
	switch of := of.(type) {
	case moduleValue:
		for i := range of.Funcs {
			if fn := &of.Funcs[i]; fn.Name == name && name != "" {
				return functionValue{name: fn.Qualified(of.Name), fn: fn, module: of.Module, method: fn.Colon}
			}
		}
		if of.Words != nil {
			return word(of.Module, name)
		}
	case wordsValue:
		return word(of.module, of.path+"."+name)
	case objectValue:
		if fn := method(of.Type, name); fn != nil {
			return functionValue{name: of.Name + ":" + name, fn: fn, module: of.module, method: true}
		}
	}
	return nil
}

// word returns what m makes of a name of one or more words.
func word(m *runtime.Module, path string) value {
	fn, err := m.Words(path)
	switch {
	case err != nil:
		return nil
	case fn == nil:
		return wordsValue{m, path}
	}
	return functionValue{name: m.Name + "." + path, fn: fn, module: m}
}

// field reports whether objects of t have a field of that name.
func field(t *runtime.Type, name string) bool {
	return slices.ContainsFunc(t.Fields(), func(f runtime.Field) bool { return f.Name == name })
}

// method returns the method of t, or nil.
func method(t *runtime.Type, name string) *runtime.Func {
	for i := range t.Funcs {
		if t.Funcs[i].Name == name {
			return &t.Funcs[i]
		}
	}
	if t.Method != nil {
		if fn, err := t.Method(name); err == nil {
			return fn
		}
	}
	return nil
}

// callee returns the function that e calls, as far as that is known.
func (f *file) callee(e *ast.FuncCallExpr) (functionValue, bool) {
	if e.Func == nil {
		switch of := f.evaluate(e.Receiver).(type) {
		case objectValue:
			fn, ok := f.member(of, e.Method).(functionValue)
			fn.method = false // it has its object
			return fn, ok
		case moduleValue:
			fn, ok := f.member(of, e.Method).(functionValue)
			fn.method = false // it has its module
			return fn, ok && fn.fn.Colon
		}
		return functionValue{}, false
	}
	switch v := f.evaluate(e.Func).(type) {
	case functionValue:
		return v, true
	case moduleValue:
		for i := range v.Funcs {
			if v.Funcs[i].Name == "" { // the module itself is called
				return functionValue{name: v.Name, fn: &v.Funcs[i], module: v.Module}, true
			}
		}
	}
	return functionValue{}, false
}

// result returns what is known of what a call returns.
func (f *file) result(e *ast.FuncCallExpr) value {
	if name := required(e); name != "" && f.global("require") != nil && f.uses[e.Func.(*ast.IdentExpr)] == nil {
		if x := f.require(name); x != nil {
			return fileValue{x}
		}
		return nil
	}
	if at, ok := e.Func.(*ast.AttrGetExpr); ok {
		if of, ok := f.evaluate(at.Object).(fileValue); ok {
			return of.makes(at.Key)
		}
	}
	fn, ok := f.callee(e)
	if !ok {
		return nil
	}
	if fn.name == "params" {
		return f.params(e)
	}
	for i := range fn.module.Types {
		if t := &fn.module.Types[i]; fn.fn.Gives(t) {
			return objectValue{fn.module, t}
		}
	}
	return nil
}

// makes returns what the file's function of that name returns, where that is an object.
func (v fileValue) makes(name ast.Expr) value {
	key, ok := name.(*ast.StringExpr)
	if !ok || v.library.Class == "" {
		return nil
	}
	if fn := v.library.Func(key.Value); fn != nil && fn.Returns == v.library.Class {
		return classValue{&v.library}
	}
	return nil
}

// required returns the name in require("lib.name"), or "".
func required(e ast.Expr) string {
	call, ok := e.(*ast.FuncCallExpr)
	if !ok || len(call.Args) != 1 {
		return ""
	}
	id, ok := call.Func.(*ast.IdentExpr)
	if !ok || id.Value != "require" {
		return ""
	}
	if name, ok := call.Args[0].(*ast.StringExpr); ok {
		return name.Value
	}
	return ""
}

// literal returns the Lua value of e when it can be read off the source. A
// function stands for any function.
func literal(e ast.Expr) (lua.LValue, bool) {
	switch e := e.(type) {
	case *ast.NilExpr:
		return lua.LNil, true
	case *ast.TrueExpr:
		return lua.LTrue, true
	case *ast.FalseExpr:
		return lua.LFalse, true
	case *ast.StringExpr:
		return lua.LString(e.Value), true
	case *ast.NumberExpr:
		n, ok := sandbox.ParseNumber(e.Value)
		return n, ok
	case *ast.UnaryMinusOpExpr:
		if n, ok := literal(e.Expr); ok && n.Type() == lua.LTNumber {
			return -n.(lua.LNumber), true
		}
	case *ast.FunctionExpr:
		return &lua.LFunction{}, true
	case *ast.TableExpr:
		t := &lua.LTable{}
		next := 1
		for _, field := range e.Fields {
			v, ok := literal(field.Value)
			if !ok {
				return nil, false
			}
			key := lua.LValue(lua.LNumber(next))
			if field.Key == nil {
				next++
			} else if key, ok = literal(field.Key); !ok || key == lua.LNil {
				return nil, false
			}
			t.RawSet(key, v)
		}
		return t, true
	}
	return nil, false
}
