package lint

import (
	"crypto/sha256"
	"errors"
	"io"
	"io/fs"
	"slices"
	"strings"

	"github.com/yuin/gopher-lua/ast"

	"github.com/mepc/mepc-run/recipes"
	"github.com/mepc/mepc-run/runtime"
)

// exports describes what a required file returns.
type exports struct {
	name      string
	missing   bool
	known     bool // names are all that it has
	names     []string
	registers bool            // it calls assert:register
	library   recipes.Library // what its comments say
}

// exportsKey is a file as recipes share it.
type exportsKey struct {
	name string
	sum  [sha256.Size]byte
}

func fileOf(name string) string { return strings.ReplaceAll(name, ".", "/") + ".lua" }

// require returns what is known of the file that require(name) loads, or nil
// when it cannot be read.
func (f *file) require(name string) *exports {
	if x, done := f.modules[name]; done {
		return x
	}
	if f.modules == nil {
		f.modules = map[string]*exports{}
	}
	x := f.readExports(name)
	f.modules[name] = x
	return x
}

// registers reports whether the file, or one that it requires, makes words of its own
// for assert or match: what those are is known when it runs.
func (f *file) registers() bool {
	if strings.Contains(string(f.src.Text), registering) {
		return true
	}
	for _, r := range f.requires() {
		if x := f.require(r.Name); x != nil && x.registers {
			return true
		}
	}
	return false
}

const registering = ":register("

// requires returns the places where files are required.
func (f *file) requires() []Require {
	var all []Require
	for id, v := range f.uses {
		if v == nil && id.Value == "require" {
			all = append(all, Require{f.literal[id], id.Line()})
		}
	}
	return all
}

// maxRequired is the size up to which a required file is read.
const maxRequired = 1 << 20

func (f *file) readExports(name string) *exports {
	if !fs.ValidPath(fileOf(name)) {
		return nil // the runtime says what is wrong with it
	}
	for _, tree := range f.src.Trees {
		r, err := tree.Open(fileOf(name))
		short := strings.TrimSuffix(fileOf(name), ".lua")
		for _, other := range []string{short + "/init.lua", "vendor/" + fileOf(name), "vendor/" + short + "/init.lua"} {
			if errors.Is(err, fs.ErrNotExist) {
				r, err = tree.Open(other)
			}
		}
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil
		}
		defer r.Close()
		text, err := io.ReadAll(io.LimitReader(r, maxRequired))
		if err != nil {
			return nil
		}
		key := exportsKey{name, sha256.Sum256(text)}
		if x, done := f.exported.Load(key); done {
			return x.(*exports)
		}
		x := f.exportsOf(Source{Name: name, Text: text})
		x.registers = strings.Contains(string(text), registering)
		x.library = recipes.Read(name, string(text))
		f.exported.Store(key, x)
		return x
	}
	return &exports{name: name, missing: !f.isGlobal(name) && !f.isModule(name)}
}

// isModule reports whether require gives a module by a name that is not its own.
func (f *file) isModule(name string) bool {
	return slices.ContainsFunc(f.Linter.modules, func(m runtime.Module) bool { return slices.Contains(m.Requires, name) })
}

// exportsOf reads the names off a file of the usual form:
//
//	local M = {}
//	function M.f() end
//	return M
func (l *Linter) exportsOf(src Source) *exports {
	x := &exports{name: src.Name}
	chunk, text, err := l.parse(src)
	if err != nil || len(chunk) == 0 {
		return x
	}
	last, ok := chunk[len(chunk)-1].(*ast.ReturnStmt)
	if !ok || len(last.Exprs) != 1 {
		return x
	}
	if t, ok := last.Exprs[0].(*ast.TableExpr); ok {
		x.known = x.add(t)
		return x
	}
	id, ok := last.Exprs[0].(*ast.IdentExpr)
	if !ok {
		return x
	}
	f := &file{Linter: l, src: src, places: placesOf(text)}
	f.resolve(chunk)
	m := f.uses[id]
	if m == nil || !m.constant() {
		return x
	}
	t, ok := m.init.(*ast.TableExpr)
	if !ok || !x.add(t) {
		return x
	}
	members := 0
	for use, v := range f.uses {
		if v == m && use != id {
			members++
		}
	}
	x.known = f.assigned(chunk, m, x) == members
	return x
}

// add adds a table's names, and reports whether they are all it has.
func (x *exports) add(t *ast.TableExpr) bool {
	for _, field := range t.Fields {
		key, ok := field.Key.(*ast.StringExpr)
		if !ok {
			return false
		}
		x.names = append(x.names, key.Value)
	}
	return true
}

// assigned adds the names that are assigned to m anywhere, and returns how many
// uses of m are as M.name, so that any other use shows.
func (f *file) assigned(chunk []ast.Stmt, m *variable, x *exports) int {
	n := 0
	isM := func(e ast.Expr) bool {
		id, ok := e.(*ast.IdentExpr)
		return ok && f.uses[id] == m
	}
	var expr func(e ast.Expr)
	var stmts func(list []ast.Stmt)
	target := func(e ast.Expr) {
		if at, ok := e.(*ast.AttrGetExpr); ok && isM(at.Object) {
			if key, ok := at.Key.(*ast.StringExpr); ok {
				x.names = append(x.names, key.Value)
			}
		}
		expr(e)
	}
	expr = func(e ast.Expr) {
		switch e := e.(type) {
		case nil:
		case *ast.AttrGetExpr:
			if _, constant := e.Key.(*ast.StringExpr); constant && isM(e.Object) {
				n++
				return
			}
			each(e, expr)
		case *ast.FuncCallExpr:
			if e.Receiver != nil && isM(e.Receiver) {
				n++
			}
			each(e, expr)
		case *ast.FunctionExpr:
			stmts(e.Stmts)
		default:
			each(e, expr)
		}
	}
	stmts = func(list []ast.Stmt) {
		for _, s := range list {
			parts(s, expr, target, stmts)
			if def, ok := s.(*ast.FuncDefStmt); ok && def.Name.Func == nil && isM(def.Name.Receiver) {
				x.names = append(x.names, def.Name.Method)
				n++
			}
		}
	}
	stmts(chunk)
	return n
}

// parts calls what fits with each part of a statement.
func parts(s ast.Stmt, expr, target func(ast.Expr), stmts func([]ast.Stmt)) {
	exprs := func(list ...ast.Expr) {
		for _, e := range list {
			expr(e)
		}
	}
	switch s := s.(type) {
	case *ast.LocalAssignStmt:
		exprs(s.Exprs...)
	case *ast.AssignStmt:
		exprs(s.Rhs...)
		for _, l := range s.Lhs {
			target(l)
		}
	case *ast.FuncCallStmt:
		expr(s.Expr)
	case *ast.DoBlockStmt:
		stmts(s.Stmts)
	case *ast.WhileStmt:
		expr(s.Condition)
		stmts(s.Stmts)
	case *ast.RepeatStmt:
		stmts(s.Stmts)
		expr(s.Condition)
	case *ast.IfStmt:
		expr(s.Condition)
		stmts(s.Then)
		stmts(s.Else)
	case *ast.NumberForStmt:
		exprs(s.Init, s.Limit, s.Step)
		stmts(s.Stmts)
	case *ast.GenericForStmt:
		exprs(s.Exprs...)
		stmts(s.Stmts)
	case *ast.FuncDefStmt:
		if s.Name.Func != nil {
			target(s.Name.Func)
		}
		stmts(s.Func.Stmts)
	case *ast.ReturnStmt:
		exprs(s.Exprs...)
	}
}
