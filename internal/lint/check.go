package lint

import (
	"fmt"
	"slices"
	"strings"

	"github.com/yuin/gopher-lua/ast"

	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/runtime"
)

// check looks at what is done with the names that resolve has found.
func (f *file) check(chunk []ast.Stmt) {
	f.values, f.callees, f.literal = map[ast.Expr]value{}, map[ast.Expr]bool{}, map[*ast.IdentExpr]string{}
	f.own = map[string]bool{}
	f.checkStmts(chunk)
	f.checkParams()
}

func (f *file) checkStmts(stmts []ast.Stmt) {
	f.reached(stmts)
	for _, s := range stmts {
		f.checkStmt(s)
	}
}

func (f *file) checkStmt(s ast.Stmt) {
	switch s := s.(type) {
	case *ast.LocalAssignStmt:
		f.checkExprs(s.Exprs)
	case *ast.AssignStmt:
		f.checkExprs(s.Rhs)
		for _, l := range s.Lhs {
			f.checkTarget(l)
		}
	case *ast.FuncCallStmt:
		f.checkExpr(s.Expr)
	case *ast.DoBlockStmt:
		f.checkStmts(s.Stmts)
	case *ast.WhileStmt:
		f.checkExpr(s.Condition)
		f.checkStmts(s.Stmts)
	case *ast.RepeatStmt:
		f.checkStmts(s.Stmts)
		f.checkExpr(s.Condition)
	case *ast.IfStmt:
		f.checkExpr(s.Condition)
		f.checkStmts(s.Then)
		f.checkStmts(s.Else)
	case *ast.NumberForStmt:
		f.checkExprs([]ast.Expr{s.Init, s.Limit, s.Step})
		f.checkStmts(s.Stmts)
	case *ast.GenericForStmt:
		f.checkExprs(s.Exprs)
		f.checkStmts(s.Stmts)
	case *ast.FuncDefStmt:
		if s.Name.Func != nil {
			f.checkTarget(s.Name.Func)
		} else {
			f.changes(s.Name.Receiver, s.Name.Receiver.Line())
			f.checkExpr(s.Name.Receiver)
		}
		f.checkStmts(s.Func.Stmts)
	case *ast.ReturnStmt:
		f.checkExprs(s.Exprs)
	}
}

// checkTarget looks at what is assigned to.
func (f *file) checkTarget(e ast.Expr) {
	at, ok := e.(*ast.AttrGetExpr)
	if !ok {
		return
	}
	f.changes(at.Object, at.Line())
	if p, ok := f.evaluate(at.Object).(paramsValue); ok {
		p.escaped = true // it has more than what is declared
		return
	}
	if of, ok := f.evaluate(at.Object).(classValue); ok {
		if key, ok := at.Key.(*ast.StringExpr); ok {
			f.own[of.Class+"."+key.Value] = true
		}
	}
	if _, ok := at.Object.(*ast.IdentExpr); !ok {
		f.checkExpr(at.Object)
	}
	f.checkExpr(at.Key)
}

// changes reports an assignment into what cannot be changed.
func (f *file) changes(object ast.Expr, line int) {
	name := ""
	switch v := f.evaluate(object).(type) {
	case moduleValue:
		name = v.Name
	case libraryValue:
		name = v.name
	case objectValue:
		name = "a " + v.Name
	default:
		return
	}
	f.report(codeAssigned, line, "", "%s cannot be changed", name)
}

func (f *file) checkExprs(list []ast.Expr) {
	for _, e := range list {
		f.checkExpr(e)
	}
}

func (f *file) checkExpr(e ast.Expr) {
	switch e := e.(type) {
	case nil:
	case *ast.IdentExpr:
		if p, ok := f.evaluate(e).(paramsValue); ok {
			p.escaped = true // used as a whole
		}
	case *ast.FunctionExpr:
		f.checkStmts(e.Stmts)
	case *ast.AttrGetExpr:
		f.checkMember(e)
	case *ast.TableExpr:
		f.checkKeys(e)
		each(e, f.checkExpr)
	case *ast.FuncCallExpr:
		f.checkCall(e)
		if e.Func != nil {
			f.callees[e.Func] = true
		}
		each(e, f.checkExpr)
	default:
		each(e, f.checkExpr)
	}
}

// checkMember looks at a.b and a[b].
func (f *file) checkMember(e *ast.AttrGetExpr) {
	key, ok := e.Key.(*ast.StringExpr)
	if !ok {
		f.checkIndex(e)
		f.checkExpr(e.Object)
		f.checkExpr(e.Key)
		return
	}
	switch of := f.evaluate(e.Object).(type) {
	case moduleValue:
		if f.member(of, key.Value) == nil && (of.Words == nil || !f.registers()) {
			err := noFunction(of.Module, key.Value)
			f.report(codeMember, key.Line(), "."+key.Value, "%s", err.Message).Hint = err.Hint
		}
	case wordsValue:
		if f.member(of, key.Value) == nil && !f.registers() {
			err := noFunction(of.module, of.path+"."+key.Value)
			f.report(codeMember, key.Line(), "."+key.Value, "%s", err.Message).Hint = err.Hint
		}
	case objectValue:
		if method(of.Type, key.Value) == nil && !field(of.Type, key.Value) {
			f.noMethod(of, key.Value, key.Line(), ".")
		}
	case libraryValue:
		if instead := runtime.Absent(of.name + "." + key.Value); instead != "" {
			f.report(codeMember, key.Line(), "."+key.Value, "there is no %s.%s here: %s", of.name, key.Value, instead)
		} else if !slices.Contains(of.members, key.Value) {
			f.report(codeMember, key.Line(), "."+key.Value, "%s has no member %q%s", of.name, key.Value, runtime.DidYouMean(key.Value, of.members))
		}
	case fileValue:
		if of.known && !slices.Contains(of.names, key.Value) {
			f.report(codeRequire, key.Line(), "."+key.Value, "%s exports no %q%s", of.name, key.Value, runtime.DidYouMean(key.Value, of.names))
		}
	case classValue:
		f.checkObject(of, key.Value, key.Line(), ".")
	case paramsValue:
		of.use(f, key)
		return // its identifier is not a use of the whole
	}
	f.checkExpr(e.Object)
}

// checkObject looks at a field or a method of a library's object. What the file itself
// assigns to one is known.
func (f *file) checkObject(of classValue, name string, line int, sep string) {
	if !of.Has(name) && !f.own[of.Class+"."+name] {
		f.report(codeMember, line, sep+name, "a %s of %s has no %q%s", of.Class, of.Name, name, runtime.DidYouMean(name, of.Names())).
			Hint = "mepc-run doc " + of.Name + " shows what it has"
	}
}

// checkIndex looks for the item 0 of a list.
func (f *file) checkIndex(e *ast.AttrGetExpr) {
	n, ok := e.Key.(*ast.NumberExpr)
	at, isField := e.Object.(*ast.AttrGetExpr)
	if !ok || !isField || n.Value != "0" {
		return
	}
	of, ok := f.evaluate(at.Object).(classValue)
	key, named := at.Key.(*ast.StringExpr)
	if !ok || !named {
		return
	}
	if field := of.Field(key.Value); field != nil && strings.HasSuffix(field.Type, "[]") {
		f.report(codeMember, e.Line(), "[0]", "%s is a list, which begins at 1", key.Value)
	}
}

// noFunction says what may be meant by a function that m does not have.
func noFunction(m *runtime.Module, name string) *failure.Error {
	if m.Words != nil {
		if _, err := m.Words(name); err != nil {
			return failure.As(err)
		}
	}
	return m.NoFunction(name)
}

func (f *file) noMethod(of objectValue, name string, line int, sep string) {
	found := f.report(codeMember, line, sep+name, "")
	if of.Method != nil {
		if _, err := of.Method(name); err != nil {
			e := failure.As(err)
			found.Message, found.Hint = e.Message, e.Hint
			return
		}
	}
	var names []string
	for _, fn := range of.Funcs {
		names = append(names, fn.Name)
	}
	for _, field := range of.Fields() {
		names = append(names, field.Name)
	}
	found.Message = fmt.Sprintf("a %s has no method %q%s", of.Name, name, runtime.DidYouMean(name, names))
}

// checkKeys reports a name that stands twice in a table.
func (f *file) checkKeys(t *ast.TableExpr) {
	seen := map[string]int{}
	for _, field := range t.Fields {
		key, ok := field.Key.(*ast.StringExpr)
		if !ok {
			continue
		}
		if first, twice := seen[key.Value]; twice {
			f.places.find(first, key.Value) // the finding is at the other one
			f.report(codeTwice, key.Line(), key.Value, "the key %s stands twice: the last one counts", key.Value)
		}
		seen[key.Value] = key.Line()
	}
}
