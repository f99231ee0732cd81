package lint

import (
	"strconv"
	"strings"

	lua "github.com/yuin/gopher-lua"
	"github.com/yuin/gopher-lua/ast"

	"github.com/mepc/mepc-run/runtime"
)

// checkCall looks at a call: how it is written, and what it is given.
func (f *file) checkCall(e *ast.FuncCallExpr) {
	if e.Func == nil {
		f.checkMethod(e)
	}
	if name := required(e); name != "" && f.uses[e.Func.(*ast.IdentExpr)] == nil {
		f.literal[e.Func.(*ast.IdentExpr)] = name
		if x := f.require(name); x != nil && x.missing {
			f.report(codeRequire, e.Line(), name, "no file %s beside the recipe or in the library", fileOf(name))
		}
		return
	}
	if f.withoutObject(e) {
		return
	}
	fn, ok := f.callee(e)
	if !ok {
		return
	}
	f.checkOrder(fn, e.Line())
	args := e.Args
	if fn.method { // with a dot
		at, isAt := e.Func.(*ast.AttrGetExpr)
		if len(args) == 0 || isAt && !same(at.Object, args[0]) {
			f.report(codeCall, e.Line(), "."+fn.fn.Name, "%s is called without its object", fn.name).
				Hint = "write a colon: x:" + fn.fn.Name + "(...)"
			return
		}
		args = args[1:]
	}
	f.checkArgs(fn, args, e.Line())
	// What try and pcall are given is a call, too.
	if id, ok := e.Func.(*ast.IdentExpr); ok && f.uses[id] == nil && len(args) > 0 && (id.Value == "try" || id.Value == "pcall") {
		if called, ok := f.evaluate(args[0]).(functionValue); ok && (!called.method || len(args) > 1) {
			rest := args[1:]
			if called.method {
				rest = rest[1:]
			}
			f.checkArgs(called, rest, e.Line())
		}
	}
}

// checkOrder looks for declarations that Host.Inspect does not come to.
func (f *file) checkOrder(fn functionValue, line int) {
	switch {
	case fn.name == "params" && f.paramsAt == 0:
		f.paramsAt = line
	case fn.fn.Early && f.paramsAt > 0:
		f.report(codeOrder, line, "", "%s comes after params{} of line %d", fn.name, f.paramsAt).
			Hint = "what a recipe says of itself comes before"
	}
}

// same reports whether a and b are the same variable.
func same(a, b ast.Expr) bool {
	x, ok := a.(*ast.IdentExpr)
	y, both := b.(*ast.IdentExpr)
	return ok && both && x.Value == y.Value
}

// checkMethod looks at the colon of a call.
func (f *file) checkMethod(e *ast.FuncCallExpr) {
	switch of := f.evaluate(e.Receiver).(type) {
	case moduleValue:
		if fn, ok := f.member(of, e.Method).(functionValue); ok && fn.fn.Colon {
			return
		}
		if of.Words != nil && f.registers() {
			return
		}
		found := f.report(codeCall, e.Line(), ":"+e.Method, "%s:%s passes the module itself", of.Name, e.Method)
		found.Hint = "write a dot: " + of.Name + "." + e.Method + "(...)"
		if f.member(of, e.Method) == nil {
			err := noFunction(of.Module, e.Method)
			found.Code, found.Message, found.Hint = codeMember, err.Message, err.Hint
		}
	case fileValue:
		if fn := of.library.Func(e.Method); fn != nil && !fn.Method {
			f.report(codeCall, e.Line(), ":"+e.Method, "%s:%s passes the library itself", of.name, e.Method).
				Hint = "write a dot: " + lastWord(of.name) + "." + e.Method + "(...)"
		}
	case classValue:
		f.checkObject(of, e.Method, e.Line(), ":")
	case objectValue:
		if method(of.Type, e.Method) == nil && !field(of.Type, e.Method) {
			f.noMethod(of, e.Method, e.Line(), ":")
		}
	}
}

// withoutObject reports a method of a library's object that is called with a dot.
func (f *file) withoutObject(e *ast.FuncCallExpr) bool {
	at, ok := e.Func.(*ast.AttrGetExpr)
	if !ok {
		return false
	}
	of, ok := f.evaluate(at.Object).(classValue)
	key, named := at.Key.(*ast.StringExpr)
	if !ok || !named {
		return false
	}
	fn := of.Func(key.Value)
	if fn == nil || !fn.Method || len(e.Args) > 0 && same(at.Object, e.Args[0]) {
		return false
	}
	f.report(codeCall, e.Line(), "."+key.Value, "%s.%s is called without its object", of.Class, key.Value).
		Hint = "write a colon: x:" + key.Value + "(...)"
	return true
}

// open reports whether the last of args may stand for several values.
func open(args []ast.Expr) bool {
	if len(args) == 0 {
		return false
	}
	switch last := args[len(args)-1].(type) {
	case *ast.FuncCallExpr:
		return !last.AdjustRet
	case *ast.Comma3Expr:
		return !last.AdjustRet
	}
	return false
}

// checkArgs looks at the arguments as the decoder will.
func (f *file) checkArgs(fn functionValue, args []ast.Expr, line int) {
	before := len(f.found)
	fields := fn.fn.Fields()
	definite := len(args) // how many arguments are single values
	if open(args) {
		definite--
	}
	next, named := 0, 0
	for i := range fields {
		field := &fields[i]
		if !field.Pos {
			named++
			continue
		}
		if field.Rest {
			for _, a := range args[min(next, definite):definite] {
				f.checkValue(fn.name, field, field.Name, a)
			}
			next = max(next, len(args))
			continue
		}
		switch {
		case next < definite:
			f.checkValue(fn.name, field, field.Name, args[next])
		case next >= len(args) && field.Required && field.Default == "":
			f.report(codeArguments, line, "", "%s: %s is missing: %s expected", fn.name, field.Name, field.Type).
				Hint = "usage: " + runtime.Signature(fn.name, fields)
		}
		next++
	}
	if named > 0 {
		f.checkOptions(fn, fields, args, next, definite, line)
		next++
	}
	if definite > next {
		f.report(codeArguments, args[next].Line(), "", "%s takes %s, got %d", fn.name, arguments(next), definite).
			Hint = "usage: " + runtime.Signature(fn.name, fields)
	}
	if len(f.found) == before && definite == len(args) {
		f.checkWhole(fn, args, line)
	}
}

func arguments(n int) string {
	switch n {
	case 0:
		return "no arguments"
	case 1:
		return "1 argument"
	}
	return strconv.Itoa(n) + " arguments"
}

// checkWhole asks the function's own validation, when all is known.
func (f *file) checkWhole(fn functionValue, args []ast.Expr, line int) {
	var values []lua.LValue
	for _, a := range args {
		v, ok := literal(a)
		if !ok {
			return
		}
		values = append(values, v)
	}
	if err := fn.fn.Check(values); err != nil {
		word, _, _ := strings.Cut(err.Error(), ":")
		f.report(codeValue, line, lastWord(word), "%s: %s", fn.name, err)
	}
}

// checkOptions looks at the table of options, which is argument i if it is there.
func (f *file) checkOptions(fn functionValue, fields []runtime.Field, args []ast.Expr, i, definite, line int) {
	if i >= definite {
		if i >= len(args) {
			f.missing(fn.name, "", fields, nil, line)
		}
		return
	}
	if t, ok := args[i].(*ast.TableExpr); ok {
		f.checkTable(fn.name, "", fields, t)
		return
	}
	v, ok := literal(args[i])
	switch {
	case !ok:
	case v == lua.LNil:
		f.missing(fn.name, "", fields, nil, line)
	default:
		f.report(codeValue, args[i].Line(), "", "%s: a table of options expected as argument %d, got %s", fn.name, i+1, v.Type())
	}
}

// checkTable looks at a table of named fields. path is its own name.
func (f *file) checkTable(name, path string, fields []runtime.Field, t *ast.TableExpr) {
	given := map[string]bool{}
	whole := true // every key is known
	for _, entry := range t.Fields {
		if entry.Key == nil {
			f.report(codeOption, entry.Value.Line(), "", "%s: %sa table of named options expected, got a list", name, prefix(path))
			return
		}
		key, ok := entry.Key.(*ast.StringExpr)
		if !ok {
			whole = false
			continue
		}
		given[key.Value] = true
		if field := named(fields, key.Value); field != nil {
			f.checkValue(name, field, path+key.Value, entry.Value)
			continue
		}
		var names []string
		for _, field := range fields {
			if !field.Pos {
				names = append(names, field.Name)
			}
		}
		f.report(codeOption, key.Line(), key.Value, "%s: %sunknown option %q%s", name, prefix(path), key.Value, runtime.DidYouMean(key.Value, names))
	}
	if whole {
		f.missing(name, path, fields, given, t.Line())
	}
}

func named(fields []runtime.Field, name string) *runtime.Field {
	for i := range fields {
		if fields[i].Name == name && !fields[i].Pos {
			return &fields[i]
		}
	}
	return nil
}

func prefix(path string) string {
	if path == "" {
		return ""
	}
	return path[:len(path)-1] + ": "
}

// missing reports required options that are not given.
func (f *file) missing(name, path string, fields []runtime.Field, given map[string]bool, line int) {
	for _, field := range fields {
		if !field.Pos && field.Required && field.Default == "" && !given[field.Name] {
			f.report(codeArguments, line, "", "%s: %s%s is missing: %s expected", name, path, field.Name, field.Type)
		}
	}
}

// checkValue looks at what a field is given.
func (f *file) checkValue(name string, field *runtime.Field, path string, e ast.Expr) {
	if t, ok := e.(*ast.TableExpr); ok && len(field.Fields) > 0 {
		f.checkTables(name, field, path, t)
		return
	}
	v, ok := literal(e)
	if t, isTable := e.(*ast.TableExpr); isTable && !ok {
		f.checkItems(name, field, path, t)
		return
	}
	if !ok {
		return
	}
	if err := field.Check(path, v); err != nil {
		f.report(codeValue, e.Line(), lastWord(path), "%s: %s", name, err)
	}
}

// lastWord returns the name of a field, which is where a finding points.
func lastWord(path string) string {
	for i := len(path) - 1; i >= 0; i-- {
		switch path[i] {
		case ']':
			return ""
		case '.':
			return path[i+1:]
		}
	}
	return path
}

// checkItems looks at a table that is only in part a literal: its place alone,
// when it stands where no table is taken.
func (f *file) checkItems(name string, field *runtime.Field, path string, t *ast.TableExpr) {
	if err := field.Check(path, &lua.LTable{}); err != nil {
		f.report(codeValue, t.Line(), lastWord(path), "%s: %s", name, err)
	}
}

// checkTables looks at a table with fields of its own, or a collection of such.
func (f *file) checkTables(name string, field *runtime.Field, path string, t *ast.TableExpr) {
	if !field.Collection() {
		f.checkTable(name, path+".", field.Fields, t)
		return
	}
	for _, entry := range t.Fields {
		if item, ok := entry.Value.(*ast.TableExpr); ok {
			f.checkTable(name, path+".", field.Fields, item)
		}
	}
}
