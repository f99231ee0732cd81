package sandbox

import (
	"context"
	"strings"
	"testing"

	lua "github.com/yuin/gopher-lua"
)

// The bugs that the sandbox works around, seen in the VM as it comes. When one
// of these tests fails, an update has repaired the VM and its workaround may go.

func stock(t *testing.T, src string) string {
	t.Helper()
	L := lua.NewState()
	defer L.Close()
	var b strings.Builder
	L.SetGlobal("print", L.NewFunction(func(L *lua.LState) int {
		for i := 1; i <= L.GetTop(); i++ {
			b.WriteString(L.ToStringMeta(L.Get(i)).String() + " ")
		}
		return 0
	}))
	if err := L.DoString(src); err != nil {
		return "error"
	}
	return strings.TrimSpace(b.String())
}

var stockBugs = []struct{ name, src, lua string }{
	{"pcall loses what a closure wrote", `local x = 1 local function inc() x = x + 1 end pcall(error, "b") inc() print(x)`, "2"},
	{"a yield across pcall is lost", `local co = coroutine.wrap(function() local ok, v = pcall(function() return coroutine.yield(1) end) return v end) co() print(co("back"))`, "back"},
	{"a swap of locals loses one", `local x, y = 1, 2 x, y = y, x print(x, y)`, "2 1"},
	{"x = nil and y leaves x", `local x, t = 1, {} x = t.y and 5 print(x)`, "nil"},
	{"x = (f(x)) of a parameter", `local function g(x) x = (tostring(x)) return x end print(pcall(g, 5))`, "true 5"},
	{"a loop that begins with break", `local n = 0 for i = 1, 3 do for _ in pairs({1, 2}) do break end n = n + 1 if n > 9 then break end end print(n)`, "3"},
	{"a loop that begins with a constant and", `local s = "" for _, v in ipairs({"a", "b"}) do local x = true or v s = s .. v if #s > 9 then break end end print(s)`, "ab"},
	{"t, t.x assigns to the new t", `local t = {} local old = t t, t.x = {}, 5 print(old.x, t.x)`, "5 nil"},
	{"local f = function sees itself", `local f = function() return "outer" end do local f = function(n) if n then return f() end end print(f(true)) end`, "outer"},
	{"for k in next, t does not start", `local n = 0 for k, v in next, {10, 20} do n = n + v end print(n)`, "30"},
	{"(-1)[k] = v writes to a register", `local o = {} print(pcall(function() (-1)[o] = 1 end)) print(pcall(function() (1 + 2).x = 1 end))`, "false t.lua:1: attempt to index a number value\nfalse t.lua:1: attempt to index a number value"},
	{"x = f(), g() assigns before g is called", `local n = 1 n = tonumber("2"), print(n)`, "1"},
	{"for x in f starts with what is in its registers", `local s = "" local function it(_, c) s = s .. tostring(c) .. " " if not c then return 1 end end for x in it do end for x in it do end print(s)`, "nil 1 nil 1"},
	{"{1, k = f()} has two values", `local t = {1, k = tostring(7)} print(#t, t[2])`, "1 nil"},
	{"{fifty values, k = f()} loses the first", `local t = ` + fifty + `, k = tostring("v")} print(#t, t[1], t.k)`, "50 1 v"},
	{"{fifty values, f()} loses the first", `local t = ` + fifty + `, tostring("v")} print(#t, t[1], t[51])`, "51 1 v"},
	{"010 is eight", `print("010" + 0)`, "10"},
	{"-6 % 3 is minus zero", `print(1 / (-6 % 3) > 0)`, "true"},
	{"1e15 prints in full", `print(1e15)`, "1e+15"},
	{"math.huge is finite", `print(math.huge == 1 / 0)`, "true"},
}

// fifty begins a table of fifty values.
var fifty = "{" + strings.Repeat("1, ", 49) + "1"

func TestStockHasTheBugsThatWeWorkAround(t *testing.T) {
	for _, b := range stockBugs {
		if got := stock(t, b.src); got == b.lua {
			t.Errorf("%s: repaired upstream", b.name)
		}
		o, err := runScript(t, b.src, Options{})
		if got := strings.TrimSpace(strings.ReplaceAll(o.out, "\t", " ")); err != nil || got != b.lua {
			t.Errorf("%s: ours gives %q, %v", b.name, got, err)
		}
	}
}

func TestStockCoroutinesEscapeTheStepCounter(t *testing.T) {
	L := lua.NewState()
	defer L.Close()
	count := &countingContext{Context: context.Background()}
	L.SetContext(count)
	src := `local co = coroutine.create(function() local s = 0 for i = 1, 10000 do s = s + i end end) coroutine.resume(co)`
	if err := L.DoString(src); err != nil {
		t.Fatal(err)
	}
	if count.n > 1000 {
		t.Errorf("repaired upstream: %d steps counted", count.n)
	}
	vm := newVM(t, Options{})
	if _, err := run(t, vm, src); err != nil || vm.Steps() < 20000 {
		t.Errorf("ours counted %d steps, %v", vm.Steps(), err)
	}
}

type countingContext struct {
	context.Context
	n int
}

func (c *countingContext) Done() <-chan struct{} {
	c.n++
	return nil
}
