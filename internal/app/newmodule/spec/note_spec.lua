-- What recipes/note.lua does, in simulated worlds: run it with `go run . test`.
local function noted(text)
  return world{outside = {["https://NAME.example/*"] = {status = 200, body = text}}}
end

local function run(w)
  return w:run("recipes/note.lua", {url = "https://NAME.example/team", text = "1.1"})
end

describe("note", function()
  it("puts what is new", function()
    local r = run(noted("1.0"))
    assert.is_nil(r.error)
    assert.are.equal("NAME.put", r.effects[1].op)
  end)

  it("changes nothing when it is there", function()
    assert.are.equal(0, #run(noted("1.1")).effects)
  end)

  it("fails when the server says no", function()
    local w = noted("1.0")
    w:fail("NAME.put", {with = "refused"})
    assert.are.equal("refused", run(w).error.kind)
  end)

  it("does not know what became of a lost reply", function()
    local w = noted("1.0")
    w:lose_reply("NAME.put")
    assert.are.equal("unknown", run(w).error.kind)
  end)
end)

scenario("a note", {
  recipe = "recipes/note.lua", params = {url = "https://NAME.example/team", text = "1.1"}, repeats = true,
  world = {outside = {["https://NAME.example/*"] = {status = 200, body = "1.0"}}},
})
