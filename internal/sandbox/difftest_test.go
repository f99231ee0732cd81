package sandbox

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const realLua = "/usr/bin/lua5.1"

// driver runs every script of a batch in C Lua and prints, for each, its output
// and its error. Batches keep the test to a few processes.
const driver = `
local sep = "\1\2\3"
local function show(e)
  if type(e) == "string" or type(e) == "number" then return tostring(e) end
  local mt = getmetatable(e)
  if mt and mt.__tostring then return tostring(e) end
  return "(error object is a " .. type(e) .. " value)"
end
for i = 1, #arg do
  local f = assert(io.open(arg[i], "rb"))
  local src = f:read("*a") f:close()
  local out = {}
  local env = setmetatable({print = function(...)
    local t = {...}
    for k = 1, select("#", ...) do t[k] = tostring((select(k, ...))) end
    out[#out + 1] = table.concat(t, "\t") .. "\n"
  end}, {__index = _G})
  local fn, err = loadstring(src, "@t.lua")
  local ok = fn ~= nil
  if ok then
    setfenv(fn, env)
    local long = false
    debug.sethook(function() long = true error("LIMIT") end, "", 20000000)
    ok, err = pcall(fn)
    debug.sethook()
    collectgarbage()
    if long then ok, err = false, "LIMIT" end
  else
    err = "SYNTAX " .. err
  end
  io.write(table.concat(out), sep, ok and "" or show(err), sep)
end
`

// runReal runs the scripts in C Lua.
func runReal(t *testing.T, scripts []string) []outcome {
	t.Helper()
	if _, err := os.Stat(realLua); err != nil {
		t.Fatalf("%s is missing: apt-get install lua5.1", realLua)
	}
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	args := []string{write("driver.lua", driver)}
	for i, s := range scripts {
		args = append(args, write(fmt.Sprintf("s%04d.lua", i), s))
	}
	var stderr bytes.Buffer
	// Some generated programs double a string too often; then they are refused
	// memory, and not compared.
	cmd := exec.Command("/bin/sh", append([]string{"-c", `ulimit -v 1000000; exec "$0" "$@"`, realLua}, args...)...)
	cmd.Stderr = &stderr
	cmd.Env = []string{"TZ=UTC", "LC_ALL=C"}
	stdout, err := cmd.Output()
	if err != nil {
		t.Fatalf("lua5.1: %v\n%s", err, stderr.String())
	}
	parts := strings.Split(string(stdout), "\x01\x02\x03")
	if len(parts) != 2*len(scripts)+1 {
		t.Fatalf("lua5.1 answered %d parts for %d scripts", len(parts), len(scripts))
	}
	out := make([]outcome, len(scripts))
	for i := range out {
		out[i] = outcome{parts[2*i], parts[2*i+1]}
	}
	return out
}

var address = regexp.MustCompile(`0x[0-9a-f]{6,}`)

// withoutAddresses replaces what tostring shows of tables and functions.
func (o outcome) withoutAddresses() outcome {
	return outcome{address.ReplaceAllString(o.out, "0x?"), address.ReplaceAllString(o.err, "0x?")}
}

var variable = regexp.MustCompile(`(?:local|global|upvalue|field|method) '[^']*' \((a \w+ value)\)`)

// withoutNames drops the names of variables from messages. The two compilers
// use registers differently, so that one may know a name where the other does
// not: of the value of an and or an or.
func (o outcome) withoutNames() outcome {
	return outcome{variable.ReplaceAllString(o.out, "$1"), variable.ReplaceAllString(o.err, "$1")}
}

var lineNumber = regexp.MustCompile(`t\.lua:\d+:`)

// withoutLines drops the lines of errors, which of an expression over several lines
// may be any of them.
func (o outcome) withoutLines() outcome {
	return outcome{lineNumber.ReplaceAllString(o.out, "t.lua:"), lineNumber.ReplaceAllString(o.err, "t.lua:")}
}

// known are differences that DIALECT.md lists, and that generated programs come to.
var known = regexp.MustCompile(`table index is (nil|NaN)|'for' \w+( value)? must be a number|SYNTAX .*ambiguous syntax`)

// agree compares ours with C Lua on each script, both after relax. Texts of
// syntax errors are our own; that there is one must agree.
func agree(t *testing.T, names, scripts []string, relax func(outcome) outcome) {
	t.Helper()
	real := runReal(t, scripts)
	bad := 0
	for i, src := range scripts {
		want := real[i]
		all := want.out + want.err
		if strings.Contains(all, "not enough memory") || want.err == "LIMIT" {
			continue
		}
		got, err := runScript(t, src, Options{})
		if _, limit := err.(*LimitError); limit {
			continue
		}
		got, want = relax(got.withoutAddresses()), relax(want.withoutAddresses())
		if known.MatchString(all + got.out + got.err) {
			continue
		}
		if _, ok := err.(*SyntaxError); ok && strings.HasPrefix(want.err, "SYNTAX ") {
			continue
		}
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(outcome{})); diff != "" {
			t.Errorf("%s differs from lua5.1 (-lua5.1 +ours):\n%s\n--- script\n%s", names[i], diff, src)
			if bad++; bad > 20 {
				t.Fatal("and more")
			}
		}
	}
}

func TestCorpusAgreesWithLua(t *testing.T) {
	if testing.Short() {
		t.Skip("runs lua5.1")
	}
	files, err := filepath.Glob("testdata/*.lua")
	if err != nil || len(files) == 0 {
		t.Fatal("no corpus")
	}
	var names, scripts []string
	for _, f := range files {
		src, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, filepath.Base(f))
		scripts = append(scripts, string(src))
	}
	agree(t, names, scripts, func(o outcome) outcome { return o })
}
