package sandbox

import (
	"strconv"

	lua "github.com/yuin/gopher-lua"
	"github.com/yuin/gopher-lua/ast"
)

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
	case *ast.Comma3Expr:
		if r.fn.fixed { // the compiler looks for some of them only
			r.fail(e.Line(), "cannot use '...' outside a vararg function")
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
		return r.table(e)
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

// table keeps the last value with a key from giving more than one, which the compiler
// would add to the values without.
func (r *rewriter) table(e *ast.TableExpr) (ast.Expr, int) {
	need, positional, bad := 1, 0, -1
	for i, f := range e.Fields {
		full := positional > 0 && positional%lua.FieldsPerFlush == 0
		if full && bad < 0 && (f.Key != nil || i == len(e.Fields)-1 && givesMany(f.Value)) {
			bad = i
		}
		if f.Key == nil {
			need = max(need, 1+positional%lua.FieldsPerFlush+r.operand(&f.Value))
			positional++
			continue
		}
		need = max(need, 1+positional%lua.FieldsPerFlush+r.pair(&f.Key, &f.Value))
		oneValue(f.Value)
	}
	if bad < 0 {
		return e, need
	}
	return r.fields(e, bad, need)
}

// fields makes calls that add to the table those fields from bad on: after each fifty
// values without a key, the compiler takes a field with one, or a last one that gives
// many, for another reason to put those fifty into the table, from registers that have
// other values by then.
func (r *rewriter) fields(e *ast.TableExpr, bad, need int) (ast.Expr, int) {
	rest, positional := e.Fields[bad:], 0
	for _, f := range e.Fields[:bad] {
		if f.Key == nil {
			positional++
		}
	}
	e.Fields = e.Fields[:bad]
	oneValue(e.Fields[bad-1].Value)
	var table ast.Expr = e
	groups := 0
	for ; len(rest) > 0; groups++ {
		n := min(fieldsGroup, len(rest))
		last := rest[n-1]
		args, how := []ast.Expr{table, nil, nil}, ""
		at := &ast.NumberExpr{Value: strconv.Itoa(positional)}
		for _, f := range rest[:n] {
			if f.Key != nil {
				args, how = append(args, f.Key, f.Value), how+"k"
				continue
			}
			args, how = append(args, f.Value), how+"v"
			positional++
		}
		rest = rest[n:]
		kinds := &ast.StringExpr{Value: how}
		line := lastLine(args[len(args)-1])
		at.SetLine(line)
		kinds.SetLine(line)
		args[1], args[2] = at, kinds
		many := len(rest) == 0 && last.Key == nil && givesMany(last.Value)
		table = helperCall(nameFields, args, line)
		if many {
			manyValues(last.Value)
		}
	}
	return table, need + 2*groups + 2*fieldsGroup + 4
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

// manyValues undoes oneValue.
func manyValues(e ast.Expr) {
	switch e := e.(type) {
	case *ast.FuncCallExpr:
		e.AdjustRet = false
	case *ast.Comma3Expr:
		e.AdjustRet = false
	}
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
