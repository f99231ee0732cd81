// Package lint finds in recipes what would go wrong when they run, without
// running them: names that are not defined or not used, wrong options and values,
// parameters that are not declared, code that is never reached. It reads the
// syntax tree, and knows every function from the modules' own tables.
//
// Start with New and Linter.File. table.go lists the checks with their codes.
// Two walks do the work: resolve.go finds out what each name means, check.go
// looks at what is done with it.
package lint

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"sync"

	"github.com/yuin/gopher-lua/ast"

	"github.com/mepc/mepc-run/internal/sandbox"
	"github.com/mepc/mepc-run/runtime"
)

// Finding is one thing that is wrong.
type Finding struct {
	Line, Col int // Col counts bytes from 1
	Code      string
	Message   string
	Hint      string
}

// Source is a file to be looked at.
type Source struct {
	Name string // for positions
	Text []byte
	// Trees hold the files that it requires, in the order in which they
	// are looked through.
	Trees []fs.FS
}

// Linter looks at files. It is safe for concurrent use.
type Linter struct {
	limits  runtime.Limits
	modules []runtime.Module
	lua     map[string][]string // Lua's own globals, with the members of libraries
	globals []string            // every name that is defined

	exported sync.Map // what required files export, by exportsKey
}

// New returns a Linter that knows what host offers to recipes.
func New(host *runtime.Host, limits runtime.Limits) *Linter {
	l := &Linter{limits: limits, modules: host.Modules(), lua: host.Standard()}
	for name := range l.lua {
		l.globals = append(l.globals, name)
	}
	for _, m := range l.modules {
		if m.Name != "" {
			l.globals = append(l.globals, m.Name)
			continue
		}
		for _, f := range m.Funcs {
			l.globals = append(l.globals, f.Name)
		}
	}
	slices.Sort(l.globals)
	return l
}

// Require is a place where a file is required.
type Require struct {
	Name string // as written, such as "lib.frontend"; empty: it is known only when it runs
	Line int
}

// File returns what is wrong in src, in the order of its lines.
func (l *Linter) File(src Source) []Finding {
	found, _ := l.Read(src)
	return found
}

// Read is File, and returns also which files src requires, in no order.
func (l *Linter) Read(src Source) ([]Finding, []Require) {
	chunk, text, err := l.parse(src)
	if err != nil {
		return []Finding{syntaxFinding(err)}, nil
	}
	f := &file{Linter: l, src: src, places: placesOf(text)}
	f.resolve(chunk)
	f.check(chunk)
	if sandbox.Vendored(src.Name, src.Text) {
		return nil, f.requires()
	}
	found := f.ignored(text)
	slices.SortStableFunc(found, func(a, b Finding) int {
		return cmp.Or(a.Line-b.Line, a.Col-b.Col, cmp.Compare(a.Code, b.Code))
	})
	return slices.Compact(found), f.requires()
}

func (l *Linter) parse(src Source) ([]ast.Stmt, []byte, error) {
	p, err := sandbox.Compile(src.Name, src.Text, l.limits) // it refuses what is nested too deeply
	if err != nil {
		return nil, nil, err
	}
	return p.Syntax()
}

func syntaxFinding(err error) Finding {
	f := Finding{Line: 1, Col: 1, Code: codeSyntax, Message: err.Error()}
	var syntax *sandbox.SyntaxError
	if errors.As(err, &syntax) {
		f.Line, f.Col, f.Message = syntax.Line, max(syntax.Col, 1), syntax.What()
		if syntax.Hint != "" {
			f.Message += "; " + syntax.Hint
		}
	}
	return f
}

// file is one file while it is looked at.
type file struct {
	*Linter
	src    Source
	places *places
	found  []Finding

	scope     *scope
	variables []*variable
	uses      map[*ast.IdentExpr]*variable // nil: a global
	values    map[ast.Expr]value           // what evaluate found
	callees   map[ast.Expr]bool            // expressions that are called
	literal   map[*ast.IdentExpr]string    // what is required by each require("name")
	modules   map[string]*exports          // required files, by name
	own       map[string]bool              // what the file assigns to a library's objects, as class.name
	paramsAt  int                          // the line of params{}; 0: it has not come yet
}

// report adds a finding at the word on line, or at the line's first word.
func (f *file) report(code string, line int, word string, format string, args ...any) *Finding {
	at := f.places.find(line, word)
	f.found = append(f.found, Finding{Line: at.line, Col: at.col, Code: code, Message: fmt.Sprintf(format, args...)})
	return &f.found[len(f.found)-1]
}
