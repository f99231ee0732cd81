package syntax

import (
	"fmt"
	"strconv"
	"strings"
)

// Kinds of tokens that are not their own text.
const (
	name   = "<name>"
	text   = "<string>"
	number = "<number>"
	eof    = "<eof>"
)

var reserved = map[string]bool{
	"and": true, "break": true, "do": true, "else": true, "elseif": true, "end": true, "false": true, "for": true,
	"function": true, "if": true, "in": true, "local": true, "nil": true, "not": true, "or": true, "repeat": true,
	"return": true, "then": true, "true": true, "until": true, "while": true,
}

// token is one word or sign. Its kind is its text, but for names, strings, numbers and
// the end.
type token struct {
	kind       string
	start, end int // offsets in the source
	line       int // where it ends, as Lua counts
}

// lexer cuts a source into tokens. Lua's llex.c is what it follows.
type lexer struct {
	src  string
	pos  int
	line int
}

func (l *lexer) byteAt(i int) byte {
	if i < len(l.src) {
		return l.src[i]
	}
	return 0
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }
func isWord(c byte) bool  { return c == '_' || 'a' <= c|0x20 && c|0x20 <= 'z' || isDigit(c) }

// next returns the next token. It panics with an *Error on text that is none.
func (l *lexer) next() token {
	for l.blank() {
	}
	t := token{start: l.pos}
	c := l.byteAt(l.pos)
	switch {
	case l.pos >= len(l.src):
		t.kind = eof
	case isDigit(c) || c == '.' && isDigit(l.byteAt(l.pos+1)):
		l.number()
		t.kind = number
	case isWord(c):
		for isWord(l.byteAt(l.pos)) {
			l.pos++
		}
		if t.kind = l.src[t.start:l.pos]; !reserved[t.kind] {
			t.kind = name
		}
	case c == '"' || c == '\'':
		l.quoted(c)
		t.kind = text
	case c == '[' && l.level() >= 0:
		l.long(l.level(), "string")
		t.kind = text
	case c == '[' && l.byteAt(l.pos+1) == '=':
		l.fail("invalid long string delimiter", "["+strings.Repeat("=", len(l.src[l.pos+1:])-len(strings.TrimLeft(l.src[l.pos+1:], "="))), "")
	default:
		t.kind = l.sign()
	}
	t.end, t.line = l.pos, l.line
	return t
}

// blank skips white space or one comment, and reports whether there was any.
func (l *lexer) blank() bool {
	switch c := l.byteAt(l.pos); {
	case l.pos >= len(l.src):
		return false
	case c == '\n':
		l.line++
		l.pos++
	case c == ' ' || '\t' <= c && c <= '\r':
		l.pos++
	case strings.HasPrefix(l.src[l.pos:], "--"):
		l.pos += 2
		if l.byteAt(l.pos) == '[' {
			if level := l.level(); level >= 0 {
				l.long(level, "comment")
				return true
			}
		}
		if n := strings.IndexByte(l.src[l.pos:], '\n'); n >= 0 {
			l.pos += n
		} else {
			l.pos = len(l.src)
		}
	default:
		return false
	}
	return true
}

// level returns how many = the bracket of a long string has here, or -1 for none.
func (l *lexer) level() int {
	i := l.pos + 1
	for l.byteAt(i) == '=' {
		i++
	}
	if l.byteAt(i) != '[' {
		return -1
	}
	return i - l.pos - 1
}

func (l *lexer) long(level int, what string) {
	closing := "]" + strings.Repeat("=", level) + "]"
	body := l.src[l.pos:]
	n := strings.Index(body, closing)
	if n < 0 {
		start := l.line
		l.line += strings.Count(body, "\n")
		l.pos = len(l.src)
		l.fail("unfinished long "+what, eof, fmt.Sprintf("it begins at line %d, and ends with %s", start, closing))
	}
	l.line += strings.Count(body[:n], "\n")
	l.pos += n + len(closing)
}

func (l *lexer) quoted(quote byte) {
	start := l.pos
	const hint = "a string ends on its line; [[...]] goes over several"
	for l.pos++; l.byteAt(l.pos) != quote; l.pos++ {
		switch {
		case l.pos >= len(l.src):
			l.fail("unfinished string", eof, hint)
		case l.src[l.pos] == '\n':
			l.fail("unfinished string", l.src[start:l.pos], hint)
		case l.src[l.pos] == '\\':
			if l.pos++; l.byteAt(l.pos) == '\n' {
				l.line++
			}
		}
	}
	l.pos++
}

func (l *lexer) number() {
	start := l.pos
	for isDigit(l.byteAt(l.pos)) || l.byteAt(l.pos) == '.' {
		l.pos++
	}
	if c := l.byteAt(l.pos); c == 'e' || c == 'E' {
		if c := l.byteAt(l.pos + 1); c == '+' || c == '-' {
			l.pos += 2
		}
	}
	for isWord(l.byteAt(l.pos)) {
		l.pos++
	}
	digits := l.src[start:l.pos]
	if hex, is := strings.CutPrefix(strings.ToLower(digits), "0x"); is {
		if _, err := strconv.ParseUint(hex, 16, 64); err == nil || len(hex) > 16 && strings.Trim(hex, "0123456789abcdef") == "" {
			return
		}
	} else if strings.Trim(digits, "0123456789.eE+-") == "" {
		if _, err := strconv.ParseFloat(digits, 64); err == nil || strings.Contains(err.Error(), "range") {
			return
		}
	}
	l.fail("malformed number", digits, "")
}

func (l *lexer) sign() string {
	for _, s := range []string{"...", "..", "==", "~=", "<=", ">=", "::"} {
		if strings.HasPrefix(l.src[l.pos:], s) {
			l.pos += len(s)
			return s
		}
	}
	l.pos++
	return l.src[l.pos-1 : l.pos]
}

func (l *lexer) fail(message, near, hint string) {
	panic(&Error{Line: l.line, Message: message, Near: near, Hint: hint})
}
