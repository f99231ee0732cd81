package lint

import (
	"github.com/yuin/gopher-lua/ast"

	"github.com/mepc/mepc-run/runtime"
)

// params holds what a params{} declares.
type params struct {
	names   []string
	lines   map[string]int
	used    map[string]bool
	escaped bool // it is used as a whole, so that not every use is seen
	unknown []*ast.StringExpr
}

// params reads a literal declaration.
func (f *file) params(e *ast.FuncCallExpr) value {
	if len(e.Args) != 1 {
		return nil
	}
	t, ok := e.Args[0].(*ast.TableExpr)
	if !ok {
		return nil
	}
	p := &params{lines: map[string]int{}, used: map[string]bool{}}
	for _, field := range t.Fields {
		name, ok := field.Key.(*ast.StringExpr)
		if !ok {
			return nil
		}
		p.names = append(p.names, name.Value)
		p.lines[name.Value] = name.Line()
	}
	return paramsValue{p}
}

// use notes that the parameter is asked for.
func (p *params) use(_ *file, key *ast.StringExpr) {
	p.used[key.Value] = true
	if _, declared := p.lines[key.Value]; !declared {
		p.unknown = append(p.unknown, key)
	}
}

// checkParams compares what is declared with what is used.
func (f *file) checkParams() {
	for _, v := range f.variables {
		p, ok := f.values[v.init].(paramsValue)
		if !ok || !v.constant() || p.escaped {
			continue
		}
		for _, key := range p.unknown {
			f.report(codeParameter, key.Line(), "."+key.Value, "params{} declares no %s%s", key.Value, runtime.DidYouMean(key.Value, p.names))
		}
		for _, name := range p.names {
			if !p.used[name] && v.reads > 0 {
				f.report(codeDeclared, p.lines[name], name, "the parameter %s is declared and not used", name)
			}
		}
	}
}
