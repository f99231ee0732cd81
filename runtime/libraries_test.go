package runtime_test

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/mepc/mepc-run/modules/std"
	"github.com/mepc/mepc-run/runtime"
)

// installed is where Debian has the libraries of Lua 5.1.
const installed = "/usr/share/lua/5.1"

// vendoring is a project whose vendor directory has what is installed.
type vendoring struct{ fstest.MapFS }

func (v vendoring) Open(name string) (fs.File, error) {
	if rest, ok := strings.CutPrefix(name, "vendor/"); ok {
		return os.DirFS(installed).Open(rest)
	}
	return v.MapFS.Open(name)
}

// libraries are pure Lua libraries that people bring along, by the file that they are,
// with a program that uses each. docs/libraries.md lists them.
var libraries = []struct{ name, file, program string }{
	{"ansicolors", "ansicolors.lua", `assert(#require("ansicolors")("%{red}x") > 1)`},
	{"argparse", "argparse.lua", `local p = require("argparse")("x") p:option("-n"):convert(tonumber)
assert(p:parse({"-n", "5"}).n == 5)`},
	{"basexx", "basexx.lua", `assert(require("basexx").to_base64("abc") == "YWJj")`},
	{"binaryheap", "binaryheap.lua", `local h = require("binaryheap").minUnique() h:insert(3, "c") h:insert(1, "a") assert(h:pop() == "a")`},
	{"busted's files", "busted/status.lua", `assert(require("busted.status")("success"):success())`},
	{"cliargs", "cliargs.lua", `local cli = require("cliargs") cli:flag("-v", "say more") assert(cli:parse({"-v"}).v)`},
	{"coxpcall", "coxpcall.lua", `assert(require("coxpcall").pcall(function() return true end))`},
	{"dkjson", "dkjson.lua", `local j = require("dkjson") assert(j.decode(j.encode({1, {a = "b"}}))[2].a == "b")`},
	{"fifo", "fifo.lua", `local f = require("fifo")(1, 2) f:push(3) assert(f:pop() == 1 and f:length() == 2)`},
	{"inspect", "inspect.lua", `assert(require("inspect")({1, a = {2}}):find("a = { 2 }", 1, true))`},
	{"logging", "logging.lua", `local out local l = require("logging").new(function(_, _, m) out = m return true end) l:info("hello") assert(out == "hello")`},
	{"ltn12", "ltn12.lua", `local l, t = require("ltn12"), {} l.pump.all(l.source.string("abc"), (l.sink.table(t))) assert(table.concat(t) == "abc")`},
	{"luacheck", "luacheck/init.lua", `assert(#require("luacheck").check_strings({"local x = 1"})[1] == 1)`},
	{"luassert", "luassert/init.lua", `local a = require("luassert") a.are.same({1}, {1}) assert(not pcall(a.are.equal, 1, 2))`},
	{"luaunit", "luaunit.lua", `local u = require("luaunit") u.assertEquals({1, 2}, {1, 2}) assert(not pcall(u.assertEquals, 1, 2))`},
	{"mediator", "mediator.lua", `local m, got = require("mediator")(), nil m:subscribe({"a"}, function(x) got = x end) m:publish({"a"}, 5) assert(got == 5)`},
	{"moses", "moses.lua", `assert(require("moses").sum({1, 2, 3}) == 6)`},
	{"say", "say/init.lua", `local s = require("say") s:set("k", "hi %s") assert(s("k", {"you"}) == "hi you")`},
	{"uri", "uri.lua", `assert(require("uri"):new("http://a.b/c?d"):path() == "/c")`},
	{"penlight: List", "pl/List.lua", `assert(require("pl.List")({3, 1, 2}):sort():join(" ") == "1 2 3")`},
	{"penlight: Map", "pl/Map.lua", `assert(#require("pl.Map")({a = 1}):keys() == 1)`},
	{"penlight: OrderedMap", "pl/OrderedMap.lua", `local m = require("pl.OrderedMap")() m:set("b", 1) m:set("a", 2) assert(m:keys()[1] == "b")`},
	{"penlight: Set", "pl/Set.lua", `local S = require("pl.Set") assert((S{1, 2} * S{2, 3}) == S{2})`},
	{"penlight: array2d", "pl/array2d.lua", `assert(require("pl.array2d").column({{1, 2}, {3, 4}}, 2)[2] == 4)`},
	{"penlight: class", "pl/class.lua", `local A = require("pl.class")() function A:_init(n) self.n = n end assert(A(3).n == 3)`},
	{"penlight: data", "pl/data.lua", `assert(require("pl.data").new({{1, 2}}, {"a", "b"}):column_by_name("b")[1] == 2)`},
	{"penlight: func", "pl/func.lua", `local f = require("pl.func") assert(f.I(f._1 + 1)(2) == 3)`},
	{"penlight: lexer", "pl/lexer.lua", `assert(require("pl.lexer").scan("x = 1")() == "iden")`},
	{"penlight: pretty", "pl/pretty.lua", `assert(require("pl.pretty").write({1, a = 2}, "") == "{1,a=2}")`},
	{"penlight: seq", "pl/seq.lua", `assert(require("pl.seq").sum({1, 2, 3}) == 6)`},
	{"penlight: sip", "pl/sip.lua", `local r = {} assert(require("pl.sip").match("$v{k}=$d{n}", "a=5", r) and r.n == 5)`},
	{"penlight: stringx", "pl/stringx.lua", `assert(require("pl.stringx").strip("  a ") == "a")`},
	{"penlight: tablex", "pl/tablex.lua", `assert(require("pl.tablex").deepcompare({1, {2}}, {1, {2}}))`},
	{"penlight: text", "pl/text.lua", `assert(require("pl.text").dedent("  a") == "a\n")`},
	{"penlight: url", "pl/url.lua", `assert(require("pl.url").quote("a b") == "a%20b")`},
	{"penlight: xml", "pl/xml.lua", `assert(require("pl.xml").parse("<a><b/></a>", false, true).tag == "a")`},
}

func TestLibrariesOfOthersLoad(t *testing.T) {
	host := runtime.New(runtime.Options{Modules: std.Modules(std.Options{})})
	for _, l := range libraries {
		t.Run(l.name, func(t *testing.T) {
			if _, err := os.Stat(path.Join(installed, l.file)); errors.Is(err, fs.ErrNotExist) {
				t.Skipf("%s is not installed (Debian)", l.file)
			}
			tree := vendoring{fstest.MapFS{"main.lua": {Data: []byte(l.program)}}}
			recipe, err := host.LoadFS(tree, "main.lua")
			if err == nil {
				_, err = host.Run(t.Context(), recipe, runtime.RunOptions{})
			}
			if err != nil {
				t.Errorf("%v\n%s", err, l.program)
			}
		})
	}
}

// TestVendoredFilesAskWhatThereIs: globals that are not there are nil for them, what they
// set stays among them, and they may say so themselves.
func TestVendoredFilesAskWhatThereIs(t *testing.T) {
	files := fstest.MapFS{
		"vendor/probe.lua": {Data: []byte(`
local has = {jit = jit ~= nil, env = setfenv ~= nil, getenv = os.getenv ~= nil, ours = sha256 ~= nil, seen = rawget(_G, "jit") ~= nil}
counter = (counter or 0) + 1
string.trim = function(s) return s end
io.stdout:write("written\n")
return {has = has, name = ..., count = function() return counter end, file = io.open("x"), trim = string.trim}`)},
		"vendor/other/init.lua": {Data: []byte(`counter = counter + 1 return counter`)},
		"lib/own.lua":           {Data: []byte("-- A library.\n-- mepc-run: vendored\nreturn jit == nil")},
		"strict.lua":            {Data: []byte(`return jit`)},
		"main.lua": {Data: []byte(`
local p = require("probe")
for k, v in pairs(p.has) do assert(v == (k == "ours"), k) end
assert(p.name == "probe" and p.file == nil and p.trim and not rawget(string, "trim"))
assert(require("other") == 2 and p.count() == 2)
assert(rawget(_G, "counter") == nil)
assert(require("lib.own"))
local ok, err = pcall(require, "strict")
assert(not ok and tostring(err):find("there is no jit here", 1, true), tostring(err))
local ok2, err2 = pcall(function() return counter end)
assert(not ok2, "a recipe sees it")`)},
	}
	var printed []string
	host := runtime.New(runtime.Options{Modules: std.Modules(std.Options{})})
	recipe, err := host.LoadFS(files, "main.lua")
	if err == nil {
		_, err = host.Run(t.Context(), recipe, runtime.RunOptions{Print: func(l string) { printed = append(printed, l) }})
	}
	if err != nil || strings.Join(printed, "|") != "written" {
		t.Error(err, printed)
	}
}
