package sandbox

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/mepc/mepc-run/internal/clock"
	lua "github.com/yuin/gopher-lua"
)

var epoch = time.Date(2020, 1, 2, 3, 4, 5, 0, time.UTC)

// batonVM has sleep(seconds), parallel(fns, limit, collect) and host functions
// that fail in ways of their own.
func batonVM(t testing.TB, opts Options) *VM {
	vm := New(opts)
	t.Cleanup(vm.Close)
	vm.SetGlobal("sleep", vm.NewFunction(func(e Entry) int {
		d := time.Duration(float64(vm.checkNumber(e.l, 1)) * float64(time.Second))
		if err := e.Sleep(d); err != nil {
			e.Errorf("sleep: %v", err)
		}
		return 0
	}))
	vm.SetGlobal("now", vm.NewFunction(func(e Entry) int {
		e.Push(lua.LNumber(vm.clock.Now().Sub(epoch).Seconds()))
		return 1
	}))
	vm.SetGlobal("parallel", vm.NewFunction(func(e Entry) int {
		tb := vm.checkTable(e.l, 1)
		var branches []Branch
		for i := 1; i <= tb.Len(); i++ {
			branches = append(branches, Branch{Fn: tb.RawGetInt(i), Args: []lua.LValue{lua.LNumber(i)}})
		}
		results, err := e.Parallel(branches, ParallelOptions{Limit: vm.optInt(e.l, 2, 0), Collect: lua.LVAsBool(e.Arg(3))})
		if err != nil {
			e.Throw(err)
		}
		out := NewTable(0, 0)
		for i, r := range results {
			switch {
			case r.Err != nil:
				out.RawSetInt(i+1, lua.LString("error: "+r.Err.Error()))
			case len(r.Values) > 0:
				out.RawSetInt(i+1, r.Values[0])
			default:
				out.RawSetInt(i+1, lua.LTrue)
			}
		}
		e.Push(out)
		return 1
	}))
	vm.SetGlobal("gopanic", vm.NewFunction(func(Entry) int {
		return []int{}[len(os.Args[1:])*0]
	}))
	vm.SetGlobal("block", vm.NewFunction(func(e Entry) int {
		e.Block(func(ctx context.Context) { <-ctx.Done() })
		return 0
	}))
	return vm
}

const sharedScript = `
local count, order, caught = 0, {}, 0
local fs = {}
for i = 1, 200 do
  fs[i] = function()
    for k = 1, 5 do
      local ok, e = pcall(function() sleep(0.0005 * ((i * 7 + k) % 5)); count = count + 1; if k == 3 then error({code="E"..k}) end end)
      if not ok then caught = caught + 1; assert(e.code == "E3") end
    end
    order[#order+1] = i
    return i
  end
end
local res = parallel(fs)
for i = 1, 200 do assert(res[i] == i) end
print(count, caught, now and table.concat(order, ","))
`

func collect(opts *Options) *strings.Builder {
	var b strings.Builder
	opts.Print = func(line string) { b.WriteString(line + "\n") }
	return &b
}

func TestBranchesShareUpvaluesOnTheWallClock(t *testing.T) {
	var opts Options
	out := collect(&opts)
	if _, err := run(t, batonVM(t, opts), sharedScript); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(out.String(), "1000\t200\t") {
		t.Errorf("printed %.60q", out.String())
	}
}

func TestVirtualRunsAreTheSameEveryTime(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	type seen struct {
		out   string
		steps int64
		at    time.Time
	}
	one := func(shuffle int64) seen {
		v := clock.NewVirtual(epoch)
		opts := Options{Clock: v, Shuffle: shuffle}
		out := collect(&opts)
		vm := batonVM(t, opts)
		if _, err := run(t, vm, sharedScript); err != nil {
			t.Fatal(err)
		}
		return seen{out.String(), vm.Steps(), v.Now()}
	}
	first, shuffled := one(0), one(7)
	for i := range 12 {
		runtime.GOMAXPROCS(1 + i%4)
		if got := one(0); got != first {
			t.Fatalf("run %d differs: %d steps at %v, want %d at %v", i, got.steps, got.at, first.steps, first.at)
		}
		if got := one(7); got != shuffled {
			t.Fatalf("shuffled run %d differs", i)
		}
	}
	if shuffled.out == first.out {
		t.Error("the shuffle changed nothing")
	}
}

func TestVirtualSleepsOverlap(t *testing.T) {
	v := clock.NewVirtual(epoch)
	opts := Options{Clock: v}
	out := collect(&opts)
	vm := batonVM(t, opts)
	var fired []string
	v.After(1500*time.Millisecond, func() { fired = append(fired, "event at "+v.Now().Sub(epoch).String()) })
	start := time.Now()
	_, err := run(t, vm, `
parallel{
  function() sleep(3600) print("a", now()) end,
  function() sleep(1) print("b", now()) sleep(1) print("b2", now()) end,
  function() print("c", now()) parallel{function() sleep(2) print("c1", now()) end, function() sleep(1) print("c2", now()) end} print("c3", now()) end,
}
sleep(10) print("end", now(), os.clock())`)
	if err != nil {
		t.Fatal(err)
	}
	want := "c\t0\nb\t1\nc2\t1\nc1\t2\nc3\t2\nb2\t2\na\t3600\nend\t3610\t3610\n"
	if d := cmp.Diff(want, out.String()); d != "" {
		t.Errorf("order differs (-want +got):\n%s", d)
	}
	if d := cmp.Diff([]string{"event at 1.5s"}, fired); d != "" {
		t.Error(d)
	}
	if time.Since(start) > 10*time.Minute {
		t.Error("virtual time took real time")
	}
}

func TestFiveThousandBranches(t *testing.T) {
	for _, c := range []clock.Clock{clock.Wall{}, clock.NewVirtual(epoch)} {
		opts := Options{Clock: c}
		out := collect(&opts)
		_, err := run(t, batonVM(t, opts), `
local fs, n = {}, 0
for i = 1, 5000 do fs[i] = function() sleep(0.1) n = n + 1 return i end end
local r = parallel(fs) print(#r, n, r[5000])`)
		if err != nil || out.String() != "5000\t5000\t5000\n" {
			t.Errorf("%T: %v, printed %q", c, err, out)
		}
	}
}

func TestParallelLimit(t *testing.T) {
	opts := Options{Clock: clock.NewVirtual(epoch)}
	out := collect(&opts)
	_, err := run(t, batonVM(t, opts), `
local fs, alive, most = {}, 0, 0
for i = 1, 100 do fs[i] = function() alive = alive + 1 most = math.max(most, alive) sleep(1) alive = alive - 1 end end
parallel(fs, 7) print(most, now())`)
	if err != nil || out.String() != "7\t15\n" {
		t.Errorf("%v, printed %q", err, out)
	}
}

func TestBranchErrorCancelsSiblingsAndNamesItsBranch(t *testing.T) {
	for _, c := range []clock.Clock{clock.Wall{}, clock.NewVirtual(epoch)} {
		opts := Options{Clock: c}
		out := collect(&opts)
		vm := batonVM(t, opts)
		start := time.Now()
		_, err := run(t, vm, `
local function inner() error({msg = "kaput"}) end
local function branch() sleep(0.01) inner() return 1 end
parallel{ function() sleep(100) print("never") end,
  function() parallel{function() sleep(200) end, function() branch() end} end,
  function() pcall(sleep, 100) print("never either") end,
}`)
		if time.Since(start) > 50*time.Second {
			t.Error("the siblings were not cancelled")
		}
		var r *RaisedError
		if !errors.As(err, &r) {
			t.Fatalf("%T: error is %T %v", c, err, err)
		}
		if d := cmp.Diff([]int{2, 2}, r.Branch); d != "" {
			t.Errorf("branch path: %s", d)
		}
		var frames []string
		for _, f := range r.Frames {
			frames = append(frames, fmt.Sprintf("%s %s %d", f, f.Func, f.Branch))
		}
		want := []string{
			"t.lua:2 inner 0", "t.lua:3 branch 0", "t.lua:5  0", "t.lua:5  2", "t.lua:4  2",
		}
		if d := cmp.Diff(want, frames); d != "" {
			t.Errorf("frames (-want +got):\n%s", d)
		}
		if out.Len() > 0 {
			t.Errorf("printed %q", out)
		}
		if got := r.Value.(*lua.LTable).RawGetString("msg"); got != lua.LString("kaput") {
			t.Errorf("the value is %v", got)
		}
	}
}

func TestCollectLeavesSiblingsAlone(t *testing.T) {
	opts := Options{Clock: clock.NewVirtual(epoch)}
	out := collect(&opts)
	_, err := run(t, batonVM(t, opts), `
local r = parallel({function() sleep(2) return "a" end, function() error("b") end, function() sleep(1) return "c" end}, 0, true)
print(r[1], r[2], r[3], now())`)
	if err != nil || out.String() != "a\terror: t.lua:2: b\tc\t2\n" {
		t.Errorf("%v, printed %q", err, out)
	}
}

func TestErrorOfParallelCanBeCaught(t *testing.T) {
	opts := Options{Clock: clock.NewVirtual(epoch)}
	out := collect(&opts)
	_, err := run(t, batonVM(t, opts), `
local ok, e = pcall(parallel, {function() sleep(1) end, function() error({code = 7}) end})
print(ok, e.code, now())
parallel{function() sleep(1) end} print(now())`)
	if err != nil || out.String() != "false\t7\t0\n1\n" {
		t.Errorf("%v, printed %q", err, out)
	}
}

func TestCancelledWaitingBranchesNeverStart(t *testing.T) {
	vm := batonVM(t, Options{Clock: clock.NewVirtual(epoch)})
	err := vm.Do(context.Background(), func(e Entry) error {
		p, _ := Compile("t.lua", []byte(`return function() error("x") end, function() return 1 end`), Limits{})
		fns, err := e.Call(vm.Load(p))
		if err != nil {
			return err
		}
		results, err := e.Parallel([]Branch{{Fn: fns[0]}, {Fn: fns[1]}, {Fn: lua.LNumber(1)}}, ParallelOptions{Limit: 1})
		if r, ok := err.(*RaisedError); !ok || r.Message != "t.lua:1: x" {
			t.Errorf("error is %v", err)
		}
		if results[1].Err != ErrNotStarted || results[2].Err != ErrNotStarted {
			t.Errorf("results are %v", results)
		}
		results, err = e.Parallel([]Branch{{Fn: lua.LNumber(1)}}, ParallelOptions{Collect: true})
		if err != nil || results[0].Err.Error() != "attempt to call a number value" {
			t.Errorf("results are %v, %v", results, err)
		}
		results, err = e.Parallel(nil, ParallelOptions{})
		if err != nil || len(results) != 0 {
			t.Errorf("results are %v, %v", results, err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestCancellationCannotBeCaught(t *testing.T) {
	cause := errors.New("ctrl-c")
	for name, src := range map[string]string{
		"loop":              `while true do end`,
		"pcall loop":        `while true do pcall(function() while true do end end) end`,
		"xpcall handler":    `while true do xpcall(function() while true do end end, function() while true do end end) end`,
		"pcall sleep":       `while true do pcall(sleep, 10) end`,
		"blocked":           `while true do pcall(block) end`,
		"coroutine":         `local co = coroutine.create(function() while true do pcall(function() while true do end end) end end) while true do coroutine.resume(co) end`,
		"wrap":              `while true do pcall(coroutine.wrap(function() while true do end end)) end`,
		"yield loop":        `local co = coroutine.create(function() while true do coroutine.yield() end end) while true do assert(coroutine.resume(co)) end`,
		"in branches":       `parallel{function() while true do pcall(sleep, 5) end end, function() while true do pcall(function() while true do end end) end end}`,
		"collected":         `while true do pcall(parallel, {function() while true do pcall(sleep, 5) end end}, 0, true) end`,
		"effect after":      `pcall(sleep, 10) effect()`,
		"effect in error":   `xpcall(function() sleep(10) end, function() effect() end) effect()`,
		"effect as handler": `xpcall(function() sleep(10) end, effect)`,
		"gsub callback":     `("a"):rep(1000):gsub("a", function() while true do end end)`,
		"sort":              `local t = {} for i = 1, 1000 do t[i] = -i end table.sort(t, function(a, b) while true do end end)`,
		"metamethod":        `local t = setmetatable({}, {__index = function() while true do end end}) return t.x`,
		"tostring":          `return tostring(setmetatable({}, {__tostring = function() while true do end end}))`,
		"backtracking":      `return string.find(("a"):rep(40), ("a-"):rep(30) .. "b")`,
		"effect in branch":  `pcall(parallel, {function() pcall(sleep, 10) effect() end}) effect()`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			vm := batonVM(t, Options{Limits: Limits{Steps: 1 << 50}})
			var effects atomic.Int64
			vm.SetGlobal("effect", vm.NewFunction(func(Entry) int { effects.Add(1); return 0 }))
			p, err := Compile("t.lua", []byte(src), Limits{})
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancelCause(context.Background())
			time.AfterFunc(60*time.Millisecond, func() { cancel(cause) })
			start := time.Now()
			_, err = vm.Run(ctx, p)
			var s *StoppedError
			if !errors.As(err, &s) || !errors.Is(err, cause) {
				t.Errorf("error is %T %v", err, err)
			} else if s.File != "t.lua" || s.Line != 1 {
				t.Errorf("stopped at %s:%d", s.File, s.Line)
			}
			if time.Since(start) > 30*time.Second {
				t.Errorf("stopped only after %v", time.Since(start))
			}
			if n := effects.Load(); n > 0 {
				t.Errorf("%d effects after the cancellation", n)
			}
		})
	}
}

func TestStepBudgetIsExact(t *testing.T) {
	for _, src := range []string{
		`while true do end`,
		`while true do pcall(function() while true do end end) end`,
		`local co = coroutine.create(function() while true do end end) coroutine.resume(co) while true do end`,
		`parallel{function() while true do end end, function() sleep(10) end}`,
		`parallel({function() while true do end end, function() while true do sleep(1) end end}, 0, true)`,
		`while true do string.find(("a"):rep(100), ".-b") end`,
		`while true do pcall(string.rep, "x", 1000) end`,
	} {
		for _, c := range []clock.Clock{clock.NewVirtual(epoch), clock.Wall{}} {
			vm := batonVM(t, Options{Limits: Limits{Steps: 300_001}, Clock: c})
			_, err := run(t, vm, src)
			var l *LimitError
			if !errors.As(err, &l) || l.Limit != "steps" || l.Line != 1 {
				t.Errorf("%s: error is %T %v", src, err, err)
			}
			if n := vm.Steps(); n != 300_001 {
				t.Errorf("%s: %d steps used", src, n)
			}
		}
	}
	// With a budget of as many steps as they take programs end, with one fewer
	// they do not.
	for _, src := range []string{`local x = 1`, `local s = 0 for i = 1, 1000 do s = s + i % 7 end return ("x"):rep(100)`} {
		vm := batonVM(t, Options{})
		if _, err := run(t, vm, src); err != nil {
			t.Fatal(err)
		}
		steps := vm.Steps()
		if src == `local x = 1` && steps != 2 { // LOADK, RETURN
			t.Errorf("two instructions cost %d steps", steps)
		}
		for budget, ok := range map[int64]bool{steps: true, steps - 1: false} {
			vm := batonVM(t, Options{Limits: Limits{Steps: budget}})
			_, err := run(t, vm, src)
			if (err == nil) != ok {
				t.Errorf("%s with %d steps: %v", src, budget, err)
			}
			if n := vm.Steps(); n != budget {
				t.Errorf("%s with %d steps used %d", src, budget, n)
			}
		}
	}
}

func TestPanicInHostIsNotCaught(t *testing.T) {
	for _, src := range []string{
		`pcall(gopanic)`,
		"\npcall(function() xpcall(gopanic, print) end)",
		`coroutine.wrap(function() pcall(gopanic) end)()`,
		`pcall(parallel, {function() gopanic() end, function() block() end}, 0, true)`,
		`("x"):gsub("x", gopanic)`,
	} {
		vm := batonVM(t, Options{})
		_, err := run(t, vm, src)
		var p *PanicError
		if !errors.As(err, &p) {
			t.Fatalf("%s: error is %T %v", src, err, err)
		}
		if !strings.Contains(string(p.Stack), "baton_test.go") {
			t.Errorf("%s: the stack does not show the place:\n%s", src, p.Stack)
		}
		if want := 1 + strings.Count(src, "\n"); p.Line != want {
			t.Errorf("%s: line %d", src, p.Line)
		}
		if _, err := run(t, vm, `return 1`); !errors.As(err, &p) {
			t.Errorf("the VM goes on after a panic: %v", err)
		}
	}
}
