package sandbox

import "github.com/yuin/gopher-lua/ast"

// expr rewrites e and returns what takes its place, and how many registers its
// evaluation needs at most.
func (r *rewriter) expr(e ast.Expr) (ast.Expr, int) {
	r.enter(e.Line())
	defer r.leave()
	switch e := e.(type) {
	case *ast.NumberExpr:
		r.number(e)
	case *ast.IdentExpr:
		if r.resolve(e.Value) == scopeGlobal {
			r.refs = append(r.refs, Ref{Name: e.Value, Line: e.Line()})
		}
	case *ast.AttrGetExpr:
		return e, r.pair(&e.Object, &e.Key)
	case *ast.FunctionExpr:
		r.function(e, false)
	case *ast.UnaryMinusOpExpr:
		return e, r.operand(&e.Expr)
	case *ast.UnaryNotOpExpr:
		need := r.operand(&e.Expr)
		return foldNot(e), need
	case *ast.UnaryLenOpExpr:
		return e, r.operand(&e.Expr)
	case *ast.LogicalOpExpr:
		need := r.pair(&e.Lhs, &e.Rhs)
		return foldLogical(e), need
	case *ast.RelationalOpExpr:
		need := r.pair(&e.Lhs, &e.Rhs)
		e.SetLine(max(e.Line(), lastLine(e.Rhs)))
		return e, need
	case *ast.ArithmeticOpExpr:
		need := r.pair(&e.Lhs, &e.Rhs)
		e.SetLine(max(e.Line(), lastLine(e.Rhs)))
		if e.Operator == "%" {
			return helperCall(nameMod, []ast.Expr{e.Lhs, e.Rhs}, e.Line()), need + 2
		}
		return e, need
	case *ast.StringConcatOpExpr:
		return r.concat(e)
	case *ast.TableExpr:
		return e, r.table(e)
	case *ast.FuncCallExpr:
		return e, r.call(e)
	}
	return e, 1
}

func (r *rewriter) operand(e *ast.Expr) int {
	var need int
	*e, need = r.expr(*e)
	return need
}

func (r *rewriter) pair(a, b *ast.Expr) int {
	left := r.operand(a)
	return max(left, 1+r.operand(b))
}

func (r *rewriter) list(first int, list []ast.Expr) int {
	need := first
	for i := range list {
		need = max(need, first+i+r.operand(&list[i]))
	}
	return need
}

func (r *rewriter) call(e *ast.FuncCallExpr) int {
	if e.Func != nil {
		need := r.operand(&e.Func)
		return max(need, r.list(1, e.Args))
	}
	need := r.operand(&e.Receiver)
	return max(need+1, r.list(3, e.Args))
}

func (r *rewriter) table(e *ast.TableExpr) int {
	need, positional := 1, 0
	for _, f := range e.Fields {
		if f.Key == nil {
			need = max(need, 1+positional%50+r.operand(&f.Value))
			positional++
			continue
		}
		need = max(need, 1+positional%50+r.pair(&f.Key, &f.Value))
	}
	return need
}

// concat turns a chain of .. into one call, or a few nested ones when it is
// long. Its operands are evaluated from left to right and joined from right to
// left, as Lua does.
func (r *rewriter) concat(e *ast.StringConcatOpExpr) (ast.Expr, int) {
	var operands []ast.Expr
	for {
		operands = append(operands, e.Lhs)
		next, ok := e.Rhs.(*ast.StringConcatOpExpr)
		if !ok {
			operands = append(operands, e.Rhs)
			break
		}
		e = next
	}
	need := 0
	for i := range operands {
		n := r.operand(&operands[i])
		need = max(need, n)
	}
	line := lastLine(operands[len(operands)-1])
	var rest ast.Expr
	for len(operands) > 0 {
		n := min(concatGroup, len(operands))
		args := append([]ast.Expr(nil), operands[len(operands)-n:]...)
		operands = operands[:len(operands)-n]
		if rest != nil {
			args = append(args, rest)
		}
		need += len(args) + 1
		rest = helperCall(nameConcat, args, line)
	}
	return rest, need
}

// helperCall calls one of our functions, for one result.
func helperCall(name string, args []ast.Expr, line int) *ast.FuncCallExpr {
	oneValue(args[len(args)-1])
	fn := &ast.IdentExpr{Value: name}
	call := &ast.FuncCallExpr{Func: fn, Args: args, AdjustRet: true}
	fn.SetLine(line)
	call.SetLine(line)
	call.SetLastLine(line)
	return call
}

// oneValue keeps a call or ... from giving more than one value.
func oneValue(e ast.Expr) ast.Expr {
	switch e := e.(type) {
	case *ast.FuncCallExpr:
		e.AdjustRet = true
	case *ast.Comma3Expr:
		e.AdjustRet = true
	}
	return e
}

// lastLine is the highest line known of an expression.
func lastLine(e ast.Expr) int { return max(e.Line(), e.LastLine()) }
