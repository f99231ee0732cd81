package spec_test

import (
	"os"
	"os/exec"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mepc/mepc-run/internal/spec"
)

// TestSpecsForBusted runs a spec in all of busted's words, with busted, too, where it
// is installed: what is true there is true here.
func TestSpecsForBusted(t *testing.T) {
	const name = "testdata/busted_spec.lua"
	src, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	f := run(t, string(src), spec.Options{})
	if f.Err != nil {
		t.Fatal(f.Err)
	}
	passed := 0
	for _, r := range f.Results {
		switch {
		case r.Err != nil:
			t.Errorf("%v: %s: %v", r.Names, r.Err.Where, r.Err)
		case r.Status == spec.Passed:
			passed++
		}
	}
	if passed != 16 {
		t.Errorf("%d passed", passed)
	}
	busted, err := exec.LookPath("busted")
	if err != nil {
		t.Skip("busted is not installed (Debian: lua-busted)")
	}
	if out, err := exec.Command(busted, name).CombinedOutput(); err != nil {
		t.Errorf("busted: %v\n%s", err, out)
	}
}

// TestWordsOfBustedThatFail is what they say when they do.
func TestWordsOfBustedThatFail(t *testing.T) {
	table := map[string]string{
		`assert.message("which").is_true(false)`:                                                   "which: expected true, got false",
		`assert.message("which").is_not.equal(1, 1)`:                                               "which: expected anything but 1",
		`assert.is_true(false, {1})`:                                                               "{1}: expected true, got false",
		`assert.unique({1, 2, 1})`:                                                                 "expected every item once, got 1 twice in {1, 2, 1}",
		`assert.is_not.unique({1, 2})`:                                                             "expected an item that is there twice in {1, 2}",
		`assert.is_userdata(spy.new())`:                                                            "",
		`assert.has_error.matches(function() error("abc") end, "x")`:                               "expected an error that matches \"x\", got the error script: abc\n  at spec/a_spec.lua:1",
		`assert.has_error.matches(function() end, "x")`:                                            "expected an error, got none",
		`assert.returned_arguments(1, 2, 3)`:                                                       "expected 1 value, got 2",
		`local s = spy.new() s(1) assert.spy(s).called_at_least(2)`:                                "expected at least 2 calls, was called once",
		`local s = spy.new() s(1) assert.spy(s, "said").called_less_than(1)`:                       "said: expected less than 1 call, was called once",
		`local s = spy.new() s(1) assert.spy(s).was.called_with(match.is_string())`:                "expected a call with (match.is_string), was called once",
		`local s = stub.new().returns(1, 2) s() assert.spy(s).returned_with(1)`:                    "expected a call that returns (1), was called once",
		`assert.spy(spy.new()).was_called.with(1)`:                                                 "expected a call with (1), was called never",
		`stub({x = 1}, "x")`:                                                                       `the table's "x" is not a function but a number`,
		`stub(json, "encode")`:                                                                     "the table cannot be changed",
		`match.is_sting()`:                                                                         `match has no "is_sting"; did you mean "string"?`,
		`match.is_all_of(1)`:                                                                       "argument 1: a matcher expected, got number",
		`assert.register("assertion", "x", print)`:                                                 "called without its module",
		`assert:register("assertion", "equals", print)`:                                            `assert already has a word "equals"`,
		`assert:register("assertion", "x", function() return false end) assert.x(1)`:               "assertion failed!",
		`assert:register("assertion", "x", function() return false end, "no %s") assert.is_x("a")`: `no "a"`,
		`assert:register("assertion", "x", function() return true end, "", "%s!") assert.not_x(1)`: "1!",
		`assert:register("assertion", "x", print) assert:unregister("assertion", "x") assert.x(1)`: `assert has no "x"`,
		`assert:register("matcher", "x", print) match.x()`:                                         `the matcher "x" returned no function`,
		`spy.new().returns(1)`:                                                                     "attempt to call field 'returns' (a nil value)",
		`stub.new().by_default.return_(1)`:                                                         `a stub has no "return_"; did you mean "returns"?`,
		`local e = setmetatable({}, {__eq = function() error("no") end}) assert.equal(e, setmetatable({}, getmetatable(e)))`: "no",
	}
	for src, want := range table {
		f := run(t, `it("x", function() `+src+` end)`, spec.Options{})
		got := ""
		if f.Err != nil {
			got = "file: " + f.Err.Error()
		} else if e := f.Results[0].Err; e != nil {
			got = e.Message
		}
		if got != want {
			t.Errorf("%s\n got %q\nwant %q", src, got, want)
		}
	}
}

func TestSetupsAreStrictAndLazy(t *testing.T) {
	f := run(t, `
local seen = {}
local function note(what) return function() seen[#seen + 1] = what end end
describe("pending alone", function()
  setup(note("strict")) lazy_setup(note("lazy")) teardown(note("end")) lazy_teardown(note("lazy end"))
  pending("one", function() error("not run") end)
  it("two")
end)
it("last", function() assert.are.equal("strict end", table.concat(seen, " ")) end)
it("says why", function() pending("no time") end)`, spec.Options{})
	if d := cmp.Diff([]string{"pending pending alone one", "pending pending alone two", "passed last", "pending says why"}, statuses(f)); d != "" {
		t.Error(d)
	}
}

func TestRandomizeDrawsTheOrderOfABlock(t *testing.T) {
	src := func(first string) string {
		return `
local seen = {}
describe("a", function()
  ` + first + `
  for i = 1, 20 do it("t" .. i, function() seen[#seen + 1] = i end) end
end)
it("last", function() print(table.concat(seen, " ")) error("told") end)`
	}
	order := func(first string, opts spec.Options) string {
		f := run(t, src(first), opts)
		return f.Results[len(f.Results)-1].Output[0]
	}
	plain := order("", spec.Options{Seed: 5})
	if order("randomize() randomize(false)", spec.Options{Seed: 5}) != plain {
		t.Error("randomize(false) does not take it back")
	}
	five := order("randomize()", spec.Options{Seed: 5})
	if five == plain || order("randomize(5)", spec.Options{Seed: 6}) != five || order("randomize(true, 5)", spec.Options{}) != five || order("randomize()", spec.Options{Seed: 6}) == five {
		t.Error("randomize and its number", five)
	}
	f := run(t, `describe("a", function() randomize() it("fails", function() error("x") end) end)`, spec.Options{Seed: 77})
	if d := cmp.Diff([]string{"randomize(77) repeats this order"}, f.Results[0].Output); d != "" {
		t.Error(d)
	}
}

// TestExamplesOfAssert runs what the reference shows of assert, match, spies and stubs.
func TestExamplesOfAssert(t *testing.T) {
	for _, m := range spec.Modules() {
		funcs := m.Funcs
		for _, typ := range m.Types {
			funcs = append(funcs, typ.Funcs...)
		}
		if m.Name == "" {
			continue // most of those need a world
		}
		for _, fn := range funcs {
			f := run(t, `it("x", function() `+fn.Example+` end)`, spec.Options{})
			if f.Err != nil || f.Results[0].Err != nil {
				t.Errorf("%s: %v %v\n%s", fn.Qualified(m.Name), f.Err, statuses(f), fn.Example)
			}
		}
	}
}
