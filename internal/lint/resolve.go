package lint

import (
	"fmt"
	"slices"

	"github.com/yuin/gopher-lua/ast"

	"github.com/mepc/mepc-run/runtime"
)

// variable is a local variable, a function's parameter or a loop's variable.
type variable struct {
	name          string
	line          int
	what          string // how a finding calls it
	reads, writes int
	init          ast.Expr    // what it is declared with, or nil
	after         []*variable // those of the same list behind it
	given         bool        // by a caller or a loop: it cannot be left out when one behind it is used
	shows         place
}

// constant reports whether v keeps what it was declared with.
func (v *variable) constant() bool { return v.writes == 0 }

type scope struct {
	outer *scope
	vars  []*variable
}

func (f *file) open()  { f.scope = &scope{outer: f.scope} }
func (f *file) close() { f.scope = f.scope.outer }

func (f *file) declare(name, what string, line int, init ast.Expr) *variable {
	v := &variable{name: name, what: what, line: line, init: init, shows: f.places.find(line, name)}
	f.scope.vars = append(f.scope.vars, v)
	f.variables = append(f.variables, v)
	return v
}

func (f *file) lookup(name string) *variable {
	for s := f.scope; s != nil; s = s.outer {
		for i := len(s.vars) - 1; i >= 0; i-- {
			if s.vars[i].name == name {
				return s.vars[i]
			}
		}
	}
	return nil
}

// resolve finds what each name means, and reports those that mean nothing or
// are not used.
func (f *file) resolve(chunk []ast.Stmt) {
	f.uses = map[*ast.IdentExpr]*variable{}
	f.open()
	f.resolveStmts(chunk)
	f.close()
	f.undefined()
	f.unused()
}

func (f *file) block(stmts []ast.Stmt) {
	f.open()
	f.resolveStmts(stmts)
	f.close()
}

func (f *file) resolveStmts(stmts []ast.Stmt) {
	for _, s := range stmts {
		f.resolveStmt(s)
	}
}

func (f *file) resolveStmt(s ast.Stmt) {
	switch s := s.(type) {
	case *ast.LocalAssignStmt:
		f.resolveLocal(s)
	case *ast.AssignStmt:
		f.resolveExprs(s.Rhs)
		for _, l := range s.Lhs {
			f.resolveTarget(l)
		}
	case *ast.FuncCallStmt:
		f.resolveExpr(s.Expr)
	case *ast.DoBlockStmt:
		f.block(s.Stmts)
	case *ast.WhileStmt:
		f.resolveExpr(s.Condition)
		f.block(s.Stmts)
	case *ast.RepeatStmt:
		f.open()
		f.resolveStmts(s.Stmts)
		f.resolveExpr(s.Condition)
		f.close()
	case *ast.IfStmt:
		f.resolveExpr(s.Condition)
		f.block(s.Then)
		f.block(s.Else)
	case *ast.NumberForStmt:
		f.resolveExprs([]ast.Expr{s.Init, s.Limit, s.Step})
		f.resolveLoop([]string{s.Name}, s.Line(), s.Stmts)
	case *ast.GenericForStmt:
		f.resolveExprs(s.Exprs)
		f.resolveLoop(s.Names, s.Line(), s.Stmts)
	case *ast.FuncDefStmt:
		if s.Name.Func == nil {
			f.resolveExpr(s.Name.Receiver)
		} else {
			f.resolveTarget(s.Name.Func)
		}
		f.resolveFunction(s.Func, s.Name.Func == nil)
	case *ast.ReturnStmt:
		f.resolveExprs(s.Exprs)
	}
}

func (f *file) resolveLocal(s *ast.LocalAssignStmt) {
	if len(s.Names) == 1 && s.LastLine() != 0 { // local function f
		f.declare(s.Names[0], "function", s.Line(), nil)
		f.resolveExprs(s.Exprs)
		return
	}
	f.resolveExprs(s.Exprs)
	var vars []*variable
	for i, name := range s.Names {
		var init ast.Expr
		if i < len(s.Exprs) {
			init = s.Exprs[i]
		}
		v := f.declare(name, "variable", s.Line(), init)
		if required(init) != "" {
			v.what = "required file"
		}
		v.given = i >= len(s.Exprs)-1 && len(s.Names) > len(s.Exprs) // a call gives it and those behind it
		vars = append(vars, v)
	}
	behind(vars)
}

// behind tells each variable of a list those behind it.
func behind(vars []*variable) {
	for i, v := range vars {
		v.after = vars[i+1:]
	}
}

func (f *file) resolveLoop(names []string, line int, body []ast.Stmt) {
	f.open()
	var vars []*variable
	for _, name := range names {
		v := f.declare(name, "loop variable", line, nil)
		v.given = true
		vars = append(vars, v)
	}
	behind(vars)
	f.resolveStmts(body)
	f.close()
}

func (f *file) resolveFunction(fn *ast.FunctionExpr, method bool) {
	f.open()
	if method {
		f.scope.vars = append(f.scope.vars, &variable{name: "self"}) // never reported
	}
	var vars []*variable
	for _, name := range fn.ParList.Names {
		v := f.declare(name, "parameter", fn.Line(), nil)
		v.given = true
		vars = append(vars, v)
	}
	behind(vars)
	f.resolveStmts(fn.Stmts)
	f.close()
}

// resolveTarget resolves what is assigned to.
func (f *file) resolveTarget(e ast.Expr) {
	id, ok := e.(*ast.IdentExpr)
	if !ok {
		f.resolveExpr(e)
		return
	}
	if v := f.lookup(id.Value); v != nil {
		v.writes++
		f.uses[id] = v
		return
	}
	found := f.report(codeAssigned, id.Line(), id.Value, "assignment to the global %s", id.Value)
	found.Hint = "write local " + id.Value
	if f.isGlobal(id.Value) {
		found.Hint = "it is part of the environment: choose another name and make it local"
	}
}

func (f *file) resolveExprs(list []ast.Expr) {
	for _, e := range list {
		f.resolveExpr(e)
	}
}

func (f *file) resolveExpr(e ast.Expr) {
	switch e := e.(type) {
	case *ast.IdentExpr:
		v := f.lookup(e.Value)
		if v != nil {
			v.reads++
		}
		f.uses[e] = v
	case *ast.FunctionExpr:
		f.resolveFunction(e, false)
	default:
		each(e, f.resolveExpr)
	}
}

// each calls do with the expressions that e is made of, in the source's order.
func each(e ast.Expr, do func(ast.Expr)) {
	all := func(list ...ast.Expr) {
		for _, x := range list {
			if x != nil {
				do(x)
			}
		}
	}
	switch e := e.(type) {
	case *ast.AttrGetExpr:
		all(e.Object, e.Key)
	case *ast.TableExpr:
		for _, field := range e.Fields {
			all(field.Key, field.Value)
		}
	case *ast.FuncCallExpr:
		all(e.Func, e.Receiver)
		all(e.Args...)
	case *ast.LogicalOpExpr:
		all(e.Lhs, e.Rhs)
	case *ast.RelationalOpExpr:
		all(e.Lhs, e.Rhs)
	case *ast.StringConcatOpExpr:
		all(e.Lhs, e.Rhs)
	case *ast.ArithmeticOpExpr:
		all(e.Lhs, e.Rhs)
	case *ast.UnaryMinusOpExpr:
		all(e.Expr)
	case *ast.UnaryNotOpExpr:
		all(e.Expr)
	case *ast.UnaryLenOpExpr:
		all(e.Expr)
	}
}

func (f *file) isGlobal(name string) bool {
	_, found := slices.BinarySearch(f.globals, name)
	return found
}

// undefined reports global names that are not defined. The places are asked for
// in the source's order: two on one line are two places.
func (f *file) undefined() {
	var missing []*ast.IdentExpr
	for id, v := range f.uses {
		if v == nil && !f.isGlobal(id.Value) {
			missing = append(missing, id)
		}
	}
	slices.SortFunc(missing, func(a, b *ast.IdentExpr) int { return a.Line() - b.Line() })
	for _, id := range missing {
		names := slices.Clone(f.globals)
		hint := ""
		for _, v := range f.variables {
			if v.name == id.Value {
				hint = fmt.Sprintf("the local %s of line %d is not visible here", v.name, v.line)
			}
			names = append(names, v.name)
		}
		if instead := runtime.Absent(id.Value); instead != "" && hint == "" {
			f.report(codeUndefined, id.Line(), id.Value, "there is no %s here: %s", id.Value, instead)
			continue
		}
		similar := ""
		if hint == "" {
			similar = runtime.DidYouMean(id.Value, names)
		}
		f.report(codeUndefined, id.Line(), id.Value, "global %s is not defined%s", id.Value, similar).Hint = hint
	}
}

// unused reports variables that nothing reads.
func (f *file) unused() {
	for _, v := range f.variables {
		if v.reads > 0 || v.name[0] == '_' || v.name == "..." {
			continue
		}
		if v.given && slices.ContainsFunc(v.after, func(b *variable) bool { return b.reads > 0 }) {
			continue
		}
		code := codeUnused
		if v.what == "parameter" || v.what == "loop variable" {
			code = codeArgument
		}
		text := "is not used"
		if v.writes > 0 {
			text = "is assigned, and never read"
		}
		f.found = append(f.found, Finding{
			Line: v.shows.line, Col: v.shows.col, Code: code,
			Message: fmt.Sprintf("the %s %s %s", v.what, v.name, text), Hint: unusedHint(v),
		})
	}
}

func unusedHint(v *variable) string {
	if v.what == "required file" || v.what == "function" {
		return ""
	}
	return "remove it, or call it _" + v.name
}
