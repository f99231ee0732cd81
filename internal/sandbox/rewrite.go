package sandbox

import (
	"strconv"
	"strings"

	lua "github.com/yuin/gopher-lua"
	"github.com/yuin/gopher-lua/ast"
)

// The rewriter changes the syntax tree before it is compiled. It repairs what
// the compiler gets wrong, and it puts our own functions where the VM's
// instructions cannot be bounded:
//
//   - a .. b becomes a call of concat, which limits the length;
//   - a % b becomes a call of mod: the VM's own makes -6 % 3 a minus zero;
//   - an assignment to a global becomes one to a table that refuses it;
//   - local f = function ... end must not see itself, local function f must;
//   - a, b = b, a must evaluate everything before it assigns anything;
//   - for k in next, t and for x in f must start with a nil control variable;
//   - number literals are read as Lua reads them;
//   - no loop may begin with a jump, see rewrite_jump.go;
//   - a binary operator's line is its last operand's, as in Lua.
//
// On the way it collects the uses of global names and the local variables that
// error messages name, and refuses what the compiler has no guard against:
// deep nesting, too many registers, too many upvalues.

// Names that no source can spell, because sources have no NUL bytes.
const (
	nameConcat  = "\x00concat"
	nameMod     = "\x00mod"
	nameFields  = "\x00fields"
	nameGlobals = "\x00globals"
)

const (
	maxSyntaxDepth = 1500 // levels of the syntax tree
	maxRegisters   = 240  // of the 250 that an instruction can address
	maxUpvalues    = 200  // of the 255 that a function prototype can count
	concatGroup    = 40   // operands of one concat call
	fieldsGroup    = 40   // fields of one call that adds to a table
)

type rewriter struct {
	file  string
	fn    *function
	depth int
	refs  []Ref
}

// function is one function being walked.
type function struct {
	parent   *function
	active   []string // local variables in scope
	blocks   []int    // len(active) at the start of each open block
	upvalues map[string]bool
	locals   []localVar
	children []*function
	line     int
	fixed    bool // it has no ...
}

// localVar is a local variable's register and the lines it is in scope.
type localVar struct {
	name        string
	register    int
	first, last int
	index       int // its order of registration, as in FunctionProto.DbgLocals
}

func (r *rewriter) fail(line int, message string) {
	panic(&SyntaxError{File: r.file, Line: max(line, 1), Message: message})
}

func (r *rewriter) enter(line int) {
	r.depth++
	if r.depth > maxSyntaxDepth {
		r.fail(line, "the source is nested too deeply")
	}
}

func (r *rewriter) leave() { r.depth-- }

func (r *rewriter) program(chunk []ast.Stmt) *function {
	r.fn = &function{}
	r.block(chunk, 1<<30)
	return r.fn
}

func (r *rewriter) openBlock() { r.fn.blocks = append(r.fn.blocks, len(r.fn.active)) }

func (r *rewriter) closeBlock(lastLine int) {
	f := r.fn
	start := f.blocks[len(f.blocks)-1]
	f.blocks = f.blocks[:len(f.blocks)-1]
	for i := len(f.locals) - 1; i >= 0; i-- {
		if l := &f.locals[i]; l.last == 0 && l.register >= start {
			l.last = lastLine
		}
	}
	f.active = f.active[:start]
}

func (r *rewriter) declare(name string, line int) {
	f := r.fn
	f.locals = append(f.locals, localVar{name: name, register: len(f.active), first: line, index: len(f.locals)})
	f.active = append(f.active, name)
}

type scope int

const (
	scopeGlobal scope = iota
	scopeLocal
	scopeUpvalue
)

func (r *rewriter) resolve(name string) scope {
	for f := r.fn; f != nil; f = f.parent {
		for i := len(f.active) - 1; i >= 0; i-- {
			if f.active[i] != name {
				continue
			}
			if f == r.fn {
				return scopeLocal
			}
			for g := r.fn; g != f; g = g.parent {
				if g.upvalues == nil {
					g.upvalues = map[string]bool{}
				}
				g.upvalues[name] = true
				if len(g.upvalues) > maxUpvalues {
					r.fail(g.line, "a function uses more than "+strconv.Itoa(maxUpvalues)+" local variables of its surroundings")
				}
			}
			return scopeUpvalue
		}
	}
	return scopeGlobal
}

func (r *rewriter) block(stmts []ast.Stmt, lastLine int) {
	r.openBlock()
	r.stmts(stmts)
	r.closeBlock(lastLine)
}

func (r *rewriter) stmts(stmts []ast.Stmt) {
	for i, s := range stmts {
		r.enter(s.Line())
		stmts[i] = r.stmt(s)
		r.leave()
	}
	padLabels(stmts)
}

func (r *rewriter) stmt(s ast.Stmt) ast.Stmt {
	switch s := s.(type) {
	case *ast.AssignStmt:
		return r.assign(s)
	case *ast.LocalAssignStmt:
		r.local(s)
	case *ast.FuncCallStmt:
		s.Expr = r.value(s.Expr)
	case *ast.DoBlockStmt:
		r.block(s.Stmts, s.LastLine())
	case *ast.WhileStmt:
		s.Condition = r.condition(s.Condition)
		r.block(s.Stmts, s.LastLine())
		s.Stmts = padStart(s.Stmts, s.Line())
	case *ast.RepeatStmt:
		r.openBlock()
		r.stmts(s.Stmts)
		s.Condition = r.condition(s.Condition)
		s.Stmts = padStart(s.Stmts, s.Line())
		r.closeBlock(max(s.LastLine(), s.Condition.Line()))
	case *ast.IfStmt:
		s.Condition = r.condition(s.Condition)
		r.block(s.Then, blockEnd(s.Then))
		r.block(s.Else, blockEnd(s.Else))
	case *ast.NumberForStmt:
		r.openBlock()
		line := s.Line()
		s.Init = r.value(s.Init)
		r.declare("(for index)", line)
		s.Limit = r.value(s.Limit)
		r.declare("(for limit)", line)
		if s.Step != nil {
			s.Step = r.value(s.Step)
		}
		r.declare("(for step)", line)
		r.declare(s.Name, line)
		r.stmts(s.Stmts)
		r.closeBlock(s.LastLine())
	case *ast.GenericForStmt:
		if !plainSources(s.Exprs) {
			return r.namedSources(s)
		}
		r.openBlock()
		r.declare("(for generator)", s.Line())
		r.declare("(for state)", s.Line())
		r.declare("(for control)", s.Line())
		if len(s.Exprs) > 1 || !givesMany(s.Exprs[0]) {
			padGenericFor(s)
		}
		r.values(s.Exprs)
		for _, n := range s.Names {
			r.declare(n, s.Line())
		}
		r.stmts(s.Stmts)
		s.Stmts = padStart(s.Stmts, s.Line())
		r.closeBlock(s.LastLine())
	case *ast.FuncDefStmt:
		if s.Name.Func == nil {
			s.Name.Receiver = r.value(s.Name.Receiver)
		} else {
			s.Name.Func = r.target(s.Name.Func)
		}
		r.function(s.Func, s.Name.Func == nil)
	case *ast.ReturnStmt:
		r.values(s.Exprs)
	}
	return s
}

// plainSources reports whether the compiler may put the values of a generic for
// into its registers itself: those of expressions that need registers of their own
// get into each other's way there.
func plainSources(list []ast.Expr) bool {
	for i, e := range list {
		switch e := e.(type) {
		case *ast.IdentExpr, ast.ConstExpr, *ast.FunctionExpr:
		case *ast.FuncCallExpr:
			if i < len(list)-1 || e.AdjustRet {
				return false
			}
		default:
			return false
		}
	}
	return true
}

// namedSources makes for names in a, b, c
//
//	do local f, s, c = a, b, c for names in f, s, c ... end
func (r *rewriter) namedSources(s *ast.GenericForStmt) ast.Stmt {
	values := &ast.LocalAssignStmt{Names: []string{"(f)", "(s)", "(c)"}, Exprs: s.Exprs}
	values.SetLine(s.Line())
	s.Exprs = nil
	for _, name := range values.Names {
		id := &ast.IdentExpr{Value: name}
		id.SetLine(s.Line())
		s.Exprs = append(s.Exprs, id)
	}
	block := &ast.DoBlockStmt{Stmts: []ast.Stmt{values, s}}
	block.SetLine(s.Line())
	block.SetLastLine(s.LastLine())
	r.block(block.Stmts, s.LastLine())
	return block
}

// padGenericFor gives a loop three names and three values (or a call at their
// end), because the compiler fills in what is missing by the number of names.
func padGenericFor(s *ast.GenericForStmt) {
	for len(s.Names) < 3 {
		s.Names = append(s.Names, "(for pad)")
	}
	for len(s.Exprs) < 3 {
		if givesMany(s.Exprs[len(s.Exprs)-1]) {
			return
		}
		nothing := &ast.NilExpr{}
		nothing.SetLine(s.Line())
		s.Exprs = append(s.Exprs, nothing)
	}
}

// givesMany reports whether e, at the end of a list, may give several values.
func givesMany(e ast.Expr) bool {
	switch e := e.(type) {
	case *ast.FuncCallExpr:
		return !e.AdjustRet
	case *ast.Comma3Expr:
		return !e.AdjustRet
	}
	return false
}

// blockEnd is the last line that a block without one of its own can reach.
func blockEnd(stmts []ast.Stmt) int {
	if len(stmts) == 0 {
		return 0
	}
	s := stmts[len(stmts)-1]
	last := max(s.Line(), s.LastLine())
	if i, ok := s.(*ast.IfStmt); ok {
		last = max(last, blockEnd(i.Then), blockEnd(i.Else))
	}
	return last
}

// assign rewrites an assignment. One to several targets, and one to a local
// variable where the compiler is not to be trusted with it, becomes
//
//	do
//	  local o1, k1, o2, k2 = the tables and keys that are assigned to
//	  local v1, v2 = the values
//	  assignments of v2 and v1, from the right
//	end
//
// because the compiler writes into a local variable too early, or not at all:
//
//	a, b = b, a          loses a
//	x = t.y and 1        leaves x as it was when t.y is nil
//	x = (f(x))           puts f into x first, when x is the last parameter
//	x = (...)            clears the local variables that follow x
//	x = f(), g()         assigns before g is called
//	("s").x = 1          indexes the key
func (r *rewriter) assign(s *ast.AssignStmt) ast.Stmt {
	if len(s.Lhs) == 1 && !r.needsTemporary(s) {
		s.Lhs[0] = r.target(s.Lhs[0])
		r.values(s.Rhs)
		return s
	}
	line := s.Line()
	hidden := func(letter string, i int) *ast.IdentExpr {
		id := &ast.IdentExpr{Value: "(" + letter + strconv.Itoa(i) + ")"}
		id.SetLine(line)
		return id
	}
	local := func(names []string, values []ast.Expr) *ast.LocalAssignStmt {
		l := &ast.LocalAssignStmt{Names: names, Exprs: values}
		l.SetLine(line)
		return l
	}
	block := &ast.DoBlockStmt{}
	block.SetLine(line)
	targets := make([]ast.Expr, len(s.Lhs))
	for i, l := range s.Lhs {
		at, ok := l.(*ast.AttrGetExpr)
		if !ok {
			targets[i] = l
			continue
		}
		o := hidden("o", i)
		block.Stmts = append(block.Stmts, local([]string{o.Value}, []ast.Expr{at.Object}))
		if _, constant := at.Key.(ast.ConstExpr); !constant {
			k := hidden("k", i)
			block.Stmts = append(block.Stmts, local([]string{k.Value}, []ast.Expr{at.Key}))
			at.Key = k
		}
		at.Object = o
		targets[i] = at
	}
	names := make([]string, len(s.Lhs))
	for i := range names {
		names[i] = hidden("v", i).Value
	}
	block.Stmts = append(block.Stmts, local(names, s.Rhs))
	for i := len(targets) - 1; i >= 0; i-- {
		a := &ast.AssignStmt{Lhs: []ast.Expr{targets[i]}, Rhs: []ast.Expr{hidden("v", i)}}
		a.SetLine(line)
		block.Stmts = append(block.Stmts, a)
	}
	r.block(block.Stmts, max(line, lastLine(s.Rhs[len(s.Rhs)-1])))
	return block
}

// needsTemporary reports whether the value of a single assignment must be
// evaluated into a variable of its own.
func (r *rewriter) needsTemporary(s *ast.AssignStmt) bool {
	if len(s.Rhs) > 1 {
		return true
	}
	if at, ok := s.Lhs[0].(*ast.AttrGetExpr); ok {
		switch at.Object.(type) {
		case *ast.IdentExpr, *ast.AttrGetExpr, *ast.FuncCallExpr:
			return false
		}
		return true // it may be a constant, or be folded to one, which is taken for a register
	}
	id, ok := s.Lhs[0].(*ast.IdentExpr)
	if !ok || r.resolve(id.Value) != scopeLocal {
		return false
	}
	switch v := s.Rhs[0].(type) {
	case *ast.LogicalOpExpr, *ast.StringConcatOpExpr:
		return true
	case *ast.ArithmeticOpExpr:
		return v.Operator == "%"
	case *ast.FuncCallExpr:
		return v.AdjustRet
	case *ast.Comma3Expr:
		return true
	}
	return false
}

// target rewrites what is assigned to.
func (r *rewriter) target(e ast.Expr) ast.Expr {
	switch e := e.(type) {
	case *ast.IdentExpr:
		if r.resolve(e.Value) != scopeGlobal {
			return e
		}
		r.refs = append(r.refs, Ref{Name: e.Value, Line: e.Line(), Write: true})
		table := &ast.IdentExpr{Value: nameGlobals}
		key := &ast.StringExpr{Value: e.Value}
		at := &ast.AttrGetExpr{Object: table, Key: key}
		for _, n := range []ast.PositionHolder{table, key, at} {
			n.SetLine(e.Line())
		}
		return at
	case *ast.AttrGetExpr:
		e.Object = r.value(e.Object)
		e.Key = r.value(e.Key)
	}
	return e
}

func (r *rewriter) local(s *ast.LocalAssignStmt) {
	var fn *ast.FunctionExpr
	if len(s.Names) == 1 && len(s.Exprs) == 1 {
		fn, _ = s.Exprs[0].(*ast.FunctionExpr)
	}
	if fn != nil && s.LastLine() != 0 { // only `local function f` has a last line
		r.declare(s.Names[0], s.Line())
		r.function(fn, false)
		return
	}
	r.values(s.Exprs)
	if fn != nil {
		// With a second expression the compiler declares f after the function.
		nothing := &ast.NilExpr{}
		nothing.SetLine(s.Line())
		s.Exprs = append(s.Exprs, nothing)
	}
	for _, n := range s.Names {
		r.declare(n, s.Line())
	}
}

func (r *rewriter) function(e *ast.FunctionExpr, method bool) {
	parent := r.fn
	r.fn = &function{parent: parent, line: e.Line(), fixed: !e.ParList.HasVargs}
	parent.children = append(parent.children, r.fn)
	r.openBlock()
	if method {
		r.declare("self", e.Line())
	}
	for _, n := range e.ParList.Names {
		r.declare(n, e.Line())
	}
	if e.ParList.HasVargs && lua.CompatVarArg {
		r.declare("arg", e.Line())
	}
	r.stmts(e.Stmts)
	r.closeBlock(e.LastLine())
	r.fn = parent
}

// value rewrites an expression and checks that its registers suffice.
func (r *rewriter) value(e ast.Expr) ast.Expr {
	e, need := r.expr(e)
	r.checkRegisters(e, need)
	return e
}

// values rewrites a list of expressions that are evaluated side by side.
func (r *rewriter) values(list []ast.Expr) {
	for i := range list {
		var need int
		list[i], need = r.expr(list[i])
		r.checkRegisters(list[i], i+need)
	}
}

func (r *rewriter) checkRegisters(e ast.Expr, need int) {
	if len(r.fn.active)+need > maxRegisters {
		r.fail(e.Line(), "a function or expression needs too many registers")
	}
}

// number returns a literal's value in a form that the compiler reads rightly.
func (r *rewriter) number(e *ast.NumberExpr) {
	n, ok := ParseNumber(e.Value)
	if !ok {
		panic(&SyntaxError{File: r.file, Line: e.Line(), Message: "malformed number", Near: strings.ToValidUTF8(e.Value, "")})
	}
	e.Value = strconv.FormatFloat(float64(n), 'g', -1, 64)
}
