package syntax

import (
	"fmt"
	"strings"
)

// hint says how Lua says what the source seems to mean.
func (p *parser) hint(message string) string {
	rest, before := p.src[p.t.start:], p.src[p.before.start:p.before.end]
	adjacent := p.before.end == p.t.start
	is := func(s string) bool { return strings.HasPrefix(rest, s) }
	switch {
	case is("!="):
		return "not equal is ~= in Lua"
	case is("!"):
		return "not is a word in Lua: not x"
	case is("&&"):
		return "and is a word in Lua: a and b"
	case is("||"):
		return "or is a word in Lua: a or b"
	case adjacent && before == "/" && is("/"):
		return "math.floor(a / b) divides whole numbers; a comment begins with --"
	case adjacent && before == "/" && is("*"), is("/*"):
		return "a comment over several lines is --[[ ... ]]"
	case is("//"):
		return "a comment begins with --"
	case is("&"), is("|"), is("~"), adjacent && before == "<" && is("<"), adjacent && before == ">" && is(">"):
		return "Lua 5.1 has no operators for bits"
	case len(rest) > 1 && strings.Contains("+-*/%^", rest[:1]) && rest[1] == '=':
		v := strings.TrimSpace(p.src[p.starts:p.t.start])
		return fmt.Sprintf("Lua has no %s: write %s = %s %c ...", rest[:2], v, v, rest[0])
	case is("..="):
		v := strings.TrimSpace(p.src[p.starts:p.t.start])
		return fmt.Sprintf("Lua has no ..=: write %s = %s .. ...", v, v)
	case is("++"):
		v := strings.TrimSpace(p.src[p.starts:p.t.start])
		return fmt.Sprintf("Lua has no ++: write %s = %s + 1", v, v)
	case is("?"):
		return "Lua has no ?: write condition and a or b"
	case before == "continue" && p.before.start == p.starts:
		return "Lua has no continue: goto continue does it, with ::continue:: before the loop's end"
	case is("=>"), adjacent && before == "=" && is(">"):
		return "a table's field is written name = value"
	case is(":="), adjacent && before == ":" && is("="):
		return "a variable is declared with local: local x = ..."
	case is("<const>"), is("<close>"):
		return "<const> and <close> are of Lua 5.4: write local name = ..."
	case message == "'then' expected" && is("="):
		return "== compares; = assigns"
	case (message == "'then' expected" || message == "'do' expected") && (is("{") || before == "}"), is("{") && before == ")":
		return "Lua's blocks have words: if x then ... end, while x do ... end, function f() ... end"
	case is("#"):
		return "a comment begins with --"
	case message == "'<eof>' expected" && is("end"):
		return "there is an end too many"
	case strings.HasPrefix(message, "'end' expected") && len(p.elseIfs) > 0:
		return fmt.Sprintf("else if (line %d) opens a second if, with an end of its own: elseif is one word", p.elseIfs[len(p.elseIfs)-1])
	case strings.HasPrefix(message, "'(' expected") && is(".") && strings.HasPrefix(p.src[p.starts:], "local"):
		return "a local function has a plain name; function t.f() adds one to a table"
	case strings.HasSuffix(message, "expected") && p.afterLast():
		return "return and break end their block: nothing may follow them"
	}
	return ""
}

// afterLast reports whether the statement before the token had to be its block's last.
func (p *parser) afterLast() bool {
	first := p.src[p.starts:]
	return strings.HasPrefix(first, "return") || strings.HasPrefix(first, "break")
}
