package sandbox

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// hostile scripts and what stops each: a limit, or a part of an ordinary error's
// message. "ok" is for what is merely odd. Each runs in a process of its own,
// whose memory and processor time are measured; the position in the message
// must be line 2.
var hostile = []struct{ name, want, src string }{
	{"loop", "steps", `while true do end`},
	{"goto loop", "steps", `::a:: goto a`},
	{"repeat loop", "steps", `repeat until false`},
	{"for to infinity", "steps", `for i = 1, math.huge do end`},
	{"for with step zero", "ok", `for i = 1, 2, 0 do end`},
	{"pcall swallows", "steps", `while true do pcall(function() while true do end end) end`},
	{"pcall recursion", "depth", `local function f() pcall(f) while true do end end f()`},
	{"xpcall handler loops", "steps", `xpcall(function() while true do end end, function() while true do end end)`},
	{"xpcall handler recursion", "depth", `local function h() xpcall(error, h) end h()`},
	{"nested pcall of a host function", "steps", `pcall(pcall, function() while true do end end)`},
	{"coroutine loop", "steps", `local co = coroutine.wrap(function() while true do coroutine.yield() end end) while true do co() end`},
	{"coroutine inner loop", "steps", `coroutine.wrap(function() while true do end end)()`},
	{"coroutine swallows", "steps", `while true do coroutine.resume(coroutine.create(function() while true do end end)) end`},
	{"coroutine nest", "depth", `local function f() coroutine.wrap(f)() end f()`},
	{"coroutines kept", "coroutines", `local t = {} while true do local c = coroutine.wrap(function() coroutine.yield() end) c() t[#t + 1] = c end`},
	{"coroutines dropped", "any limit", `while true do coroutine.wrap(function() coroutine.yield() end)() end`},
	{"coroutines never started", "any limit", `local t = {} while true do t[#t + 1] = coroutine.create(function() end) end`},
	{"gsub callback with pcall", "steps", `string.gsub(("a"):rep(1000000), "a", function() pcall(function() while true do end end) end)`},
	{"sort swallows", "steps", `local t = {} for i = 1, 1000 do t[i] = i end table.sort(t, function(a, b) pcall(function() while true do end end) return a < b end)`},
	{"sort with an invalid order", "invalid order function", `local t = {} for i = 1, 100000 do t[i] = i end table.sort(t, function(a, b) return true end)`},
	{"sort of equal keys", "steps", `local t = {} for i = 1, 3000000 do t[i] = 1 end while true do table.sort(t) end`},
	{"pattern backtracks", "steps", `string.find(("a"):rep(40), ("a-"):rep(30) .. "b")`},
	{"pattern quadratic", "steps", `string.find(("a"):rep(300000), ".-b")`},
	{"pattern cubic in gsub", "steps", `string.gsub(("a"):rep(30000), ".-.-b", "")`},
	{"pattern in match", "steps", `string.match(("x"):rep(900000), "^(.-)(.-)(.-)z$")`},
	{"pattern in gmatch", "steps", `for w in string.gmatch(("a"):rep(300000), ".-b") do end`},
	{"pattern balance", "steps", `string.find(("("):rep(300000), "%b()")`},
	{"pattern set", "steps", `string.find(("a"):rep(100000), "[" .. ("b"):rep(60000) .. "]")`},
	{"pattern back reference", "steps", `string.find(("a"):rep(100000), "(.*)%1b")`},
	{"pattern optional", "pattern too complex", `string.find(("a"):rep(20000), ("a?"):rep(20000) .. "b")`},
	{"pattern captures", "too many captures", `string.find("a", ("()"):rep(100000))`},
	{"find plain over and over", "steps", `local s = ("a"):rep(10000000) while true do s:find("b", 1, true) end`},
	{"rep 1e9", "string", `local s = ("x"):rep(1000000000)`},
	{"rep 1e10", "string", `local s = ("x"):rep(10000000000)`},
	{"rep 1e18", "string", `local s = ("xy"):rep(1e18)`},
	{"rep infinity", "ok", `local s = ("xy"):rep(math.huge)`},
	{"rep over and over", "any limit", `local t = {} for i = 1, 1e6 do t[i] = ("x"):rep(1e6) end`},
	{"concat doubling", "string", `local s = "x" while true do s = s .. s end`},
	{"concat of many", "string", `local s = ("x"):rep(10000000) local r = s .. s .. s .. s .. s .. s .. s .. s`},
	{"concat to a list", "any limit", `local t, s = {}, "x" for i = 1, 1e9 do s = s .. "y" t[i] = s end`},
	{"gsub bomb", "string", `local s = ("a"):rep(1000000) local r = s:gsub("a", ("b"):rep(1000000))`},
	{"gsub reference bomb", "string", `local s = ("a"):rep(100000) local r = s:gsub(".*", ("%0"):rep(100000))`},
	{"table.concat bomb", "string", `local t = {} for i = 1, 1000 do t[i] = "x" end local s = table.concat(t, ("y"):rep(2000000))`},
	{"table.concat range", "invalid value", `table.concat({}, "", 1, 1e15)`},
	{"format width", "invalid format", `local s = string.format("%999999999d", 1)`},
	{"format of long strings", "string", `local s = ("x"):rep(10000000) string.format("%s%s%s%s", s, s, s, s)`},
	{"upper over and over", "any limit", `local s = ("x"):rep(16000000) while true do local u = s:upper() end`},
	{"reverse over and over", "any limit", `local s = ("x"):rep(16000000) while true do local u = s:reverse() end`},
	{"string.byte of all", "string slice too long", `select("#", string.byte(("x"):rep(10000000), 1, -1))`},
	{"string.char of many", "too many results", `string.char(unpack({}, 1, 1e6))`},
	{"print of much", "steps", `local s = ("x"):rep(1e6) while true do print(s) end`},
	{"table growth", "heap", `local t, i = {}, 0 while true do i = i + 1 t[i] = {i, i, i, i, i, i, i, i, i, i, i, i, i, i, i, i} end`},
	{"table of keys", "any limit", `local t, i = {}, 0 while true do i = i + 1 t["k" .. i] = i end`},
	{"closures kept", "any limit", `local t, i = {}, 0 while true do i = i + 1 t[i] = function() return i end end`},
	{"huge index", "ok", `local t = {} t[67108863] = 1 t[2^53] = 1 t[1048575] = 1 assert(t[67108863] == 1)`},
	{"huge indexes", "heap", `local a = {} for i = 1, 1e6 do a[i] = {} a[i][1048575] = 1 end`},
	{"insert at a huge index", "ok", `local t = {} table.insert(t, 1e9, 1) table.insert(t, 2^52, 1)`},
	{"insert at a negative index", "steps", `local t = {1} table.insert(t, -1e15, 1)`},
	{"insert in front", "steps", `local t = {} while true do table.insert(t, 1, 1) end`},
	{"queue by remove", "steps", `local t = {} for i = 1, 1000000 do t[i] = i end while true do table.remove(t, 1) table.insert(t, 1) end`},
	{"unpack of much", "too many results", `local t = {} for i = 1, 200000 do t[i] = i end print(select("#", unpack(t)))`},
	{"unpack range", "too many results", `print(select("#", unpack({}, 1, 1e8)))`},
	{"unpack overflow", "ok", `unpack({}, -2^63, 2^63)`},
	{"recursion", "stack overflow", `local function f(n) return 1 + f(n + 1) end f(1)`},
	{"recursion caught again and again", "steps", `local function f(n) return 1 + f(n + 1) end while true do pcall(f, 1) end`},
	{"tail recursion", "steps", `local function f(n) return f(n + 1) end f(1)`},
	{"recursion by __index", "stack overflow", `local t = setmetatable({}, {}) getmetatable(t).__index = function(t, k) return t[k + 1] end local x = t[1]`},
	{"recursion by __index and pcall", "depth", `local t = setmetatable({}, {}) getmetatable(t).__index = function(t, k) pcall(function() return t[k] end) return t[k] end local x = t.a`},
	{"recursion by __tostring", "stack overflow", `local t = setmetatable({}, {__tostring = function(t) return tostring(t) end}) tostring(t)`},
	{"recursion by gsub", "stack overflow", `local function f() return (("x"):gsub("x", f)) end f()`},
	{"recursion by sort", "stack overflow", `local function f() table.sort({2, 1}, f) end f()`},
	{"recursion by __concat", "stack overflow", `local t t = setmetatable({}, {__concat = function(a, b) return a .. b end}) return t .. t`},
	{"recursion by __eq", "stack overflow", `local mt = {} mt.__eq = function(a, b) return a == b end return setmetatable({}, mt) == setmetatable({}, mt)`},
	{"index chain", "loop in gettable", `local t = setmetatable({}, {}) getmetatable(t).__index = t return t.x`},
	{"error in __tostring", "__tostring failed", `error(setmetatable({}, {__tostring = function() error("in") end}))`},
	{"loop in __tostring of an error", "__tostring failed", `error(setmetatable({}, {__tostring = function() while true do end end}))`},
	{"loadstring deep", "ok", `assert(loadstring("return " .. ("("):rep(30000) .. "1" .. (")"):rep(30000)))`},
	{"loadstring of not not", "nested too deeply", `assert(loadstring("return " .. ("not "):rep(15000) .. "1"))`},
	{"loadstring of minus", "nested too deeply", `assert(loadstring("return " .. ("- "):rep(30000) .. "1"))`},
	{"loadstring of powers", "nested too deeply", `assert(loadstring("return 1" .. ("^1"):rep(30000)))`},
	{"loadstring of sums", "nested too deeply", `assert(loadstring("local x = 1 return x" .. ("+x"):rep(30000)))`},
	{"loadstring of tables", "nested too deeply", `assert(loadstring("return " .. ("{"):rep(30000) .. ("}"):rep(30000)))`},
	{"loadstring of functions", "nested too deeply", `assert(loadstring(("return function() "):rep(2000) .. ("end "):rep(2000)))`},
	{"loadstring of arguments", "too many registers", `assert(loadstring("return print(" .. ("1,"):rep(5000) .. "1)"))`},
	{"loadstring of locals", "too many local", `assert(loadstring(("local x "):rep(5000)))`},
	{"loadstring of upvalues", "local variables of its surroundings", `local s = "" for i = 1, 150 do s = s .. "local a" .. i .. " = 1 " end s = s .. "return function() " for i = 1, 150 do s = s .. "local b" .. i .. " = 1 " end s = s .. "return function() return 0" for i = 1, 150 do s = s .. "+a" .. i .. "+b" .. i end assert(loadstring(s .. " end end"))`},
	{"loadstring too long", "the limit is 64 KiB", `assert(loadstring(("x = 1 "):rep(50000)))`},
	{"loadstring of constants", "ok", `local t = {} for i = 1, 9000 do t[i] = i + 0.5 end assert(loadstring("return {" .. table.concat(t, ",") .. "}"))`},
	{"loadstring over and over", "steps", `local s = ("local x = 1 "):rep(100) while true do loadstring(s) end`},
	{"load of an endless reader", "the limit is 64 KiB", `assert(load(function() return "local x = 1 " end))`},
	{"binary chunk", "only source text", `assert(loadstring("\27Lua"))`},
	{"many results", "too many registers", `assert(loadstring("return " .. ("1,"):rep(1000) .. "1"))`},
	{"varargs recursion", "stack overflow", `local function f(...) return (f(1, 2, 3, ...)) end f()`},
	{"os.date format", "ok", `os.date(("%c"):rep(10000))`},
	{"string metatable", "read-only", `getmetatable("").__index.upper = function() return "hacked" end`},
	{"string library", "read-only", `string.upper = nil`},
	{"rawset of a library", "read-only", `rawset(string, "upper", nil)`},
	{"global write", "is not defined", `x = 1`},
	{"builtin write", "cannot be assigned", `print = nil`},
	{"_G write", "is not defined", `_G.x = 1`},
	{"_G rawset", "read-only", `rawset(_G, "x", 1)`},
	{"_G metatable", "protected metatable", `setmetatable(_G, nil)`},
	{"internals in _G", "ok", `for k in pairs(_G) do assert(not k:find("%z"), k) end assert(rawget(_G, "\0concat") == nil and not pcall(function() return _G["\0concat"] end))`},
	{"next of a deleted key", "ok", `local t = {} for i = 1, 100 do t["k" .. i] = i end for k in pairs(t) do t[k] = nil t[k] = nil end assert(next(t) == nil)`},
	{"next over stale keys", "any limit", `local t = {} for i = 1, 200000 do t["k" .. i] = i t["k" .. i] = nil end while true do next(t) end`},
	{"length over trailing nils", "any limit", `local t = {} for i = 1, 1000000 do t[i] = i end for i = 1000000, 2, -1 do t[i] = nil end while true do local n = #t end`},
}

// TestHostileChild is one hostile script, run by the test below in a process
// of its own.
func TestHostileChild(t *testing.T) {
	name := os.Getenv("SANDBOX_HOSTILE")
	if name == "" {
		t.Skip("a helper of TestHostileScripts")
	}
	for _, h := range hostile {
		if h.name != name {
			continue
		}
		vm := New(Options{Print: func(string) {}, Limits: Limits{Steps: 5_000_000}})
		p, err := Compile("h.lua", []byte("-- "+h.name+"\n"+h.src), Limits{})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(context.Background(), deadlineOf(h.want))
		defer cancel()
		_, err = vm.Run(ctx, p)
		fmt.Printf("RESULT|%s|%v\n", verdictOf(err), err)
		return
	}
}

// deadlineOf is short where the deadline may be what stops the script, and long
// enough for a busy machine where it must not be.
func deadlineOf(want string) time.Duration {
	if want == "any limit" || want == "steps" {
		return 500 * time.Millisecond
	}
	return 20 * time.Second
}

func verdictOf(err error) string {
	var l *LimitError
	var s *StoppedError
	switch {
	case err == nil:
		return "ok"
	case errors.As(err, &l):
		return l.Limit
	case errors.As(err, &s):
		return "stopped"
	}
	return "error"
}

func TestHostileScripts(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a process for each script")
	}
	for _, h := range hostile {
		t.Run(h.name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			defer cancel()
			cmd := exec.CommandContext(ctx, os.Args[0], "-test.run=^TestHostileChild$", "-test.v")
			cmd.Env = append(os.Environ(), "SANDBOX_HOSTILE="+h.name)
			out, err := cmd.CombinedOutput()
			_, rest, ok := strings.Cut(string(out), "RESULT|")
			if err != nil || !ok {
				t.Fatalf("%v\n%.2000s", err, out)
			}
			line, _, _ := strings.Cut(rest, "\n")
			verdict, message, _ := strings.Cut(line, "|")
			state := cmd.ProcessState
			cpu := (state.UserTime() + state.SystemTime()).Round(time.Millisecond)
			rss := state.SysUsage().(*syscall.Rusage).Maxrss / 1024
			t.Logf("%6v %4d MB %s: %.120s", cpu, rss, verdict, message)
			switch {
			case h.want == "ok":
				if verdict != "ok" {
					t.Errorf("want no error, got %s", message)
				}
			case h.want == "any limit":
				if verdict == "ok" || verdict == "error" {
					t.Errorf("want a limit, got %s: %s", verdict, message)
				}
			case verdict == h.want || verdict == "error" && strings.Contains(message, h.want):
			case verdict == "stopped" && h.want == "steps": // when its steps are long ones
			case verdict == "stopped" && raceEnabled:
			default:
				t.Errorf("want %q, got %s: %s", h.want, verdict, message)
			}
			if h.want != "ok" && !strings.Contains(message, "h.lua:2") && !strings.Contains(message, "__tostring failed") && !strings.Contains(message, `[string "`) {
				t.Errorf("the message does not name the line: %s", message)
			}
			// Processor time, because a busy machine has its own idea of the rest.
			limit := 5 * time.Second
			if raceEnabled {
				limit *= 20
			}
			if cpu > limit {
				t.Errorf("stopped only after %v of processor time", cpu)
			}
			if rss > 256 && !raceEnabled {
				t.Errorf("used %d MB", rss)
			}
		})
	}
}
