package sandbox

import (
	"context"
	"testing"

	"github.com/mepc/mepc-run/internal/clock"
	lua "github.com/yuin/gopher-lua"
)

// Each pair compares the VM as it comes with ours on the same script.
var benchmarks = []struct{ name, src string }{
	{"loop", `local s = 0 for i = 1, 100000 do s = s + i * 2 end return s`},
	{"calls", `local function f(a, b) return a + b end local s = 0 for i = 1, 20000 do s = f(s, i) end return s`},
	{"tables", `local t = {} for i = 1, 20000 do t[i] = i end local s = 0 for i, v in ipairs(t) do s = s + v end return s`},
	{"globals", `local s = 0 for i = 1, 20000 do s = s + math.floor(i / 2) end return s`},
	{"methods", `local s = "abc" local n = 0 for i = 1, 10000 do n = n + #s:upper() end return n`},
	{"concat", `local h, n = "host", 0 for i = 1, 5000 do local s = "deploy-" .. h .. "-" .. i .. ".log" n = n + #s end return n`},
	{"modulo", `local s = 0 for i = 1, 20000 do s = s + i % 7 end return s`},
	{"pcall ok", `local f = function() return 1 end for i = 1, 5000 do pcall(f) end`},
	{"pcall error", `local f = function() error("x") end for i = 1, 1000 do pcall(f) end`},
	{"coroutine", `local co = coroutine.wrap(function() while true do coroutine.yield(1) end end) for i = 1, 5000 do co() end`},
	{"pattern find", `local s = ("x"):rep(200) .. "key = value" for i = 1, 500 do s:find("(%w+)%s*=%s*(%w+)") end`},
	{"pattern gsub", `local s = ("hello world "):rep(50) for i = 1, 100 do s:gsub("%w+", "<%0>") end`},
	{"format", `for i = 1, 5000 do string.format("%5d %s %.2f", i, "x", i / 3) end`},
	{"sort", `local t = {} for i = 1, 2000 do t[i] = (i * 7919) % 2003 end table.sort(t)`},
}

func BenchmarkScripts(b *testing.B) {
	for _, bm := range benchmarks {
		b.Run(bm.name+"/stock", func(b *testing.B) {
			L := lua.NewState()
			defer L.Close()
			fn, err := L.LoadString(bm.src)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				L.Push(fn)
				L.Call(0, 0)
			}
		})
		b.Run(bm.name+"/ours", func(b *testing.B) {
			vm := New(Options{Limits: Limits{Steps: 1 << 60}})
			defer vm.Close()
			p, err := Compile("b.lua", []byte(bm.src), Limits{})
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			err = vm.Do(context.Background(), func(e Entry) error {
				for b.Loop() {
					if _, err := e.Call(vm.Load(p)); err != nil {
						return err
					}
				}
				return nil
			})
			if err != nil {
				b.Fatal(err)
			}
		})
	}
}

func BenchmarkNewRunClose(b *testing.B) {
	p, err := Compile("b.lua", []byte(`local x = 1 return x`), Limits{})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		vm := New(Options{})
		if _, err := vm.Run(context.Background(), p); err != nil {
			b.Fatal(err)
		}
		vm.Close()
	}
}

func BenchmarkCompile(b *testing.B) {
	src := []byte("local t = {}\n")
	for range 200 {
		src = append(src, "t[#t + 1] = {name = 'x' .. #t, port = 8080 + #t % 10}\n"...)
	}
	for b.Loop() {
		if _, err := Compile("b.lua", src, Limits{}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkWhere(b *testing.B) {
	vm := New(Options{})
	defer vm.Close()
	vm.SetGlobal("host", vm.NewFunction(func(e Entry) int {
		for b.Loop() {
			e.Where(0)
		}
		return 0
	}))
	p, _ := Compile("b.lua", []byte(`host()`), Limits{})
	if _, err := vm.Run(context.Background(), p); err != nil {
		b.Fatal(err)
	}
}

func BenchmarkParallel100(b *testing.B) {
	for b.Loop() {
		vm := batonVM(b, Options{Clock: clock.NewVirtual(epoch)})
		if _, err := run(b, vm, `local fs = {} for i = 1, 100 do fs[i] = function() sleep(1) return i end end parallel(fs)`); err != nil {
			b.Fatal(err)
		}
		vm.Close()
	}
}
