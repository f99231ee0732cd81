package syntax

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// broken are programs as people break them, and what is to be said of them beside
// Lua's own message.
var broken = []struct{ src, hint string }{
	{"for i = 1, 3 do\n  print(i)\n", ""},
	{"while true do\n  if x then\n    print(1)\nend\n", ""},
	{"function f()\n  print(1)\n", ""},
	{"local f = function()\n  print(1)\n", ""},
	{"repeat\n  x = 1\n", ""},
	{"do\n\n", ""},
	{"if x then\n  y = 1\nelse\n  y = 2\n", ""},
	{"print((1)\nprint(2)\n", ""},
	{"print(1, 2\n", ""},
	{"local t = {1, 2\nlocal u = 1\n", ""},
	{"local t = {a = 1, b = 2\n\n\nprint(t)", ""},
	{"local t = {a = 1 b = 2}", ""},
	{"local t = {[1] 2}", ""},
	{"local t = {[1 = 2}", ""},
	{"if x = 1 then end", "== compares"},
	{"while x = 1 do end", ""},
	{"if x\n  print(1)\nend", ""},
	{"if x then print(1) end end", "an end too many"},
	{"local s = \"abc\nprint(s)\n", "on its line"},
	{"local s = 'abc", "on its line"},
	{"local s = [[abc\n\n", "begins at line 1"},
	{"--[[ never closed\n\nprint(1)\n", "begins at line 1"},
	{"--[==[ x ]=]\n", "begins at line 1"},
	{"x += 1", "write x = x + 1"[:13]},
	{"local a = 1\na.b.c *= 2", "write a.b.c = a.b.c *"},
	{"x++", "write x = x + 1"},
	{"if a != b then end", "~="},
	{"if !a then end", "not x"},
	{"if a && b then end", "a and b"},
	{"if a || b then end", "a or b"},
	{"local x = a // b", "math.floor"},
	{"// a comment\nprint(1)", "begins with --"},
	{"/* a comment */", "--[["},
	{"# a comment\nprint(1)\n# another", "begins with --"},
	{"print(1)\n# another", "begins with --"},
	{"local x = a & b", "bits"},
	{"local x = a | b", "bits"},
	{"local x = a ~ b", "bits"},
	{"local x = 1 << 2", "bits"},
	{"local x <const> = 1", "Lua 5.4"},
	{"for i = 1, 3 do\n  if i == 2 then continue end\nend", "goto continue"},
	{"if a then\n  b()\nelse if c then\n  d()\nend\n", "elseif is one word"},
	{"local x = a ? 1 : 2", "condition and a or b"},
	{"local t = {a => 1}", "name = value"},
	{"x := 1", "local x"},
	{"if (x) {\n print(1)\n}", "have words"},
	{"function f() {\n}\n", "have words"},
	{"local function t.f() end", "plain name"},
	{"return 1\nprint(2)", "nothing may follow"},
	{"while true do break print(1) end", "nothing may follow"},
	{"x", ""},
	{"x.y", ""},
	{"x = = 1", ""},
	{"x = ", ""},
	{"local 1 = 2", ""},
	{"local end = 2", ""},
	{"for 1 = 2 do end", ""},
	{"for i do end", ""},
	{"for i = 1 do end", ""},
	{"for i, j = 1, 2 do end", ""},
	{"f(", ""},
	{"a:b = 1", ""},
	{"a.1", ""},
	{"(a) = 1", ""},
	{"f() = 1", ""},
	{"function f(a, 1) end", ""},
	{"function f(..., a) end", ""},
	{"function f() return ... end", ""},
	{"print 'a' = 1", ""},
	{"local x = 3x", ""},
	{"local x = 1..2", ""},
	{"local x = 0xg", ""},
	{"local x = 1e", ""},
	{"local x = @a", ""},
	{"local x = $a", ""},
	{"a b", ""},
	{"end", "an end too many"},
	{"else", ""},
	{"return return", ""},
	{"x = function end", ""},
	{"x = }", ""},
	{"\x01", ""},
	{"local x = [=abc", ""},
}

// As C Lua says it: the same line, cause and token.
func TestAsLuaSaysIt(t *testing.T) {
	var programs []string
	for _, b := range broken {
		programs = append(programs, b.src)
	}
	for i, want := range ask(t, programs) {
		got := Check(programs[i])
		if got == nil || got.Error() != want {
			t.Errorf("%q:\n  got  %v\n  want %s", programs[i], got, want)
			continue
		}
		if hint := broken[i].hint; !strings.Contains(got.Hint, hint) || hint == "" && got.Hint != "" {
			t.Errorf("%q: hint %q, want %q", programs[i], got.Hint, hint)
		}
	}
}

// Programs of all kinds, each with a token lost, doubled or in another's place.
func TestDamagedProgramsAsLuaSaysIt(t *testing.T) {
	var sources []string
	for _, pattern := range []string{"../testdata/*.lua", "../../../recipes/*.lua", "../../../recipes/lib/*.lua", "../../../spec/*.lua"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: no files, %v", pattern, err)
		}
		for _, f := range files {
			src, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			if len(src) < 20_000 {
				sources = append(sources, string(src))
			}
		}
	}
	times := 1000
	if n, err := strconv.Atoi(os.Getenv("SYNTAX_DAMAGED")); err == nil {
		times = n
	}
	draw := rand.New(rand.NewPCG(5, 1))
	var programs []string
	for range times {
		programs = append(programs, damage(draw, sources[draw.IntN(len(sources))]))
	}
	bad := 0
	for i, want := range ask(t, programs) {
		got := ""
		if err := Check(programs[i]); err != nil {
			got = err.Error()
		}
		if got == want || beyond.MatchString(want) {
			continue
		}
		t.Errorf("got  %s\nwant %s\n%s", got, want, programs[i])
		if bad++; bad > 3 {
			t.Fatal("and more")
		}
	}
}

// beyond are mistakes to C Lua that are none here, or that the compiler finds.
var beyond = regexp.MustCompile(`ambiguous syntax|escape sequence too large|no loop to break|has more than|unexpected symbol near ';'|^$|near '(goto|::?)'|nesting of \[\[`)

// damage loses, doubles or moves one token.
func damage(draw *rand.Rand, src string) string {
	l := lexer{src: src, line: 1}
	var tokens []token
	for t := l.next(); t.kind != eof; t = l.next() {
		tokens = append(tokens, t)
	}
	t, other := tokens[draw.IntN(len(tokens))], tokens[draw.IntN(len(tokens))]
	switch draw.IntN(4) {
	case 0:
		return src[:t.start] + src[t.end:]
	case 1:
		return src[:t.end] + " " + src[t.start:]
	case 2:
		return src[:t.start] + src[other.start:other.end] + src[t.end:]
	}
	return src[:t.end]
}

// ask returns what lua5.1 says of each program, without its file's name; "" where it
// takes it.
func ask(t *testing.T, programs []string) []string {
	t.Helper()
	if testing.Short() {
		t.Skip("runs lua5.1")
	}
	const separator = "\x02\n"
	var in bytes.Buffer
	for _, p := range programs {
		in.WriteString(p + separator)
	}
	cmd := exec.Command("lua5.1", "-e", `
		for p in io.read("*a"):gmatch("(.-)\2\n") do
			local _, err = loadstring(p, "=f")
			io.write((err or ""):gsub("^f:", ""), "\2\n")
		end`)
	cmd.Stdin = &in
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	said := strings.Split(string(out), separator)
	if len(said) != len(programs)+1 {
		t.Fatalf("%d answers to %d programs", len(said)-1, len(programs))
	}
	for i := range said {
		said[i] = regexp.MustCompile(`^(\d+):\s*`).ReplaceAllString(said[i], "$1: ")
	}
	return said[:len(programs)]
}

func FuzzCheck(f *testing.F) {
	for _, b := range broken {
		f.Add(b.src)
	}
	f.Fuzz(func(t *testing.T, src string) {
		if err := Check(src); err != nil && (err.Line < 1 || err.Line > 1+strings.Count(src, "\n")) {
			t.Errorf("line %d of %s", err.Line, fmt.Sprintf("%q", src))
		}
	})
}
