package spec_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mepc/mepc-run/internal/spec"
)

// counter is a library that counts how often it was loaded, in a table that the
// spec gives it by way of another file.
const counter = `local shared = require("shared") shared.n = shared.n + 1 return {id = shared.n, ask = function() return "real" end}`

func TestInsulatedBlocksLeaveNothingBehind(t *testing.T) {
	src := `
local shared = require("shared")
local function id() return require("counter").id end
describe("before", function()
  it("loads it", function() assert.are.equal(3, id()) end)
end)
insulate("insulated", function()
  local first = id() -- while the file is read
  it("has what it loaded", function() assert.are.equal(first, id()) assert.are.equal(1, first) end)
  it("shares what was there before", function() assert.are.equal(shared, require("shared")) end)
  describe("inside", function()
    setup(function() stub(shared, "ask", "stubbed") end)
    it("is the same", function() assert.are.equal(first, id()) assert.are.equal("stubbed", shared.ask()) end)
  end)
  insulate("deeper", function()
    it("begins with what was around it", function() assert.are.equal(first, id()) end)
    it("loads for itself", function() require("deep") end)
  end)
  it("sees nothing of what was deeper", function() assert.are.equal(5, require("deep").id) end)
end)
describe("after", function()
  it("has what the file loaded", function() assert.are.equal(3, id()) end)
  it("has the functions that were there", function() assert.are.equal("real", shared.ask()) end)
  it("has not loaded what was deeper", function() assert.are.equal(6, require("deep").id) end)
end)
insulate("raises while it is read", function() require("deep") error("too early") end)
it("has left it all the same", function() assert.are.equal(6, require("deep").id) end)
`
	f := run(t, src, spec.Options{},
		"counter.lua", counter, "deep.lua", counter, "shared.lua", `return {n = 0, ask = function() return "real" end}`)
	var bad []string
	for _, s := range statuses(f) {
		if !strings.HasPrefix(s, "passed") {
			bad = append(bad, s)
		}
	}
	// The numbers: two are loaded while the file is read, each for its block.
	if d := cmp.Diff([]string{"error raises while it is read: too early"}, bad); d != "" {
		t.Error(d)
	}
}

func TestExposedBlocksLeaveWhatTheyLoaded(t *testing.T) {
	f := run(t, `
require("shared")
local first
insulate("around", function()
  expose("for all", function() it("loads", function() first = require("counter").id end) end)
  it("has it", function() assert.are.equal(first, require("counter").id) end)
end)
it("has it no more", function() assert.are.equal(first + 1, require("counter").id) end)
expose("in a test", function() it("is late", function() insulate("x", function() end) end) end)
`, spec.Options{}, "counter.lua", counter, "shared.lua", `return {n = 0}`)
	if d := cmp.Diff([]string{
		"passed around for all loads", "passed around has it", "passed has it no more", "error in a test is late: insulate stands inside a test",
	}, statuses(f)); d != "" {
		t.Error(d)
	}
}

func TestInsulatedBlocksStayTogetherInAnyOrder(t *testing.T) {
	orders := map[string]bool{}
	for seed := int64(1); seed <= 30; seed++ {
		f := run(t, `
local lib = {ask = function() return "real" end}
local seen = {}
local function real() seen[#seen + 1] = "r" assert.are.equal("real", lib.ask()) end
teardown(function() error(table.concat(seen)) end)
it("one", real)
insulate("outer", function()
  setup(function() stub(lib, "ask", "stubbed") end)
  for i = 1, 3 do
    it("stubbed " .. i, function() seen[#seen + 1] = i assert.are.equal("stubbed", lib.ask()) end)
  end
end)
it("two", real)
it("three", real)
`, spec.Options{Shuffle: seed})
		got := statuses(f)
		order := strings.TrimPrefix(got[0], "error teardown: ")
		orders[order] = true
		for _, s := range got[1:] {
			if !strings.HasPrefix(s, "passed") {
				t.Errorf("seed %d, %s: %s", seed, order, s)
			}
		}
		if block := strings.Trim(order, "r"); len(order) != 6 || len(block) != 3 {
			t.Errorf("seed %d: %s", seed, order)
		}
	}
	if len(orders) < 10 {
		t.Errorf("only %d orders: %v", len(orders), orders)
	}
}

func TestWorldsOfAnInsulatedBlockEndWithIt(t *testing.T) {
	f := run(t, `
local kept, own
setup(function() kept = world{} end)
insulate("block", function()
  setup(function() own = world{} end)
  it("has both", function() kept.redis:ping() own.redis:ping() end)
end)
it("has the file's", function() kept.redis:ping() end)
it("has lost the block's", function() own.redis:ping() end)
`, spec.Options{})
	if d := cmp.Diff([]string{"passed block has both", "passed has the file's"}, statuses(f)[:2]); d != "" {
		t.Error(d)
	}
	if s := statuses(f)[2]; !strings.HasPrefix(s, "error has lost the block's: the run is over") {
		t.Error(s)
	}
}
