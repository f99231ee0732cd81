-- What prune removes, and what it leaves alone.
local function production()
  local images = {}
  for i = 1, 5 do
    images[i] = {ref = "mepc/app:1." .. i, expose = {"8080"}, created = ("2026-01-01T00:00:%02dZ"):format(i)}
  end
  images[6] = {ref = "mepc/db:1.0"}
  local w = world{images = images, routers = {"127.0.0.1:8080"}}
  for i = 1, 4 do
    assert.is_nil(w:run("recipes/bluegreen.lua", {image = "mepc/app:1." .. i, keep = 9, retain = 9}).error)
    w:advance("1m")
  end
  return w
end

local function tags(w)
  local list = {}
  for _, i in ipairs(w.docker:images()) do
    for _, t in ipairs(i.tags) do list[#list + 1] = t end
  end
  table.sort(list)
  return table.concat(list, " ")
end

describe("prune", function()
  it("keeps as many releases and images as it is told", function()
    local w = production()
    assert.is_nil(w:run("recipes/prune.lua", {keep = 1, retain = 2}).error)
    assert.are.equal(2, #w.docker:list{labels = {["mepc.app"] = "app"}})
    assert.are.equal("mepc/app:1.3 mepc/app:1.4 mepc/app:1.5 mepc/db:1.0", tags(w)) -- 1.5 waits for its turn
    assert.matches("1%.4", w:get("http://appserver/").body)
  end)

  it("has nothing to do the second time", function()
    local w = production()
    w:run("recipes/prune.lua", {keep = 0, retain = 1})
    assert.are.equal(0, #w:run("recipes/prune.lua", {keep = 0, retain = 1}).effects)
  end)

  it("refuses to guess which release serves", function()
    local w = world{images = {{ref = "mepc/app:1.1"}}}
    local run = w:run("recipes/prune.lua")
    assert.are.equal("conflict", run.error.kind)
    assert.are.equal(0, #run.effects)
  end)
end)
