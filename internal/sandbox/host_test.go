package sandbox

import (
	"context"
	"errors"
	"runtime"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	lua "github.com/yuin/gopher-lua"
)

// hostVM has functions that use what host functions are given.
func hostVM(t testing.TB) *VM {
	vm := newVM(t, Options{})
	vm.SetGlobal("where", vm.NewFunction(func(e Entry) int {
		e.Push(lua.LString(e.Where(vm.optInt(e.l, 1, 0)).String()))
		return 1
	}))
	vm.SetGlobal("raise", vm.NewFunction(func(e Entry) int {
		e.Raise(e.Arg(1))
		return 0
	}))
	vm.SetGlobal("call", vm.NewFunction(func(e Entry) int {
		values, err := e.Call(e.Arg(1), e.Args()[1:]...)
		if err != nil {
			if !Catchable(err) {
				e.Throw(err)
			}
			e.Push(lua.LNil)
			e.Push(lua.LString(err.Error()))
			return 2
		}
		return push(e.l, values)
	}))
	vm.SetGlobal("rethrow", vm.NewFunction(func(e Entry) int {
		_, err := e.Call(e.Arg(1))
		e.Throw(err)
		return 0
	}))
	vm.SetGlobal("stubborn", vm.NewFunction(func(e Entry) int {
		_, _ = e.Call(e.Arg(1)) // ignores even what cannot be caught
		return 0
	}))
	return vm
}

func TestWhereSeesThroughThreads(t *testing.T) {
	values, err := run(t, hostVM(t), `local a = where()
local ok, b = pcall(where)
local c = call(function()
  return where()
end)
local d = coroutine.wrap(function() local x = where() return x end)()
local e = call(function() local x = where(1)
  return x
end)
local f = select(2, pcall(pcall, where))
local g = where(5)
local h = call(where)
local _, i = pcall(string.gsub, "x", "x", function()
  local w = where()
  return w
end)
return a, b, c, d, e, g, h, i`)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, v := range values {
		got = append(got, v.String())
	}
	want := []string{"t.lua:1", "t.lua:2", "t.lua:4", "t.lua:6", "t.lua:7", "", "t.lua:12", "t.lua:14"}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestRaisedValuesKeepTheirIdentityAndFrames(t *testing.T) {
	vm := hostVM(t)
	_, err := run(t, vm, `local e = setmetatable({kind = "timeout"}, {__tostring = function(e) return "E:" .. e.kind end})
local function f()
  raise(e)
end
local function g()
  rethrow(function() local x = f() return x end)
end
coroutine.wrap(function()
  g()
end)()`)
	var r *RaisedError
	if !errors.As(err, &r) {
		t.Fatalf("error is %T %v", err, err)
	}
	if r.Message != "E:timeout" || r.Value.(*lua.LTable).RawGetString("kind") != lua.LString("timeout") {
		t.Errorf("raised %v %q", r.Value, r.Message)
	}
	var frames []string
	for _, f := range r.Frames {
		frames = append(frames, f.String()+" "+f.Func)
	}
	if d := cmp.Diff([]string{"t.lua:3 f", "t.lua:6 ", "t.lua:6 g", "t.lua:9 ", "t.lua:8 "}, frames); d != "" {
		t.Error(d)
	}
}

func TestMessagesOfUncaughtErrors(t *testing.T) {
	for src, want := range map[string]string{
		`error("text")`:    "t.lua:1: text",
		`error("text", 0)`: "text",
		`error()`:          "(error object is a nil value)",
		`error({})`:        "(error object is a table value)",
		`error(42)`:        "t.lua:1: 42",
		`error(setmetatable({}, {__tostring = function() return "shown" end}))`:             "shown",
		`error(setmetatable({}, {__tostring = function() error("bad", 0) end}))`:            "__tostring failed: bad; the error is {}",
		`error(setmetatable({}, {__tostring = function() return {} end}))`:                  "__tostring failed: it returned a table value; the error is {}",
		`call(function() error(setmetatable({}, {__tostring = error})) end) raise("after")`: "after",
	} {
		_, err := run(t, hostVM(t), src)
		if err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %q", src, err, want)
		}
	}
}

func TestHostThatIgnoresAStopCannotGoOn(t *testing.T) {
	vm := hostVM(t)
	vm.life.Load().meter.budget = 10_000
	effects := 0
	vm.SetGlobal("effect", vm.NewFunction(func(Entry) int { effects++; return 0 }))
	_, err := run(t, vm, `stubborn(function() while true do end end) effect() effect()`)
	var l *LimitError
	if !errors.As(err, &l) || effects > 0 {
		t.Errorf("%v, %d effects", err, effects)
	}
}

func TestDoRunsStoredFunctions(t *testing.T) {
	vm := hostVM(t)
	values, err := run(t, vm, `local n = 0 return function(k) n = n + k if n > 5 then error("too much") end return n end`)
	if err != nil {
		t.Fatal(err)
	}
	fn := values[0]
	var last lua.LValue
	for range 2 {
		err = vm.Do(context.Background(), func(e Entry) error {
			v, err := e.Call(fn, lua.LNumber(2))
			if err == nil {
				last = v[0]
			}
			return err
		})
	}
	if err != nil || last != lua.LNumber(4) {
		t.Errorf("%v, %v", last, err)
	}
	err = vm.Do(context.Background(), func(e Entry) error {
		_, err := e.Call(fn, lua.LNumber(2))
		return err
	})
	if err == nil || err.Error() != "t.lua:1: too much" {
		t.Error(err)
	}
	wrong := errors.New("of the host's own")
	if err := vm.Do(context.Background(), func(Entry) error { return wrong }); err != wrong {
		t.Error(err)
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	cancel(wrong)
	var s *StoppedError
	if err := vm.Do(ctx, func(Entry) error { t.Error("entered"); return nil }); !errors.As(err, &s) || !errors.Is(err, wrong) {
		t.Error(err)
	}
}

// A host function that streams gigabytes must not be held against the script.
func TestHeapWatchDoesNotBlameTheScriptForItsHost(t *testing.T) {
	vm := newVM(t, Options{Limits: Limits{HeapBytes: 16 << 20}})
	var keep [][]byte
	vm.SetGlobal("stream", vm.NewFunction(func(e Entry) int {
		e.Block(func(ctx context.Context) {
			for range 16 {
				keep = append(keep, make([]byte, 4<<20))
				select {
				case <-time.After(2 * heapInterval):
				case <-ctx.Done():
				}
			}
		})
		return 0
	}))
	_, err := run(t, vm, `stream() local s = 0 for i = 1, 3000000 do s = s + i end return s`)
	if err != nil {
		t.Error(err)
	}
	runtime.KeepAlive(keep)
	_, err = run(t, vm, `local t = {} while true do t[#t + 1] = {1, 2, 3, 4, 5, 6, 7, 8} end`)
	var l *LimitError
	if !errors.As(err, &l) || l.Limit != "heap" || l.Line != 1 {
		t.Errorf("a hoarding script: %v", err)
	}
}

func TestGarbageIsNotHeldAgainstTheScript(t *testing.T) {
	vm := newVM(t, Options{Limits: Limits{HeapBytes: 24 << 20}})
	if _, err := run(t, vm, `for i = 1, 300 do local s = ("x"):rep(1000000) .. i end`); err != nil {
		t.Error(err)
	}
}
