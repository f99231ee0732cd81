package sandbox

import (
	"context"
	"errors"
	"runtime"
	"testing"
	"time"

	lua "github.com/yuin/gopher-lua"
)

func TestGraceRunsAfterAStop(t *testing.T) {
	for name, prepare := range map[string]func(vm *VM) error{
		"steps": func(vm *VM) error { _, err := run(t, vm, `defer() while true do end`); return err },
		"panic": func(vm *VM) error { _, err := run(t, vm, `defer() gopanic()`); return err },
		"heap": func(vm *VM) error {
			_, err := run(t, vm, `defer() local t = {} while true do t[#t+1] = {} end`)
			return err
		},
		"cancelled": func(vm *VM) error {
			ctx, cancel := context.WithTimeout(context.Background(), 30*time.Millisecond)
			defer cancel()
			p, _ := Compile("t.lua", []byte(`defer() while true do pcall(sleep, 1) end`), Limits{})
			_, err := vm.Run(ctx, p)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			lim := Limits{Steps: 200_000}
			if name == "heap" {
				lim = Limits{HeapBytes: 16 << 20}
			}
			vm := batonVM(t, Options{Limits: lim})
			var fn lua.LValue
			vm.SetGlobal("defer", vm.NewFunction(func(e Entry) int {
				p, _ := Compile("d.lua", []byte(`local id = "c1" local f = function(n) local s = 0 for i = 1, n do s = s + 1 end return id .. s end id = "c2" return f`), Limits{})
				values, err := e.Call(vm.Load(p))
				if err != nil {
					e.Throw(err)
				}
				fn = values[0]
				return 0
			}))
			stopped := prepare(vm)
			if stopped == nil || Catchable(stopped) {
				t.Fatalf("stopped by %v", stopped)
			}
			var got lua.LValue
			err := vm.Grace(context.Background(), 50_000, func(e Entry) error {
				values, err := e.Call(fn, lua.LNumber(1000))
				if err == nil {
					got = values[0]
				}
				return err
			})
			if err != nil || got != lua.LString("c21000") {
				t.Errorf("cleanup returned %v, %v", got, err)
			}
			err = vm.Grace(context.Background(), 500, func(e Entry) error {
				_, err := e.Call(fn, lua.LNumber(1e9))
				return err
			})
			var l *LimitError
			if !errors.As(err, &l) || l.Limit != "steps" {
				t.Errorf("the grace's own budget: %v", err)
			}
		})
	}
}

func TestNothingIsLeftRunning(t *testing.T) {
	before := runtime.NumGoroutine()
	for range 5 {
		vm := New(Options{})
		_, err := run(t, vm, `
for i = 1, 100 do local co = coroutine.wrap(function() pcall(function() coroutine.yield(i) end) end) co() end
local t = {} for i = 1, 100 do t[i] = coroutine.create(function() coroutine.yield() end) coroutine.resume(t[i]) end`)
		if err != nil {
			t.Fatal(err)
		}
		vm.Close()
		vm.Close()
		if _, err := run(t, vm, `return 1`); err != ErrClosed {
			t.Errorf("a closed VM answers %v", err)
		}
	}
	deadline := time.Now().Add(5 * time.Second)
	for runtime.NumGoroutine() > before && time.Now().Before(deadline) {
		runtime.Gosched()
	}
	if n := runtime.NumGoroutine(); n > before {
		t.Errorf("%d goroutines, %d before", n, before)
	}
}

func TestAbandonedCoroutinesAreCollected(t *testing.T) {
	vm := newVM(t, Options{Limits: Limits{Coroutines: 500}})
	for range 20 {
		_, err := run(t, vm, `for i = 1, 200 do coroutine.wrap(function() coroutine.yield(i) end)() end`)
		if err != nil {
			t.Fatal(err)
		}
		for deadline := time.Now().Add(2 * time.Second); time.Now().Before(deadline); {
			runtime.GC()
			l := vm.life.Load()
			l.reapMu.Lock()
			n := len(l.reap)
			l.reapMu.Unlock()
			if n > 100 {
				break
			}
			runtime.Gosched()
		}
	}
	_, err := run(t, vm, `local t = {} for i = 1, 1000 do t[i] = coroutine.wrap(function() coroutine.yield(i) end) t[i]() end`)
	var l *LimitError
	if !errors.As(err, &l) || l.Limit != "coroutines" {
		t.Errorf("error is %v", err)
	}
}

func TestTwoEntriesTakeTurns(t *testing.T) {
	vm := batonVM(t, Options{})
	if _, err := run(t, vm, `return 1`); err != nil {
		t.Fatal(err)
	}
	p, _ := Compile("t.lua", []byte(`local n = 0 for i = 1, 50 do n = n + 1 sleep(0.0001) end return n`), Limits{})
	errs := make(chan error, 8)
	for range 8 {
		go func() {
			_, err := vm.Run(context.Background(), p)
			errs <- err
		}()
	}
	for range 8 {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
}
