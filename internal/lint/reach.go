package lint

import "github.com/yuin/gopher-lua/ast"

// reached reports the first statement of a block that nothing leads to.
func (f *file) reached(stmts []ast.Stmt) {
	for i, s := range stmts[:max(0, len(stmts)-1)] {
		if !f.ends(s) {
			continue
		}
		if _, label := stmts[i+1].(*ast.LabelStmt); !label { // something may jump there
			f.report(codeReach, stmts[i+1].Line(), "", "this is never reached: line %d does not go on", max(s.Line(), s.LastLine()))
		}
		return
	}
}

// ends reports whether nothing can come after s.
func (f *file) ends(s ast.Stmt) bool {
	switch s := s.(type) {
	case *ast.ReturnStmt, *ast.BreakStmt, *ast.GotoStmt:
		return true
	case *ast.FuncCallStmt:
		call, ok := s.Expr.(*ast.FuncCallExpr)
		if !ok {
			return false
		}
		id, ok := call.Func.(*ast.IdentExpr)
		return ok && f.uses[id] == nil && (id.Value == "fail" || id.Value == "error")
	case *ast.DoBlockStmt:
		return f.endsBlock(s.Stmts)
	case *ast.IfStmt:
		return f.endsBlock(s.Then) && f.endsBlock(s.Else)
	case *ast.WhileStmt:
		_, always := s.Condition.(*ast.TrueExpr)
		return always && !leaves(s.Stmts)
	}
	return false
}

func (f *file) endsBlock(stmts []ast.Stmt) bool {
	return len(stmts) > 0 && f.ends(stmts[len(stmts)-1])
}

// leaves reports whether a loop's body has a break of that loop, or a goto.
func leaves(stmts []ast.Stmt) bool {
	for _, s := range stmts {
		switch s := s.(type) {
		case *ast.BreakStmt, *ast.GotoStmt:
			return true
		case *ast.DoBlockStmt:
			if leaves(s.Stmts) {
				return true
			}
		case *ast.IfStmt:
			if leaves(s.Then) || leaves(s.Else) {
				return true
			}
		}
	}
	return false
}
