package spec_test

import (
	"fmt"
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mepc/mepc-run/internal/rehearsal"
	"github.com/mepc/mepc-run/internal/spec"
	"github.com/mepc/mepc-run/internal/state"
	"github.com/mepc/mepc-run/modules/docker"
	"github.com/mepc/mepc-run/modules/http"
	"github.com/mepc/mepc-run/modules/lock"
	"github.com/mepc/mepc-run/modules/redis"
	"github.com/mepc/mepc-run/modules/std"
	"github.com/mepc/mepc-run/runtime"
)

// kit is that of a project whose files are in tree.
func kit(tree fstest.MapFS) spec.Kit {
	modules := append(std.Modules(std.Options{}), docker.New(docker.Allow{}), redis.New(redis.Allow{}), http.New(), lock.New(lock.Options{}))
	host := runtime.New(runtime.Options{Modules: modules, Limits: runtime.Limits{Steps: 1_000_000}})
	return spec.Kit{
		Modules: modules,
		Stage: func(s *state.State, _ []string, wire rehearsal.Wire) (*rehearsal.Stage, error) {
			return rehearsal.New(s, rehearsal.Options{Source: "of the spec", Strict: true, Host: host, Wire: wire})
		},
		Recipe: func(h *runtime.Host, tree fs.FS, name string) (*runtime.Recipe, error) { return h.LoadFS(tree, name) },
	}
}

// run runs a spec, and the files beside it, with opts.
func run(t *testing.T, src string, opts spec.Options, files ...string) *spec.File {
	t.Helper()
	tree := fstest.MapFS{"spec/a_spec.lua": {Data: []byte(src)}}
	for i := 0; i < len(files); i += 2 {
		tree[files[i]] = &fstest.MapFile{Data: []byte(files[i+1])}
	}
	opts.Kit, opts.Root, opts.Files = kit(tree), tree, []string{"spec/a_spec.lua"}
	return spec.Run(t.Context(), opts)[0]
}

// statuses are the results in short.
func statuses(f *spec.File) []string {
	var all []string
	if f.Err != nil {
		all = append(all, "file: "+f.Err.Message)
	}
	for _, r := range f.Results {
		s := string(r.Status) + " " + strings.Join(r.Names, " ")
		if r.Err != nil {
			s += ": " + r.Err.Message
		}
		all = append(all, s)
	}
	return all
}

func TestHooksRunAroundTestsInOrder(t *testing.T) {
	f := run(t, `
local seen = {}
local function note(what) return function() seen[#seen + 1] = what end end
setup(note("setup")) teardown(function() print(table.concat(seen, " ")) end)
before_each(note("before")) after_each(note("after"))
describe("inner", function()
  setup(note("inner setup")) teardown(note("inner teardown"))
  before_each(note("inner before")) after_each(note("inner after"))
  it("one", function() finally(note("finally")) note("one")() end)
  it("two", function() note("two")() error("no") end)
end)
it("last", function()
  assert.are.equal("setup inner setup before inner before one finally inner after after "
    .. "before inner before two inner after after inner teardown before", table.concat(seen, " "))
end)`, spec.Options{})
	if d := cmp.Diff([]string{"passed inner one", "error inner two: no", "passed last"}, statuses(f)); d != "" {
		t.Error(d, f.Results[2].Err)
	}
}

func TestAHookThatFailsFailsItsTests(t *testing.T) {
	f := run(t, `
describe("a", function()
  setup(function() error("no setup") end)
  it("one", function() end)
  it("two", function() end)
end)
describe("b", function()
  before_each(function() error("not before") end)
  it("three", function() error("is not run") end)
end)
describe("c", function()
  teardown(function() error("no teardown") end)
  it("four", function() end)
end)`, spec.Options{})
	if d := cmp.Diff([]string{
		"error c teardown: no teardown", "error a one: no setup", "error a two: no setup", "error b three: not before", "passed c four",
	}, statuses(f)); d != "" {
		t.Error(d)
	}
}

// TestAssertions is a table of expressions and of what they say when they fail;
// an empty text means that they hold.
func TestAssertions(t *testing.T) {
	table := map[string]string{
		`assert.are.equal(1, 1)`:                                        "",
		`assert.are_equal(1, 2)`:                                        "expected 1, got 2",
		`assert.equals("a", 1)`:                                         `expected "a", got 1`,
		`assert.are.equal(1, "1")`:                                      `expected 1, got "1" (a string instead of a number)`,
		`assert.are.equal({}, {})`:                                      "expected the same table, got another one with the same content: {}",
		`assert.are_not.equal(1, 1)`:                                    "expected anything but 1",
		`assert.is_not.equal(1, 2)`:                                     "",
		`assert.are.same({1, {a = 2}}, {1, {a = 2}})`:                   "",
		`assert.are.same({1, 2}, {1, 3})`:                               "expected (-) and got (+) differ",
		`assert.are_not.same({1}, {1})`:                                 "expected anything but {1}",
		`assert.are.same("a\nb", "a\nc", "the text")`:                   "the text: expected (-) and got (+) differ",
		`assert.is_true(1)`:                                             "expected true, got 1",
		`assert.is.truthy(nil)`:                                         "expected truthy, got nil",
		`assert.is_not_nil(nil)`:                                        "expected anything but nil, got nil",
		`assert.falsy(false)`:                                           "",
		`assert.is_string(1)`:                                           "expected a string, got 1",
		`assert.is.near(1, 1.1, 0.01)`:                                  "expected 1 within 0.01, got 1.1",
		`assert.matches("^a+$", "aab")`:                                 `expected a match of "^a+$", got "aab"`,
		`assert.no.matches("b", "aab")`:                                 `expected no match of "b", got "aab"`,
		`assert.matches("[", "a")`:                                      `pattern "[": malformed pattern (missing ']')`,
		`assert.contains("b", {"a", "b"})`:                              "",
		`assert.does_not.contain("b", "abc")`:                           `expected no "b" in "abc"`,
		`assert.has_error(function() error("x") end, "x")`:              "",
		`assert.has_error(function() end)`:                              "expected an error, got none",
		`assert.has_no.errors(function() error("x") end)`:               "expected no error, got the error script: x\n  at spec/a_spec.lua:1",
		`assert.has.error(function() fail("x") end, {kind = "denied"})`: "expected an error with {kind = \"denied\"}, got the error script: x\n  at spec/a_spec.lua:1",
		`assert(nil, "is there")`:                                       "is there",
		`assert(1 == 1, "is there")`:                                    "",
		`assert.is.eqaul(1)`:                                            `assert has no "is.eqaul"; did you mean "equal"?`,
		`local s = spy.new() s(1) assert.spy(s).was.called(2)`:          "expected 2 calls, was called once",
		`local s = spy.new() s(1) assert.spy(s).was_not.called()`:       "expected no call, was called once",
		`local s = spy.new() s({1}) assert.spy(s).called_with({1})`:     "",
		`local s = spy.new() s(1) assert.spy(s).was.called_with(2)`:     "expected a call with (2), was called once",
		`assert.spy(1)`:                                                 "a spy expected, got number",
	}
	for src, want := range table {
		f := run(t, `it("x", function() `+src+` end)`, spec.Options{})
		if f.Err != nil {
			t.Errorf("%s: %v", src, f.Err)
			continue
		}
		got := ""
		if e := f.Results[0].Err; e != nil {
			got = e.Message
		}
		if got != want {
			t.Errorf("%s\n got %q\nwant %q", src, got, want)
		}
	}
}

func TestSpiesAreTakenOutAfterTheTest(t *testing.T) {
	f := run(t, `
local lib = require("lib")
it("stubs", function()
  local s = stub(lib, "ask", "stubbed")
  assert.are.equal("stubbed", lib.ask("a"))
  assert.spy(s).was.called_with("a")
end)
it("has the function again", function() assert.are.equal("real", lib.ask("a")) end)
it("spies", function()
  local s = spy.on(lib, "ask")
  assert.are.equal("real", lib.ask("b"))
  assert.are.same({"b", n = 1}, s.calls[1].vals)
  s:revert()
  lib.ask("c")
  assert.spy(s).was.called(1)
end)
it("refuses what is no function", function() stub(lib, "name") end)`, spec.Options{}, "recipes/lib.lua", `return {ask = function() return "real" end, name = "x"}`)
	want := []string{"passed stubs", "passed has the function again", "passed spies", `error refuses what is no function: the table's "name" is not a function but a string`}
	if d := cmp.Diff(want, statuses(f)); d != "" {
		t.Error(d)
	}
}

func TestTheFilterLooksAtNamesAndTags(t *testing.T) {
	names := []string{"bluegreen #slow", "switches #net"}
	for _, tc := range []struct {
		f    spec.Filter
		want bool
	}{
		{spec.Filter{}, true},
		{spec.Filter{Text: "slow net"}, false},
		{spec.Filter{Text: "#slow switches"}, true},
		{spec.Filter{Tags: []string{"net"}}, true},
		{spec.Filter{Tags: []string{"#slow", "x"}}, true},
		{spec.Filter{Tags: []string{"switches"}}, false},
		{spec.Filter{Without: []string{"net"}}, false},
		{spec.Filter{Tags: []string{"slow"}, Without: []string{"x"}}, true},
	} {
		if got := tc.f.Takes(names); got != tc.want {
			t.Errorf("%+v: %v", tc.f, got)
		}
	}
}

func TestTheOrderIsDrawnAndTheResultsAreNot(t *testing.T) {
	src := `local order = {}
for i = 1, 20 do it("t" .. i, function() order[#order + 1] = i print(#order) end) end`
	first, again, other := run(t, src, spec.Options{Shuffle: 3}), run(t, src, spec.Options{Shuffle: 3}), run(t, src, spec.Options{Shuffle: 4})
	order := func(f *spec.File) string {
		var b strings.Builder
		for _, r := range f.Results {
			fmt.Fprint(&b, r.Output, " ")
		}
		return b.String()
	}
	if order(first) != order(again) || order(first) == order(other) {
		t.Errorf("%s\n%s\n%s", order(first), order(again), order(other))
	}
	if d := cmp.Diff(statuses(first), statuses(other)); d != "" {
		t.Error(d)
	}
}

func TestTestsHaveStepsOfTheirOwn(t *testing.T) {
	f := run(t, `for i = 1, 3 do it("t" .. i, function() for _ = 1, 600 do end while i == 2 do end end) end`,
		spec.Options{Limits: runtime.Limits{Steps: 2000}})
	if d := cmp.Diff([]string{"passed t1", "error t2: the budget of 2000 steps is used up", "passed t3"}, statuses(f)); d != "" {
		t.Error(d)
	}
}

// TestWhatDoesNotEndIsEnded has files and tests that do not end, in Lua and in Go: the
// others' results stay.
func TestWhatDoesNotEndIsEnded(t *testing.T) {
	t.Parallel()
	const good = `it("is good", function() end)`
	tree := fstest.MapFS{}
	var names []string
	for _, f := range []struct{ name, src string }{
		{"a", good},
		{"file", `while true do end`},
		{"file describe", `describe("d", function() while true do end end) ` + good},
		{"it", `it("loops", function() while true do end end) ` + good},
		{"each", `describe("d", function() before_each(function() while true do pcall(error) end end) it("one", function() end) end) ` + good},
		{"after", `describe("d", function() after_each(function() while true do end end) it("one", function() end) end) ` + good},
		{"setup", `describe("d", function() setup(function() while true do end end) it("one", function() end) end) ` + good},
		{"coroutine", `it("loops", function() coroutine.wrap(function() while true do pcall(error) end end)() end) ` + good},
		{"hangs", `it("hangs", function() world{}:run("hangs") end) it("is good", function() world{} end)`},
		{"file hangs", `world{}:run("hangs")`},
		{"z", good},
	} {
		name := "spec/" + f.name + "_spec.lua"
		names = append(names, name)
		tree[name] = &fstest.MapFile{Data: []byte(f.src)}
	}
	k := kit(tree)
	k.Recipe = func(*runtime.Host, fs.FS, string) (*runtime.Recipe, error) { select {} }
	files := spec.Run(t.Context(), spec.Options{Kit: k, Root: tree, Files: names, Limits: runtime.Limits{Steps: 200_000}, Timeout: 2 * time.Second})
	if len(files) != len(names) {
		t.Fatalf("%d files", len(files))
	}
	for _, f := range files {
		ok := false
		for _, r := range f.Results {
			ok = ok || r.Status == spec.Passed && r.Names[len(r.Names)-1] == "is good"
		}
		if whole := strings.HasPrefix(f.Name, "spec/file"); ok == whole || whole == (f.Err == nil) {
			t.Errorf("%s: %q", f.Name, statuses(f))
		}
	}
}

func TestFilesComeInOrderHoweverTheyAreRun(t *testing.T) {
	tree := fstest.MapFS{}
	var names []string
	for i := range 20 {
		name := fmt.Sprintf("spec/%02d_spec.lua", i)
		names = append(names, name)
		tree[name] = &fstest.MapFile{Data: []byte(`it("runs", function() world{images = {"a:1"}} end)`)}
	}
	var told []string
	files := spec.Run(t.Context(), spec.Options{
		Kit: kit(tree), Root: tree, Files: names, Jobs: 4, Done: func(f *spec.File) { told = append(told, f.Name) },
	})
	if d := cmp.Diff(names, told); d != "" || len(files) != 20 || spec.Count(files).Passed != 20 {
		t.Error(d, spec.Count(files))
	}
}

func TestAWorldIsMadeOfShortForms(t *testing.T) {
	f := run(t, `
local w = world{
  images = {"mepc/app:1.0", {ref = "mepc/app:bad", behaviour = {paths = {["/health"] = {status = 500, body = "no"}}}}},
  containers = {{name = "app", image = "mepc/app:1.0", publish = {{port = "8080/tcp", host = 8080}}}}, networks = {},
  redis = {list = {"a", "b"}, text = "hello", number = 7, hash = {hash = {a = "1"}}},
  routers = {"127.0.0.1:80"},
}
it("has them", function()
  assert.are.same({"a", "b"}, w.redis:lrange("list", 0, -1))
  assert.are.equal("hello", w.redis:get("text"))
  assert.are.equal("7", w.redis:get("number"))
  assert.are.equal("1", w.redis:hget("hash", "a"))
  assert.is_true(w.docker:inspect("app").state.running)
  assert.are.equal(200, w:get("http://127.0.0.1:8080/").status)
end)
it("lets time pass", function()
  local before = w:now()
  w:advance("90s")
  assert.are.equal(90, w:now() - before)
end)
it("kills", function()
  w:kill("app")
  assert.is_false(w.docker:inspect("app").state.running)
  w:kill("app")
end)
it("takes no list", function() world{1, 2} end)
it("takes one way to name an engine", function() world{engines = {}, images = {}} end)`, spec.Options{})
	want := []string{
		"passed has them", "passed lets time pass", "error kills: no container app runs in this world",
		"error takes no list: a table with names expected, such as images={...}, got a list",
		"error takes one way to name an engine: engines={...} and the keys of one engine cannot be used together",
	}
	if d := cmp.Diff(want, statuses(f)); d != "" {
		t.Error(d)
	}
}

func TestARecipesLoopIsItsOwnError(t *testing.T) {
	f := run(t, `it("sees it", function() assert.are.equal("limit", world{}:run("loop.lua").error.kind) end)`,
		spec.Options{}, "loop.lua", `while true do end`)
	if d := cmp.Diff([]string{"passed sees it"}, statuses(f)); d != "" {
		t.Error(d)
	}
}

func TestAFileTellsWhatItUses(t *testing.T) {
	f := run(t, `local lib = require("lib")
it("runs", function() assert.is_nil(world{}:run("r.lua").error) end)`, spec.Options{}, "recipes/lib.lua", "return {}", "r.lua", `require("other")`, "other.lua", "return 1")
	if d := cmp.Diff([]string{"passed runs"}, statuses(f)); d != "" {
		t.Fatal(d)
	}
	if d := cmp.Diff([]string{"other.lua", "r.lua", "recipes/lib.lua", "spec/a_spec.lua", "spec/lib.lua"}, f.Uses); d != "" {
		t.Error(d)
	}
}

// Values that are inside themselves, shared, deep and wide: an assertion on them ends,
// and those beside it count.
func TestValuesOfAnyShapeAreComparedAndShown(t *testing.T) {
	t.Parallel()
	makers := map[string]string{
		"in its keys":   `local a = {} a[a] = 1 return a`,
		"in its values": `local a = {} a.l = a a.r = a return a`,
		"in a circle":   `local a, b = {}, {} a.b = b b.a = a return a`,
		"shared":        `local a = {1} for i = 1, 40 do a = {a, a} end return a`,
		"deep":          `local a = {} for i = 1, 20000 do a = {a} end return a`,
		"wide":          `local a = {} for i = 1, 50000 do a[i] = i end return a`,
		"long":          `return {("x"):rep(2^20)}`,
		"lying":         `return setmetatable({}, {__tostring = error, __eq = error, __index = error, __len = error})`,
	}
	for name, src := range makers {
		f := run(t, `
local function make() `+src+` end
it("is nil", function() assert.is_nil(make()) end)
it("equals", function() assert.are.equal(make(), make()) end)
it("is same", function() assert.are.same(make(), make()) end)
it("is another", function() assert.are.same({make(), 1}, {make(), 2}) end)
it("contains", function() assert.contains(make(), {make()}) end)
it("is called with", function() local s = spy.new(function() end) s(make()) assert.spy(s).was.called_with(1, make()) end)
it("is raised", function() error(make()) end)
it("goes on", function() end)
`, spec.Options{})
		got := map[string]bool{}
		for _, r := range f.Results {
			got[r.Names[0]] = r.Status == spec.Passed
			if r.Err != nil && len(r.Err.Message)+len(r.Err.Details) > 1<<20 {
				t.Errorf("%s %s: %d bytes are shown", name, r.Names[0], len(r.Err.Message)+len(r.Err.Details))
			}
		}
		for test, passes := range map[string]bool{
			"is nil": false, "equals": false, "is same": name != "in its keys", "is another": false, "is called with": false, "is raised": false, "goes on": true,
		} {
			if passed, there := got[test]; !there || passed != passes {
				t.Errorf("%s: %q passed: %v, want %v (there: %v; %v)", name, test, passed, passes, there, f.Err)
			}
		}
	}
}
