package sandbox

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
)

// grammar writes random programs, a method for each production of Lua 5.1's
// grammar: every form of statement and expression turns up in the place of every
// other. What is not to differ between interpreters is kept out by its prelude:
// each turn of a loop and each call takes fuel, so programs end; long strings are
// cut; what is printed has no addresses.
type grammar struct {
	r      *rand.Rand
	b      strings.Builder
	scopes [][]string // names of the local variables, by block
	next   int
	depth  int
	loops  int  // around the statement, in its function
	vararg bool // whether the function has ...
}

const grammarPrelude = `local fuel = 60
local function tick() fuel = fuel - 1 if fuel < 0 then error("fuel", 0) end end
local function show(v) local t = type(v) if t == "table" or t == "function" or t == "thread" then return t end v = tostring(v) if #v > 300 then v = v:sub(1, 300) .. #v end return v end
local function out(...) local t = {} for i = 1, select("#", ...) do t[i] = show((select(i, ...))) end print(table.concat(t, " ")) return ... end
local function it(s, c) tick() out("it", s, c) c = (tonumber(c) or 0) + 1 if c > 2 then return nil end return c, s, c * 2 end
local function three(...) tick() return 1, ..., 3 end
local function none() tick() end
local meta = {}
for _, e in ipairs{"add", "sub", "mul", "div", "mod", "pow", "unm", "concat", "call", "index"} do
  meta["__" .. e] = function(a, b) tick() out(e, a, e ~= "unm" and b) return e, 2 end
end
meta.__eq = function(a, b) tick() out("eq") return true end
meta.__lt = function(a, b) tick() out("lt") return true end
meta.__le = function(a, b) tick() out("le") return false end
meta.__newindex = function(t, k, v) tick() out("newindex", k, v) rawset(t, k, v) end
local o, p = setmetatable({}, meta), setmetatable({}, meta)
local t = {x = 1, y = {z = 2, f = function(self, a) tick() return a, self end}, 10, 20, 30}
local n, s, b, z = 7, "str", true, nil
`

// grammarProgram is program number seed.
func grammarProgram(seed uint64) string {
	g := &grammar{r: rand.New(rand.NewPCG(seed, 2)), vararg: true}
	g.scopes = [][]string{{"o", "p", "t", "n", "s", "b", "z", "it", "three", "none"}}
	g.b.WriteString(grammarPrelude)
	begun := g.b.Len()
	g.block(3 + g.r.IntN(6))
	text := g.b.String()
	return text[:begun] + strings.ReplaceAll(text[begun:], "--", "- -") // no comment takes the rest of a line
}

func (g *grammar) w(format string, args ...any) { fmt.Fprintf(&g.b, format, args...) }

func (g *grammar) one(list ...string) string { return list[g.r.IntN(len(list))] }

// dots is ..., which a function without a vararg may not have: hardly ever there.
func (g *grammar) dots() string {
	if g.vararg || g.chance(40) {
		return "..."
	}
	return g.name()
}

func (g *grammar) chance(n int) bool { return g.r.IntN(n) == 0 }

// fresh makes up a name, now and then one that is taken.
func (g *grammar) fresh() string {
	if g.chance(5) {
		return g.name()
	}
	g.next++
	return "v" + strconv.Itoa(g.next)
}

func (g *grammar) declare(names ...string) {
	top := len(g.scopes) - 1
	g.scopes[top] = append(g.scopes[top], names...)
}

// name is a variable in scope, rather a near one.
func (g *grammar) name() string {
	for i := len(g.scopes) - 1; ; i-- {
		if i < 0 {
			i = len(g.scopes) - 1
		}
		if n := len(g.scopes[i]); n > 0 && (i == 0 || g.chance(2)) {
			return g.scopes[i][g.r.IntN(n)]
		}
	}
}

// block: {stat [;]} [laststat [;]]
func (g *grammar) block(n int, names ...string) {
	g.scopes = append(g.scopes, nil)
	g.declare(names...)
	g.depth++
	for range n {
		g.stat()
		g.w(";\n")
	}
	g.last()
	g.depth--
	g.scopes = g.scopes[:len(g.scopes)-1]
}

func (g *grammar) inner(names ...string) { g.block(g.r.IntN(3), names...) }

func (g *grammar) last() {
	switch {
	case g.depth == 1:
		g.w("out(n, s, b, z, t.x, #t)\n")
	case g.loops > 0 && g.chance(5):
		g.w("break\n")
	case g.chance(8):
		g.w("return %s\n", g.one("", g.explist(), g.call(2), g.exp(2), g.dots()+", "+g.exp(1)))
	}
}

func (g *grammar) stat() {
	if g.depth == 1 && !g.chance(3) { // an error ends the statement, not the program
		g.w("out(pcall(function(...) ")
		g.depth++
		vararg := g.vararg
		g.scopes, g.vararg = append(g.scopes, nil), true
		g.stat()
		g.scopes, g.vararg = g.scopes[:len(g.scopes)-1], vararg
		g.depth--
		g.w(" end, %s))", g.explist())
		return
	}
	n := g.r.IntN(22)
	if g.depth > 4 {
		n = g.r.IntN(9)
	}
	switch n {
	case 0, 1, 2:
		g.w("%s = %s", g.varlist(), g.explist())
	case 3, 4:
		g.w("%s", g.call(3))
	case 5, 6:
		g.w("out(%s)", g.explist())
	case 7, 8:
		names := []string{g.fresh()}
		for g.chance(3) {
			names = append(names, g.fresh())
		}
		g.w("local %s", strings.Join(names, ", "))
		if !g.chance(4) {
			g.w(" = %s", g.explist())
		}
		g.declare(names...)
	case 9:
		g.w("do ")
		g.inner()
		g.w("end")
	case 10, 11:
		g.w("while %s do tick() ", g.exp(2))
		g.loop()
		g.w("end")
	case 12:
		g.repeatStat()
	case 13, 14:
		g.w("if %s then ", g.exp(2))
		g.inner()
		for g.chance(3) {
			g.w("elseif %s then ", g.exp(2))
			g.inner()
		}
		if g.chance(2) {
			g.w("else ")
			g.inner()
		}
		g.w("end")
	case 15:
		v := g.fresh()
		g.w("for %s = %s, %s%s do tick() ", v, g.number(), g.number(), g.one("", ", "+g.number(), ", -1", ", "+g.exp(1)))
		g.loop(v)
		g.w("end")
	case 16, 17, 18:
		g.forIn()
	case 19:
		v := g.fresh()
		g.w("local function %s", v)
		g.declare(v)
		g.funcbody()
	case 20:
		name := g.one("t.g", "t.y.g", "t.y:m", "t:m", g.name()+".k", g.name())
		g.w("function %s", name)
		if strings.Contains(name, ":") {
			g.funcbody("self")
		} else {
			g.funcbody()
		}
	case 21: // closures of each turn of a loop
		list, v := g.fresh(), g.fresh()
		g.w("local %s = {} for %s = 1, 3 do tick() local c = %s %s[%s] = function(...) tick() c = %s return c, %s end ", list, v, g.exp(1), list, v, g.exp(2), v)
		g.declare(list)
		g.loop(v, "c")
		g.w("end for q = 1, 3 do out(pcall(%s[q], q)) end", list)
	}
}

func (g *grammar) loop(names ...string) {
	g.loops++
	g.inner(names...)
	g.loops--
}

// repeatStat: until sees the variables of the block.
func (g *grammar) repeatStat() {
	g.w("repeat tick() ")
	g.scopes = append(g.scopes, nil)
	g.loops++
	g.depth++
	for range g.r.IntN(3) {
		g.stat()
		g.w(";\n")
	}
	g.depth--
	g.loops--
	g.w("until %s", g.exp(2))
	g.scopes = g.scopes[:len(g.scopes)-1]
}

func (g *grammar) forIn() {
	names := []string{g.fresh()}
	for range g.r.IntN(4) {
		names = append(names, g.fresh())
	}
	source := g.one("it", "it", "it, "+g.exp(1), "it, "+g.exp(1)+", "+g.exp(1), "it, 1, 2, "+g.exp(1), "(it)", "t.y.f", "pairs({"+g.exp(1)+"})", "ipairs(t)", "next, {5}",
		"three(it)", "(function(...) return it, ... end)("+g.exp(1)+")", "function(a, b) tick() out(a, b) if not b then return 1 end end", "unpack({it, 4})", "b and it", g.explist(), "o", g.dots(), "it, "+g.dots())
	g.w("for %s in %s do tick() ", strings.Join(names, ", "), source)
	g.loop(names...)
	g.w("end")
}

// funcbody: ( [parlist] ) block end
func (g *grammar) funcbody(implicit ...string) {
	var params []string
	for range g.r.IntN(3) {
		params = append(params, g.fresh())
	}
	names := append(params[:len(params):len(params)], implicit...)
	vararg, loops := g.vararg, g.loops
	g.vararg, g.loops = g.chance(2), 0
	if g.vararg {
		params = append(params, "...")
	}
	g.w("(%s) tick() ", strings.Join(params, ", "))
	g.inner(names...)
	g.w("end")
	g.vararg, g.loops = vararg, loops
}

// funcexp is a function as an expression.
func (g *grammar) funcexp() string {
	outer := g.b
	g.b = strings.Builder{}
	g.w("function")
	g.funcbody()
	text := g.b.String()
	g.b = outer
	return text
}

func (g *grammar) list(n int, f func() string) string {
	items := make([]string, n)
	for i := range items {
		items[i] = f()
	}
	return strings.Join(items, ", ")
}

func (g *grammar) varlist() string {
	n := 1
	for n < 4 && g.chance(3) {
		n++
	}
	return g.list(n, func() string { return g.variable(2) })
}

func (g *grammar) explist() string {
	n := 1
	for n < 4 && g.chance(2) {
		n++
	}
	return g.list(n, func() string { return g.exp(3) })
}

// variable: Name | prefixexp [ exp ] | prefixexp . Name
func (g *grammar) variable(depth int) string {
	switch g.r.IntN(5) {
	case 0:
		return g.prefix(depth-1) + "." + g.one("x", "y", "q")
	case 1:
		return g.prefix(depth-1) + "[" + g.exp(depth-1) + "]"
	}
	return g.name()
}

// prefix: var | functioncall | ( exp )
func (g *grammar) prefix(depth int) string {
	if depth <= 0 {
		return g.one("t", "o", "t.y", g.name())
	}
	switch g.r.IntN(4) {
	case 0:
		return g.call(depth - 1)
	case 1:
		return "(" + g.exp(depth-1) + ")"
	}
	return g.variable(depth - 1)
}

// call: prefixexp args | prefixexp : Name args
func (g *grammar) call(depth int) string {
	if g.depth == 1 && g.chance(3) { // so that an error does not end most programs
		return "out(pcall(" + g.one("three", "it", "o", g.name(), g.funcexpIf(depth)) + ", " + g.exp(depth-1) + "))"
	}
	f := g.one("three", "out", "none", "it", "tostring", "tonumber", "type", "select", "rawget", "o", "t.y.f", g.name(), "t.y:f", "s:rep", "s:sub", g.name()+":x", "(it)", "unpack", "pcall", "o:k")
	return f + g.args(depth)
}

func (g *grammar) funcexpIf(depth int) string {
	if depth > 0 && g.depth < 5 {
		return g.funcexp()
	}
	return "none"
}

func (g *grammar) args(depth int) string {
	if depth <= 0 {
		return g.one("()", "(1)", "("+g.dots()+")", "{}", `"2"`, "("+g.name()+")")
	}
	switch g.r.IntN(6) {
	case 0:
		return g.table(depth - 1)
	case 1:
		return " " + g.one(`"a"`, `[[1]]`, `'2'`)
	}
	return "(" + g.list(g.r.IntN(4), func() string { return g.exp(depth - 1) }) + ")"
}

// table: { [field {sep field} [sep]] }
func (g *grammar) table(depth int) string {
	var b strings.Builder
	for range g.r.IntN(4) {
		// Keys are below one: which end # takes of a table with holes is free.
		b.WriteString(g.one("", "", "x = ", "y = ", "[-"+g.number()+"] = ", "["+g.one(`"k"`, "-n", "s")+"] = ") + g.exp(depth) + g.one(", ", ";"))
	}
	return "{" + b.String() + g.one("", g.dots(), g.exp(depth)) + "}"
}

func (g *grammar) number() string {
	return g.one("0", "1", "2", "3", "-1", "1.5", "n", "#t", "0x10", "1e1", "t.x")
}

func (g *grammar) exp(depth int) string {
	if depth <= 0 {
		return g.one("nil", "true", "false", g.dots(), `"a"`, "'5'", g.number(), g.number(), g.name(), g.name(), g.name())
	}
	sub := func() string { return g.exp(depth - 1) }
	switch g.r.IntN(20) {
	case 0, 1:
		return sub() + g.one(" + ", " - ", " * ", " / ", " % ", " ^ ") + sub()
	case 2:
		return sub() + " .. " + sub() + g.one("", " .. "+sub())
	case 3, 4:
		return sub() + g.one(" < ", " <= ", " > ", " >= ", " == ", " ~= ") + sub()
	case 5, 6, 7:
		return sub() + g.one(" and ", " or ") + sub()
	case 8:
		return g.one("not ", "-", "#", "- - ", "not not ", "-#") + sub()
	case 9, 10:
		return "(" + sub() + ")"
	case 11, 12:
		return g.call(depth - 1)
	case 13:
		return g.table(depth - 1)
	case 14:
		return g.funcexpIf(depth - 1)
	case 15, 16:
		return g.variable(depth)
	}
	return g.exp(0)
}
