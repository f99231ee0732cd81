package sandbox

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
)

// generator writes random programs that end, print only what both interpreters
// can agree on (no addresses, no order of pairs), and may well raise errors.
type generator struct {
	r     *rand.Rand
	b     strings.Builder
	vars  []string // locals in scope that hold anything
	funcs []string // locals in scope that hold functions
	ints  []string // loop variables
	next  int
	depth int
	loops int
}

const genPrelude = `local function show(v) local t = type(v) if t == "table" or t == "function" or t == "thread" then return t end return tostring(v) end
local function out(...) local t = {} for i = 1, select("#", ...) do t[i] = show((select(i, ...))) end print(table.concat(t, " ")) end
local function err(ok, ...) if ok then out("ok", ...) else out("err", (...)) end return ... end
local function cut(s) if type(s) == "string" then return s:sub(1, 100) end return s end
local v1, v2, v3, v4 = 1, "two", {x = 3, y = {z = 4}, 5, 6}, nil
`

func generate(seed uint64) string {
	g := &generator{r: rand.New(rand.NewPCG(seed, 1)), vars: []string{"v1", "v2", "v3", "v4"}}
	g.b.WriteString(genPrelude)
	for range 4 + g.r.IntN(8) {
		g.stmt()
	}
	g.f("out(v1, v2, v3, v4)\n")
	return g.b.String()
}

func (g *generator) f(format string, args ...any) { fmt.Fprintf(&g.b, format, args...) }

func (g *generator) pick(list ...string) string { return list[g.r.IntN(len(list))] }

func (g *generator) name(prefix string) string {
	g.next++
	return prefix + strconv.Itoa(g.next)
}

func (g *generator) v() string { return g.pick(g.vars...) }

// block writes statements in a scope of their own.
func (g *generator) block(n int) {
	vars, funcs, ints := len(g.vars), len(g.funcs), len(g.ints)
	g.depth++
	for range n {
		g.stmt()
	}
	g.depth--
	g.vars, g.funcs, g.ints = g.vars[:vars], g.funcs[:funcs], g.ints[:ints]
}

func (g *generator) body() int {
	if g.depth > 3 {
		return 1
	}
	return 1 + g.r.IntN(3)
}

func (g *generator) stmt() {
	n := g.r.IntN(31)
	if g.depth > 4 {
		n = g.r.IntN(8)
	}
	switch n {
	case 27: // loops and conditions that begin with a jump
		g.f("while %s do\n", g.pick("true", "1", "not nil", "true and "+g.atom(), "nil or true", g.atom()))
		if g.r.IntN(2) == 0 {
			g.f("if %s then break end\n", g.pick("true", "nil", "false", "not true", "1", g.atom()))
		}
		g.loop("v1")
		g.f("%s end\n", g.pick("break", "do break end", "if true then break end break"))
	case 28:
		g.f("for l in pairs({%s}) do %s end\n", g.exprs(g.r.IntN(3), 1), g.pick("break", "do break end", "if true then break end", "", "if l == 1 then else end"))
		g.f("if %s then\n", g.pick("nil", "false", "true", "not nil", "nil and v1", "false or v2", "1 and v3", "not not v4"))
		g.block(1)
		g.f("%s", g.pick("", "else out(1)\n", "elseif true then\nout(2)\n"))
		g.f("end\n")
	case 29:
		g.f("repeat\n%s", g.pick("", "if false then break end\n", "local r = nil or v1\n", "do end\n"))
		g.loop("v2")
		g.f("until %s\n", g.pick("true", "1", "not nil", "nil == nil", "true or v1"))
	case 30: // closures that outlive their loop
		fs, i := g.name("t"), g.name("i")
		g.f("local %s = {}\nfor %s = 1, 3 do\nlocal a, b = %s, %s\n%s[%s] = function(x) a = %s b = x return a, b, %s end\n%send\n", fs, i, i, g.expr(1), fs, i,
			g.pick("cut(a .. \"\")", "a and x", "b or a", "(tostring(a))", "x"), i, g.pick("", "if "+i+" == 2 then break end\n", "a = b\n"))
		g.f("for q = 1, 3 do if %s[q] then out(%s[q](q)) out(%s[q](%s)) end end\n", fs, fs, fs, g.atom())
	case 24, 25, 26: // what compilers that write into variables early get wrong
		v := g.v()
		g.f("%s = %s\n", v, g.pick(
			v+" and "+g.expr(2), v+" or "+g.expr(2), g.expr(2)+" and "+v, v+" .. "+g.atom(), "("+g.call(v)+")", g.call(v),
			"("+g.call(v)+") .. "+v, "{"+v+", "+v+"}", "("+v+" == "+g.atom()+") and "+v, "not "+v+" or "+v+" and "+g.expr(1),
			g.vararg(), "("+g.vararg()+")", g.vararg()+" or "+v, v+" % "+g.pick("3", "7"), g.v()+", "+v))
		g.f("%s = cut(%s)\nout(%s, %s)\n", v, v, v, g.v())
	case 0, 1:
		e := g.expr(3)
		v := g.name("l")
		g.f("local %s = %s\n", v, e)
		g.vars = append(g.vars, v)
	case 2:
		e := g.exprs(1+g.r.IntN(3), 2)
		a, b := g.name("l"), g.name("l")
		g.f("local %s, %s = %s\n", a, b, e)
		g.vars = append(g.vars, a, b)
	case 3:
		g.f("%s = %s\n", g.target(), g.expr(3))
	case 4:
		targets := []string{g.target(), g.target()}
		if g.r.IntN(3) == 0 {
			targets = append(targets, g.target())
		}
		g.f("%s = %s\n", strings.Join(targets, ", "), g.exprs(1+g.r.IntN(4), 2))
	case 5, 6:
		g.f("out(%s)\n", g.exprs(1+g.r.IntN(3), 3))
	case 7:
		g.f("err(pcall(function() return %s end))\n", g.exprs(1, 3))
	case 8:
		g.f("if %s then\n", g.expr(2))
		g.block(g.body())
		for g.r.IntN(3) == 0 {
			g.f("elseif %s then\n", g.expr(2))
			g.block(g.body())
		}
		if g.r.IntN(2) == 0 {
			g.f("else\n")
			g.block(g.body())
		}
		g.f("end\n")
	case 9, 10:
		i := g.name("i")
		g.f("for %s = %d, %d%s do\n", i, g.r.IntN(4), g.r.IntN(5), g.pick("", "", ", 2", ", -1"))
		g.loop(i)
		g.f("end\n")
	case 11:
		i, v := g.name("i"), g.name("l")
		g.f("for %s, %s in ipairs({%s}) do\n", i, v, g.exprs(g.r.IntN(4), 1))
		g.vars = append(g.vars, v)
		g.loop(i)
		g.vars = g.vars[:len(g.vars)-1]
		g.f("end\n")
	case 12:
		c := g.name("c")
		g.f("local %s = 0\nwhile %s < %d do\n%s = %s + 1\n", c, c, 1+g.r.IntN(3), c, c)
		g.loop(c)
		g.f("end\n")
	case 13:
		c := g.name("c")
		g.f("local %s = 0\nrepeat\n%s = %s + 1\nlocal stop = %s >= %d\n", c, c, c, c, 1+g.r.IntN(3))
		g.block(g.body())
		g.f("until stop\n")
	case 14, 15:
		g.function()
	case 16:
		g.f("do\n")
		g.block(g.body())
		g.f("end\n")
	case 17:
		g.f("err(pcall(function(...)\n")
		loops := g.loops
		g.loops = 0
		g.block(g.body())
		g.loops = loops
		g.f("%s\nend, %s))\n", g.pick("error(("+g.expr(1)+"))", "error({})", "return "+g.exprs(2, 2), "local q = nil; q.x = 1", "return ..."), g.exprs(1, 1))
	case 18:
		co := g.name("co")
		g.f("local %s = coroutine.wrap(function(...)\n", co)
		loops := g.loops
		g.loops = 0
		g.block(1)
		g.f("local got = coroutine.yield(%s)\nout(got)\n", g.exprs(2, 2))
		g.block(1)
		g.loops = loops
		g.f("return %s\nend)\nerr(pcall(%s, %s))\nerr(pcall(%s, %s))\nerr(pcall(%s))\n", g.exprs(1, 2), co, g.expr(1), co, g.expr(1), co)
	case 19:
		g.patternStmt()
	case 20:
		t := g.name("t")
		g.f("local %s = {%d, %d, %d, %d, %d}\n", t, g.r.IntN(9), g.r.IntN(9), g.r.IntN(9), g.r.IntN(9), g.r.IntN(9))
		g.f("table.insert(%s, %d)\ntable.insert(%s, %d, %d)\nout(table.remove(%s, %d))\n", t, g.r.IntN(9), t, 1+g.r.IntN(5), g.r.IntN(9), t, 1+g.r.IntN(6))
		g.f("table.sort(%s%s)\nout(table.concat(%s, %q), #%s, unpack(%s, %d))\n", t, g.pick("", ", function(a, b) return a > b end"), t, g.pick(",", "", "--"), t, t, 1+g.r.IntN(4))
	case 21:
		g.f("out(string.format(%q, %s))\n", "%"+g.pick("d", "5d", "-6d|", "05d", "x", "s", "q", "8.3f", "g", "e", "5s", ".2s", "+d", "i", "o", "c"), g.pick(strconv.Itoa(g.r.IntN(1000)), "7.25", `"42"`, strconv.Itoa(g.r.IntN(200)-100)))
	case 22:
		g.f("out(select(%d, %s))\n", 1+g.r.IntN(3), g.exprs(3, 2))
	case 23:
		g.f("err(xpcall(function() return %s end, function(m) return show(m) .. %q end))\n", g.expr(3), "!")
	}
}

// call is a call with v among its arguments.
func (g *generator) call(v string) string {
	f := g.pick("tostring", "type", "show", "tonumber")
	if len(g.funcs) > 0 && g.r.IntN(2) == 0 {
		f = g.pick(g.funcs...)
	}
	if g.r.IntN(4) == 0 {
		return "show(" + g.atom() + "):rep(2, " + v + ")"
	}
	return f + "(" + v + g.pick("", ", "+v, ", "+g.atom()) + ")"
}

// vararg is ... where that is known to exist, which is in the main chunk, too.
func (g *generator) vararg() string {
	return g.pick("...", "select('#', ...)", "select(1, ..., 2)", "(...)")
}

func (g *generator) loop(counter string) {
	g.ints = append(g.ints, counter)
	g.loops++
	g.block(g.body())
	if g.r.IntN(4) == 0 {
		g.f("if %s then break end\n", g.expr(1))
	}
	g.loops--
	g.ints = g.ints[:len(g.ints)-1]
}

func (g *generator) function() {
	f := g.name("f")
	p := g.name("l")
	if g.r.IntN(2) == 0 {
		g.f("local function %s(%s, ...)\n", f, p)
	} else {
		g.f("local %s = function(%s, ...)\n", f, p)
	}
	g.vars = append(g.vars, p)
	loops, ints := g.loops, g.ints
	g.loops, g.ints = 0, nil
	g.block(g.body())
	g.f("return %s\nend\n", g.pick(g.exprs(1, 2), g.exprs(2, 2), p, p+", ...", "..."))
	g.loops, g.ints = loops, ints
	g.vars = g.vars[:len(g.vars)-1]
	g.funcs = append(g.funcs, f)
}

func (g *generator) target() string {
	v := g.v()
	switch g.r.IntN(5) {
	case 0:
		return v + ".x"
	case 1:
		return "v3[" + g.pick(`"x"`, `"y"`, "v1") + "]"
	}
	return v
}

func (g *generator) exprs(n, depth int) string {
	var list []string
	for range n {
		list = append(list, g.expr(depth))
	}
	return strings.Join(list, ", ")
}

func (g *generator) atom() string {
	switch g.r.IntN(9) {
	case 0, 1: // not 0: luac and our compiler make different things of -(0)
		return strconv.Itoa(1 + g.r.IntN(20))
	case 2:
		return g.pick("0.5", "1e3", "0x1F", "2.25", "1e15", "10")
	case 3:
		return g.pick(`"a"`, `"10"`, `"b c"`, `""`, `" 3 "`, `"0x10"`, `"xyz"`)
	case 4:
		return g.pick("nil", "true", "false")
	case 5:
		if len(g.ints) > 0 {
			return g.pick(g.ints...)
		}
	}
	return g.v()
}

func (g *generator) expr(depth int) string {
	if depth <= 0 || g.r.IntN(5) == 0 {
		return g.atom()
	}
	sub := func() string { return g.expr(depth - 1) }
	switch g.r.IntN(16) {
	case 0, 1:
		return sub() + g.pick(" + ", " - ", " * ") + sub()
	case 2:
		return "(" + sub() + g.pick(" + ", " - ", " * ", " / ") + sub() + ")"
	case 3:
		return "cut(" + sub() + " .. " + sub() + g.pick("", " .. "+g.atom()) + ")"
	case 4, 5:
		return "(" + sub() + g.pick(" == ", " ~= ", " < ", " <= ", " > ", " >= ") + sub() + ")"
	case 6:
		return sub() + g.pick(" and ", " or ") + sub()
	case 7:
		return "(" + sub() + g.pick(" and ", " or ") + sub() + g.pick(" and ", " or ") + sub() + ")"
	case 8:
		return g.pick("not ", "-", "#") + "(" + sub() + ")"
	case 9:
		return g.v() + g.pick(".x", ".y", ".y.z", "[1]", `["x"]`)
	case 10:
		if len(g.funcs) > 0 {
			return g.pick(g.funcs...) + "(" + g.exprs(g.r.IntN(3), depth-1) + ")"
		}
		return g.atom()
	case 11:
		return "{" + g.exprs(g.r.IntN(3), depth-1) + g.pick("", ", ") + g.pick("", "x = "+g.atom()) + "}"
	case 12:
		return g.pick("tostring", "tonumber", "type", "show") + "(" + g.atom() + ")"
	case 13:
		return "(function(" + g.pick("", "...", "a, b") + ") return " + g.exprs(1+g.r.IntN(2), depth-1) + " end)(" + g.exprs(g.r.IntN(3), depth-1) + ")"
	case 14:
		if len(g.ints) > 0 {
			return g.pick(g.ints...) + " % " + strconv.Itoa(1+g.r.IntN(4))
		}
		return g.pick("22", "-23", "25") + " % " + g.pick("3", "-3", "7")
	}
	return g.pick("math.floor", "math.abs", "#", "string.upper", "string.len") + "(" + sub() + ")"
}

// pattern returns a random pattern, now and then a malformed one.
func (g *generator) pattern() string {
	var b strings.Builder
	if g.r.IntN(6) == 0 {
		b.WriteByte('^')
	}
	open := 0
	for range 1 + g.r.IntN(5) {
		switch g.r.IntN(12) {
		case 0:
			b.WriteByte('(')
			open++
			continue
		case 1:
			b.WriteString("()")
			continue
		case 2:
			if open > 0 {
				b.WriteByte(')')
				open--
			}
			continue
		case 3:
			b.WriteString(g.pick("%b()", "%bxy", "%f[%w]", "%f[^a]", "%1", "%2"))
			continue
		}
		b.WriteString(g.pick("a", "b", ".", "%a", "%d", "%s", "%w", "%S", "%D", "[ab]", "[^ab]", "[a-c1-3]", "[%d.]", "%.", "%%", "x", "[]]", "[^]]", "%p", "%u"))
		b.WriteString(g.pick("", "", "", "*", "+", "-", "?"))
	}
	for ; open > 0 && g.r.IntN(8) > 0; open-- {
		b.WriteByte(')')
	}
	b.WriteString(g.pick("", "", "", "$", "", "%", "["))
	return b.String()
}

func (g *generator) subject() string {
	var b strings.Builder
	for range g.r.IntN(14) {
		b.WriteString(g.pick("a", "b", "ab", "1", "2", " ", ".", "(", ")", "x", "y", "%", "]", "-", "c"))
	}
	return b.String()
}

func (g *generator) patternStmt() {
	s, p := strconv.Quote(g.subject()), strconv.Quote(g.pattern())
	switch g.r.IntN(5) {
	case 0:
		g.f("err(pcall(string.find, %s, %s, %s))\n", s, p, g.pick("1", "2", "-3", "nil"))
	case 1:
		g.f("err(pcall(string.match, %s, %s))\n", s, p)
	case 2:
		g.f("err(pcall(string.gsub, %s, %s, %s, %s))\n", s, p, strconv.Quote(g.pick("<%0>", "%1", "-", "%2%1", "%%", "")), g.pick("nil", "1", "2"))
	case 3:
		g.f("err(pcall(string.gsub, %s, %s, function(...) out(\"cb\", ...) return %s end))\n", s, p, g.pick("nil", `"r"`, "false", "(...)"))
	case 4:
		g.f("err(pcall(function() for a, b in string.gmatch(%s, %s) do out(a, b) end end))\n", s, p)
	}
}

// Two generators share the count: one writes what people write, with the library,
// the other what the grammar allows. SANDBOX_GENERATED raises it and SANDBOX_SEED
// moves it to other programs: make fuzz runs a million.
func TestGeneratedProgramsAgreeWithLua(t *testing.T) {
	if testing.Short() {
		t.Skip("runs lua5.1")
	}
	count, seed := 5000, uint64(0)
	if n, err := strconv.Atoi(os.Getenv("SANDBOX_GENERATED")); err == nil {
		count = n
	}
	if n, err := strconv.ParseUint(os.Getenv("SANDBOX_SEED"), 10, 64); err == nil {
		seed = n
	}
	for first := 0; first < count; first += 500 {
		var names, scripts []string
		for i := first; i < min(first+500, count); i++ {
			n := seed + uint64(i)
			names = append(names, fmt.Sprintf("program %d", n))
			if i%5 == 0 {
				scripts = append(scripts, generate(n))
			} else {
				scripts = append(scripts, grammarProgram(n))
			}
		}
		agree(t, names, scripts, func(o outcome) outcome { return o.withoutNames().withoutLines() })
	}
}
