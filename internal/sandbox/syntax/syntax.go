// Package syntax says what is wrong with a source that is not Lua, as C Lua 5.1 says
// it: the construct that is open, where it began, and what was expected. Start with
// Check. It makes nothing of a source: the compiler does, and what that takes beyond
// Lua 5.1 (goto, empty statements, a call on the next line) passes here, too.
package syntax

import "fmt"

// Error is the first mistake in a source.
type Error struct {
	Line    int
	Col     int    // of the token, from 1; 0: not known
	Message string // Lua's own
	Near    string // the token, or <eof>
	Hint    string // how Lua says it, for what other languages say; may be empty
}

// Error returns Lua's message.
func (e *Error) Error() string { return fmt.Sprintf("%d: %s near '%s'", e.Line, e.Message, e.Near) }

// deepest limits how deep constructs may nest; beyond it Check gives up.
const deepest = 1000

// Check returns the first mistake of a source, or nil where it finds none.
func Check(src string) (err *Error) {
	p := &parser{lexer: lexer{src: src, line: 1}}
	defer func() {
		switch r := recover().(type) {
		case nil:
		case tooDeep:
			err = nil
		case *Error:
			err = r
		default:
			panic(r)
		}
	}()
	p.advance()
	p.block(true)
	if p.t.kind != eof {
		p.expected(eof)
	}
	return nil
}

type tooDeep struct{}

// parser knows where Lua stands. Lua's lparser.c is what it follows.
type parser struct {
	lexer
	t, ahead token // the token in hand, and the one after it if it was looked at
	looked   bool
	before   token // the one before
	starts   int   // where the statement began
	depth    int
	vararg   bool
	elseIfs  []int // lines with else if
}

func (p *parser) advance() {
	p.before = p.t
	if p.looked {
		p.t, p.looked = p.ahead, false
		return
	}
	p.t = p.lexer.next()
}

func (p *parser) peek() token {
	if !p.looked {
		p.ahead, p.looked = p.lexer.next(), true
	}
	return p.ahead
}

func (p *parser) enter() {
	if p.depth++; p.depth > deepest {
		panic(tooDeep{})
	}
}

// fail ends the check at the token in hand.
func (p *parser) fail(message string) {
	e := &Error{Line: p.t.line, Message: message, Near: p.shown()}
	e.Col = 1 + p.t.start - lineStart(p.src, p.t.start)
	e.Hint = p.hint(message)
	panic(e)
}

func lineStart(src string, at int) int {
	for at > 0 && src[at-1] != '\n' {
		at--
	}
	return at
}

// shown is the token as Lua shows it.
func (p *parser) shown() string {
	switch t := p.src[p.t.start:p.t.end]; {
	case p.t.kind == eof:
		return eof
	case len(t) == 1 && (t[0] < ' ' || t[0] == 0x7f):
		return fmt.Sprintf("char(%d)", t[0])
	default:
		return t
	}
}

func (p *parser) expected(kind string) { p.fail("'" + kind + "' expected") }

func (p *parser) test(kind string) bool {
	if p.t.kind != kind {
		return false
	}
	p.advance()
	return true
}

func (p *parser) take(kind string) {
	if !p.test(kind) {
		p.expected(kind)
	}
}

// match takes what closes the construct that what opened at a line.
func (p *parser) match(closing, opening string, line int) {
	switch {
	case p.test(closing):
	case p.t.line == line:
		p.expected(closing)
	default:
		p.fail(fmt.Sprintf("'%s' expected (to close '%s' at line %d)", closing, opening, line))
	}
}

func (p *parser) blockEnds() bool {
	switch p.t.kind {
	case "else", "elseif", "end", "until", eof:
		return true
	}
	return false
}

// block reads statements up to what ends them. In a function's own, vararg says
// whether ... has a meaning.
func (p *parser) block(vararg bool) {
	outer := p.vararg
	p.vararg = vararg
	p.enter()
	for last := false; !last && !p.blockEnds(); {
		if p.test(";") {
			continue
		}
		last = p.statement()
		p.test(";")
	}
	for p.test(";") {
	}
	p.depth--
	p.vararg = outer
}

func (p *parser) inner() { p.block(p.vararg) }

// statement reads one, and reports whether it has to be its block's last.
func (p *parser) statement() bool {
	line, kind := p.t.line, p.t.kind
	p.starts = p.t.start
	switch kind {
	case "if":
		p.ifThen(line)
	case "while":
		p.advance()
		p.expr()
		p.take("do")
		p.inner()
		p.match("end", "while", line)
	case "do":
		p.advance()
		p.inner()
		p.match("end", "do", line)
	case "for":
		p.forDo(line)
	case "repeat":
		p.advance()
		p.inner()
		p.match("until", "repeat", line)
		p.expr()
	case "function":
		p.advance()
		p.take(name)
		for p.test(".") {
			p.take(name)
		}
		if p.test(":") {
			p.take(name)
		}
		p.body(line)
	case "local":
		p.local()
	case "return":
		p.advance()
		if !p.blockEnds() && p.t.kind != ";" {
			p.list()
		}
		return true
	case "break":
		p.advance()
		return true
	case "::":
		p.advance()
		p.take(name)
		p.take("::")
	default:
		if kind == name && p.src[p.t.start:p.t.end] == "goto" && p.peek().kind == name {
			p.advance()
			p.advance()
			return false
		}
		p.callOrAssignment()
	}
	return false
}

func (p *parser) ifThen(line int) {
	p.advance()
	p.expr()
	p.take("then")
	p.inner()
	for p.t.kind == "elseif" {
		p.advance()
		p.expr()
		p.take("then")
		p.inner()
	}
	if at := p.t.line; p.test("else") {
		if p.t.kind == "if" && p.t.line == at {
			p.elseIfs = append(p.elseIfs, at)
		}
		p.inner()
	}
	p.match("end", "if", line)
}

func (p *parser) forDo(line int) {
	p.advance()
	p.take(name)
	switch p.t.kind {
	case "=":
		p.advance()
		p.expr()
		p.take(",")
		p.expr()
		if p.test(",") {
			p.expr()
		}
	case ",", "in":
		for p.test(",") {
			p.take(name)
		}
		p.take("in")
		p.list()
	default:
		p.fail("'=' or 'in' expected")
	}
	p.take("do")
	p.inner()
	p.match("end", "for", line)
}

func (p *parser) local() {
	p.advance()
	if p.test("function") {
		p.take(name)
		p.body(p.t.line)
		return
	}
	p.take(name)
	for p.test(",") {
		p.take(name)
	}
	if p.test("=") {
		p.list()
	}
}

func (p *parser) callOrAssignment() {
	what := p.primary()
	if what == "call" {
		return
	}
	for {
		if what != "variable" {
			p.fail("syntax error")
		}
		if !p.test(",") {
			break
		}
		what = p.primary()
	}
	p.take("=")
	p.list()
}

// body reads a function from its parameters on.
func (p *parser) body(line int) {
	p.take("(")
	vararg := false
	if p.t.kind != ")" {
		for {
			if p.t.kind != name && p.t.kind != "..." {
				p.fail("<name> or '...' expected")
			}
			vararg = p.t.kind == "..."
			p.advance()
			if vararg || !p.test(",") {
				break
			}
		}
	}
	p.take(")")
	p.block(vararg)
	p.match("end", "function", line)
}

func (p *parser) list() {
	p.expr()
	for p.test(",") {
		p.expr()
	}
}

// primary reads a name or what is in parentheses, with what follows it, and says
// whether it is a "variable", a "call", or a "value".
func (p *parser) primary() string {
	what := "variable"
	switch line := p.t.line; p.t.kind {
	case "(":
		p.advance()
		p.expr()
		p.match(")", "(", line)
		what = "value"
	case name:
		p.advance()
	default:
		p.fail("unexpected symbol")
	}
	for {
		switch p.t.kind {
		case ".":
			p.advance()
			p.take(name)
			what = "variable"
		case "[":
			p.advance()
			p.expr()
			p.take("]")
			what = "variable"
		case ":":
			p.advance()
			p.take(name)
			p.arguments()
			what = "call"
		case "(", text, "{":
			p.arguments()
			what = "call"
		default:
			return what
		}
	}
}

func (p *parser) arguments() {
	switch line := p.t.line; p.t.kind {
	case "(":
		p.advance()
		if p.t.kind != ")" {
			p.list()
		}
		p.match(")", "(", line)
	case "{":
		p.table()
	case text:
		p.advance()
	default:
		p.fail("function arguments expected")
	}
}

func (p *parser) table() {
	line := p.t.line
	p.take("{")
	for p.t.kind != "}" {
		switch {
		case p.t.kind == "[":
			p.advance()
			p.expr()
			p.take("]")
			p.take("=")
		case p.t.kind == name && p.peek().kind == "=":
			p.advance()
			p.advance()
		}
		p.expr()
		if !p.test(",") && !p.test(";") {
			break
		}
	}
	p.match("}", "{", line)
}

var binary = map[string]bool{
	"+": true, "-": true, "*": true, "/": true, "%": true, "^": true, "..": true, "==": true, "~=": true,
	"<": true, "<=": true, ">": true, ">=": true, "and": true, "or": true,
}

func (p *parser) expr() {
	p.enter()
	defer func() { p.depth-- }()
	for {
		for p.t.kind == "not" || p.t.kind == "-" || p.t.kind == "#" {
			p.advance()
		}
		p.operand()
		if !binary[p.t.kind] {
			return
		}
		p.advance()
	}
}

func (p *parser) operand() {
	switch p.t.kind {
	case number, text, "nil", "true", "false":
		p.advance()
	case "...":
		if !p.vararg {
			p.fail("cannot use '...' outside a vararg function")
		}
		p.advance()
	case "{":
		p.table()
	case "function":
		p.advance()
		p.body(p.t.line)
	default:
		p.primary()
	}
}
