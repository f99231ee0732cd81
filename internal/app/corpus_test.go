package app_test

import (
	"bytes"
	"cmp"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mepc/mepc-run/modules/std"
	"github.com/mepc/mepc-run/runtime"
)

// hostile is a recipe that tries to go on for ever, to take all memory, or to end so
// that nothing is undone.
type hostile struct {
	name, src string
	exit      int // 23: a limit; 5: an error of the recipe; 13: --timeout
	steps     int // its budget is so much; 0: 1,000,000
}

// endless are the corpus' recipes that somebody wrote.
var endless = []hostile{
	{"a loop", `while true do end`, 23, 0},
	{"a loop that catches all", `while true do pcall(function() while true do end end) end`, 23, 0},
	{"a loop in a step", `step("s", function() while true do end end)`, 23, 0},
	{"a loop in each branch", `local f = function() while true do end end parallel{f, f, f}`, 23, 0},
	{"a loop in a coroutine", `coroutine.wrap(function() while true do coroutine.yield(pcall(error)) end end)() while true do end`, 23, 0},
	{"branches without end", `local function f() parallel{f, f} end f()`, 23, 0},
	{"parallel of many", `local t = {} for i = 1, 1e5 do t[i] = function() end end while true do parallel(t) end`, 23, 0},
	{"retry at once", `while true do pcall(retry, function() error("x") end, {attempts = 1000, delay = 0}) end`, 23, 0},
	{"sleeps", `sleep("1h")`, 13, 0},
	{"sleeps in branches", `parallel{function() sleep("1h") end, function() while true do sleep(0.001) end end}`, 13, 0},
	{"steps without end", `while true do step("s", function() end) end`, 23, 0},
	{"steps inside steps", `local function f() step("s", f) end f()`, 23, 0},
	{"prints without end", `local s = ("x"):rep(1000) while true do print(s) end`, 23, 0},
	{"logs without end", `local s = ("x"):rep(1000) while true do log(s, {s = s}) end`, 23, 0},
	{"defers without end", `while true do defer("d", function() end) end`, 23, 0},
	{"compares long strings", `local a, b = ("x"):rep(8*2^20), ("x"):rep(8*2^20) while a == b do end`, 23, 0},
	{"looks up long names", `local a, t = ("x"):rep(8*2^20), {} while not t[a] do end`, 23, 0},
	{"backtracks", `string.find(("a"):rep(300000), ("a-"):rep(30) .. "b")`, 23, 0},
	{"sorts by chance", `local t = {} for i = 1, 1e5 do t[i] = i end while true do pcall(table.sort, t, function() return math.random() < .5 end) end`, 23, 0},
	{"compiles without end", `local s = ("local x = 1 "):rep(100) while true do loadstring(s) end`, 23, 0},
	{"suggests", `local x = _G[("a"):rep(15e6)]`, 5, 0},
	{"suggests without end", `while true do pcall(function() return _G[("a"):rep(90)] end) end`, 23, 0},
	{"hashes", `local s = ("x"):rep(16*2^20) while true do sha256(s) end`, 23, 0},
	{"keeps text", `local t = {} while true do t[#t + 1] = ("x"):rep(2^20) .. #t end`, 23, 0},
	{"keeps tables", `local t = {} while true do t[#t + 1] = {#t, {}} end`, 23, 0},
	{"keeps names", `local t, i = {}, 0 while true do i = i + 1 t["k" .. i] = i end`, 23, 0},
	{"keeps closures", `local t = {} while true do t[#t + 1] = function() return t end end`, 23, 0},
	{"keeps coroutines", `local t = {} while true do t[#t + 1] = coroutine.wrap(function() coroutine.yield() end) t[#t]() end`, 23, 0},
	{"keeps arrays with one far field", `local t = {} while true do t[#t + 1] = {} t[#t][2^20 - 1] = 1 end`, 23, 0},
	{"keeps what it decoded", `local t, s = {}, "[" .. ("{\"a\":[1]},"):rep(1e4) .. "1]" while true do t[#t + 1] = json.decode(s) end`, 23, 0},
	{"keeps what it encoded", `local t, s = {}, ("\0"):rep(2^20) while true do t[#t + 1] = json.encode(s) end`, 23, 0},
	{"keeps dates", `local t = {} while true do t[#t + 1] = os.date(("%c"):rep(2^16)) end`, 23, 0},
	{"keeps templates", `local t = {} while true do t[#t + 1] = template("${a}", {a = ("x"):rep(2^20) .. #t}) end`, 23, 0},
	{"keeps errors", `local t = {} while true do t[#t + 1] = select(2, try(error, ("x"):rep(2^16) .. #t)) end`, 23, 0},
	{"doubles text", `local s = "x" while true do s = s .. s end`, 23, 0},
	{"a long text", `local s = ("x"):rep(1e10)`, 23, 0},
	{"a bomb of replacements", `local s = ("a"):rep(1e5):gsub(".*", ("%0"):rep(1e5))`, 23, 0},
	{"a bomb of templates", `template(("${a}"):rep(200), {a = ("x"):rep(16*2^20)})`, 23, 0},
	{"a bomb of concat", `local t = {} for i = 1, 1000 do t[i] = "x" end table.concat(t, ("y"):rep(2e6))`, 23, 0},
	{"a shared table, encoded", `local t = {1} for i = 1, 40 do t = {t, t} end json.encode(t)`, 23, 0},
	{"a shared table, logged", `local t = {1} for i = 1, 40 do t = {t, t} end log("x", {t = t})`, 23, 0},
	{"a shared table, raised", `local t = {1} for i = 1, 40 do t = {t, t} end error(t)`, 5, 0},
	{"a deep table, encoded", `local t = {} for i = 1, 1e5 do t = {t} end json.encode(t)`, 4, 0},
	{"recurses", `local function f() return 1 + f() end f()`, 5, 0},
	{"recurses in pcall", `local function f() pcall(f) f() end f()`, 23, 0},
	{"recurses in its metamethods", `local t = setmetatable({}, {__index = function(t, k) return t[k .. "x"] end}) local x = t.a`, 5, 0},
	{"raises what raises", `error(setmetatable({code=7}, {__tostring=function(s) return "code " .. s.kode end}))`, 5, 0},
	{"raises what does not end", `error(setmetatable({}, {__tostring=function() while true do end end}))`, 5, 0},
	{"raises what waits", `error(setmetatable({}, {__tostring=function() sleep(1e6) return "" end}))`, 5, 0},
	{"raises what yields", `error(setmetatable({}, {__tostring=function() return coroutine.yield() end}))`, 5, 0},
	{"raises what catches", `error(setmetatable({}, {__tostring=function() while true do pcall(error) end end}))`, 5, 0},
	{"raises what grows", `error(setmetatable({}, {__tostring=function() local t = {} while true do t[#t+1] = ("x"):rep(2^20) .. #t end end}))`, 5, 0},
	{"raises itself", `error(setmetatable({}, {__tostring=function(s) error(s) end}))`, 5, 0},
	{"raises a long text", `error(("x"):rep(16*2^20))`, 5, 0},
	{"raises a table in itself", `local t = {} t[t] = t t.t = t error(t)`, 5, 0},
	{"raises nothing", `error()`, 5, 0},
	{"raises in a coroutine", `coroutine.wrap(function() error(setmetatable({}, {__tostring=error})) end)()`, 5, 0},
	{"raises with a long kind", `error({kind = ("x"):rep(2^20), message = ("y"):rep(2^20), hint = ("z"):rep(2^20)})`, 5, 0},
	{"returns what is large", `local t = {1} for i = 1, 40 do t = {t, t} end undone() return t`, 5, 0},
	{"fails with much", `fail(("x"):rep(2^20), {hint = ("x"):rep(2^20)})`, 5, 0},
}

// worst are arguments that make much work of little, or hold much: of 2^SIZE bytes.
const worst = `
local big = 2^SIZE
local long, odd = ("x"):rep(big), setmetatable({}, {__tostring = function() return ("y"):rep(big) end, __index = function(t, k) return k end})
local shared, deep, self, wide, fields = {1}, {}, {}, {}, {}
for i = 1, 40 do shared = {shared, shared} end
for i = 1, big / 200 do deep, wide[i], fields["k" .. i] = {deep}, "1.2.3", "v" end
self.me, self[1] = self, self
local all = {long, ("9"):rep(big), ("\0"):rep(big), ("${a}"):rep(big / 4), ("["):rep(big / 4), "[" .. ("1,"):rep(big / 8) .. "1]", ("%c"):rep(big / 8), shared, deep, self,
  wide, fields, odd, 1e15, -1e15, 1e308, 0/0, 0, true, {a = long}, {versions = wide}, function() return long end}
local f = FUNCTION
if type(f) ~= "function" then f = tostring end
while true do for i = 1, #all do for j = 1, #all do
  pcall(f, all[i], all[j], all[(i + j) % #all + 1])
end pcall(f, all[i]) pcall(f, "big", all[i]) end end`

// corpus is all of them, with one for each function of the tables.
func corpus(size int) []hostile {
	all := slices.Clone(endless)
	host := runtime.New(runtime.Options{Modules: std.Modules(std.Options{})})
	var names []string
	for _, m := range host.Modules() {
		for _, f := range m.Funcs {
			switch {
			case m.Name == "":
				names = append(names, f.Name)
			case f.Name != "":
				names = append(names, m.Name+"."+f.Name)
			}
		}
	}
	for lib, members := range host.Standard() {
		for _, m := range members {
			if lib != "_G" {
				names = append(names, lib+"."+m)
			}
		}
		if len(members) == 0 {
			names = append(names, lib)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		all = append(all, hostile{name, strings.NewReplacer("FUNCTION", name, "SIZE", strconv.Itoa(size)).Replace(worst), 23, 300_000})
	}
	return all
}

// TestHostileRecipesEnd runs the corpus, each recipe in a process, with little of
// everything: it ends within its limits, says where, and what it did is undone. With
// MEPC_HOSTILE=all (make hostile) arguments and budgets are larger; where time is short,
// it is one of each few recipes.
func TestHostileRecipesEnd(t *testing.T) {
	t.Parallel()
	size, times, each := 19, 1, 1
	switch {
	case os.Getenv("MEPC_HOSTILE") == "all":
		size, times = 22, 10
	case testing.Short(), raceDetector:
		each = 27
	}
	all := corpus(size)
	if len(all) < 120 {
		t.Fatalf("%d recipes", len(all))
	}
	dir := t.TempDir()
	write(t, filepath.Join(dir, "big"), strings.Repeat("big ", 1<<18))
	for i := 0; i < len(all); i += each {
		h := all[i]
		t.Run(h.name, func(t *testing.T) {
			t.Parallel()
			h.run(t, dir, fmt.Sprintf("r%d.lua", i), times*cmp.Or(h.steps, 1_000_000))
		})
	}
}

// hostileTime limits the time one may compute. That --timeout is longer, since the machine
// has its own idea of the rest.
const hostileTime = 10 * time.Second

func (h hostile) run(t *testing.T, dir, name string, steps int) {
	write(t, filepath.Join(dir, name), `defer("undo", function() print("was undone") end)`+"\n"+h.src)
	args := []string{name, "--state", "state-" + name, "--max-steps", strconv.Itoa(steps), "--grace", "20s", "--timeout", "2m"}
	if h.exit == 13 {
		args[len(args)-1] = "1s"
	}
	cmd := exec.Command("mepc-run", args...)
	out := &bounded{}
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, out, out
	cmd.Env = append(os.Environ(), "GORACE=atexit_sleep_ms=0", "HOME="+dir, "DOCKER_HOST=unix:///nowhere", "REDIS_URL=unix:///nowhere", "GOMAXPROCS=2")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	hangs := time.AfterFunc(5*time.Minute, func() { _ = cmd.Process.Kill() })
	_ = cmd.Wait()
	hangs.Stop()
	text := out.String()
	used := cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	resident := cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss >> 10
	t.Logf("exit %d, %.2fs, %d MB", cmd.ProcessState.ExitCode(), used.Seconds(), resident)
	if code := cmd.ProcessState.ExitCode(); code != h.exit {
		t.Errorf("exit %d, want %d", code, h.exit)
	}
	if h.name != "params" && !strings.Contains(text, "was undone") { // nothing was done before a params{}

		t.Error("nothing is undone")
	}
	if !strings.Contains(text, name+":") {
		t.Error("it does not name the line")
	}
	if strings.Contains(text, "did not stop") {
		t.Error("it had to be abandoned")
	}
	if !raceDetector && resident > 256 {
		t.Errorf("%d MB were resident", resident)
	}
	if used > hostileTime+time.Second {
		t.Errorf("it computed for %s", used)
	}
	if t.Failed() {
		t.Logf("%s\n%s", h.src, text)
	}
}

const keepLast = 128 << 10

// bounded keeps the beginning and the end of what is written.
type bounded struct{ first, last bytes.Buffer }

func (b *bounded) Write(p []byte) (int, error) {
	n := len(p)
	if room := 4<<10 - b.first.Len(); room > 0 {
		b.first.Write(p[:min(room, len(p))])
	}
	b.last.Write(p)
	if b.last.Len() > 1<<21 {
		b.last.Next(b.last.Len() - keepLast)
	}
	return n, nil
}

func (b *bounded) String() string {
	last := b.last.Bytes()
	return b.first.String() + "\n...\n" + string(last[max(0, len(last)-keepLast):])
}
