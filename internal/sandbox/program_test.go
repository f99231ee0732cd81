package sandbox

import (
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	lua "github.com/yuin/gopher-lua"
)

func TestSyntaxErrorsNameTheirPlace(t *testing.T) {
	for _, c := range []struct{ src, want string }{
		{"x = = 1", "f.lua:1: unexpected symbol near '='"},
		{"local a = 1\nlocal b = 'abc", "f.lua:2: unfinished string near '<eof>'"},
		{"for i = 1 do", "f.lua:1: ',' expected near 'do'"},
		{"\n\nif true then\n  print(1)\n\n\n", "f.lua:7: 'end' expected (to close 'if' at line 3) near '<eof>'"},
		{"", ""},
		{"#!/usr/bin/env mepc-run\nlocal x = = 1", "f.lua:2: unexpected symbol near '='"},
		{"#!/usr/bin/env mepc-run", ""},
		{"\xef\xbb\xbflocal x = 1", ""},
		{"break", "f.lua:1: no loop to break"},
		{"goto nowhere", "f.lua:2: no visible label 'nowhere' for <goto> at line 1"},
		{"local x = 1\nfunction f() return ... end", "f.lua:2: cannot use '...' outside a vararg function"},
		{"local x = 0x", "f.lua:1: malformed number near '0x'"},
		{"local x = 1e", "f.lua:1: malformed number near '1e'"},
		{"print 'a' = 1", "f.lua:1: unexpected symbol near '='"},
		{"x", "f.lua:1: '=' expected near '<eof>'"},
		{"a\x00b", "f.lua:1: the source has a NUL byte; only text is accepted"},
		{"-- x\nlocal a = 'b\x00'", "f.lua:2: the source has a NUL byte; only text is accepted"},
		{"\x1bLuaQ", "f.lua:1: this is a compiled chunk; only source text is accepted"},
		{strings.Repeat("-", 65537), "f.lua:1: the source is 65537 bytes long, the limit is 64 KiB"},
	} {
		_, err := Compile("f.lua", []byte(c.src), Limits{})
		got := ""
		if err != nil {
			got = err.Error()
			var s *SyntaxError
			if !errors.As(err, &s) {
				t.Errorf("%.40q: error is a %T", c.src, err)
			}
		}
		if got != c.want {
			t.Errorf("%.40q: %q, want %q", c.src, got, c.want)
		}
	}
}

func TestSixteenMegabytesOfNotAreRefused(t *testing.T) {
	src := []byte("return " + strings.Repeat("not ", 1<<22) + "1")
	if _, err := Compile("f.lua", src, Limits{}); err == nil || !strings.Contains(err.Error(), "the limit is 64 KiB") {
		t.Errorf("error is %.100v", err)
	}
	times := 1 << 18
	if raceEnabled {
		times = 1 << 15 // beyond every depth that is allowed all the same
	}
	for _, piece := range []string{"not ", "- ", "#", "(", "{", "f(", "1^", "'a'..", "1+", "a.b("} {
		src := []byte("return " + strings.Repeat(piece, times))
		_, err := Compile("f.lua", src, Limits{SourceBytes: 1 << 24})
		if _, ok := err.(*SyntaxError); !ok {
			t.Errorf("%q: error is %.100v", piece, err)
		}
	}
}

func TestGlobalsAreCollected(t *testing.T) {
	p, err := Compile("f.lua", []byte(`
local a = print
local function f(x) return x + b + tostring(a) end
c = 1
function d() end
function a.e() f(g) end
for i = 1, h do i = i end
local s = j .. "x" % k
m, a = 1, n`), Limits{})
	if err != nil {
		t.Fatal(err)
	}
	want := []Ref{
		{"print", 2, false},
		{"b", 3, false},
		{"tostring", 3, false},
		{"c", 4, true},
		{"d", 5, true},
		{"g", 6, false},
		{"h", 7, false},
		{"j", 8, false},
		{"k", 8, false},
		{"n", 9, false},
		{"m", 9, true},
	}
	if d := cmp.Diff(want, p.Globals); d != "" {
		t.Error(d)
	}
	if p.Hash != "" && len(p.Hash) != 64 {
		t.Errorf("hash %q", p.Hash)
	}
}

func TestCacheSharesPrograms(t *testing.T) {
	var c Cache
	a, err := c.Compile("f.lua", []byte("return 1"), Limits{})
	if err != nil {
		t.Fatal(err)
	}
	b, _ := c.Compile("f.lua", []byte("return 1"), Limits{})
	other, _ := c.Compile("g.lua", []byte("return 1"), Limits{})
	if a != b || a == other {
		t.Error("the cache goes by something else than name and content")
	}
	if _, err := c.Compile("f.lua", []byte("return 11"), Limits{SourceBytes: 8}); err == nil {
		t.Error("the cache ignores the cap")
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 20 {
				vm := New(Options{})
				p, err := c.Compile("s.lua", []byte(`local t = {} for i = 1, 20 do t["k" .. i] = function() return i end end local s = 0 for k, f in pairs(t) do s = s + f() end return s`), Limits{})
				if err != nil {
					t.Error(err)
				}
				values, err := vm.Run(t.Context(), p)
				if err != nil || values[0] != lua.LNumber(210) {
					t.Error(values, err)
				}
				vm.Close()
			}
		})
	}
	wg.Wait()
}

func TestEnvironmentIsExactlyThis(t *testing.T) {
	vm := newVM(t, Options{})
	want := strings.Fields(`_G _VERSION assert coroutine debug error getmetatable ipairs load loadstring math next os pairs pcall
		print rawequal rawget rawset select setmetatable string table tonumber tostring type unpack xpcall`)
	if d := cmp.Diff(want, vm.Globals()); d != "" {
		t.Error(d)
	}
	mustPrint(t, `
for _, lib in ipairs({coroutine, debug, math, os, string, table}) do
  local names = {} for k in pairs(lib) do names[#names + 1] = k end table.sort(names) print(table.concat(names, " "))
end`, `create resume running status wrap yield
traceback
abs acos asin atan atan2 ceil cos cosh deg exp floor fmod frexp huge ldexp log log10 max min mod modf pi pow rad random randomseed sin sinh sqrt tan tanh
clock date difftime time
byte char find format gmatch gsub len lower match rep reverse sub upper
concat getn insert maxn remove sort`)
}

func TestFrozenTables(t *testing.T) {
	vm := newVM(t, Options{})
	inner := NewTable(0, 0)
	for i := 1; i <= 3; i++ {
		inner.RawSetInt(i, lua.LNumber(i*10))
	}
	inner.RawSetString("name", lua.LString("x"))
	vm.SetGlobal("frozen", vm.Frozen(inner))
	values, err := run(t, vm, `
local function try(f, ...) return (select(2, pcall(f, ...))) end
local seen = {}
for k, v in pairs(frozen) do seen[#seen + 1] = tostring(k) .. "=" .. tostring(v) end
for i, v in ipairs(frozen) do seen[#seen + 1] = i .. ":" .. v end
return table.concat(seen, " "), #frozen, unpack(frozen), frozen.name, rawget(frozen, "name"), next(frozen) == 1,
  try(function() frozen.x = 1 end), try(function() frozen.name = 1 end), try(rawset, frozen, "a", 1), try(table.insert, frozen, 1),
  try(table.sort, frozen), try(table.remove, frozen), try(setmetatable, frozen, {}), getmetatable(frozen), table.concat(frozen, ",")`)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, v := range values {
		got = append(got, v.String())
	}
	want := []string{
		"1=10 2=20 3=30 name=x 1:10 2:20 3:30", "3", "10", "x", "x", "true",
		"t.lua:7: attempt to change field 'x' of a read-only table", "t.lua:7: attempt to change field 'name' of a read-only table",
		"attempt to change a read-only table", "attempt to change a read-only table", "attempt to change a read-only table",
		"attempt to change a read-only table", "cannot change a protected metatable", "read-only", "10,20,30",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	inner.RawSetString("name", lua.LString("changed"))
	if values, _ := run(t, vm, `return frozen.name`); values[0] != lua.LString("changed") {
		t.Error("the view does not follow its table")
	}
}
