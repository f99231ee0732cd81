package sandbox

import "github.com/yuin/gopher-lua/ast"

// The compiler shortens a jump to a jump, but when the second is before the
// first in the code it has been patched already, and is misread: a loop whose
// body begins with a jump, such as
//
//	for _ in pairs(t) do break end
//	while true do local x = true or y ... end
//
// goes astray. So nothing that a jump can go back to may begin with one: and,
// or and not of constants are folded, a constant condition is made an
// evaluated one, and what still begins with a jump gets an instruction before
// it.

// truth returns whether a constant is true, and whether e is one.
func truth(e ast.Expr) (truthy, constant bool) {
	switch e.(type) {
	case *ast.TrueExpr, *ast.NumberExpr, *ast.StringExpr:
		return true, true
	case *ast.FalseExpr, *ast.NilExpr:
		return false, true
	}
	return false, false
}

// foldLogical returns the operand that an and or an or with a constant first
// operand gives.
func foldLogical(e *ast.LogicalOpExpr) ast.Expr {
	truthy, constant := truth(e.Lhs)
	switch {
	case !constant:
		return e
	case truthy == (e.Operator == "and"):
		return oneValue(e.Rhs)
	}
	return e.Lhs
}

func foldNot(e *ast.UnaryNotOpExpr) ast.Expr {
	truthy, constant := truth(e.Expr)
	if !constant {
		return e
	}
	var folded ast.Expr = &ast.TrueExpr{}
	if truthy {
		folded = &ast.FalseExpr{}
	}
	folded.SetLine(e.Line())
	return folded
}

// condition rewrites a condition. A false one becomes `not true`, for which the
// compiler emits a test and not a mere jump.
func (r *rewriter) condition(e ast.Expr) ast.Expr {
	e = r.value(e)
	if truthy, constant := truth(e); constant && !truthy {
		yes := &ast.TrueExpr{}
		yes.SetLine(e.Line())
		not := &ast.UnaryNotOpExpr{Expr: yes}
		not.SetLine(e.Line())
		return not
	}
	return e
}

// mayBeginWithJump reports whether the code of a rewritten statement may begin
// with a jump, or be empty.
func mayBeginWithJump(s ast.Stmt) bool {
	switch s := s.(type) {
	case *ast.BreakStmt, *ast.DoBlockStmt, *ast.RepeatStmt, *ast.LabelStmt:
		return true
	case *ast.IfStmt:
		_, constant := truth(s.Condition)
		return constant
	case *ast.WhileStmt:
		_, constant := truth(s.Condition)
		return constant
	}
	return false
}

// pad is a block that emits one instruction without effect, then s.
func pad(s ast.Stmt, line int) *ast.DoBlockStmt {
	// local = nil, as it were: the value is loaded and no variable declared.
	value := &ast.NilExpr{}
	value.SetLine(line)
	nothing := &ast.LocalAssignStmt{Exprs: []ast.Expr{value}}
	nothing.SetLine(line)
	block := &ast.DoBlockStmt{Stmts: []ast.Stmt{nothing}}
	block.SetLine(line)
	block.SetLastLine(line)
	if s != nil {
		block.Stmts = append(block.Stmts, s)
	}
	return block
}

// padStart makes a loop's body begin with something else than a jump.
func padStart(stmts []ast.Stmt, line int) []ast.Stmt {
	if len(stmts) == 0 || !mayBeginWithJump(stmts[0]) {
		return stmts
	}
	return append([]ast.Stmt{pad(nil, line)}, stmts...)
}

// padLabels does the same for what follows a label, which a goto may go back
// to. The statement is wrapped and not preceded, so that a label which ends its
// block still does.
func padLabels(stmts []ast.Stmt) {
	for i := 1; i < len(stmts); i++ {
		if _, ok := stmts[i-1].(*ast.LabelStmt); !ok {
			continue
		}
		if _, ok := stmts[i].(*ast.LabelStmt); !ok && mayBeginWithJump(stmts[i]) {
			stmts[i] = pad(stmts[i], stmts[i].Line())
		}
	}
}
